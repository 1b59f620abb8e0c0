"""A run's check runs on GitHub, brought to what `render` shows of the run; what to write next is `check_plan`'s.

Before every write the run is looked at again. So what a quick run has left behind already is not written at all, and
the verdict goes out as soon as it is there, whatever else was about to be written.

What is about to be written is marked as doubtful first, and what came of it is noted at the end. A process that dies in
between leaves the marks, and whoever comes next asks GitHub which of those writes arrived.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bot.domain.publication import ANNOUNCED_AFTER, CheckRecord
from bot.domain.render import checks
from bot.domain.run import Run
from bot.domain.views import Status
from bot.errors import Gone, Refused, TakenOver
from bot.github.checks import Checks, CheckSeen
from bot.github.pacing import Paced
from bot.publishing.check_plan import Wanted, Write, plan, want
from bot.publishing.records import Records
from bot.publishing.write_budget import Turn


class CheckWriter:
    """`look` gives the run as it stands now. It is called before each write, and raises TakenOver to prevent it; `turn`
    says whether there is room for one. `web` is the address of GitHub's pages."""

    def __init__(
        self,
        records: Records,
        checks: Checks,
        look: Callable[[], Run],
        turn: Turn,
        clock: Callable[[], float],
        web: str,
    ) -> None:
        self._memory = records
        self._checks = checks
        self._look = look
        self._turn = turn
        self._clock = clock
        self._web = web
        self._run = look()
        self._publication = publication = records.publication(self._run.key)
        self._wanted = self._want()
        self._records = dict(publication.checks)
        self._asked = False
        # What GitHub refused before is news no more.
        self._saved = {} if publication.refusal else dict(self._records)

    def write(self) -> float | None:
        """Write what differs. When to come again, in seconds since the epoch, where progress was put off.

        Raises Paced where results have to wait.
        """
        with self._remembered():
            if any(record.doubtful for record in self._records.values()):
                self._settle_doubts()
            while isinstance(due := self._next(), Write):
                if self._records or self._asked:
                    self._send(due)
                else:
                    self._ask()
            return due

    @contextmanager
    def _remembered(self) -> Iterator[None]:
        """Notes what is known at the end, however it ends."""
        try:
            yield
        except TakenOver:
            # Another one keeps the books now. It finds our marks.
            raise
        except BaseException:
            self._save(self._records)
            raise
        self._save(self._records)

    # -- what GitHub has

    def _settle_doubts(self) -> None:
        """Ask GitHub which writes arrived whose answers were lost."""
        # Where there is no room for what seems to be due, the answer would be of no use.
        if (wait := self._claim(*self._plan())) > 0:
            raise Paced(wait)
        seen = self._checks.list(self._run.key.sha)
        for name, record in self._records.items():
            if record.doubtful:
                arrived = next((check for check in seen if _same(check, name, record)), None)
                self._records[name] = _as_seen(record, arrived)

    def _ask(self) -> None:
        """Where nothing is remembered, ask GitHub which checks of this commit are unfinished: nobody else would ever
        finish them."""
        self._asked = True
        for check in self._checks.list(self._run.key.sha):
            if check.status != "completed":
                self._records.setdefault(check.name, _as_seen(CheckRecord(external_id=check.external_id), check))

    # -- what to write

    def _want(self) -> tuple[Wanted, ...]:
        return tuple(map(want, checks(self._run, self._web, self._publication.notes)))

    def _next(self) -> Write | float | None:
        """What to send now, of the run as it stands now; or when to come again, where there is anything to come for."""
        while isinstance(due := self._choose(), Write):
            run = self._look()
            if run is self._run:
                break
            self._run = run
            self._wanted = self._want()
        return due

    def _plan(self) -> list[Write]:
        run = self._run
        # Who asks for another attempt waits for it.
        announced = run.created_at + ANNOUNCED_AFTER if run.attempt <= 1 else 0.0
        return plan(self._records, self._wanted, announced)

    def _choose(self) -> Write | float | None:
        writes, now = self._plan(), self._clock()
        ready = [write for write in writes if write.due <= now]
        if not ready:
            return min((write.due for write in writes), default=None)
        wait = self._claim(*ready)
        return ready[0] if wait <= 0 else now + wait

    def _claim(self, *writes: Write) -> float:
        """The right to write the first of these; seconds to wait for it where they only say how far the run is.

        Raises Paced where it is a result that has to wait.
        """
        match [write.rank for write in writes]:
            case ["verdict" | "result" as rank, *_]:
                self._turn.claim(verdict=rank == "verdict")
            case ["progress", *_]:
                return 0.0 if self._turn.pause(1) <= 0 else self._turn.pause(len(writes))
        return 0.0

    def _send(self, write: Write) -> None:
        """One request, and what is known after it. Where there is no answer, the doubt stays."""
        self._mark(write)
        known, number = self._records.get(write.name), write.record.id
        self._records[write.name] = _doubt(write)
        self._turn.use()
        try:
            if number is None:
                number = self._checks.create(self._run.key.sha, write.shown, write.chunk)
            else:
                self._checks.update(number, write.shown, write.chunk)
        except (Paced, Gone, Refused):
            # It was not done, beyond doubt.
            self._records[write.name] = known or CheckRecord(external_id=write.record.external_id)
            raise
        self._records[write.name] = write.after.model_copy(update={"id": number, "written_at": self._clock()})

    # -- what is remembered

    def _mark(self, write: Write) -> None:
        """Mark it as doubtful, and with it what will be written next unless something better turns up."""
        saved = self._saved.get(write.name)
        if saved is None or not _covers(saved, _doubt(write)):
            due = [one for one in self._plan() if one.due <= self._clock()]
            self._save({**self._records, **{one.name: _doubt(one) for one in due}})

    def _save(self, records: dict[str, CheckRecord]) -> None:
        if records != self._saved:
            changed = self._publication.model_copy(update={"checks": records, "refusal": ""})
            self._memory.save_publication(self._run.key, changed)
            self._saved = dict(records)


def _doubt(write: Write) -> CheckRecord:
    return write.record.model_copy(update={"doubtful": True, "noted": write.after.noted})


def _covers(saved: CheckRecord, doubt: CheckRecord) -> bool:
    """Whether the mark that is saved leads whoever comes next to the same check run, and to what is noted on it."""
    same = (saved.external_id, saved.noted, saved.newer_than) == (doubt.external_id, doubt.noted, doubt.newer_than)
    return saved.doubtful and same and saved.id in (None, doubt.id)


def _same(check: CheckSeen, name: str, record: CheckRecord) -> bool:
    if record.id is not None:
        return check.id == record.id
    return (check.name, check.external_id) == (name, record.external_id) and check.id > record.newer_than


def _as_seen(record: CheckRecord, check: CheckSeen | None) -> CheckRecord:
    """The record in accord with what GitHub shows; what it was written from is not known any more."""
    if check is None:
        return record.model_copy(update={"doubtful": False})
    status: Status = "completed" if check.status == "completed" else "in_progress"
    known = {"id": check.id, "status": status, "annotations": check.annotations_count}
    return record.model_copy(update={**known, "digest": "", "doubtful": False})
