"""What a model was asked, and what it answered."""

from __future__ import annotations

from bot.domain.findings import Cost
from bot.domain.model import Frozen, Text


class Asked(Frozen):
    """One question. `shape` names the type of its answer, which is JSON; `error` says why there is none."""

    agent: str
    attempt: int
    at: float
    model: str
    system: Text
    user: Text
    shape: str
    answer: Text = ""
    error: Text = ""
    seconds: float = 0.0
    cost: Cost | None = None
