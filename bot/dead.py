"""Dead letters: jobs that nobody survived or that failed at every try. RQ's registry of failed jobs keeps them.

Each is told of once where people look: an agent's on its check, a delivery's in the ledger. A person may have it done
again or let it go (`assay dead`).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from typing import cast

from redis import Redis
from rq.exceptions import DeserializationError, NoSuchJobError
from rq.serializers import JSONSerializer

from bot import jobs
from bot.context import Subject, bound
from bot.deliveries import Deliveries
from bot.domain.commands import Reply
from bot.domain.events import AgentFinished, RerunRequested
from bot.domain.findings import AgentResult, Outcome
from bot.domain.model import Frozen
from bot.domain.run import RunKey
from bot.errors import OtherVersion, Theirs
from bot.jobs import QUEUES, AllowedJob, JobSpec
from bot.publishing.unpublished import Unpublished
from bot.store import Store

log = logging.getLogger(__name__)


class Try(Frozen):
    """One try of a job: when it ended (seconds since the epoch), on which worker, and how: words, or a traceback."""

    at: float
    worker: str
    how: str

    @property
    def gist(self) -> str:
        """How it ended, in a few words that quote nothing."""
        last = self.how.strip().rpartition("\n")[2]
        return last.partition(":")[0].rpartition(".")[2][:80] or "unknown"


class DeadLetter(Frozen):
    """A job that was given up."""

    id: str
    queue: str
    function: str
    args: tuple[str | int, ...]
    tries: tuple[Try, ...]

    @property
    def about(self) -> str:
        """The run or delivery it was about."""
        return " ".join(map(str, self.args))

    @property
    def subject(self) -> Subject:
        return jobs.about(self.function, self.args, self.id)

    @property
    def why(self) -> str:
        gists = ", ".join(dict.fromkeys(one.gist for one in self.tries)) or "unknown"
        return f"its job failed {len(self.tries)} times ({gists})"


class DeadLetters:
    """`clock` gives seconds since the epoch."""

    def __init__(
        self, store: Store, unpublished: Unpublished, deliveries: Deliveries, clock: Callable[[], float]
    ) -> None:
        self._redis: Redis = store.redis
        self._store = store
        self._unpublished = unpublished
        self._deliveries = deliveries
        self._clock = clock

    def __iter__(self) -> Iterator[DeadLetter]:
        """All of them, the newest of each queue first."""
        for queue in QUEUES:
            for name in cast("list[bytes]", self._redis.zrevrange(f"rq:failed:{queue}", 0, -1)):
                if letter := self._load(name.decode(), queue):
                    yield letter

    def count(self) -> int:
        return len(list(self))

    def find(self, text: str) -> DeadLetter:
        """The one whose id begins with this text, or that is about it. Raises Theirs for none and for several."""
        found = [letter for letter in self if text and (letter.id.startswith(text) or text in letter.about)]
        if not found:
            raise Theirs(f"no dead letter is called {text!r}: `assay dead list` lists those there are")
        if len(found) > 1:
            names = "".join(f"\n  {letter.id}" for letter in found[:5])
            raise Theirs(f"{text!r} names {len(found)} dead letters, write more of it:{names}")
        return found[0]

    def _load(self, job_id: str, queue: str) -> DeadLetter | None:
        tries = tuple(
            Try(**json.loads(one)) for one in cast("list[bytes]", self._redis.lrange(f"assay:tries:{job_id}", 0, -1))
        )
        try:
            job = AllowedJob.fetch(job_id, connection=self._redis, serializer=JSONSerializer)
            function, args = job.func_name or "", tuple(job.args or ())
            return DeadLetter(id=job_id, queue=queue, function=function, args=args, tries=tries)
        except NoSuchJobError:
            return None
        except (DeserializationError, ValueError):
            # Damaged, or somebody else's: that it is there can be told all the same.
            return DeadLetter(id=job_id, queue=queue, function="", args=(), tries=tries)

    # -- telling

    def report(self) -> int:
        """Tell of those that nobody has been told of; how many. The sweep does it."""
        fresh = cast("set[bytes]", self._redis.smembers("assay:dead:new"))
        return sum(self._report(member) for member in fresh)

    def _report(self, member: bytes) -> bool:
        queue, _, name = member.decode().partition(" ")
        if letter := self._load(name, queue):
            with bound(letter.subject):
                try:
                    self._tell(letter)
                except OtherVersion as error:
                    # A newer Assay tells of it.
                    log.info("dead letter %s: %s", letter.id, error)
                    return False
                except ValueError:
                    log.exception("dead letter %s is about nothing that Assay knows", letter.id)
                log.error("dead letter %s (%s): %s", letter.id, letter.about, letter.why)
        self._redis.srem("assay:dead:new", member)
        return True

    def _tell(self, letter: DeadLetter) -> None:
        match letter.function, letter.args:
            case jobs.ON_AGENT, (str(key), str(agent), int(attempt)):
                reason, remedy = letter.why, f"the operator sees more with `assay dead show {letter.id}`"
                result = AgentResult(outcome=Outcome.ERROR, reason=reason, remedy=remedy)
                event = AgentFinished(at=self._clock(), agent=agent, attempt=attempt, result=result)
                self._store.update(RunKey.parse(key), event)
            case jobs.ON_PUBLISH, (str(key),):
                self._unpublished.let_be(RunKey.parse(key))
            case jobs.ON_DELIVERY, (str(guid),):
                self._deliveries.settle(guid, f"failed: {letter.why}", keep_body=True)

    # -- what a person does with one

    def retry(self, letter: DeadLetter) -> bool:
        """Have it done again, with as many tries as before, and let the letter go. False, and nothing is done, where
        what it is about is not kept any more, or nobody waits for it."""
        try:
            again = self._again(letter)
        except ValueError:
            # It is about nothing that Assay knows.
            return False
        if again:
            self.drop(letter)
        return again

    def _again(self, letter: DeadLetter) -> bool:
        match letter.function, letter.args:
            case jobs.ON_AGENT, (str(key), str(agent), int()):
                rerun = RerunRequested(at=self._clock(), delivery=f"dead letter {letter.id}", agents=(agent,))
                return self._store.update(RunKey.parse(key), rerun) is not None
            case jobs.ON_PUBLISH, (str(key),):
                return self._unpublished.publish_again(RunKey.parse(key))
            case jobs.ON_DELIVERY, (str(guid),):
                delivery = self._deliveries.load(guid)
                if delivery is None or not delivery.body:
                    return False
                self._store.queues.enqueue(JobSpec.intake(guid))
            case jobs.ON_LOOSE_CHECKS, (str(key), int(installation)):
                self._store.queues.enqueue(JobSpec.loose_checks(RunKey.parse(key), installation))
            case jobs.ON_REPLY, (str(repository), int(installation), str(reply)):
                spec = JobSpec.reply(repository, installation, Reply.model_validate_json(reply))
                # The letter's own job has that name.
                self._store.queues.enqueue(spec.model_copy(update={"name": ""}))
            case _:
                # A token, say: whoever asked for it has given up.
                return False
        return True

    def drop(self, letter: DeadLetter) -> None:
        """Let it go."""
        self._redis.zrem(f"rq:failed:{letter.queue}", letter.id)
        self._redis.delete(f"rq:job:{letter.id}", f"rq:results:{letter.id}", f"assay:tries:{letter.id}")
