"""What a pull request shows of its head's run: review threads on the changed lines, and the one sticky comment."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from bot.domain.changes import changes, known
from bot.domain.publication import PullMemory
from bot.domain.render_comment import comment, marker
from bot.domain.render_inline import fingerprint_of, inline, review_body
from bot.domain.run import Run
from bot.domain.triggers import Pull
from bot.domain.views import InlineComment, Known
from bot.errors import Gone, Refused
from bot.github.checks import Checks
from bot.github.comments import Comments
from bot.github.reviews import Reviews

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Desk:
    """What is written on, for one repository, with tokens for just that. `threads` is what review threads are
    resolved with; `web` is the address of GitHub's pages."""

    checks: Checks
    comments: Comments
    reviews: Reviews
    threads: Reviews
    bot_login: str
    web: str


class Memories(Protocol):
    """Where it is remembered what a pull request was told."""

    def pull(self, repository: str, number: int) -> PullMemory: ...
    def save_pull(self, repository: str, number: int, memory: PullMemory) -> None: ...


class PullWriter:
    """`ready` is called before each write, and may raise to prevent it."""

    def __init__(self, memories: Memories, desk: Desk, run: Run, pull: Pull, ready: Callable[[], None]) -> None:
        self._memories = memories
        self._desk = desk
        self._run = run
        self._pull = pull
        self._ready = ready
        self._repository = run.key.repository

    def write(self) -> None:
        """Bring threads and comment up to date with a run that has ended."""
        memory = self._remember()
        news = changes(self._run, memory.before)
        body = comment(self._run, self._pull, news, web=self._desk.web)
        digest = hashlib.sha256(body.encode("utf-8", "surrogatepass")).hexdigest()
        if memory.comment is not None and memory.digest == digest:
            return
        # Threads first: the comment is the last write, and its digest says that all is done.
        self._write_threads(news.fixed)
        number = self._write_comment(memory, body)
        self._save(memory.model_copy(update={"comment": number, "digest": digest}))

    def _remember(self) -> PullMemory:
        memory = self._memories.pull(self._repository, self._pull.number)
        before = memory.before if memory.sha == self._run.key.sha else memory.known
        memory = memory.model_copy(
            update={"sha": self._run.key.sha, "before": before, "known": known(self._run, before)}
        )
        self._save(memory)
        return memory

    def _save(self, memory: PullMemory) -> None:
        self._memories.save_pull(self._repository, self._pull.number, memory)

    # -- the comment

    def _write_comment(self, memory: PullMemory, body: str) -> int:
        self._ready()
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
        if seen.body != body:
            self._desk.comments.update(seen.id, body)
        return seen.id

    # -- threads

    def _write_threads(self, fixed: Sequence[Known]) -> None:
        """Open a thread for each new finding worth one, and resolve those of findings that are gone. The markers in
        the comments say which there are, so nothing is said twice, whatever was forgotten or lost."""
        notes = inline(self._run, self._run.plan.max_comments)
        if not notes and not fixed:
            return
        said = self._said()
        wanted = [note for note in notes if note.fingerprint not in said]
        if wanted:
            self._review(wanted)
        gone = {finding.fingerprint for finding in fixed} & said
        if gone:
            self._resolve(gone)

    def _said(self) -> set[str]:
        comments = self._desk.reviews.comments(self._pull.number)
        own = (comment.body for comment in comments if self._ours(comment.author))
        return {fingerprint for body in own if (fingerprint := fingerprint_of(body)) is not None}

    def _review(self, notes: Sequence[InlineComment]) -> None:
        self._ready()
        try:
            self._desk.reviews.create(self._pull.number, self._run.key.sha, review_body(notes), notes)
        except Refused as error:
            if error.status != 422:
                raise
            # GitHub's diff is not ours any more (the base moved). The sticky comment has every finding all the same.
            log.warning("%s: inline comments were refused: %s", self._run.key, error)

    def _resolve(self, gone: set[str]) -> None:
        try:
            for thread in self._desk.threads.threads(self._pull.number):
                if thread.resolved or not self._ours(thread.author):
                    continue
                if fingerprint_of(thread.first_comment_body) in gone:
                    self._ready()
                    self._desk.threads.resolve(thread.id)
        except (Gone, Refused) as error:
            # Some installations may not resolve threads; the sticky comment says what is fixed all the same.
            log.warning("%s: threads of fixed findings stay open: %s", self._run.key, error)

    def _ours(self, login: str) -> bool:
        return login.lower() == self._desk.bot_login.lower()
