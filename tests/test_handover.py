"""Tokens for agents' jobs: who gets one, and that nobody else can read it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from redis import Redis

from bot import handover
from bot.domain.run import RunKey
from bot.errors import AssayError, Gone, Refused, Unavailable
from bot.jobs import JobSpec
from bot.store import Store
from tests.builders import commit_received, finished, run_key

TOKEN = "ghs_canary0123456789"


class Desk:
    """The store, whose requests for tokens wait in a list."""

    def __init__(self, store: Store) -> None:
        self.load = store.load
        self.asked: list[JobSpec] = []
        self.came = threading.Event()

    def enqueue(self, spec: JobSpec) -> None:
        self.asked.append(spec)
        self.came.set()


@contextmanager
def answered(redis: Redis, desk: Desk, mint: Callable[[int, str], str]) -> Iterator[None]:
    """Have the next request be answered by another thread."""

    def serve() -> None:
        assert desk.came.wait(5)
        key, name, public = (str(word) for word in desk.asked[-1].args)
        handover.answer(redis, desk, mint, RunKey.parse(key), name, public)

    thread = threading.Thread(target=serve)
    thread.start()
    yield
    thread.join(5)


@pytest.fixture
def desk(store: Store) -> Desk:
    store.update(run_key(), commit_received("lint"))
    return Desk(store)


def test_an_agents_job_gets_a_token_of_its_runs_repository(redis: Redis, desk: Desk) -> None:
    asked: list[tuple[int, str]] = []

    def mint(installation: int, repository: str) -> str:
        asked.append((installation, repository))
        return TOKEN

    with answered(redis, desk, mint):
        # Who asks may name any installation: the run knows its own.
        assert handover.ask(redis, desk.enqueue, 4711, run_key(), 5) == TOKEN
    assert asked == [(7, "octo/demo")]
    assert not redis.keys("assay:handover:*")


def test_nobody_gets_one_for_a_run_that_no_agent_is_at_work_on(redis: Redis, desk: Desk, store: Store) -> None:
    with answered(redis, desk, lambda *_: TOKEN), pytest.raises(Gone):
        handover.ask(redis, desk.enqueue, 7, run_key("octo/secret"), 5)
    store.update(run_key(), finished())
    desk.came.clear()
    with answered(redis, desk, lambda *_: TOKEN), pytest.raises(Gone):
        handover.ask(redis, desk.enqueue, 7, run_key(), 5)


def test_what_lies_in_redis_is_sealed_and_short_lived(redis: Redis, desk: Desk) -> None:
    with pytest.raises(Unavailable, match="is an intake worker running"):
        handover.ask(redis, desk.enqueue, 7, run_key(), 0.01)
    key, name, public = (str(word) for word in desk.asked[0].args)
    handover.answer(redis, desk, lambda *_: TOKEN, RunKey.parse(key), name, public)
    (lies,) = redis.lrange(f"assay:handover:{name}", 0, -1)
    assert TOKEN.encode() not in lies
    assert 0 < redis.ttl(f"assay:handover:{name}") <= 60


def test_one_that_was_sealed_for_somebody_else_is_not_taken(redis: Redis, desk: Desk) -> None:
    other = Desk.__new__(Desk)
    other.__dict__.update(desk.__dict__, asked=[], came=threading.Event())
    with pytest.raises(Unavailable):
        handover.ask(redis, other.enqueue, 7, run_key(), 0.01)
    foreign = str(other.asked[0].args[2])

    def serve() -> None:
        assert desk.came.wait(5)
        key, name, _ = (str(word) for word in desk.asked[0].args)
        handover.answer(redis, desk, lambda *_: TOKEN, RunKey.parse(key), name, foreign)

    thread = threading.Thread(target=serve)
    thread.start()
    with pytest.raises(Unavailable, match="somebody else"):
        handover.ask(redis, desk.enqueue, 7, run_key(), 5)
    thread.join(5)


@pytest.mark.parametrize(
    ("error", "told"),
    [(Gone("uninstalled"), Gone), (Unavailable("away"), Unavailable), (Refused("no", 403), Unavailable)],
)
def test_why_there_is_none_is_told(redis: Redis, desk: Desk, error: AssayError, told: type[AssayError]) -> None:
    def mint(_installation: int, _repository: str) -> str:
        raise error

    with answered(redis, desk, mint), pytest.raises(told, match=str(error)):
        handover.ask(redis, desk.enqueue, 7, run_key(), 5)
