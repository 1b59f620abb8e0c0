"""Connections that are kept: what Redis, signals, threads and forks may do meanwhile."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import RedisError, ResponseError

from bot.redis.connection import connect, connect_async
from bot.redis.quick import QuickScript
from tests.servers import Server, until

ECHO = "return ARGV[1]"


@pytest.fixture
def redis(server: Server) -> Iterator[Redis]:
    with connect(server.url) as client:
        yield client


def test_bytes_and_texts_are_passed_as_they_are(server: Server) -> None:
    async def main() -> list[bytes]:
        client = connect_async(server.url)
        script = QuickScript(client, ECHO)
        answers = [await script(text) for text in ("é", b"\x00\r\n$3", b"x" * 100_000)]
        await client.aclose()
        return answers

    assert asyncio.run(main()) == ["é".encode(), b"\x00\r\n$3", b"x" * 100_000]


def test_a_redis_that_forgot_the_script_or_the_connection_is_asked_again(server: Server, redis: Redis) -> None:
    async def main() -> list[bytes]:
        client = connect_async(server.url, patience=5)
        script = QuickScript(client, ECHO)
        answers = [await script("first")]
        redis.script_flush()
        answers.append(await script("after the flush"))
        redis.client_kill_filter(_type="normal")
        answers.append(await script("after the kill"))
        answers.append(await script("last"))
        await client.aclose()
        return answers

    assert asyncio.run(main()) == [b"first", b"after the flush", b"after the kill", b"last"]


def test_a_late_answer_is_not_taken_for_the_next_ones(server: Server, redis: Redis) -> None:
    async def main() -> bytes:
        client = connect_async(server.url, patience=0, answer=0.2)
        script = QuickScript(client, ECHO)
        await script("first")
        redis.client_pause(500)
        with pytest.raises(RedisError):
            await script("late")
        await asyncio.sleep(0.5)
        answer = await script("next")
        await client.aclose()
        return answer

    assert asyncio.run(main()) == b"next"


def test_a_connection_that_is_let_go_keeps_the_clients_limit(server: Server, redis: Redis) -> None:
    async def main() -> list[float | None]:
        client = connect_async(server.url, patience=0, answer=0.2)
        script = QuickScript(client, ECHO)
        await script("first")
        redis.client_pause(300)
        with pytest.raises(RedisError):
            await script("late")
        await asyncio.sleep(0.3)
        pool: Any = client.connection_pool
        others = [await pool.get_connection() for _ in range(2)]
        limits = [one.socket_timeout for one in others]
        for one in others:
            await pool.release(one)
        await client.aclose()
        return limits

    assert asyncio.run(main()) == [0.2, 0.2]


def test_a_call_that_is_given_up_leaves_no_answer_behind(server: Server, redis: Redis) -> None:
    async def main() -> tuple[bytes, int]:
        client = connect_async(server.url)
        script = QuickScript(client, ECHO)
        await script("first")
        redis.client_pause(300)
        given_up = asyncio.create_task(script("given up"))
        await asyncio.sleep(0.1)
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        await asyncio.sleep(0.3)
        answers = [await script("next") for _ in range(10)]
        connections = len(redis.client_list())
        await client.aclose()
        return answers[-1], connections

    answer, connections = asyncio.run(main())
    assert answer == b"next"
    assert connections == 2  # this test's own, and the script's


def test_an_error_of_the_script_is_raised(server: Server) -> None:
    async def main() -> None:
        client = connect_async(server.url, patience=0)
        script = QuickScript(client, "return redis.error_reply('OOM no room')")
        for _ in range(2):
            with pytest.raises(RedisError, match="no room"):
                await script()
        await client.aclose()

    asyncio.run(main())


# -- commands


def test_a_connection_that_redis_has_closed_is_not_used_even_without_patience(server: Server, redis: Redis) -> None:
    with connect(server.url, patience=0) as client:
        client.set("a", "1")
        redis.client_kill_filter(_type="normal", skipme=True)
        assert client.get("a") == b"1"


def test_what_redis_refuses_is_an_answer(server: Server) -> None:
    with connect(server.url) as client:
        client.set("a", "text")
        before = client.client_id()
        with pytest.raises(ResponseError, match="WRONGTYPE"):
            client.lpop("a")
        assert client.get("a") == b"text"
        assert client.client_id() == before


def test_a_late_answer_of_a_command_is_not_taken_for_the_next_ones(server: Server, redis: Redis) -> None:
    with connect(server.url, patience=0, answer=0.2) as client:
        client.mset({"a": "1", "b": "2"})
        redis.client_pause(400)
        with pytest.raises(RedisError):
            client.get("a")
        redis.ping()
        assert client.get("b") == b"2"


def test_a_command_that_a_signal_interrupts_leaves_no_answer_behind(server: Server, redis: Redis) -> None:
    class Enough(Exception):
        pass

    def interrupt(*_: object) -> None:
        raise Enough

    previous = signal.signal(signal.SIGALRM, interrupt)
    try:
        with connect(server.url) as client:
            client.set("b", "2")
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            with pytest.raises(Enough):
                client.blpop(["never"], timeout=2)
            redis.rpush("never", "late")
            assert client.get("b") == b"2"
            assert redis.lrange("never", 0, -1) == [b"late"]
    finally:
        signal.signal(signal.SIGALRM, previous)


def test_threads_wait_side_by_side_and_connections_serve_again(server: Server, redis: Redis) -> None:
    with connect(server.url) as client, ThreadPoolExecutor(2) as threads:
        waiting = [threads.submit(client.blpop, [name], 10) for name in ("one", "two")]
        redis.rpush("two", "2")
        assert waiting[1].result(5) == (b"two", b"2")
        redis.rpush("one", "1")
        assert waiting[0].result(5) == (b"one", b"1")
        before = len(redis.client_list())
        assert [client.ping() for _ in range(5)] == [True] * 5
        assert len(redis.client_list()) == before == 3


@pytest.mark.parametrize("closes", [False, True])
def test_a_fork_has_connections_of_its_own(server: Server, closes: bool) -> None:
    with connect(server.url) as client:
        before = client.client_id()
        fork = multiprocessing.get_context("fork")
        ours, theirs = fork.Pipe()

        def child() -> None:
            if closes:
                client.close()
            theirs.send((client.client_id(), client.client_id()))

        process = fork.Process(target=child)
        process.start()
        assert ours.poll(10)
        first, second = ours.recv()
        process.join(10)
        assert first == second != before
        assert client.client_id() == before


def test_a_fork_that_closes_lets_the_parents_connection_end_with_the_parent(server: Server, redis: Redis) -> None:
    """A worker that dies while it waits for a job leaves no one behind whom Redis would give it to."""
    fork = multiprocessing.get_context("fork")
    ours, theirs = fork.Pipe()

    def parent() -> None:
        client = connect(server.url)
        client.ping()

        def child() -> None:
            client.close()
            theirs.send("closed")
            signal.pause()

        child_process = fork.Process(target=child)
        child_process.start()
        theirs.send(child_process.pid)
        signal.pause()

    process = fork.Process(target=parent)
    process.start()
    pid, _ = ours.recv(), ours.recv()
    assert len(redis.client_list()) == 2
    process.kill()
    process.join(10)
    try:
        until("the connection is closed", lambda: len(redis.client_list()) == 1)
    finally:
        os.kill(pid, signal.SIGKILL)
