"""Publishing: brings what GitHub shows up to date with a run, and writes only the difference.

Idempotent: it compares what the run should look like with what was last written, and where a write's answer was lost it
asks GitHub before it writes again. Nothing here decides what people see; `render` does.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from bot.domain.model import Frozen
from bot.domain.publication import CheckRecord, Publication, PullMemory
from bot.domain.render import checks
from bot.domain.changes import changes, known
from bot.domain.render_comment import comment, marker
from bot.domain.render_inline import fingerprint_of, inline, review_body
from bot.domain.run import Run, RunKey
from bot.domain.triggers import Pull
from bot.domain.verdict import verdict
from bot.domain.views import ANNOTATIONS_A_CALL, CheckView, InlineComment, Known
from bot.errors import Gone, Refused, Unavailable
from bot.github.checks import Checks
from bot.github.comments import Comments
from bot.github.reviews import Reviews
from bot.queues import JobSpec
from bot.store import Stored

log = logging.getLogger(__name__)

# A publication takes seconds; the lock of one that died is free again after this many.
_LOCK_TTL = 120
_BUSY_RETRY = 2
_OUTAGE_RETRY = 60


@dataclass(frozen=True)
class Desk:
    """What is written on, for one repository, with a token for just that."""

    checks: Checks
    comments: Comments
    reviews: Reviews
    bot_login: str


class Runs(Protocol):
    """What publishing needs of the store."""

    def load(self, key: RunKey) -> Stored | None: ...
    def publication(self, key: RunKey) -> Publication: ...
    def save_publication(self, key: RunKey, publication: Publication) -> None: ...
    def published(self, key: RunKey, version: str) -> None: ...
    def pull(self, repository: str, number: int) -> PullMemory: ...
    def save_pull(self, repository: str, number: int, memory: PullMemory) -> None: ...
    def head(self, repository: str, number: int) -> str | None: ...
    def later(self, spec: JobSpec, at: float) -> None: ...


class Publisher:
    """Publishes runs, one at a time each. `desk(installation, repository)` gives the right to write."""

    def __init__(
        self,
        runs: Runs,
        lock: Callable[[str, float], AbstractContextManager[bool]],
        desk: Callable[[int, str], Desk],
        clock: Callable[[], float],
    ) -> None:
        self._runs = runs
        self._lock = lock
        self._desk = desk
        self._clock = clock

    def on_publish(self, key: RunKey) -> None:
        """Publish the run as it stands now. When GitHub is away it is tried again later; when it says no for good,
        that is logged and the run is let be."""
        try:
            with self._lock(f"publish:{key}", _LOCK_TTL) as free:
                if free:
                    self._publish(key)
                else:
                    self._runs.later(JobSpec.publish(key), self._clock() + _BUSY_RETRY)
        except Unavailable as error:
            log.warning("%s: publishing waits: %s", key, error)
            self._runs.later(JobSpec.publish(key), self._clock() + (error.retry_after or _OUTAGE_RETRY))
        except (Gone, Refused) as error:
            log.error("%s: cannot be published: %s", key, error)
            self._give_up(key)

    def _give_up(self, key: RunKey) -> None:
        stored = self._runs.load(key)
        if stored is not None:
            self._runs.published(key, stored.version)

    def _publish(self, key: RunKey) -> None:
        stored = self._runs.load(key)
        if stored is None:
            return
        run = stored.run
        desk = self._desk(run.installation, key.repository)
        _CheckWriter(self._runs, desk.checks, run).write()
        if verdict(run).conclusion is not None:
            for pull in run.pulls:
                if pull.live and self._runs.head(key.repository, pull.number) == key.sha:
                    _PullWriter(self._runs, desk, run, pull).write()
        self._runs.published(key, stored.version)


# -- checks


class _CheckWriter:
    def __init__(self, runs: Runs, checks: Checks, run: Run) -> None:
        self._runs = runs
        self._checks = checks
        self._run = run
        self._records = dict(runs.publication(run.key).checks)

    def write(self) -> None:
        for view in checks(self._run):
            self._settle_doubt(view.name)
            self._write_check(view)

    def _settle_doubt(self, name: str) -> None:
        """Ask GitHub whether a write whose answer was lost has arrived."""
        record = self._records.get(name)
        if record is None or not record.doubtful:
            return
        for seen in self._checks.list(self._run.key.sha):
            if seen.name == name and seen.external_id == record.external_id:
                arrived = {
                    "id": seen.id,
                    "annotations": seen.annotations_count,
                    "completed": seen.status == "completed",
                    "digest": "",
                }
                self._record(name, record.model_copy(update={**arrived, "doubtful": False}))
                return
        self._record(name, record.model_copy(update={"doubtful": False}))

    def _write_check(self, view: CheckView) -> None:
        record = self._records.get(view.name)
        digest = _digest(view.model_copy(update={"annotations": ()}))
        if record is not None and (record.external_id == view.external_id or not record.completed):
            # An unfinished check of an older attempt is taken over: nobody else would ever complete it.
            record = record.model_copy(update={"external_id": view.external_id})
        else:
            record = CheckRecord(external_id=view.external_id)
        sent = record.annotations
        if record.id is not None and record.digest == digest and sent >= len(view.annotations):
            return
        while True:
            chunk = view.annotations[sent : sent + ANNOTATIONS_A_CALL]
            last = sent + len(chunk) >= len(view.annotations)
            # The check is completed with its last chunk, so that nobody reads half of it as the whole.
            shown = view if last else view.model_copy(update={"status": "in_progress", "conclusion": None})
            self._record(view.name, record.model_copy(update={"doubtful": True}))
            number = record.id
            if number is None:
                number = self._checks.create(self._run.key.sha, shown, chunk)
            else:
                self._checks.update(number, shown, chunk)
            sent += len(chunk)
            record = record.model_copy(
                update={
                    "id": number,
                    "annotations": sent,
                    "digest": digest if last else "",
                    "completed": shown.status == "completed",
                }
            )
            self._record(view.name, record)
            if last:
                return

    def _record(self, name: str, record: CheckRecord) -> None:
        self._records[name] = record
        self._runs.save_publication(self._run.key, Publication(checks=self._records))


# -- pull requests


class _PullWriter:
    def __init__(self, runs: Runs, desk: Desk, run: Run, pull: Pull) -> None:
        self._runs = runs
        self._desk = desk
        self._run = run
        self._pull = pull
        self._repository = run.key.repository

    def write(self) -> None:
        memory = self._remember()
        news = changes(self._run, memory.before)
        # Threads first: the comment is the last write, and its digest says that all is done.
        body = comment(self._run, self._pull, news)
        digest = _digest(body)
        if memory.comment is not None and memory.digest == digest:
            return
        self._write_threads(news.fixed)
        number = self._write_comment(memory, body)
        self._save(memory.model_copy(update={"comment": number, "digest": digest}))

    def _remember(self) -> PullMemory:
        memory = self._runs.pull(self._repository, self._pull.number)
        before = memory.before if memory.sha == self._run.key.sha else memory.known
        memory = memory.model_copy(
            update={"sha": self._run.key.sha, "before": before, "known": known(self._run, before)}
        )
        self._save(memory)
        return memory

    def _save(self, memory: PullMemory) -> None:
        self._runs.save_pull(self._repository, self._pull.number, memory)

    def _write_comment(self, memory: PullMemory, body: str) -> int:
        if memory.comment is not None:
            try:
                self._desk.comments.update(memory.comment, body)
            except Gone:
                log.info("%s#%s: the comment was deleted", self._repository, self._pull.number)
            else:
                return memory.comment
        seen = self._desk.comments.find(self._pull.number, marker(self._pull.number), self._desk.bot_login)
        if seen is None:
            return self._desk.comments.create(self._pull.number, body)
        self._desk.comments.update(seen.id, body)
        return seen.id

    def _write_threads(self, fixed: Sequence[Known]) -> None:
        """Open a thread for each new finding worth one, and resolve those of findings that are gone. The markers in
        the comments say which there are, so nothing is said twice, whatever was forgotten or lost."""
        said = self._said()
        wanted = [note for note in inline(self._run, self._run.plan.max_comments) if note.fingerprint not in said]
        if wanted:
            self._review(wanted)
        gone = {finding.fingerprint for finding in fixed} & said
        if gone:
            self._resolve(gone)

    def _said(self) -> set[str]:
        comments = self._desk.reviews.comments(self._pull.number)
        own = (comment.body for comment in comments if comment.author == self._desk.bot_login)
        return {fingerprint for body in own if (fingerprint := fingerprint_of(body)) is not None}

    def _resolve(self, gone: set[str]) -> None:
        try:
            for thread in self._desk.reviews.threads(self._pull.number):
                ours = thread.author == self._desk.bot_login
                if ours and not thread.resolved and fingerprint_of(thread.first_comment_body) in gone:
                    self._desk.reviews.resolve(thread.id)
        except (Gone, Refused) as error:
            # Some installations may not resolve threads; the sticky comment says what is fixed all the same.
            log.warning("%s: threads of fixed findings stay open: %s", self._run.key, error)

    def _review(self, notes: Sequence[InlineComment]) -> None:
        try:
            self._desk.reviews.create(self._pull.number, self._run.key.sha, review_body(notes), notes)
        except Refused as error:
            if error.status != 422:
                raise
            # GitHub's diff is not ours any more (the base moved). The sticky comment has every finding all the same.
            log.warning("%s: inline comments were refused: %s", self._run.key, error)


def _digest(value: Frozen | str) -> str:
    text = value if isinstance(value, str) else value.model_dump_json()
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
