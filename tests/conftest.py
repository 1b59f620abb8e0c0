"""What many tests share: a real Redis, started once, empty for every test."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from hypothesis import settings
from redis import Redis

from bot.queues import Queues
from bot.redis.embedded import EmbeddedRedis
from bot.store import Store

DAY = 86400
HERE = Path(__file__).parent

# How long an example takes says something of the machine, and nothing of the code.
settings.register_profile("assay", deadline=None)
settings.load_profile("assay")


# Real processes that are killed and wait for one another, and tools that are slow themselves.
LONG = (
    *("faults/test_faults.py", "faults/test_deliveries.py", "flow/test_serve.py", "flow/test_outages.py"),
    *("hostile/test_credentials.py", "workers/agents/test_setups.py", "cli/test_demo.py"),
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What takes long comes first: if it were begun last, everybody would wait for it. Each of xdist's workers begins
    with a stretch of its own, and each stretch with some of what takes long."""
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    files = [HERE / name for name in LONG]
    long = sorted((item for item in items if item.path in files), key=lambda item: files.index(item.path))
    others = [item for item in items if item.path not in files]
    left = len(items)
    items.clear()
    for number in range(workers):
        first = long[number::workers]
        more = others[: max(left // (workers - number) - len(first), 0)]
        items += [*first, *more]
        del others[: len(more)]
        left -= len(first) + len(more)


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


@pytest.fixture(autouse=True, scope="session")
def keys() -> Iterator[None]:
    """A private key is looked through once, not in every test: whether it is made of primes takes 50 ms to find out."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jwt.algorithms.load_pem_private_key", cache(load_pem_private_key))
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
