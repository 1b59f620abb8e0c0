"""Saving a step of a run: event, state, deadline and what follows from it, in one Lua call.

The call goes through only while the run is as it was when the step was thought out, and while no other worker has the
attempt that the event is about; else it says how the run stands, so that nobody has to ask again. A call whose answer
was lost and that comes once more finds a run that has changed: by itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from redis import Redis

from bot.turns import LIBRARY

_TTL_OF_A_STOP = 86400

# ARGV: the run's key and its version as it was read, the fence's key and the token or '', the log's key, retention,
# event, state, the run's name, the list of runs and when this one began or '', the list of deadlines and this one's or
# '', the list of what is unpublished and since when or '', how many stops and their keys; then calls: 'send',
# 'drop' or 'later', how many arguments, and these.
_SAVE = (
    LIBRARY
    + """
local run, version, fence, token, log, retention, event, state, name = unpack(ARGV, 1, 9)
local held = redis.call('get', run)
if token ~= '' and tonumber(redis.call('get', fence) or '0') > tonumber(token) then return {'taken over', held} end
if (held and redis.sha1hex(held) or '') ~= version then return {'changed', held} end

redis.call('xadd', log, '*', 'event', event)
redis.call('expire', log, retention)
redis.call('set', run, state, 'ex', retention)
if ARGV[11] ~= '' then redis.call('zadd', ARGV[10], ARGV[11], name) end
if ARGV[13] ~= '' then redis.call('zadd', ARGV[12], ARGV[13], name) else redis.call('zrem', ARGV[12], name) end
if ARGV[15] ~= '' then redis.call('zadd', ARGV[14], ARGV[15], name) end

local at = 17 + tonumber(ARGV[16])
for i = 17, at - 1 do redis.call('set', ARGV[i], '1', 'ex', TTL_OF_A_STOP) end
while at <= #ARGV do
  local last = at + 1 + tonumber(ARGV[at + 1])
  if ARGV[at] == 'send' then send(unpack(ARGV, at + 2, last)) end
  if ARGV[at] == 'drop' then drop(unpack(ARGV, at + 2, last)) end
  if ARGV[at] == 'later' then redis.call('zadd', unpack(ARGV, at + 2, last)) end
  at = last + 1
end
return {'saved'}
""".replace("TTL_OF_A_STOP", str(_TTL_OF_A_STOP))
)


@dataclass
class Step:
    """What is to be saved. `version` is that of the run it starts from, '' for none; `token` the newest that the worker
    knows of whose event it is, by the key `fence`. `runs`, `deadlines` and `unpublished` are lists of runs, each with
    this one's place in it, None for no news, and for a deadline that there is none."""

    run: str
    version: str
    log: str
    retention: int
    event: bytes
    state: bytes
    name: str
    runs: tuple[str, float | None]
    deadlines: tuple[str, float | None]
    unpublished: tuple[str, float | None]
    fence: str = ""
    token: int | None = None
    stops: list[str] = field(default_factory=list)
    calls: list[tuple[str, Sequence[Any]]] = field(default_factory=list)

    def argv(self) -> list[Any]:
        token = "" if self.token is None else self.token
        args: list[Any] = [self.run, self.version, self.fence, token]
        args += (self.log, self.retention, self.event, self.state, self.name)
        for key, place in (self.runs, self.deadlines, self.unpublished):
            args += (key, "" if place is None else place)
        args += (len(self.stops), *self.stops)
        for what, words in self.calls:
            args += (what, len(words), *words)
        return args


class Saving:
    """Saves steps."""

    def __init__(self, redis: Redis) -> None:
        self._save = redis.register_script(_SAVE)

    def save(self, step: Step) -> tuple[str, bytes | None]:
        """`saved`, or why not, with the run as it stands: it has `changed`, or another worker has `taken over`."""
        answer = cast("list[bytes | None]", self._save(args=step.argv()))
        return cast("bytes", answer[0]).decode(), answer[1] if len(answer) > 1 else None


def version_of(raw: bytes | None) -> str:
    """By what a run's state, as it is kept, is told from any other; '' where there is none."""
    return hashlib.sha1(raw, usedforsecurity=False).hexdigest() if raw else ""
