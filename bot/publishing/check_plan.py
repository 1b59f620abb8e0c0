"""What is to be written of a run's checks next: a record of what was written and a view in, a request out. Pure.

GitHub appends annotations and never takes one back. So a check run is gone on with only while what was annotated is the
beginning of what is to be annotated; otherwise it is set aside, and another one begins. A completed one is never
reopened: another attempt begins another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from bot.domain.publication import CheckRecord
from bot.domain.render import JOINED, set_aside
from bot.domain.views import ANNOTATIONS_A_CALL, Annotation, CheckView

# Seconds between two writes of a check that is not completed: by the first the other one need not be written where its
# agent is quick, and what only says how far an agent is can wait longer. GitHub counts writes.
STEP_INTERVAL = 1.0
TEXT_INTERVAL = 60.0


@dataclass(frozen=True)
class Wanted:
    """A check as it should stand. `digest` is of the view without its annotations, `noted` of those."""

    view: CheckView
    digest: str
    noted: str


@dataclass(frozen=True)
class Write:
    """One request. `record` is of the check run to go on with; where it has no id, one is to be created. `shown` is how
    the check stands afterwards, `chunk` what is appended, `after` what is then known, the id and the time aside. It is
    not worth being sent before `due` (seconds since the epoch)."""

    record: CheckRecord
    shown: CheckView
    chunk: tuple[Annotation, ...]
    after: CheckRecord
    rank: Literal["verdict", "result", "progress"]
    due: float

    @property
    def name(self) -> str:
        return self.shown.name


def want(view: CheckView) -> Wanted:
    joined = "\n".join(annotation.model_dump_json() for annotation in view.annotations)
    bare = view.model_copy(update={"annotations": ()})
    return Wanted(view, _digest(bare.model_dump_json()), _digest(joined))


def plan(records: Mapping[str, CheckRecord], wanted: Iterable[Wanted], announced: float = 0.0) -> list[Write]:
    """The next request of each check that needs one: the verdict first, then results, then progress. Checks that are
    not wanted any more are set aside. Before `announced` (seconds since the epoch) a new one is not worth being written
    for its progress."""
    views = {one.view.name: one for one in wanted}
    gone = (_aside(name, record) for name, record in records.items() if name not in views)
    steps = (_next(records.get(name), one, announced) for name, one in views.items())
    due = [write for write in (*gone, *steps) if write]
    order = ("verdict", "result", "progress")
    # Of two that say how far they are, the joined one is what branch protection and people look at first.
    return sorted(due, key=lambda write: (order.index(write.rank), write.name != JOINED))


def _next(record: CheckRecord | None, wanted: Wanted, announced: float) -> Write | None:
    view = wanted.view
    if record is None:
        return _write(CheckRecord(external_id=view.external_id), wanted, announced)
    fits = record.annotations == 0 or record.noted == wanted.noted
    ended_alike = record.external_id == view.external_id and view.status == "completed"
    if fits and (record.status != "completed" or ended_alike):
        # The unfinished check of an older attempt is taken over.
        is_done = record.digest == wanted.digest and record.annotations >= len(view.annotations)
        return None if is_done else _write(record.model_copy(update={"external_id": view.external_id}), wanted)
    if record.status != "completed":
        return _aside(view.name, record)
    return _write(CheckRecord(external_id=view.external_id, newer_than=record.id or 0), wanted)


def _aside(name: str, record: CheckRecord) -> Write | None:
    wanted = want(set_aside(name, record.external_id))
    if record.id is None or record.digest == wanted.digest:
        return None
    after = record.model_copy(update={"status": "completed", "digest": wanted.digest})
    return Write(record, wanted.view, (), after, "result", 0.0)


def _write(record: CheckRecord, wanted: Wanted, announced: float = 0.0) -> Write:
    view = wanted.view
    chunk = view.annotations[record.annotations : record.annotations + ANNOTATIONS_A_CALL]
    sent = record.annotations + len(chunk)
    is_last = sent >= len(view.annotations)
    # Completed with the last chunk, so that nobody reads half of it as the whole; but never back from there.
    shown = view if is_last or record.status == "completed" else _unfinished(view)
    after = record.model_copy(
        update={
            "status": shown.status,
            "annotations": sent,
            "noted": wanted.noted if sent else "",
            "digest": wanted.digest if is_last else "",
        }
    )
    if view.status == "completed":
        return Write(record, shown, chunk, after, "verdict" if view.name == JOINED else "result", 0.0)
    interval = TEXT_INTERVAL if view.status == record.status else STEP_INTERVAL
    return Write(record, shown, chunk, after, "progress", record.written_at + interval if record.id else announced)


def _unfinished(view: CheckView) -> CheckView:
    return view.model_copy(update={"status": "in_progress", "conclusion": None, "completed_at": None})


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
