"""What `make check` prints where automake's test harness runs the tests,
https://www.gnu.org/software/automake/manual/html_node/Parallel-Test-Harness.html"""

from __future__ import annotations

import re
from typing import Literal

from workers.agent import Case
from workers.tools.traces import frames

_TRACE = 20_000
_RESULT = re.compile(r"^(?P<how>PASS|FAIL|XFAIL|XPASS|SKIP|ERROR): (?P<name>\S.*)$", re.MULTILINE)
_STATUS: dict[str, Literal["passed", "failed", "error", "skipped"]] = {
    "PASS": "passed",
    "FAIL": "failed",
    "XPASS": "failed",
    "ERROR": "error",
    "SKIP": "skipped",
    "XFAIL": "skipped",
}
_SUMMARY = re.compile(r"^# TOTAL: +\d+$", re.MULTILINE)
# What the tests printed, which stands there with VERBOSE=1 where some failed: a section for each, under its title.
_LOG = re.compile(
    r"^=+\n {3}\S[^\n]*test-suite\.log\n=+\n(?P<log>.*?)(?=^=+\nTestsuite summary)", re.MULTILINE | re.DOTALL
)
_SECTION = re.compile(r"^(?:FAIL|XPASS|ERROR|SKIP|XFAIL): (?P<name>\S[^\n]*)\n=+\n", re.MULTILINE)
_END = re.compile(r"^[A-Z]+ \S.* \((?P<words>exit status: \d+)\)$")


def is_automake(text: str) -> bool:
    return bool(_SUMMARY.search(text) and _RESULT.search(text))


def parse(text: str) -> list[Case]:
    """Every test of the output; none where there is no such line. One that was expected to fail counts as skipped
    where it does, and as failed where it does not."""
    said: dict[str, str] = {}
    for log in _LOG.finditer(text):
        _, *parts = _SECTION.split(log["log"])
        said |= dict(zip(parts[::2], parts[1::2], strict=True))
    return [_case(match["how"], match["name"].strip(), said) for match in _RESULT.finditer(_LOG.sub("", text))]


def _case(how: str, name: str, said: dict[str, str]) -> Case:
    status = _STATUS[how]
    # Where automake knows an extension of tests, a section's title has none.
    words = said.get(name) or said.get(name.rpartition(".")[0], "")
    trace = words.strip()[-_TRACE:] if status in ("failed", "error") else ""
    message = "it passed, but is expected to fail" if how == "XPASS" else _last(trace)
    return Case(
        name=name,
        status=status,
        message=message if trace or how == "XPASS" else "",
        trace=trace,
        # A script; the number and title of one of its tests may stand behind it.
        path=name.partition(" ")[0],
        frames=frames(trace),
    )


def _last(trace: str) -> str:
    """The last words of a test; how it ended where it had none."""
    lines = [line.strip() for line in trace.splitlines() if line.strip()]
    spoken = [line for line in lines if not _END.match(line)]
    end = _END.match(lines[-1]) if lines else None
    return spoken[-1] if spoken else end["words"] if end else ""
