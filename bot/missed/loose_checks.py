"""Loose checks: unfinished on GitHub, on a commit that nobody works on. Nobody else would ever end them.

Those of a run that is complete are published again. Those that no run knows of, because Assay lost its data or never
heard that GitHub had created them, are ended with a word about it. It holds the lock that publishing holds.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from bot.domain.render import abandoned, set_aside
from bot.domain.run import Run, RunKey, Stored
from bot.errors import Gone, Misconfigured, Refused, Unavailable
from bot.github.checks import Checks, CheckSeen
from bot.jobs import JobSpec
from bot.locks import Lock
from bot.publishing.records import Records
from bot.publishing.unpublished import Unpublished

log = logging.getLogger(__name__)

_LOCK_TTL = 60
_BUSY_RETRY = 30.0
_AWAY_RETRY = 900.0


class Runs(Protocol):
    """Where runs are kept."""

    def load(self, key: RunKey) -> Stored | None: ...


class LooseChecks:
    """`checks(installation, repository)` gives the right to write them, `later` puts a job off."""

    def __init__(
        self,
        runs: Runs,
        unpublished: Unpublished,
        records: Records,
        lock: Lock,
        checks: Callable[[int, str], Checks],
        later: Callable[[JobSpec, float], None],
        clock: Callable[[], float],
    ) -> None:
        self._runs = runs
        self._unpublished = unpublished
        self._records = records
        self._later = later
        self._lock = lock
        self._checks = checks
        self._clock = clock

    def on_loose_checks(self, key: RunKey, installation: int) -> None:
        """End them. While GitHub is away it is tried again later."""
        try:
            with self._lock(f"publish:{key}", _LOCK_TTL) as keep:
                if keep is None:
                    self._again(key, installation, _BUSY_RETRY)
                else:
                    self._end(key, installation, keep)
        except (Unavailable, Misconfigured) as error:
            asked = error.retry_after if isinstance(error, Unavailable) else None
            log.warning("%s: its unfinished checks wait: %s", key, error)
            self._again(key, installation, asked or _AWAY_RETRY)
        except (Gone, Refused) as error:
            log.error("%s: its unfinished checks stay as they are: %s", key, error)
            self._records.forget_checks(key)

    def _again(self, key: RunKey, installation: int, wait: float) -> None:
        self._later(JobSpec.loose_checks(key, installation), self._clock() + wait)

    def _end(self, key: RunKey, installation: int, keep: Callable[[], bool]) -> None:
        stored = self._runs.load(key)
        run = stored.run if stored and stored.run.triggers else None
        if run is not None and not run.complete:
            return
        checks = self._checks(installation, key.repository)
        loose = [check for check in checks.list(key.sha) if check.status != "completed"]
        unknown = loose if run is None else self._doubt(run, loose)
        for check in unknown:
            if not keep():
                self._again(key, installation, _BUSY_RETRY)
                return
            log.warning("%s: the check %r was unfinished and nobody's, it is ended", key, check.name)
            end = abandoned if run is None else set_aside
            checks.update(check.id, end(check.name, check.external_id))
        if run is None:
            self._records.forget_checks(key)
        else:
            self._unpublished.publish(key, installation)

    def _doubt(self, run: Run, loose: list[CheckSeen]) -> list[CheckSeen]:
        """Have publishing ask GitHub how the run's own checks stand; those that are not among them."""
        publication = self._records.publication(run.key)
        records = dict(publication.checks)
        names = {record.id: name for name, record in records.items()}
        doubtful = {names[check.id] for check in loose if check.id in names}
        update = {name: records[name].model_copy(update={"doubtful": True}) for name in doubtful}
        if update:
            changed = publication.model_copy(update={"checks": records | update, "refusal": ""})
            self._records.save_publication(run.key, changed)
        # Where nothing is remembered publishing takes over what is unfinished.
        return [check for check in loose if records and check.id not in names]
