"""Dead letters: told of once where people look, and done again or let go by a person."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from redis import Redis

import bot.wiring
import workers.wiring
from bot.cli.main import assay
from bot.dead import DeadLetters
from bot.deliveries import Deliveries
from bot.domain.commands import Reply
from bot.domain.findings import Outcome
from bot.domain.run import Phase
from bot.errors import Theirs
from bot.jobs import FAILURE_TTL, ON_AGENT, ON_LOOSE_CHECKS, JobSpec
from bot.publishing.unpublished import Unpublished
from bot.queues import Queues
from bot.recovery import note_failure, recover
from bot.redis.embedded import EmbeddedRedis
from bot.store import Store
from bot.worker import ControlWorker, make_worker
from tests.test_store import KEY, received


@pytest.fixture
def letters(store: Store) -> DeadLetters:
    return DeadLetters(store, Unpublished(store), Deliveries(store.redis), lambda: 2000.0)


def work(redis: Redis, queue: str) -> None:
    make_worker(redis, queue, Queues(redis), "worker-1", ControlWorker).work(burst=True, logging_level="CRITICAL")


def fails(*_: object) -> None:
    raise LookupError("the key is hunter2")


@pytest.fixture
def agent_letter(store: Store, redis: Redis, letters: DeadLetters, monkeypatch: pytest.MonkeyPatch) -> DeadLetters:
    """The job of an agent failed at every try."""
    monkeypatch.setattr(workers.wiring, "on_agent", fails)
    store.update(KEY, received("test"))
    work(redis, "test")
    return letters


def test_agent_whose_job_fails_at_every_try_ends_in_an_error(store: Store, agent_letter: DeadLetters) -> None:
    assert agent_letter.report() == 1
    stored = store.load(KEY)
    assert stored is not None
    (agent,) = stored.run.agents
    assert agent.result is not None
    assert (agent.phase, agent.outcome) == (Phase.DONE, Outcome.ERROR)
    assert agent.result.reason == "its job failed 3 times (LookupError)"
    (letter,) = agent_letter
    assert agent.result.remedy == f"the operator sees more with `assay dead show {letter.id}`"
    assert agent_letter.report() == 0


def test_letter_tells_its_tries(agent_letter: DeadLetters) -> None:
    (letter,) = agent_letter
    assert (letter.queue, letter.about) == ("test", f"{KEY} test 1")
    assert [one.worker for one in letter.tries] == ["worker-1"] * 3
    assert all("LookupError: the key is hunter2" in one.how for one in letter.tries)
    assert agent_letter.count() == 1


def test_agent_done_again_is_a_new_attempt(store: Store, redis: Redis, agent_letter: DeadLetters) -> None:
    agent_letter.report()
    (letter,) = agent_letter
    agent_letter.retry(letter)
    stored = store.load(KEY)
    assert stored is not None
    assert (stored.run.agents[0].phase, stored.run.agents[0].attempt) == (Phase.QUEUED, 2)
    assert list(agent_letter) == []
    assert Queues(redis).waiting("test") == 1


def test_letter_dropped_leaves_nothing(redis: Redis, agent_letter: DeadLetters) -> None:
    agent_letter.report()
    (letter,) = agent_letter
    agent_letter.drop(letter)
    assert list(agent_letter) == []
    assert redis.keys(f"*{letter.id}*") == []


def test_delivery_that_cannot_be_read_keeps_its_body_for_another_try(
    redis: Redis, letters: DeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bot.wiring, "on_delivery", fails)
    for field, value in (("event", "push"), ("received_at", "1"), ("outcome", "waiting")):
        redis.hset("assay:delivery:g1", field, value)
    redis.hset("assay:delivery:g1", "body", b"{}")
    Queues(redis).enqueue(JobSpec.intake("g1"))
    work(redis, "intake")
    letters.report()
    delivery = Deliveries(redis).load("g1")
    assert delivery is not None
    assert delivery.outcome == "failed: its job failed 3 times (LookupError)"
    assert delivery.body == b"{}"
    letters.retry(letters.find("g1"))
    assert Queues(redis).waiting("intake") == 1


def test_run_that_cannot_be_published_is_let_be_until_it_changes(
    store: Store, redis: Redis, letters: DeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bot.wiring, "on_publish", fails)
    store.update(KEY, received("test"))
    store.queues.send_due(1e9)
    work(redis, "publish")
    assert Unpublished(store).since_before(1e9) == [KEY]
    letters.report()
    assert Unpublished(store).since_before(1e9) == []
    letters.retry(letters.find("publish"))
    assert Queues(redis).waiting("publish") == 1


def test_order_that_cannot_be_answered_is_answered_at_another_try(
    redis: Redis, letters: DeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = JobSpec.reply("octo/demo", 7, Reply(number=1, comment=2, reaction="eyes"))
    with monkeypatch.context() as patch:
        patch.setattr(bot.wiring, "on_reply", fails)
        Queues(redis).enqueue(spec)
        work(redis, "publish")
    (letter,) = letters
    assert letters.retry(letter)
    answered: list[object] = []
    monkeypatch.setattr(bot.wiring, "on_reply", lambda *args: answered.append(args))
    work(redis, "publish")
    assert answered == [spec.args]
    assert list(letters) == []


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(JobSpec.intake("forgotten"), id="a delivery"),
        pytest.param(JobSpec.publish(KEY, 7), id="a run"),
        pytest.param(JobSpec(queue="lint", function=ON_AGENT, args=(str(KEY), "lint", 1)), id="an agent"),
        pytest.param(JobSpec.token(KEY, 7, "name", "public"), id="a token"),
        pytest.param(JobSpec(queue="publish", function=ON_LOOSE_CHECKS, args=("no key", 7)), id="nothing"),
    ],
)
def test_letter_about_what_is_not_kept_any_more_cannot_be_done_again(
    redis: Redis, letters: DeadLetters, monkeypatch: pytest.MonkeyPatch, spec: JobSpec
) -> None:
    monkeypatch.setattr(spec.function, fails)
    Queues(redis).enqueue(spec)
    work(redis, spec.queue)
    (letter,) = letters
    assert not letters.retry(letter)
    assert list(letters) == [letter]
    assert Queues(redis).waiting(spec.queue) == 0


def test_letter_about_nothing_that_exists_keeps_no_other_from_being_told(
    store: Store, redis: Redis, agent_letter: DeadLetters
) -> None:
    Queues(redis).enqueue(JobSpec(queue="lint", function=ON_AGENT, args=("no key", "lint", 1)))
    work(redis, "lint")
    assert agent_letter.report() == 2
    stored = store.load(KEY)
    assert stored is not None
    assert stored.run.complete


@pytest.mark.parametrize(
    "fields",
    [
        {"data": b"\x80\x04 no JSON"},
        {"data": b'["print", null, [{"not": "ours"}], {}]'},
        {"data": b'["print", null, [], {}]', "created_at": "yesterday"},
    ],
)
def test_letter_that_nobody_can_read_keeps_no_other_from_being_told(
    store: Store, redis: Redis, agent_letter: DeadLetters, fields: dict[str, bytes | str]
) -> None:
    """Another application of RQ's may share the Redis."""
    redis.hset("rq:job:other", mapping={"created_at": "2026-11-28T12:00:00.0Z", "status": "queued"})
    for name, value in fields.items():
        redis.hset("rq:job:other", name, value)
    redis.set("assay:swept", "1", ex=60)
    redis.zadd("rq:wip:test", {"other:1": 1.0})
    assert recover(redis) == [("parked", "test", "other")]
    assert agent_letter.report() == 2
    stored = store.load(KEY)
    assert stored is not None
    assert stored.run.complete
    other = agent_letter.find("other")
    assert (other.function, other.why) == ("", "its job failed 1 times (its worker died)")
    assert not agent_letter.retry(other)
    agent_letter.drop(other)
    assert len(list(agent_letter)) == 1
    assert not redis.exists("rq:job:other")


def test_what_is_kept_of_letters_is_bounded(redis: Redis) -> None:
    for number in range(25):
        note_failure(redis, "job-1", "worker-1", f"{'x' * 5000}{number}", "test", last=False)
    tries = [json.loads(one)["how"] for one in redis.lrange("assay:tries:job-1", 0, -1)]
    assert [one.lstrip("x") for one in tries] == [str(number) for number in range(5, 25)]
    assert {len(one) for one in tries} == {2000}
    redis.set("assay:swept", "1", ex=60)
    redis.hset("rq:job:job-1", "retries_left", "0")
    redis.zadd("rq:wip:test", {"job-1:1": 1.0})
    redis.zadd("rq:failed:test", {"older": 1.0})
    assert recover(redis) == [("parked", "test", "job-1")]
    for key in ("rq:job:job-1", "assay:tries:job-1"):
        assert FAILURE_TTL - 60 < redis.ttl(key) <= FAILURE_TTL
    assert redis.zrange("rq:failed:test", 0, -1) == [b"job-1"]


def test_find_says_what_is_wrong(agent_letter: DeadLetters) -> None:
    (letter,) = agent_letter
    assert agent_letter.find(letter.id[:12]) == agent_letter.find(str(KEY)) == letter
    for text in ("", "nothing"):
        with pytest.raises(Theirs, match="assay dead list"):
            agent_letter.find(text)


# -- the command


@pytest.fixture
def run(
    redis_server: EmbeddedRedis, agent_letter: DeadLetters, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., str]:
    agent_letter.report()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASSAY_REDIS_URL", redis_server.url)
    bot.wiring.safe.cache_clear()

    def invoke(*args: str, code: int = 0) -> str:
        result = CliRunner().invoke(assay, ["dead", *args], catch_exceptions=True)
        assert result.exit_code == code, result.output
        return result.output

    return invoke


def test_command_lists_shows_and_drops(run: Callable[..., str], agent_letter: DeadLetters) -> None:
    (letter,) = agent_letter
    assert run("list") == (
        f"{run('list')[:19]}  {letter.id}  test  {KEY} test 1: its job failed 3 times (LookupError)\n"
    )
    assert json.loads(run("list", "--json"))["id"] == letter.id
    shown = run("show", letter.id[:12])
    assert shown.count("LookupError: the key is hunter2") == 3
    assert "Try 3, ended " in shown
    assert run("drop", letter.id) == f"{letter.id} is gone\n"
    assert run("list") == "No dead letters.\n"


def test_command_has_them_done_again(run: Callable[..., str], store: Store) -> None:
    assert "is done again" in run("retry", "--all")
    stored = store.load(KEY)
    assert stored is not None
    assert stored.run.agents[0].attempt == 2


def test_command_says_what_cannot_be_done_again(
    run: Callable[..., str], redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bot.wiring, "on_delivery", fails)
    Queues(redis).enqueue(JobSpec.intake("forgotten"))
    work(redis, "intake")
    # In a terminal it is 2, with what was raised.
    assert run("retry", "--all", code=1).count("is done again") == 1
    assert run("list").count("\n") == run("list").count("forgotten") == 1
