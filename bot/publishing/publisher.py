"""Publishing: brings what GitHub shows up to date with a run, and writes only the difference.

Idempotent: it compares what the run should look like with what was last written, and where a write's answer was lost it
asks GitHub before it writes again. Nothing here decides what people see; `render` does.

Every end is stated: what passes is put off, for as long as it lasts or GitHub asks for; what GitHub refuses is logged,
remembered with the run, and tried again when the run changes or somebody changes the installation.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from bot.domain.code_scanning import Target
from bot.domain.run import Run, RunKey, Stored
from bot.domain.triggers import Pull, Push
from bot.domain.verdict import Conclusion, verdict
from bot.errors import AssayError, Gone, Misconfigured, Refused, TakenOver, Unavailable
from bot.github.pacing import Paced
from bot.heads import Heads
from bot.locks import Lock
from bot.patience import pause
from bot.publishing.check_writer import CheckWriter
from bot.publishing.pull_writer import Desk, Opinions, PullWriter
from bot.publishing.records import Records
from bot.publishing.scan_writer import ScanWriter
from bot.publishing.unpublished import Unpublished
from bot.publishing.write_budget import Turn, WriteBudget

log = logging.getLogger(__name__)

# Longer than one request may take, with all its tries; the lock of a process that died is free again after this many
# seconds.
_LOCK_TTL = 60
_BUSY_RETRY = 2.0


class _Latest:
    """A run as it stands, for as long as nobody else publishes it."""

    def __init__(self, newer: Callable[[Stored], Stored], stored: Stored, ready: Callable[[], None]) -> None:
        self._newer = newer
        self._ready = ready
        self.stored = stored

    def look(self) -> Run:
        """The run as it stands now; the same object while it has not changed. Raises TakenOver."""
        self._ready()
        self.stored = self._newer(self.stored)
        return self.stored.run


class Publisher:
    """Publishes runs, one at a time each. `newer` gives a run as it stands now, `desk(installation, repository)` the
    right to write; `budget` says how much may be written."""

    def __init__(
        self,
        newer: Callable[[Stored], Stored],
        unpublished: Unpublished,
        records: Records,
        heads: Heads,
        lock: Lock,
        desk: Callable[[int, str], Desk],
        budget: WriteBudget,
        clock: Callable[[], float],
        opinions: Opinions,
    ) -> None:
        self._newer = newer
        self._unpublished = unpublished
        self._records = records
        self._heads = heads
        self._opinions = opinions
        self._lock = lock
        self._desk = desk
        self._budget = budget
        self._clock = clock

    def on_publish(self, key: RunKey) -> None:
        """Publish the run as it stands now. When GitHub is away, or enough was written for now, that is done later;
        when GitHub says no for good, that is remembered and the run is let be."""
        stored = self._unpublished.load(key)
        if stored is None:
            return
        try:
            with self._alone(str(key)) as ready:
                self._try(_Latest(self._newer, stored, ready))
        except TakenOver as error:
            log.info("%s", error)
            self._later(stored.run, _BUSY_RETRY)

    def _try(self, latest: _Latest) -> None:
        try:
            self._publish(latest)
        except Paced as error:
            log.info("%s: %s", latest.stored.run.key, error)
            self._later(latest.stored.run, error.retry_after or 0.0)
        except (Unavailable, Misconfigured) as error:
            self._put_off(latest.stored, error)
        except (Gone, Refused) as error:
            self._give_up(latest.stored, error)

    def _give_up(self, stored: Stored, error: Exception) -> None:
        log.error("%s: cannot be published: %s: %s", stored.run.key, type(error).__name__, error)
        self._records.note_refusal(stored.run.key, str(error))
        self._unpublished.refused(stored)

    def _put_off(self, stored: Stored, error: AssayError) -> None:
        asked = error.retry_after if isinstance(error, Unavailable) else None
        wait = pause(self._clock() - stored.run.updated_at, asked)
        if wait is None:
            self._give_up(stored, error)
            return
        log.warning("%s: publishing waits %.0f s: %s", stored.run.key, wait, error)
        self._later(stored.run, wait)

    def _later(self, run: Run, wait: float) -> None:
        self._unpublished.publish_at(run, self._clock() + wait)

    @contextmanager
    def _alone(self, what: str) -> Iterator[Callable[[], None]]:
        """While nobody else writes there. Yields what must be called before each write. Raises TakenOver."""
        with self._lock(f"publish:{what}", _LOCK_TTL) as keep:
            if keep is None:
                raise TakenOver(f"{what}: another process is publishing it")

            def ready() -> None:
                if not keep():
                    raise TakenOver(f"{what}: another process publishes it now")

            yield ready

    def _publish(self, latest: _Latest) -> None:
        run = latest.stored.run
        desk = self._desk(run.installation, run.key.repository)
        with Turn(self._budget, run.installation, str(run.key)) as turn:
            again = self._write_checks(latest, desk, turn)
            written = latest.stored
            self._publish_pulls(latest, desk, turn)
            if again is None:
                again = self._tell_code_scanning(latest, desk, turn)
        if again is None:
            self._unpublished.published(run.key, written.version)
        else:
            self._unpublished.publish_at(run, again)

    def _write_checks(self, latest: _Latest, desk: Desk, turn: Turn) -> float | None:
        return CheckWriter(self._records, desk.checks, latest.look, turn, self._clock, desk.web).write()

    def _publish_pulls(self, latest: _Latest, desk: Desk, turn: Turn) -> None:
        run = latest.stored.run
        if verdict(run).conclusion is not None:
            for pull in run.pulls:
                self._publish_pull(desk, run, pull, partial(_claim, latest, turn))

    def _tell_code_scanning(self, latest: _Latest, desk: Desk, turn: Turn) -> float | None:
        """When to come again to hear what became of it, in seconds since the epoch."""
        run = latest.stored.run
        if not run.plan.code_scanning or verdict(run).conclusion in (None, Conclusion.CANCELLED):
            return None
        before = self._records.publication(run.key).notes

        def is_head(target: Target) -> bool:
            match target.trigger:
                case Pull():
                    return self._is_head(run.key, target.trigger)
                case Push():
                    return desk.branch(target.trigger.branch) == run.key.sha
            return False

        ready = partial(_claim, latest, turn)
        again = ScanWriter(self._records, desk.code_scanning, run, ready, is_head, self._clock).write()
        if self._records.publication(run.key).notes != before:
            self._write_checks(latest, desk, turn)
        return again

    def _is_head(self, key: RunKey, pull: Pull) -> bool:
        """Whether this is the pull request's newest head: its comment tells of no other."""
        heads = self._heads.of(key.repository, pull.id)
        return not heads or heads[0].sha == key.sha

    def _publish_pull(self, desk: Desk, run: Run, pull: Pull, ready: Callable[[], None]) -> None:
        # Two runs of one pull request, an old head's and the new one's, must not both write its first comment.
        with self._alone(f"{run.key.repository}#{pull.number}") as alone:

            def both() -> None:
                ready()
                alone()

            if pull.live and self._is_head(run.key, pull):
                PullWriter(self._records, self._opinions, desk, run, pull, both, self._clock()).write()


def _claim(latest: _Latest, turn: Turn) -> None:
    """The right to one more write. Raises TakenOver, and Paced where it has to wait."""
    latest.look()
    turn.claim(verdict=False)
    turn.use()
