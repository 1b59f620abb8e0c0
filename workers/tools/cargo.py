"""What `cargo test` prints: stable Rust has no other report, https://doc.rust-lang.org/rustc/tests/."""

from __future__ import annotations

import re
from typing import Literal

from workers.agent import Case
from workers.tools.traces import frames

_TRACE = 20_000
_TEST = re.compile(
    r"^test (?P<name>.+?)(?: - should panic)?(?: - compile(?: fail)?)? \.\.\. "
    r"(?P<how>ok|FAILED|ignored)(?:, .*| \(.*\))?$"
)
_SECTION = re.compile(r"^---- (?P<name>.+?) stdout ----$")
_STATUS: dict[str, Literal["passed", "failed", "skipped"]] = {"ok": "passed", "FAILED": "failed", "ignored": "skipped"}
# `src/lib.rs - sum (line 3)`, a test in the documentation.
_DOC = re.compile(r"^(?P<path>\S+\.rs) - .*\(line (?P<line>\d{1,7})\)$")
_PANIC = re.compile(r"panicked at (?:'(?P<old>.*)', )?\S+:\d+:\d+:?\s*(?:note: run with .*)?(?P<new>.*)")


def parse(text: str) -> list[Case]:
    """Every test of the output; none where there is no such line."""
    traces = _traces(text)
    found = (match for line in text.splitlines() if (match := _TEST.match(line.strip())))
    return [_case(match["name"], _STATUS[match["how"]], traces.get(match["name"], "")) for match in found]


def _traces(text: str) -> dict[str, str]:
    """What each failed test printed, up to the next one's or to the list of names."""
    said: dict[str, list[str]] = {}
    current: list[str] | None = None
    for line in text.splitlines():
        if match := _SECTION.match(line):
            current = said.setdefault(match["name"], [])
        elif line == "failures:" or line.startswith("test result:"):
            current = None
        elif current is not None:
            current.append(line)
    return {name: "\n".join(lines).strip()[-_TRACE:] for name, lines in said.items()}


def _case(name: str, status: Literal["passed", "failed", "skipped"], trace: str) -> Case:
    doc = _DOC.match(name)
    panic = _PANIC.search(trace)
    first = trace.splitlines()[0].removeprefix("note: ") if trace else ""
    return Case(
        name=name,
        status=status,
        message=((panic["old"] or panic["new"]) if panic else first).strip(),
        trace=trace,
        path=doc["path"] if doc else "",
        line=int(doc["line"]) if doc else None,
        # rustdoc is wrong about the lines of the documentation itself.
        frames=tuple(frame for frame in frames(trace) if not doc or frame[0] != doc["path"]),
    )
