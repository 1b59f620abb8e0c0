"""A run's check runs on GitHub, brought to what `render` shows of the run.

A check moves from queued to in progress to completed, and each of these steps is written at once. What else changes
while a run lasts (somebody's progress) is written once a minute at most: GitHub counts writes.

GitHub appends annotations and never takes one back. So a check run is gone on with only while what was annotated is the
beginning of what is to be annotated; otherwise it is set aside, and another one begins.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Protocol

from bot.domain.publication import CheckRecord, Publication
from bot.domain.render import checks, set_aside
from bot.domain.run import Run, RunKey
from bot.domain.views import ANNOTATIONS_A_CALL, Annotation, CheckView, Status
from bot.github.checks import Checks, CheckSeen

# Seconds between two writes of a check that only says how far it is.
TEXT_INTERVAL = 60.0


class Records(Protocol):
    """Where it is remembered what was written."""

    def publication(self, key: RunKey) -> Publication: ...
    def save_publication(self, key: RunKey, publication: Publication) -> None: ...


class CheckWriter:
    """`ready` is called before each write, and may raise to prevent it."""

    def __init__(
        self, records: Records, checks: Checks, run: Run, clock: Callable[[], float], ready: Callable[[], None]
    ) -> None:
        self._store = records
        self._checks = checks
        self._run = run
        self._clock = clock
        self._ready = ready
        self._records = dict(records.publication(run.key).checks)
        self._again: float | None = None

    def write(self) -> float | None:
        """Write what differs. When to come again, in seconds since the epoch, where something was put off."""
        self._settle_doubts()
        views = checks(self._run)
        for name in self._records.keys() - {view.name for view in views}:
            self._set_aside(name)
        for view in views:
            self._bring(view)
        return self._again

    # -- what GitHub has

    def _settle_doubts(self) -> None:
        """Ask GitHub which writes arrived whose answers were lost; and, where nothing is remembered, which checks of
        this commit are unfinished, for nobody else would ever finish them."""
        doubtful = {name: record for name, record in self._records.items() if record.doubtful}
        if self._records and not doubtful:
            return
        seen = self._checks.list(self._run.key.sha)
        for name, record in doubtful.items():
            arrived = next((check for check in seen if _same(check, name, record)), None)
            self._save(name, _as_seen(record, arrived))
        if not self._records:
            for check in seen:
                if check.status != "completed":
                    self._records.setdefault(check.name, _as_seen(CheckRecord(external_id=check.external_id), check))

    # -- one check

    def _bring(self, view: CheckView) -> None:
        record = self._current(view)
        if record.id is not None:
            if record.digest == _digest(_bare(view)) and record.annotations >= len(view.annotations):
                return
            if view.status != "completed" and view.status == record.status and self._put_off(record):
                return
        self._write(record, view)

    def _current(self, view: CheckView) -> CheckRecord:
        """The check run to go on with; one without an id is to be created."""
        record = self._records.get(view.name)
        if record is None:
            return CheckRecord(external_id=view.external_id)
        fits = record.annotations == 0 or record.noted == _noted(view.annotations)
        if fits and (record.external_id == view.external_id or record.status != "completed"):
            # The unfinished check of an older attempt is taken over.
            return record.model_copy(update={"external_id": view.external_id})
        if record.status != "completed":
            self._set_aside(view.name)
        return CheckRecord(external_id=view.external_id)

    def _put_off(self, record: CheckRecord) -> bool:
        due = record.written_at + TEXT_INTERVAL
        if self._clock() >= due:
            return False
        self._again = min(due, self._again or due)
        return True

    def _set_aside(self, name: str) -> None:
        record = self._records[name]
        view = set_aside(name, record.external_id)
        if record.id is not None and record.digest != _digest(view):
            self._send(record, view, view, ())

    def _write(self, record: CheckRecord, view: CheckView) -> None:
        """Write the check, with as many calls as its annotations need."""
        while True:
            chunk = view.annotations[record.annotations : record.annotations + ANNOTATIONS_A_CALL]
            last = record.annotations + len(chunk) >= len(view.annotations)
            # Completed with the last chunk, so that nobody reads half of it as the whole; but never back from there.
            whole = last or record.status == "completed"
            record = self._send(record, view, view if whole else _unfinished(view), chunk)
            if last:
                return

    def _send(self, record: CheckRecord, view: CheckView, shown: CheckView, chunk: Sequence[Annotation]) -> CheckRecord:
        """One request, and what is known after it. If there is no answer, the doubt stays on record."""
        self._ready()
        if chunk:
            record = record.model_copy(update={"noted": _noted(view.annotations)})
        self._save(view.name, record.model_copy(update={"doubtful": True}))
        number = record.id
        if number is None:
            number = self._checks.create(self._run.key.sha, shown, chunk)
        else:
            self._checks.update(number, shown, chunk)
        sent = record.annotations + len(chunk)
        written = {
            "id": number,
            "status": shown.status,
            "annotations": sent,
            "digest": _digest(_bare(view)) if sent >= len(view.annotations) else "",
            "written_at": self._clock(),
        }
        return self._save(view.name, record.model_copy(update=written))

    def _save(self, name: str, record: CheckRecord) -> CheckRecord:
        self._records[name] = record
        self._store.save_publication(self._run.key, Publication(checks=self._records))
        return record


def _same(check: CheckSeen, name: str, record: CheckRecord) -> bool:
    if record.id is not None:
        return check.id == record.id
    return (check.name, check.external_id) == (name, record.external_id)


def _as_seen(record: CheckRecord, check: CheckSeen | None) -> CheckRecord:
    """The record in accord with what GitHub shows; what it was written from is not known any more."""
    if check is None:
        return record.model_copy(update={"doubtful": False})
    status: Status = "completed" if check.status == "completed" else "in_progress"
    known = {"id": check.id, "status": status, "annotations": check.annotations_count}
    return record.model_copy(update={**known, "digest": "", "doubtful": False})


def _unfinished(view: CheckView) -> CheckView:
    return view.model_copy(update={"status": "in_progress", "conclusion": None, "completed_at": None})


def _bare(view: CheckView) -> CheckView:
    return view.model_copy(update={"annotations": ()})


def _digest(view: CheckView) -> str:
    return hashlib.sha256(view.model_dump_json().encode()).hexdigest()


def _noted(annotations: Sequence[Annotation]) -> str:
    joined = "\n".join(annotation.model_dump_json() for annotation in annotations)
    return hashlib.sha256(joined.encode()).hexdigest()
