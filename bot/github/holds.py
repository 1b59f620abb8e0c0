"""Until when installations were told to wait."""

from __future__ import annotations

from collections.abc import Callable

from bot.errors import Unavailable
from bot.github.limits import LONGEST
from bot.github.pacing import Budget, Paced


class Holds:
    """Until when each installation was told to wait. Others hear of it by the write budget, before they write."""

    def __init__(self, clock: Callable[[], float], budget: Budget | None) -> None:
        self._clock = clock
        self._budget = budget
        self._until: dict[int, float] = {}

    def check(self, installation: int) -> None:
        """Raises Unavailable while it has to wait."""
        left = self._until.get(installation, 0.0) - self._clock()
        # A longer one was noted by a clock that was ahead.
        if 0 < left <= LONGEST:
            raise Unavailable(f"GitHub's rate limit is used up; it asks to wait {left:.0f} s more", left)

    def note(self, installation: int, error: Unavailable) -> None:
        """Have it wait for as long as GitHub asks, where it does."""
        if error.retry_after and not isinstance(error, Paced):
            self._until[installation] = self._clock() + error.retry_after
            if self._budget is not None:
                self._budget.hold(installation, error.retry_after)
