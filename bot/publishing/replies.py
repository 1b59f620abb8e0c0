"""Answers to orders that people gave in comments: a reaction, and a comment where words are needed. Given once."""

from __future__ import annotations

import logging
from collections.abc import Callable

from bot.domain.commands import Reply
from bot.errors import AssayError, Gone, Misconfigured, Refused, TakenOver, Unavailable
from bot.jobs import JobSpec
from bot.locks import Lock
from bot.patience import pause
from bot.publishing.pull_writer import Desk

log = logging.getLogger(__name__)

_LOCK_TTL = 60


class Replies:
    """Gives answers. `desk(installation, repository)` gives the right to write, `later` puts a job off."""

    def __init__(
        self,
        desk: Callable[[int, str], Desk],
        lock: Lock,
        later: Callable[[JobSpec, float], None],
        clock: Callable[[], float],
    ) -> None:
        self._desk = desk
        self._lock = lock
        self._later = later
        self._clock = clock

    def on_reply(self, repository: str, installation: int, reply: Reply) -> None:
        """Answer. While GitHub is away that is put off, for days; what it refuses is only logged."""
        try:
            self._answer(repository, installation, reply)
        except (Unavailable, Misconfigured, TakenOver) as error:
            self._put_off(repository, installation, reply, error)
        except (Gone, Refused) as error:
            _give_up(repository, reply, error)

    def _put_off(self, repository: str, installation: int, reply: Reply, error: AssayError) -> None:
        now = self._clock()
        wait = pause(now - (reply.at or now), error.retry_after if isinstance(error, Unavailable) else None)
        if wait is None:
            _give_up(repository, reply, error)
            return
        log.warning("%s: the answer to comment %d waits %.0f s: %s", repository, reply.comment, wait, error)
        self._later(JobSpec.reply(repository, installation, reply), now + wait)

    def _answer(self, repository: str, installation: int, reply: Reply) -> None:
        with self._lock(f"reply:{repository}:{reply.comment}", _LOCK_TTL) as held:
            if held is None:
                raise TakenOver(f"{repository}: another process answers comment {reply.comment}")
            self._write(self._desk(installation, repository), reply)

    def _write(self, desk: Desk, reply: Reply) -> None:
        desk.comments.react(reply.comment, reply.reaction)
        if reply.words and desk.comments.find(reply.number, reply.marker, desk.bot_login) is None:
            desk.comments.create(reply.number, f"{reply.words}\n\n{reply.marker}")


def _give_up(repository: str, reply: Reply, error: AssayError) -> None:
    log.error("%s: comment %d cannot be answered: %s", repository, reply.comment, error)
