"""Workers that die, with real processes and a real Redis: every job is done, and what nobody survives is set aside."""

from __future__ import annotations

import json
import multiprocessing
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import cast

import psutil
import pytest
from redis import Redis

import bot.jobs
import bot.worker
from bot import recovery
from bot.jobs import INTAKE, JobSpec
from bot.queues import Queues
from bot.recovery import Vouching, recover
from bot.redis.connection import connect
from bot.redis.embedded import EmbeddedRedis
from bot.worker import make_worker, work
from tests.jobs import marks

FORK = multiprocessing.get_context("fork")


def until(true: Callable[[], object], seconds: float = 15.0) -> None:
    give_up = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < give_up, "it did not come to pass"
        time.sleep(0.02)


def serve(url: str, queue: str, name: str) -> None:
    redis = connect(url)
    work(redis, queue, Queues(redis), name)


class Crew:
    """Workers in processes of their own, and the one that vouches for those that live."""

    def __init__(self, redis: Redis, url: str) -> None:
        self.redis = redis
        self._url = url
        self._vouching = Vouching(redis)
        self.workers: dict[str, psutil.Process] = {}
        self._processes: list[multiprocessing.process.BaseProcess] = []

    def hire(self, name: str, queue: str = "test") -> psutil.Process:
        process = FORK.Process(target=serve, args=(self._url, queue, name), daemon=True)
        process.start()
        assert process.pid is not None
        self._processes.append(process)
        self.workers[name] = psutil.Process(process.pid)
        self.vouch()
        return self.workers[name]

    def vouch(self) -> None:
        self._vouching.vouch([name for name, one in self.workers.items() if one.is_running() and not _zombie(one)])

    def sweep(self) -> list[tuple[str, str, str]]:
        self.vouch()
        return recover(self.redis)

    def end(self) -> None:
        for process in self._processes:
            process.kill()
            process.join()


def _zombie(process: psutil.Process) -> bool:
    return process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_STOPPED)


@pytest.fixture
def crew(redis: Redis, redis_server: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch) -> Iterator[Crew]:
    allowed = {f"tests.jobs.{name}" for name in ("quick", "slow", "steady", "poison", "fail")}
    monkeypatch.setattr(bot.jobs, "FUNCTIONS", bot.jobs.FUNCTIONS | allowed)
    # As if the sweep had been at work for long.
    redis.set("assay:swept", "1", ex=60)
    made = Crew(redis, redis_server.url)
    try:
        yield made
    finally:
        made.end()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "marks"


def send(redis: Redis, function: str, *args: str | int, queue: str = "test", name: str = "job-1") -> None:
    spec = JobSpec(queue=queue, function=f"tests.jobs.{function}", args=args, timeout=60, name=name, repository="o/r")
    Queues(redis).enqueue(spec)


def left(redis: Redis) -> set[str]:
    """What Redis still holds of jobs."""
    names = {key.decode() for key in cast("list[bytes]", redis.keys("rq:*"))}
    return {name for name in names if not name.startswith(("rq:worker", "rq:queues", "rq:clean"))}


@pytest.mark.parametrize("queue", ["test", INTAKE])
def test_job_of_a_killed_worker_is_done_by_another(crew: Crew, redis: Redis, file: Path, queue: str) -> None:
    first = crew.hire("first", queue)
    send(redis, "slow", str(file), 30, queue=queue)
    until(lambda: marks(file))
    horse = int(marks(file)[0].split()[1])
    first.kill()
    first.wait(5)
    until(lambda: not psutil.pid_exists(horse) or _zombie(psutil.Process(horse)), 2)
    crew.hire("second", queue)
    assert crew.sweep() == [("given back", queue, "job-1")]
    until(lambda: len(marks(file)) == 3)
    assert [line.split()[0] for line in marks(file)] == ["began", "began", "ended"]
    until(lambda: not left(redis))
    assert crew.sweep() == []


def test_job_of_a_living_worker_is_let_be(
    crew: Crew, redis: Redis, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "_STUCK", 0.0)
    crew.hire("first")
    send(redis, "slow", str(file), 1)
    until(lambda: marks(file))
    # Sent once more under its name, and lost on the way.
    redis.rpush("rq:queue:test:intermediate", "job-1")
    assert crew.sweep() == []
    assert crew.sweep() == []
    until(lambda: len(marks(file)) == 2)
    until(lambda: crew.sweep() == [("gone", "test", "job-1")])
    assert not left(redis)


def test_idle_worker_takes_the_next_job_at_once(crew: Crew, redis: Redis, file: Path) -> None:
    crew.hire("first")
    crew.hire("second")
    for number in range(8):
        send(redis, "quick", str(file), str(number), name=f"job-{number}")
    until(lambda: len(marks(file)) == 8, 5)
    assert sorted(marks(file)) == [f"done {number}" for number in range(8)]


def test_worker_taken_for_dead_keeps_its_hands_off(crew: Crew, redis: Redis, file: Path) -> None:
    """It was only stopped for a while; its work-horse went on meanwhile, and ends when another has the job."""
    crew.hire("first").send_signal(signal.SIGCONT)
    send(redis, "slow", str(file), 3)
    until(lambda: marks(file))
    crew.workers["first"].suspend()
    until(lambda: _zombie(crew.workers["first"]))
    assert crew.sweep() == [("given back", "test", "job-1")]
    # Nobody else is there: the job waits, and the old work-horse ends it.
    until(lambda: len(marks(file)) == 2)
    assert redis.hget("rq:job:job-1", "status") == b"queued"
    crew.workers["first"].resume()
    until(lambda: len(marks(file)) == 4)
    until(lambda: not left(redis))


def test_worker_taken_for_dead_spoils_nothing_for_the_next(
    crew: Crew, redis: Redis, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stood still with its work-horse, and they go on while another has the job."""
    monkeypatch.setattr(bot.worker, "_MONITORING", 1)
    first = crew.hire("first")
    send(redis, "steady", str(file), 3)
    until(lambda: marks(file))
    still = [first, *first.children(recursive=True)]
    for one in still:
        one.suspend()
    until(lambda: _zombie(first))
    crew.hire("second")
    assert crew.sweep() == [("given back", "test", "job-1")]
    until(lambda: len(marks(file)) == 2)
    time.sleep(1.2)
    for one in still:
        one.resume()
    until(lambda: not left(redis))
    assert len(marks(file)) == 4
    assert [json.loads(one)["how"] for one in redis.lrange("assay:tries:job-1", 0, -1)] == ["its worker died"]


def test_job_that_kills_its_work_horse_is_set_aside_with_its_history(crew: Crew, redis: Redis, file: Path) -> None:
    crew.hire("first")
    send(redis, "poison", str(file), 0)
    until(lambda: redis.smembers("assay:dead:new") == {b"test job-1"})
    assert marks(file) == ["tried"] * 3
    tries = cast("list[bytes]", redis.lrange("assay:tries:job-1", 0, -1))
    assert len(tries) == 3
    assert all(b"signal 9" in one and b'"first"' in one for one in tries)
    # RQ's own books are closed after the history is: whoever dies between the two is swept up after.
    until(lambda: redis.zscore("rq:failed:test", "job-1") is not None)


def test_job_that_kills_its_worker_is_set_aside_with_its_history(crew: Crew, redis: Redis, file: Path) -> None:
    send(redis, "poison", str(file), 0, queue=INTAKE)
    seen = []
    for name in ("first", "second", "third"):
        crew.hire(name, INTAKE).wait(15)
        seen += crew.sweep()
    assert [what for what, _, _ in seen] == ["given back", "given back", "parked"]
    assert marks(file) == ["tried"] * 3
    tries = cast("list[bytes]", redis.lrange("assay:tries:job-1", 0, -1))
    assert [json.loads(one)["worker"] for one in tries] == ["first", "second", "third"]
    assert redis.smembers("assay:dead:new") == {b"intake job-1"}
    assert redis.zscore("rq:failed:intake", "job-1") is not None
    assert crew.sweep() == []


def test_job_that_raises_is_tried_three_times(crew: Crew, redis: Redis, file: Path) -> None:
    crew.hire("first", INTAKE)
    send(redis, "fail", str(file), 0, queue=INTAKE)
    until(lambda: redis.smembers("assay:dead:new"))
    assert marks(file) == ["tried"] * 3
    (first, *_) = cast("list[bytes]", redis.lrange("assay:tries:job-1", 0, -1))
    assert b"LookupError" in first


@pytest.fixture
def parts(crew: Crew, monkeypatch: pytest.MonkeyPatch) -> psutil.Process:
    monkeypatch.setattr(bot.worker, "ON_AGENT", "tests.jobs.parts")
    monkeypatch.setattr(bot.jobs, "FUNCTIONS", bot.jobs.FUNCTIONS | {"tests.jobs.parts"})
    return crew.hire("first")


@pytest.mark.parametrize("what", ["do", "die"])
def test_job_in_parts_forks_for_the_middle_one_only(parts: psutil.Process, redis: Redis, file: Path, what: str) -> None:
    send(redis, "parts", str(file), what)
    until(lambda: any(line.startswith("end") for line in marks(file)))
    until(lambda: not left(redis) - {"rq:results:job-1"})
    told = [(line.split()[0], int(line.split()[1]) == parts.pid) for line in marks(file)]
    once = [("begin", True), ("carry_out", False)]
    assert told == [*(once if what == "die" else []), *once, ("end", True)]
    assert marks(file)[-1].endswith(" 3000000")


@pytest.mark.parametrize("what", ["fail", "refuse"])
def test_job_whose_part_raises_is_tried_three_times(parts: psutil.Process, redis: Redis, file: Path, what: str) -> None:
    send(redis, "parts", str(file), what)
    until(lambda: redis.smembers("assay:dead:new"))
    assert [line.split()[0] for line in marks(file)] == ["begin", *(["carry_out"] if what == "fail" else [])] * 3
    assert parts.is_running()


def test_job_of_which_nothing_is_to_be_done_needs_no_fork(parts: psutil.Process, redis: Redis, file: Path) -> None:
    send(redis, "parts", str(file), "nothing")
    until(lambda: marks(file) == [f"begin {parts.pid}"])
    until(lambda: not left(redis))


def killed_at_work(crew: Crew, redis: Redis, file: Path) -> None:
    """A worker called `first` that is gone, and has left its job as it was."""
    first = crew.hire("first")
    send(redis, "slow", str(file), 30)
    until(lambda: marks(file))
    first.kill()
    first.wait(5)


def test_job_handed_back_is_no_try(crew: Crew, redis: Redis, file: Path) -> None:
    killed_at_work(crew, redis, file)
    # What somebody else has in hand stays there.
    redis.zadd("rq:wip:test", {"job-2:x": 1.0})
    redis.hset("rq:execution:job-2:x", "worker_name", "second")
    Vouching(redis).hand_back(["first"])
    assert redis.zrange("rq:wip:test", 0, -1) == [b"job-2:x"]
    assert redis.zscore("assay:alive", "first") is None
    assert redis.hget("rq:job:job-1", "retries_left") == b"2"
    assert not redis.exists("assay:tries:job-1")
    crew.hire("second")
    until(lambda: len(marks(file)) == 3)


def test_job_lost_between_list_and_worker_is_given_back(
    crew: Crew, redis: Redis, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(redis, "quick", str(file), "x")
    redis.lmove("rq:queue:test", "rq:queue:test:intermediate")
    send(redis, "quick", str(file), "y", name="job-2")
    assert crew.sweep() == []
    monkeypatch.setattr(recovery, "_STUCK", 0.05)
    time.sleep(0.1)
    assert crew.sweep() == [("given back", "test", "job-1")]
    # Another time it is seen anew.
    assert not redis.exists("assay:stuck")
    crew.hire("first")
    # It had its turn.
    until(lambda: marks(file) == ["done x", "done y"])
    until(lambda: not left(redis))


def test_stale_entry_of_a_job_that_ended_is_removed(crew: Crew, redis: Redis) -> None:
    redis.lpush("rq:queue:test:intermediate", "long-gone")
    assert crew.sweep() == [("gone", "test", "long-gone")]
    assert crew.sweep() == []
    assert not left(redis)


def test_after_a_pause_of_everybody_the_living_have_time_to_say_so(
    crew: Crew, redis: Redis, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "ALIVE_TTL", 1.0)
    crew.hire("first")
    send(redis, "slow", str(file), 3)
    until(lambda: marks(file))
    redis.delete("assay:swept", "assay:alive")
    assert recover(redis) == []
    crew.vouch()
    time.sleep(1.1)
    assert crew.sweep() == []
    until(lambda: len(marks(file)) == 2)


def test_job_of_a_machine_that_died_whole_is_given_to_others(
    crew: Crew, redis: Redis, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is there to say that the worker is dead."""
    monkeypatch.setattr(recovery, "ALIVE_TTL", 1.0)
    killed_at_work(crew, redis, file)
    assert recover(redis) == []
    until(lambda: recover(redis) == [("given back", "test", "job-1")], 3)


def test_clock_that_is_set_back_keeps_no_dead_worker_alive(
    crew: Crew, redis: Redis, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis's own clock was an hour ahead while the first one lived, and when the sweep began."""
    monkeypatch.setattr(recovery, "ALIVE_TTL", 1.0)
    killed_at_work(crew, redis, file)
    crew.hire("second", INTAKE)
    ahead = time.time() + 3600
    redis.zadd("assay:alive", {"first": ahead})
    redis.set("assay:recover:from", str(ahead))
    # The living get the time to say so.
    assert recover(redis) == []
    until(lambda: crew.sweep() == [("given back", "test", "job-1")], 3)


def test_job_whose_loss_was_seen_by_a_clock_that_was_ahead_is_given_back(
    crew: Crew, redis: Redis, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "_STUCK", 0.05)
    send(redis, "quick", str(file), "x")
    redis.lmove("rq:queue:test", "rq:queue:test:intermediate")
    redis.hset("assay:stuck", "job-1", time.time() + 3600)
    assert crew.sweep() == []
    time.sleep(0.1)
    assert crew.sweep() == [("given back", "test", "job-1")]


def test_worker_that_dies_while_it_leaves_a_job_to_a_newer_assay_loses_nothing(
    crew: Crew, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    queues = Queues(redis)
    worker = make_worker(redis, INTAKE, queues, "first")
    queues.enqueue(JobSpec(queue=INTAKE, function="bot.wiring.on_newer", args=("x",), name="job-1"))
    found = worker.dequeue_job_and_maintain_ttl(None)
    assert found is not None

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    for call in ("put_off", "close_books"):
        with monkeypatch.context() as patch:
            patch.setattr(queues if call == "put_off" else worker, call, die)
            with pytest.raises(KeyboardInterrupt):
                worker.execute_job(*found)
        assert crew.sweep() == [("given back", INTAKE, "job-1")]
        found = worker.dequeue_job_and_maintain_ttl(None)
        assert found is not None
    worker.execute_job(*found)
    assert redis.zcard(bot.queues.LATER) > 0
    assert not redis.exists("rq:job:job-1")


def test_entries_of_dead_workers_are_cleared_away(crew: Crew, redis: Redis) -> None:
    first = crew.hire("first")
    until(partial(redis.exists, "rq:worker:first"))
    first.kill()
    first.wait(5)
    crew.hire("second")
    until(partial(redis.exists, "rq:worker:second"))
    crew.sweep()
    assert redis.smembers("rq:workers") == redis.smembers("rq:workers:test") == {b"rq:worker:second"}
    assert not redis.exists("rq:worker:first")


def test_idle_worker_ends_when_told_so_though_redis_is_gone_for_good(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="assay-redis-") as folder, EmbeddedRedis(Path(folder)) as server:
        process = FORK.Process(target=serve, args=(server.url, "test", "first"), daemon=True)
        process.start()
        until(partial(Redis.from_url(server.url).exists, "rq:worker:first"))
        server.stop()
        time.sleep(0.2)
        process.terminate()
        process.join(3)
        assert not process.is_alive()
