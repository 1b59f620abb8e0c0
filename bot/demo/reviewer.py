"""A stand-in for a reviewer's judgement: it finds what was planted, by reading the diff that it is sent.

It knows no line numbers beforehand. It reads them in the request, so once a fault is mended, it is silent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bot.demo.model_wire import ChatRequest, Reply

_FILE = re.compile(r"^--- (.+) \((?:added|modified|renamed)\)$")
_ADDED = re.compile(r"^ *(\d+) \+(.*)$")


@dataclass(frozen=True)
class Planted:
    """A fault that this reviewer knows: a regular expression searched for in each added line, and what it says of a
    line that matches. `replacement` is a template for `re.sub` over that line."""

    pattern: str
    title: str
    explanation: str
    scenario: str
    severity: str = "high"
    kind: str = "bug"
    replacement: str | None = None


def demo_reviewer(*known: Planted, summary: str) -> Callable[[ChatRequest], Reply]:
    """A script for `ScriptedModel`: a review that reports every known fault which the request shows."""

    def review(request: ChatRequest) -> Reply:
        lines = list(added_lines(request.text))
        found = [
            _finding(fault, *line) for fault in known for line in lines if re.search(fault.pattern, line[2]) is not None
        ]
        return Reply(json.dumps({"summary": summary, "findings": found}))

    return review


def added_lines(text: str) -> Iterator[tuple[str, int, str]]:
    """Path, number and text of each added line in a request for review."""
    path = ""
    for line in text.split("\n"):
        if heading := _FILE.match(line):
            path = heading[1]
        elif path and (added := _ADDED.match(line)):
            yield path, int(added[1]), added[2]


def _finding(fault: Planted, path: str, number: int, line: str) -> dict[str, object]:
    return {
        "path": path,
        "start_line": number,
        "end_line": number,
        "severity": fault.severity,
        "kind": fault.kind,
        "title": fault.title,
        "explanation": fault.explanation,
        "scenario": fault.scenario,
        "replacement": None if fault.replacement is None else re.sub(fault.pattern, fault.replacement, line),
        "confidence": 0.95,
    }
