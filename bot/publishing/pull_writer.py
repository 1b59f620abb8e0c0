"""What a pull request shows of its head's run: review threads on the changed lines, and the one sticky comment."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from bot.domain.changes import changes, known
from bot.domain.findings import Finding
from bot.domain.opinions import Told
from bot.domain.publication import PullMemory
from bot.domain.render_comment import comment, marker
from bot.domain.render_inline import back, fingerprint_of, fixed_in, ignored_words, inline, review_body
from bot.domain.run import Run
from bot.domain.triggers import Pull
from bot.domain.verdict import counted, findings
from bot.domain.views import Changes, InlineComment, Known
from bot.domain.wording import rule_words
from bot.errors import Gone, Refused
from bot.github.checks import Checks
from bot.github.code_scanning import CodeScanning
from bot.github.comments import Comments
from bot.github.reviews import Reviews, Thread
from bot.publishing.opinions import opinion, resolved_by_us
from bot.publishing.records import Records

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Desk:
    """What is written on, for one repository, with tokens for just that. `threads` is what review threads are
    resolved with: where it is not `reviews` itself, by a token of more rights, which is revoked after use. `web` is the
    address of GitHub's pages. `code_scanning` is None where the App has no right to it; `branch` says which commit a
    branch holds."""

    checks: Checks
    comments: Comments
    reviews: Reviews
    threads: Reviews
    bot_login: str
    web: str
    code_scanning: CodeScanning | None
    branch: Callable[[str], str | None]


class Opinions(Protocol):
    """Where it is remembered what people made of what they were told."""

    def told(self, repository: str, fingerprints: Sequence[str]) -> dict[str, Told]: ...
    def note(self, repository: str, news: Iterable[Told]) -> None: ...
    def news(self, repository: str, number: int) -> int: ...


# As many findings of a pull request are followed further, the worst first.
_FOLLOWED = 200


class PullWriter:
    """`ready` is called before each write, and may raise to prevent it. `now` is in seconds since the epoch."""

    def __init__(
        self,
        records: Records,
        opinions: Opinions,
        desk: Desk,
        run: Run,
        pull: Pull,
        ready: Callable[[], None],
        now: float,
    ) -> None:
        self._records = records
        self._opinions = opinions
        self._desk = desk
        self._run = run
        self._pull = pull
        self._ready = ready
        self._now = now
        self._repository = run.key.repository
        self._seen: tuple[Thread, ...] | None = None
        self._news = f"{run.key.sha} {opinions.news(run.key.repository, pull.number)}"

    def write(self) -> None:
        """Bring threads and comment up to date with a run that has ended."""
        memory = self._remember()
        news = changes(self._run, memory.before)
        told = self._listen(memory)
        memory = memory.model_copy(update={"heard": self._news})
        body = comment(self._run, self._pull, news, told=told, web=self._desk.web)
        digest = hashlib.sha256(body.encode("utf-8", "surrogatepass")).hexdigest()
        if memory.comment is not None and memory.digest == digest:
            return
        # Threads first: the comment is the last write, and its digest says that all is done.
        self._write_threads(news, told)
        number = self._write_comment(memory, body)
        self._save(memory.model_copy(update={"comment": number, "digest": digest}))

    def _remember(self) -> PullMemory:
        memory = self._records.pull(self._repository, self._pull.number)
        before = memory.before if memory.sha == self._run.key.sha else memory.known
        memory = memory.model_copy(
            update={"sha": self._run.key.sha, "before": before, "known": known(self._run, before)}
        )
        self._save(memory)
        return memory

    def _save(self, memory: PullMemory) -> None:
        self._records.save_pull(self._repository, self._pull.number, memory)

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

    def _listen(self, memory: PullMemory) -> dict[str, Told]:
        """What is known of this run's findings and of those before, after a look at what people have said meanwhile:
        once a head, and whenever there is news of it."""
        names = [one.fingerprint for one in self._counted()]
        names += [one.fingerprint for one in findings(self._run) if one.dismissed] + [
            one.fingerprint for one in memory.before
        ]
        told = self._opinions.told(self._repository, list(dict.fromkeys(names))[: 2 * _FOLLOWED])
        here = {name: one for name, one in told.items() if one.threaded and one.pull == self._pull.number}
        if not here or memory.heard == self._news:
            return told
        opinions = {
            name: opinion(thread, here[name], self._ours, self._now)
            for thread in self._threads()
            if (name := fingerprint_of(thread.first_comment_body) or "") in here and self._ours(thread.author)
        }
        self._opinions.note(self._repository, (one for name, one in opinions.items() if one != here[name]))
        self._save(memory.model_copy(update={"heard": self._news}))
        return told | opinions

    def _write_threads(self, news: Changes, told: dict[str, Told]) -> None:
        """Open a thread for each new finding worth one, and answer and resolve those of findings that are gone. The
        markers in the comments say which there are, so nothing is said twice, whatever was forgotten or lost."""
        silenced = frozenset(name for name, one in told.items() if one.silenced)
        notes = inline(self._run, self._run.plan.max_comments, silenced)
        said = self._said() if notes or news.fixed else set()
        wanted = [note for note in notes if note.fingerprint not in said]
        if wanted:
            self._review(wanted)
        gone = {finding.fingerprint for finding in news.fixed} & said
        again = {name for name, one in told.items() if one.fixed} & set(news.new) & said
        ignored = {name: one for name, one in told.items() if one.decision == "ignored"}
        if gone or again or any(one.threaded and one.pull == self._pull.number for one in ignored.values()):
            self._settle(gone, again, ignored)
        self._note(news.fixed, told, said | {note.fingerprint for note in wanted})

    def _note(self, fixed: Sequence[Known], told: dict[str, Told], threaded: set[str]) -> None:
        now = [
            Told(
                fingerprint=finding.fingerprint,
                rule=rule_words(finding),
                severity=finding.severity,
                title=finding.message[:200],
                where=finding.where[:300],
                pull=self._pull.number,
                sha=self._run.key.sha,
                at=self._now,
                threaded=finding.fingerprint in threaded,
            )
            for finding in self._counted()
        ]
        gone = [told[one.fingerprint] for one in fixed if one.fingerprint in told]
        self._opinions.note(
            self._repository,
            (*now, *(one.model_copy(update={"fixed": True, "sha": self._run.key.sha}) for one in gone)),
        )

    def _counted(self) -> list[Finding]:
        return [one for one in counted(self._run) if one.fingerprint][:_FOLLOWED]

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

    def _threads(self) -> tuple[Thread, ...]:
        """As they were when they were first asked for."""
        if self._seen is None:
            try:
                self._seen = self._desk.reviews.threads(self._pull.number)
            except (Gone, Refused) as error:
                # Some installations may not read threads; the sticky comment has everything all the same.
                log.warning("%s: threads cannot be read: %s", self._run.key, error)
                self._seen = ()
        return self._seen

    def _settle(self, gone: set[str], again: set[str], ignored: Mapping[str, Told]) -> None:
        """Answer and resolve the threads of what is gone or to be ignored, and open those that Assay resolved of what
        is back."""
        try:
            for thread in self._threads():
                name = fingerprint_of(thread.first_comment_body) or ""
                if not self._ours(thread.author):
                    continue
                if thread.resolved and name not in again:
                    continue
                if name in gone or name in ignored:
                    said = ignored_words(ignored[name]) if name in ignored else fixed_in(self._run.key.sha)
                    self._answer(thread, said)
                    self._ready()
                    self._desk.threads.resolve(thread.id)
                elif name in again and resolved_by_us(thread, self._ours):
                    self._answer(thread, back(self._run.key.sha))
                    self._ready()
                    self._desk.threads.unresolve(thread.id)
        except (Gone, Refused) as error:
            # Some installations may not resolve threads; the sticky comment says what is fixed all the same.
            log.warning("%s: threads of fixed findings stay open: %s", self._run.key, error)
        finally:
            if self._desk.threads is not self._desk.reviews:
                self._desk.threads.let_go()

    def _answer(self, thread: Thread, words: str) -> None:
        own = [answer.said for answer in thread.answers if self._ours(answer.login)]
        if thread.first_comment_id is None or own[-1:] == [words]:
            return
        self._ready()
        try:
            self._desk.reviews.reply(self._pull.number, thread.first_comment_id, words)
        except (Gone, Refused) as error:
            log.warning("%s: a thread is not answered: %s", self._run.key, error)

    def _ours(self, login: str) -> bool:
        return login.lower() == self._desk.bot_login.lower()
