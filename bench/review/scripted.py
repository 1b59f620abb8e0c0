"""A scripted model that knows the planted faults: it proves the harness, and nothing about any reviewer.

It finds each fault but every `misses`-th, and of every `invents`-th change claims one that is not there. Asked once
more it stands by what is true, and refutes every other one of what it made up.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import count

from bench.review.cases import Case
from bot.demo.model_wire import ChatRequest, Reply
from bot.demo.reviewer import added_lines, is_second_look, rulings

_INVENTED = "Nobody calls this any more"


def scripted(cases: Sequence[Case], misses: int = 6, invents: int = 4) -> Callable[[ChatRequest], Reply]:
    faults = [(golden.path, golden.line, golden.comment) for case in cases for golden in case.golden]
    known = {fault for number, fault in enumerate(faults, 1) if number % misses}
    doubted, reviewed = count(), count(1)

    def answer(request: ChatRequest) -> Reply:
        if is_second_look(request):
            said = [
                ruling | {"verdict": "refuted"} if _INVENTED in words and next(doubted) % 2 == 0 else ruling
                for ruling, words in rulings(request)
            ]
            return Reply(json.dumps({"rulings": said}))
        lines = list(added_lines(request.text))
        shown = {(path, number) for path, number, _ in lines}
        found = [_claim(*fault) for fault in known if fault[:2] in shown and _is_of(fault, lines, cases)]
        if next(reviewed) % invents == 0:
            path, number, _ = lines[-1]
            found.append(_claim(path, number, _INVENTED))
        return Reply(json.dumps({"summary": "It changes something.", "findings": found}))

    return answer


def _is_of(fault: tuple[str, int, str], lines: Sequence[tuple[str, int, str]], cases: Sequence[Case]) -> bool:
    """Whether the lines that are shown are those of the case that the fault is planted in: paths may repeat."""
    case = next(one for one in cases if any((g.path, g.line, g.comment) == fault for g in one.golden))
    after = case.after.split("\n")
    return all(path == case.path and after[number - 1] == text for path, number, text in lines)


def _claim(path: str, line: int, comment: str) -> dict[str, object]:
    return {
        "path": path,
        "start_line": line,
        "end_line": line,
        "severity": "high",
        "kind": "bug",
        "title": comment.split(". ")[0].rstrip("."),
        "explanation": comment,
        "scenario": "As the title says.",
        "replacement": None,
        "confidence": 0.9,
    }
