"""The write budget of each installation, in Redis: what one machine has written counts on all of them.

Where there is little room, those who want to write results wait in a line: first the runs whose verdict is not shown
yet, then those with other results, which go to the back after each write. Each is told when its turn comes, so that
there are no more tries than writes. What only says how far a run is waits until there is plenty of room again.

    assay:writes:{installation}   what was written, as `Spending`
    assay:line:{installation}     zset: runs that wait for room
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Self, cast

from redis import Redis

from bot.errors import Conflict
from bot.github.pacing import RESERVE, Limit, Paced, Spending, held, pause, sound, spend

# Seconds. By then every bucket is full again and no hold lasts; and whoever still stands in line has died there.
_TTL = 2 * 3600
_RACES = 50
# Seconds. Who comes for his turn must not be too early by a rounding error.
_MARGIN = 0.01
# In line, runs whose verdict is shown come after all others.
_BEHIND = 1e10
_REMEMBERED = 1000

# Sets the value where nobody else was faster; else returns the one that is there. ARGV: the value as it was read (''
# for none), the new one, its life.
_SWAP = """
local current = redis.call('get', KEYS[1]) or ''
if current ~= ARGV[1] then return current end
redis.call('set', KEYS[1], ARGV[2], 'ex', ARGV[3])
return false
"""


class WriteBudget:
    """`limits` are what an installation must keep to; none at all is no limit. See `bot.github.pacing.Budget`.

    GitHub is written to by one process at a time for each installation, so what this one saw last is nearly always how
    things stand. It is not asked for again, and a write that counts on it is only let go where it was right.
    """

    def __init__(self, redis: Redis, limits: Sequence[Limit], clock: Callable[[], float]) -> None:
        self._redis = redis
        self._limits = tuple(limits)
        self._clock = clock
        self._swap = redis.register_script(_SWAP)
        self._last: dict[int, bytes] = {}

    def take(self, installation: int) -> None:
        def taken(spending: Spending, now: float) -> Spending:
            wait = pause(self._limits, spending, now)
            if wait > 0:
                raise Paced(wait)
            return spend(self._limits, spending, now)

        if not self._limits:
            # Nothing is counted on, so nothing would tell of a hold.
            self._last.pop(installation, None)
        self._change(installation, taken)

    @property
    def burst(self) -> int:
        """How many writes may go at once, at most."""
        return min((limit.burst for limit in self._limits), default=1)

    def pause(self, installation: int, writes: int = 1, reserve: float = 0.0) -> float:
        """As `bot.github.pacing.pause`, for now."""
        now = self._clock()
        return pause(self._limits, self._parsed(self._seen(installation), now), now, writes, reserve)

    def hold(self, installation: int, seconds: float) -> None:
        self._change(installation, lambda spending, now: held(spending, now + seconds))

    def line_up(self, installation: int, who: str, *, verdict: bool) -> int:
        """Stand in line, or stay there; how many are before."""
        line, now = _line(installation), self._clock()
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.zremrangebyscore(line, "-inf", now - _TTL)
            pipe.zremrangebyscore(line, _BEHIND, _BEHIND + now - _TTL)
            if verdict:
                pipe.zadd(line, {who: now}, lt=True)
            else:
                pipe.zadd(line, {who: _BEHIND + now}, nx=True)
            pipe.expire(line, _TTL)
            pipe.zrank(line, who)
            return int(pipe.execute()[-1])

    def go_to_the_back(self, installation: int, who: str) -> None:
        """One write was granted."""
        self._redis.zadd(_line(installation), {who: _BEHIND + self._clock()}, xx=True)

    def leave_line(self, installation: int, who: str) -> None:
        self._redis.zrem(_line(installation), who)

    def _change(self, installation: int, change: Callable[[Spending, float], Spending]) -> None:
        """Raises Conflict after losing too many races, and what `change` raises."""
        for _ in range(_RACES):
            raw, now = self._seen(installation), self._clock()
            before = self._parsed(raw, now)
            after = change(before, now)
            if after == before:
                return
            new = _written(after)
            current = self._swap(keys=[_key(installation)], args=[raw, new, _TTL])
            self._note(installation, new if current is None else cast("bytes", current))
            if current is None:
                return
        raise Conflict(f"the write budget of installation {installation} changed {_RACES} times while it was used")

    def _seen(self, installation: int) -> bytes:
        """The value in Redis, as this process saw it last."""
        if installation not in self._last:
            self._note(installation, cast("bytes | None", self._redis.get(_key(installation))) or b"")
        return self._last[installation]

    def _note(self, installation: int, raw: bytes) -> None:
        if len(self._last) >= _REMEMBERED:
            self._last.clear()
        self._last[installation] = raw

    def _parsed(self, raw: bytes, now: float) -> Spending:
        if not raw:
            return Spending((0.0,) * len(self._limits))
        held_until, *full_at = (float(part) for part in raw.split())
        return sound(self._limits, Spending(tuple(full_at), held_until), now)


def _written(spending: Spending) -> bytes:
    return " ".join(repr(at) for at in (spending.held_until, *spending.full_at)).encode()


def _key(installation: int) -> str:
    return f"assay:writes:{installation}"


def _line(installation: int) -> str:
    return f"assay:line:{installation}"


class Turn:
    """One run's turn to write: a context manager, which keeps its place in line where it ends with Paced."""

    def __init__(self, budget: WriteBudget, installation: int, who: str) -> None:
        self._budget = budget
        self._installation = installation
        self._who = who
        self._in_line = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        """Who has written all, or failed, need not be waited for."""
        if not isinstance(error, Paced):
            self._budget.leave_line(self._installation, self._who)

    def claim(self, *, verdict: bool) -> None:
        """Before a result is written. Raises Paced, with the time until it is this run's turn."""
        budget, installation = self._budget, self._installation
        if budget.pause(installation, reserve=RESERVE) <= 0:
            return
        self._in_line = True
        before = budget.line_up(installation, self._who, verdict=verdict)
        if budget.pause(installation, min(before + 1, budget.burst)) > 0:
            raise Paced(budget.pause(installation, before + 1) + _MARGIN)

    def use(self) -> None:
        """What was claimed is written now: others come first before the next."""
        if self._in_line:
            self._budget.go_to_the_back(self._installation, self._who)

    def pause(self, writes: int) -> float:
        """Seconds until there is room for so much that is no result."""
        return self._budget.pause(self._installation, writes, RESERVE)
