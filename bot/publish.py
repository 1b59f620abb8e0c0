"""Publishing: brings what GitHub shows up to date with a run, and writes only the difference.

Idempotent: it compares what the run should look like with what was last written, and where a write's answer was lost it
asks GitHub before it writes again. Nothing here decides what people see; `render` does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from bot.check_writer import CheckWriter, Records
from bot.domain.run import Run, RunKey
from bot.domain.triggers import Pull
from bot.domain.verdict import verdict
from bot.errors import AssayError, Gone, Misconfigured, Refused, Unavailable
from bot.patience import pause
from bot.pull_writer import Desk, Memories, PullWriter
from bot.queues import JobSpec
from bot.store import Stored

log = logging.getLogger(__name__)

# Longer than one request may take; the lock of a process that died is free again after this many seconds.
_LOCK_TTL = 60
_BUSY_RETRY = 2


class Runs(Records, Memories, Protocol):
    """What publishing needs of the store."""

    def load(self, key: RunKey) -> Stored | None: ...
    def published(self, key: RunKey, version: str) -> None: ...
    def postpone_publishing(self, key: RunKey, now: float) -> None: ...
    def head(self, repository: str, number: int) -> str | None: ...
    def later(self, spec: JobSpec, at: float) -> None: ...


# Yields what prolongs the lock and says whether it is still held; None where somebody else has it.
Lock = Callable[[str, float], AbstractContextManager[Callable[[], bool] | None]]


class _Busy(Exception):
    """Another process writes to the same place."""


class Publisher:
    """Publishes runs, one at a time each. `desk(installation, repository)` gives the right to write."""

    def __init__(self, runs: Runs, lock: Lock, desk: Callable[[int, str], Desk], clock: Callable[[], float]) -> None:
        self._runs = runs
        self._lock = lock
        self._desk = desk
        self._clock = clock

    def on_publish(self, key: RunKey) -> None:
        """Publish the run as it stands now. When GitHub is away it is tried again later; when it says no for good,
        that is logged and the run is let be."""
        try:
            with self._alone(str(key)) as ready:
                self._publish(key, ready)
        except _Busy as error:
            log.info("%s", error)
            self._runs.later(JobSpec.publish(key), self._clock() + _BUSY_RETRY)
        except (Unavailable, Misconfigured) as error:
            self._put_off(key, error)
        except (Gone, Refused) as error:
            self.give_up(key, error)

    def give_up(self, key: RunKey, error: Exception) -> None:
        """Let the run be, until it changes again."""
        log.error("%s: cannot be published: %s: %s", key, type(error).__name__, error)
        stored = self._runs.load(key)
        if stored is not None:
            self._runs.published(key, stored.version)

    def _put_off(self, key: RunKey, error: AssayError) -> None:
        stored = self._runs.load(key)
        if stored is None:
            return
        asked = error.retry_after if isinstance(error, Unavailable) else None
        wait = pause(self._clock() - stored.run.updated_at, asked)
        if wait is None:
            self.give_up(key, error)
            return
        log.warning("%s: publishing waits %.0f s: %s", key, wait, error)
        self._runs.later(JobSpec.publish(key), self._clock() + wait)
        self._runs.postpone_publishing(key, self._clock() + wait)

    @contextmanager
    def _alone(self, what: str) -> Iterator[Callable[[], None]]:
        """While nobody else writes there. Yields what must be called before each write. Raises _Busy."""
        with self._lock(f"publish:{what}", _LOCK_TTL) as keep:
            if keep is None:
                raise _Busy(f"{what}: another process is publishing it")

            def ready() -> None:
                if not keep():
                    raise _Busy(f"{what}: another process has taken over")

            yield ready

    def _publish(self, key: RunKey, ready: Callable[[], None]) -> None:
        stored = self._runs.load(key)
        if stored is None:
            return
        run = stored.run
        desk = self._desk(run.installation, key.repository)
        again = CheckWriter(self._runs, desk.checks, run, self._clock, ready).write()
        if verdict(run).conclusion is not None:
            for pull in run.pulls:
                self._publish_pull(desk, run, pull, ready)
        self._runs.published(key, stored.version)
        if again is not None:
            self._runs.later(JobSpec.publish(key), again)

    def _publish_pull(self, desk: Desk, run: Run, pull: Pull, ready: Callable[[], None]) -> None:
        # Two runs of one pull request, an old head's and the new one's, must not both write its first comment.
        with self._alone(f"{run.key.repository}#{pull.number}") as alone:

            def both() -> None:
                ready()
                alone()

            if pull.live and self._runs.head(run.key.repository, pull.number) == run.key.sha:
                PullWriter(self._runs, desk, run, pull, both).write()
