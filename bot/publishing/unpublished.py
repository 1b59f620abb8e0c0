"""The runs that GitHub does not show as they stand, and having them published.

A run comes onto the list with the event that changes what is to be seen of it (`store.py`), and goes when GitHub shows
just that version, or will not take it. What GitHub refused is kept by installation, until that one changes.
"""

from __future__ import annotations

import time
from typing import cast

from bot.domain.run import Run, RunKey, Stored
from bot.jobs import JobSpec
from bot.store import UNPUBLISHED, Store, state_key, to_stored

# In one call, for the job of a change that comes in between does nothing for a run that is not on the list.
_PUBLISHED = """
local held = redis.call('get', KEYS[1])
if held and redis.sha1hex(held) ~= ARGV[1] then return 0 end
return redis.call('zrem', KEYS[2], ARGV[2])
"""


class Unpublished:
    """The list. Times are in seconds since the epoch."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._redis = store.redis

    def load(self, key: RunKey) -> Stored | None:
        """The run as it stands, while it is on the list."""
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.zscore(UNPUBLISHED, str(key))
            pipe.get(state_key(key))
            since, raw = pipe.execute()
        return to_stored(key, raw) if raw and since is not None else None

    def since_before(self, at: float, limit: int = 100) -> list[RunKey]:
        """Runs that have waited to be shown since before that time."""
        names = cast("list[bytes]", self._redis.zrangebyscore(UNPUBLISHED, 0, at, start=0, num=limit))
        return [RunKey.parse(name.decode()) for name in names]

    # -- publish, now or later

    def publish(self, key: RunKey, installation: int) -> None:
        """Have a run published again."""
        self._redis.zadd(UNPUBLISHED, {str(key): time.time()}, nx=True)
        self._store.queues.enqueue(JobSpec.publish(key, installation))

    def publish_again(self, key: RunKey) -> bool:
        """Have a run published once more, for what GitHub shows may have changed; whether there is such a run."""
        stored = self._store.load(key)
        if stored is None or not stored.run.triggers:
            return False
        self.publish(key, stored.run.installation)
        return True

    def publish_at(self, run: Run, at: float) -> None:
        """Have a run that is on the list published at that time."""
        self._store.queues.put_off(JobSpec.publish(run.key, run.installation), at)
        self.postpone(run.key, at)

    def publish_refused(self, installation: int) -> int:
        """Have what GitHub refused of this installation published again, the newest first; how many runs."""
        names = cast("list[bytes]", self._redis.zrevrange(_refused(installation), 0, -1))
        for name in names:
            self.publish(RunKey.parse(name.decode()), installation)
            self._redis.zrem(_refused(installation), name)
        return len(names)

    def postpone(self, key: RunKey, at: float) -> None:
        """Note that a run is seen to, so that the sweep does not send it at every pass: count it as waiting since
        then."""
        self._redis.zadd(UNPUBLISHED, {str(key): at})

    # -- off the list

    def published(self, key: RunKey, version: str) -> None:
        """Note that GitHub shows this version. A run that has changed since stays on the list."""
        self._redis.eval(_PUBLISHED, 2, state_key(key), UNPUBLISHED, version, str(key))

    def let_be(self, key: RunKey) -> None:
        """Do not try to publish a run any more, until it changes."""
        stored = self._store.load(key)
        if stored is not None:
            self.published(key, stored.version)

    def refused(self, stored: Stored) -> None:
        """Do not try to publish a run any more that GitHub would not take, until it or its installation changes."""
        run = stored.run
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.zadd(_refused(run.installation), {str(run.key): run.updated_at})
            pipe.expire(_refused(run.installation), self._store.retention)
            pipe.execute()
        self.published(run.key, stored.version)


def _refused(installation: int) -> str:
    return f"assay:refused:{installation}"
