"""Gathers a history: from the stand-in GitHub, from Redis and from the processes' journal."""

from __future__ import annotations

import time
from collections.abc import Mapping
from copy import deepcopy
from typing import cast

from bot.dead import DeadLetters
from bot.deliveries import Deliveries
from bot.demo.github import StandInGitHub
from bot.jobs import INTAKE, QUEUES
from bot.publishing.unpublished import Unpublished
from bot.queues import Queues
from bot.redis.connection import connect
from bot.store import Store
from tests.faults.history import PREVENTED, History
from tests.faults.load import Load
from tests.faults.system import System

# Work to be done, for RQ and for Assay. Nothing of it may be there when all is done.
_KEYS = (
    *(f"{prefix}{queue}" for prefix in ("rq:queue:", "rq:wip:", "assay:waiting:", "assay:once:") for queue in QUEUES),
    *(f"assay:inflight:{queue}" for queue in QUEUES),
    *(f"rq:queue:{queue}:intermediate" for queue in QUEUES),
    "assay:stuck",
    "assay:dead:new",
    "assay:deadlines",
    "assay:unpublished",
    "assay:unfinished",
)
_PATTERNS = ("rq:job:*", "rq:execution:*", "rq:executions:*", "assay:turn:*", "assay:lock:publish:*")
# KEYS and, as ARGV, patterns of others: each that is there, and its size.
_SIZES = """
local size = {list = 'llen', hash = 'hlen', set = 'scard', zset = 'zcard'}
local found = {}
local function count(key)
  local kind = redis.call('type', key)['ok']
  if kind == 'none' then return end
  found[#found + 1] = key
  found[#found + 1] = tostring(size[kind] and redis.call(size[kind], key) or 1)
end
for _, key in ipairs(KEYS) do count(key) end
for _, pattern in ipairs(ARGV) do
  for _, key in ipairs(redis.call('keys', pattern)) do count(key) end
end
return found
"""


class Witness:
    """Looks at an Assay. `redis_url` is where its Redis is."""

    def __init__(self, system: System) -> None:
        self.redis = connect(system.redis_url, 20.0)
        self.store = Store(self.redis, Queues(self.redis), 3600)
        self.deliveries = Deliveries(self.redis)
        self.dead = DeadLetters(self.store, Unpublished(self.store), self.deliveries, time.time)
        self._system = system

    def close(self) -> None:
        self.redis.close()

    def living(self) -> int:
        """How many workers somebody vouches for."""
        return int(self.redis.zcard("assay:alive"))

    def settled(self) -> bool:
        """Whether nobody has anything to do, nor will when GitHub has told all there is to tell."""
        self._system.github.hook.settle()
        if self.leftovers():
            return False
        ledger = (self._outcome(guid) for guid in acknowledged(self._system.github))
        return "waiting" not in ledger and not self.leftovers()

    def answered(self) -> int:
        """Of how many commits the run is complete, or was given up before it began."""
        complete = sum(run.complete for run in self.store.recent(1_000_000))
        return complete + sum(letter.queue == INTAKE for letter in self.dead)

    def reasons(self) -> list[str]:
        """What agents said that were kept from their work."""
        runs = self.store.recent(1_000_000)
        results = [agent.result for run in runs for agent in run.agents if agent.outcome in PREVENTED]
        return [result.reason for result in results if result]

    def leftovers(self) -> Mapping[str, int]:
        """How much there is of what ought to be done, all at one moment, but for what is kept of dead letters."""
        dead = {f"rq:job:{letter.id}" for letter in self.dead}
        flat = cast("list[bytes]", self.redis.eval(_SIZES, len(_KEYS), *_KEYS, *_PATTERNS))
        sizes = zip((key.decode() for key in flat[::2]), map(int, flat[1::2]), strict=True)
        return {key: size for key, size in sizes if key not in dead}

    def _outcome(self, guid: str) -> str:
        return (cast("bytes | None", self.redis.hget(f"assay:delivery:{guid}", "outcome")) or b"lost").decode()

    def history(self, load: Load) -> History:
        world = self._system.github.world
        bot = world.app.bot
        runs = {run.key: run for run in self.store.recent(1_000_000)}
        with world.lock:
            shown = deepcopy((world.runs, world.comments, world.review_comments))
        found = {guid: self.deliveries.load(guid) for guid in acknowledged(self._system.github)}
        return History(
            acknowledged=tuple(found),
            expected=dict(load.expected),
            ledger={guid: delivery.outcome for guid, delivery in found.items() if delivery},
            runs=runs,
            logs={key: tuple(self.store.log(key)) for key in runs},
            checks=tuple(shown[0].values()),
            comments=tuple(comment for comment in shown[1].values() if comment.author.id == bot.id),
            notes=tuple(note for note in shown[2].values() if note.author.id == bot.id),
            dead=tuple(self.dead),
            leftovers=self.leftovers(),
            journal=self._system.journal.read(),
            web=self._system.github.url,
        )


def acknowledged(github: StandInGitHub) -> list[str]:
    return list(dict.fromkeys(delivery.guid for delivery in github.deliveries if delivery.ok))
