"""What commands print, while they run: every line to the log of the process, a line now and then to those who wait."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from workers.agent import Kit

log = logging.getLogger(__name__)

# Each word of progress is kept with the run, so they are few; seconds.
_PAUSE = 10.0
_PROGRESS = 160  # characters
# What one agent may write to the log; lines.
_MOST_LINES = 5_000


class Live:
    """Hears the lines of an agent's commands. `task` is what they belong to."""

    def __init__(self, kit: Kit, clock: Callable[[], float] = time.monotonic) -> None:
        self._kit, self._clock = kit, clock
        self._lines = 0
        self._told = clock()
        self.task = ""

    def begin(self, task: str) -> None:
        """Say what is done now. What it prints is told after a while only."""
        self.task, self._told = task, self._clock()
        self._kit.progress(task)

    def hear(self, line: str) -> None:
        now = self._clock()
        due = now - self._told >= _PAUSE
        if not due and (self._lines >= _MOST_LINES or not log.isEnabledFor(logging.INFO)):
            return
        said = self._kit.redact(line)
        if self._lines < _MOST_LINES:
            self._lines += 1
            last = " (what follows is not logged)" if self._lines == _MOST_LINES else ""
            log.info("%s: %s%s", self.task, said, last)
        if due:
            self._told = now
            self._kit.progress(f"{self.task}: {said.strip()[:_PROGRESS]}" if self.task else said.strip()[:_PROGRESS])
