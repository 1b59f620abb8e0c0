"""Models that keep what they are asked, and one that answers from what was kept.

The recorder is put around the model of a job, so that nothing is asked that is not known. The other one makes replays
and tests deterministic: to the same question it gives the same answer, and to any other none.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from bot.domain.asked import Asked
from bot.domain.findings import Cost
from bot.errors import AssayError, Refused, Theirs
from workers.agent import Model, Paid
from workers.llm.prices import CONTEXT, room_of

Answer = TypeVar("Answer", bound=BaseModel)


@dataclass(frozen=True)
class RecordedModel:
    """A model that has every question noted with what came of it. `redact` takes secrets out of the texts."""

    inner: Model
    agent: str
    attempt: int
    note: Callable[[Asked], object]
    redact: Callable[[str], str]
    clock: Callable[[], float] = time.time

    @property
    def name(self) -> str:
        return self.inner.name

    def named(self, model: str) -> RecordedModel:
        return RecordedModel(self.inner.named(model), self.agent, self.attempt, self.note, self.redact, self.clock)

    @property
    def room(self) -> int:
        return self.inner.room

    def estimate(self, system: str, user: str) -> Cost:
        return self.inner.estimate(system, user)

    def ask(self, system: str, user: str, answer: type[Answer], *, timeout: float) -> tuple[Answer, Cost]:
        at, begun = self.clock(), time.monotonic()

        def keep(said: str = "", error: str = "", cost: Cost | None = None) -> None:
            seconds = round(time.monotonic() - begun, 3)
            words = {"system": system, "user": user, "answer": said, "error": error}
            self.note(
                Asked(
                    agent=self.agent,
                    attempt=self.attempt,
                    at=at,
                    model=cost.model if cost else self.name,
                    shape=answer.__name__,
                    seconds=seconds,
                    cost=cost,
                    **{name: self.redact(text) for name, text in words.items()},
                )
            )

        try:
            said, cost = self.inner.ask(system, user, answer, timeout=timeout)
        except AssayError as error:
            keep(error=str(error), cost=error.cost if isinstance(error, Paid) else None)
            raise
        keep(said=said.model_dump_json(), cost=cost)
        return said, cost


class ReplayedModel:
    """Answers what was asked before, by what was answered then, whatever it is called now. It costs nothing."""

    def __init__(self, kept: Iterable[Asked]) -> None:
        self._kept = {(one.system, one.user, one.shape): one for one in kept}

    @property
    def name(self) -> str:
        return next((one.model for one in self._kept.values()), "replayed")

    @property
    def room(self) -> int:
        return room_of(CONTEXT)

    def named(self, model: str) -> ReplayedModel:  # noqa: ARG002 (as `Model` has it)
        return self

    def estimate(self, system: str, user: str) -> Cost:  # noqa: ARG002
        return Cost(model=self.name, usd=0.0)

    def ask(self, system: str, user: str, answer: type[Answer], *, timeout: float) -> tuple[Answer, Cost]:  # noqa: ARG002
        known = self._kept.get((system, user, answer.__name__))
        if known is None:
            raise Theirs("this was not asked before")
        if known.error:
            raise Refused(known.error, 200)
        try:
            return answer.model_validate_json(known.answer), Cost(model=known.model)
        except ValidationError:
            raise Theirs("the recorded answer is of another version") from None
