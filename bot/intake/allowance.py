"""How many orders a person may give within an hour: each makes Assay work and write."""

from __future__ import annotations

import time
from typing import cast

from redis import Redis

PER_HOUR = 30
_HOUR = 3600


def allow(redis: Redis, repository: str, login: str, now: float | None = None) -> bool:
    """Count one more, and say whether that was within the limit."""
    hour = int((time.time() if now is None else now) // _HOUR)
    key = f"assay:orders:{repository}:{login.lower()}:{hour}"
    with redis.pipeline() as pipe:
        pipe.incr(key)
        pipe.expire(key, 2 * _HOUR)
        count, _ = cast("tuple[int, bool]", tuple(pipe.execute()))
    return count <= PER_HOUR
