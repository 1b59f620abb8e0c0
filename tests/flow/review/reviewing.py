"""A scripted reviewer, and what tests of reviews in the whole have in common."""

from __future__ import annotations

import json
from collections.abc import Callable

from bot.demo.github import StandInGitHub
from bot.demo.model_wire import Answer, ChatRequest, Reply
from bot.demo.reviewer import added_lines, is_second_look
from bot.domain.run import AgentState
from tests.flow.assay import CONFIG, REPOSITORY, Assay

REVIEWED = """
agents:
  test: {enabled: false}
  lint: {enabled: false}
  security: {enabled: false}
  review: {required: true, fail_on: high}
"""
FAULTY = "def last(items):\n    return items[len(items)]\n\n\ndef first(items):\n    return items[1]\n"
TEST = "from demo import last\nassert last([1, 2]) == 2\n"
PADDING = f"# {'so that a file is a request. ' * 4}\n"
Rule = Callable[[int, str], dict[str, object]]


class Reviewer:
    """A model that claims every `items[` to be wrong, and rules on claims by `rule(number, line)`. Where it is `away`,
    so many questions are `still` answered."""

    def __init__(self) -> None:
        self.rule: Rule = lambda _number, _line: {"verdict": "holds"}
        self.broken: Answer | None = None
        self.away: Answer | None = None
        self.still: int = 0
        self.asked: list[str] = []
        self.cost: float | None = None
        self.words: dict[str, object] = {}

    def __call__(self, request: ChatRequest) -> Answer:
        second = is_second_look(request)
        self.asked.append("verify" if second else "review")
        if self.away and not self.still:
            return self.away
        self.still = max(0, self.still - 1)
        if second:
            return self.broken or self._rule(request)
        lines = [line for line in added_lines(request.text) if "items[" in line[2]]
        return Reply(
            json.dumps({"summary": "It indexes lists.", "findings": [_claim(*line) | self.words for line in lines]}),
            cost=self.cost,
        )

    def _rule(self, request: ChatRequest) -> Reply:
        lines = [line[8:] for line in request.text.split("\n") if "items[" in line and line[7:8] == "+"]
        given = {"reason": "By that line.", "severity": None, "test": None}
        rulings = [
            {**given, "claim": number, "quote": line, **self.rule(number, line)} for number, line in enumerate(lines, 1)
        ]
        return Reply(json.dumps({"rulings": rulings}), cost=self.cost)


def _claim(path: str, number: int, text: str) -> dict[str, object]:
    return {
        "path": path,
        "start_line": number,
        "end_line": number,
        "severity": "high",
        "kind": "bug",
        "title": f"It reads beyond the list: {text.strip()}",
        "explanation": "The index is out of range.",
        "scenario": "A list of one element raises IndexError.",
        "replacement": None,
        "confidence": 0.9,
    }


def opened(github: StandInGitHub) -> tuple[int, str]:
    sha = github.commit(REPOSITORY, "feature", {"demo.py": FAULTY})
    return github.open_pull(REPOSITORY, "feature"), sha


def review_of(assay: Assay, sha: str) -> AgentState:
    agent = assay.run(sha).agent("review")
    assert agent is not None
    return agent


def limited(budget: str) -> dict[str, str]:
    return {CONFIG: REVIEWED.replace("fail_on: high}", f"fail_on: high, budget: {{{budget}}}}}")}


def orders(assay: Assay, github: StandInGitHub, number: int, text: str, who: str = "alice") -> list[str]:
    """Give an order; what Assay answered to all of them."""
    github.comment(REPOSITORY, number, text, author=who)
    assay.settle()
    return [one.body for one in github.comments(REPOSITORY, number) if "assay:reply:" in one.body]


def buttons(assay: Assay, sha: str) -> list[str]:
    return [action["label"] for action in assay.check(sha, "assay / review").actions]
