"""What people made of the findings they were told of: the memory of a repository's review threads. Pure.

A finding that somebody answered, resolved, thumbed down or told Assay to ignore is not raised again in the repository.
Only the last, `/assay ignore` and the pins of `.github/assay.yml`, changes what counts; the others only keep Assay
quiet, for anybody can put a thumb under a comment.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from bot.domain.model import Frozen, Text

Decision = Literal["", "liked", "answered", "resolved", "disliked", "ignored"]
# What weighs more replaces what weighs less.
_WEIGHT: dict[Decision, int] = {"": 0, "liked": 1, "answered": 2, "resolved": 3, "disliked": 4, "ignored": 5}
_SILENCING: tuple[Decision, ...] = ("answered", "resolved", "disliked", "ignored")


class Told(Frozen):
    """A finding that a pull request was told of, last at its head `sha`. `threaded`: in a thread of its own. `decision`
    is a person's, `by` whom and `decided_at` when it was seen; `reason` in
    their words; `pin`: the line that pins it in the configuration was asked for."""

    fingerprint: str
    rule: str
    severity: str
    title: Text
    where: Text
    pull: int
    sha: str
    at: float
    threaded: bool = False
    fixed: bool = False
    decision: Decision = ""
    by: str = ""
    decided_at: float = 0.0
    reason: Text = ""
    pin: bool = False

    @property
    def silenced(self) -> bool:
        """Whether it is not to be raised again."""
        return self.decision in _SILENCING

    def decided(self, decision: Decision, by: str, at: float, reason: str = "") -> Told:
        """With a person's word, unless a weightier one is known."""
        if _WEIGHT[decision] <= _WEIGHT[self.decision]:
            return self
        return self.model_copy(update={"decision": decision, "by": by, "decided_at": at, "reason": reason})


def joined(known: Told | None, news: Told) -> Told:
    """What is remembered after news of a finding: no decision is lost, whoever writes last."""
    if known is None:
        return news
    kept = news.decided(known.decision, known.by, known.decided_at, known.reason)
    return kept.model_copy(
        update={"threaded": known.threaded or news.threaded, "at": min(known.at, news.at), "pin": known.pin or news.pin}
    )


Fate = Literal["accepted", "fixed", "dismissed", "ignored", "open"]
FATES: tuple[Fate, ...] = ("accepted", "fixed", "dismissed", "ignored", "open")


def fate(told: Told, *, over: bool) -> Fate:
    """What became of a finding. `over`: its pull request is closed, or nobody knows of it any more."""
    if told.decision in ("disliked", "ignored"):
        return "dismissed"
    if told.fixed:
        return "fixed"
    if told.decision == "liked":
        return "accepted"
    if told.decision:
        return "dismissed"
    return "ignored" if over else "open"


def precision(fates: Iterable[Fate]) -> float | None:
    """The share that people agreed with, of those that came to an end; None where none has."""
    ended = [one for one in fates if one != "open"]
    return sum(one in ("accepted", "fixed") for one in ended) / len(ended) if ended else None
