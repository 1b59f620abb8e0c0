"""What `python -m unittest -v` prints."""

from __future__ import annotations

import re
from typing import Literal

from workers.agent import Case
from workers.tools.traces import frames

_TRACE = 20_000
_NAME = re.compile(r"^(?P<indent> *)(?P<name>\S+) \((?P<where>[\w.<>]+)\)(?P<rest>.*)$")
_END = re.compile(r"(?:^| )\.\.\. ?(?P<how>.*)$")
_BLOCK = re.compile(
    r"^=+\n(?P<kind>FAIL|ERROR): (?P<name>\S+)(?: \((?P<where>[\w.<>]+)\))?(?P<sub> [\[(].*)?\n"
    r"(?P<text>(?:(?!^=+$).*\n)*)",
    re.MULTILINE,
)
_WORDS: dict[str, Literal["passed", "failed", "error", "skipped"]] = {
    "ok": "passed",
    "expected failure": "passed",
    "FAIL": "failed",
    "unexpected success": "failed",
    "ERROR": "error",
}


def parse(text: str) -> list[Case]:
    """Every test, one with subtests as one. None where there is no such line."""
    blocks: dict[str, list[re.Match[str]]] = {}
    for match in _BLOCK.finditer(text):
        blocks.setdefault(_identity(match["name"], match["where"] or ""), []).append(match)
    results = _results(text.partition("\n=====")[0])
    for identity, found in blocks.items():
        results[identity] = "error" if any(match["kind"] == "ERROR" for match in found) else "failed"
    return [_case(identity, status, blocks.get(identity, [])) for identity, status in results.items()]


def _identity(name: str, where: str) -> str:
    """`test_cart.Cart.test_adds`: since Python 3.11 the parentheses hold the method, too."""
    return where if where.endswith(f".{name}") else f"{where}.{name}" if where else name


def _results(text: str) -> dict[str, Literal["passed", "failed", "error", "skipped"]]:
    results: dict[str, Literal["passed", "failed", "error", "skipped"]] = {}
    current = ""
    for line in text.splitlines():
        # A test's own output and its description may stand between its name and its end.
        if (match := _NAME.match(line)) and not match["indent"]:
            current = _identity(match["name"], match["where"])
            results[current] = "passed"
        if current and (end := _END.search(line)):
            how = end["how"]
            results[current] = "skipped" if how.startswith("skipped") else _WORDS.get(how, results[current])
    return results


def _case(identity: str, status: Literal["passed", "failed", "error", "skipped"], found: list[re.Match[str]]) -> Case:
    text = "\n\n".join((match["sub"] or "").strip() + "\n" + match["text"].strip() for match in found).strip()
    # What came after the last of them: the count.
    trace = re.split(r"\n-{70}\nRan \d+ test", text)[0].strip()[-_TRACE:]
    where, _, name = identity.rpartition(".")
    last = trace.rpartition("\n")[2].strip()
    return Case(
        name=name,
        status=status,
        classname=where,
        message=last if found else "",
        trace=trace,
        frames=frames(trace),
        id=identity,
    )
