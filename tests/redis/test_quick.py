"""Scripts on a connection of their own: what Redis may do meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import RedisError

from bot.redis.connection import connect, connect_async
from bot.redis.quick import QuickScript
from tests.servers import Server

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
