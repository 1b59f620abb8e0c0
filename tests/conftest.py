"""What many tests share: a real Redis, started once, empty for every test."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from redis import Redis

from bot.queues import Queues
from bot.redis.embedded import EmbeddedRedis
from bot.store import Store

DAY = 86400

# How long an example takes says something of the machine, and nothing of the code.
settings.register_profile("assay", deadline=None)
settings.load_profile("assay")


@pytest.fixture(scope="session")
def redis_server() -> Iterator[EmbeddedRedis]:
    # Not pytest's own folder: a unix socket's path must be short.
    with tempfile.TemporaryDirectory(prefix="assay-redis-") as folder, EmbeddedRedis(Path(folder)) as server:
        yield server


@pytest.fixture(autouse=True, scope="session")
def caches() -> Iterator[None]:
    """What `assay check` remembers is not for whoever runs the tests."""
    with tempfile.TemporaryDirectory(prefix="assay-caches-") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", folder)
        yield


@pytest.fixture
def redis(redis_server: EmbeddedRedis) -> Iterator[Redis]:
    client = Redis.from_url(redis_server.url)
    client.flushall()
    yield client
    client.close()


@pytest.fixture
def store(redis: Redis) -> Store:
    return Store(redis, Queues(redis), 30 * DAY)
