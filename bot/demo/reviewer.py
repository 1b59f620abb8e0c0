"""A stand-in for a reviewer's judgement: it finds what was planted, by reading the diff that it is sent, and stands by
it when it is asked once more.

It knows no line numbers beforehand. It reads them in the request, so once a fault is mended, it is silent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bot.demo.model_wire import ChatRequest, Reply

_FILE = re.compile(r"^--- (.+) \((?:added|modified|renamed)\)$")
_CLAIM = re.compile(r"^Claim (?P<number>\d+): .*\nPlace: (?P<path>.+):(?P<line>\d+)(?:-\d+)?$", re.MULTILINE)
_SHOWN = re.compile(r"^ *(\d+) [ +](.*)$")
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
        if is_second_look(request):
            return Reply(json.dumps({"rulings": [ruling for ruling, _ in rulings(request)]}))
        lines = list(added_lines(request.text))
        found = [
            _finding(fault, *line) for fault in known for line in lines if re.search(fault.pattern, line[2]) is not None
        ]
        return Reply(json.dumps({"summary": summary, "findings": found}))

    return review


def is_second_look(request: ChatRequest) -> bool:
    """Whether it is asked to rule on claims, not to review."""
    return _CLAIM.search(request.text) is not None


def rulings(request: ChatRequest) -> Iterator[tuple[dict[str, object], str]]:
    """Every claim holds, by the line that it is about; with the claim's words."""
    code = {(path, number): text for path, number, text in _shown_lines(request.text)}
    for claim in _CLAIM.finditer(request.text):
        quote = code.get((claim["path"], int(claim["line"])), "")
        ruling: dict[str, object] = {
            "claim": int(claim["number"]),
            "verdict": "holds",
            "quote": quote,
            "reason": "The stated case leads through this line to the wrong result, and nothing stops it.",
            "severity": None,
            "test": None,
        }
        yield ruling, claim[0]


def _shown_lines(text: str) -> Iterator[tuple[str, int, str]]:
    path = ""
    for line in text.split("\n"):
        if line.startswith("--- "):
            path = line.removeprefix("--- ")
        elif path and (shown := _SHOWN.match(line)):
            yield path, int(shown[1]), shown[2]


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
