"""Connections that are kept, for what is sent often.

For every command redis-py takes a connection from its pool, counts and times it, and gives the connection back: 40 us
of processor, of 130 that a command takes by all. With asyncio it also sets a limit to the sending and another to the
answer, each with a task of its own: 90 us, of which a script's call on a connection that is kept takes less than half.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import redis.asyncio
from redis import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError


class QuickRedis(Redis):
    """A client whose commands go over a connection that is kept, one for each that is under way at the same time. In
    all else it is as redis-py's: what is sent together, and what waits for messages, has a connection of the pool."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._kept: list[Any] = []

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Its answer. Raises redis.exceptions.RedisError once the client's patience is over."""
        connection = self._connection()

        def ask() -> Any:
            connection.send_command(*args, **options)
            return self.parse_response(connection, args[0], **options)  # type: ignore[no-untyped-call]  # it has no types

        try:
            return connection.retry.call_with_retry(ask, lambda _: connection.disconnect())
        except ResponseError:
            # That was the answer.
            raise
        except BaseException:
            # An answer that was not read would be taken for the next one's.
            connection.disconnect()
            raise
        finally:
            self._kept.append(connection)

    def close(self) -> None:
        """In a fork it lets go of the parent's connections, which go on there."""
        while self._kept:
            connection = self._kept.pop()
            connection.disconnect()
            self.connection_pool.release(connection)
        super().close()

    def _connection(self) -> Any:
        try:
            connection = self._kept.pop()
        except IndexError:
            return self.connection_pool.get_connection()
        if connection.pid != os.getpid():
            # The one that this process was forked from goes on with it.
            return self._connection()
        if connection.is_connected and _is_stale(connection):
            connection.disconnect()
        return connection


def _is_stale(connection: Any) -> bool:
    """Whether Redis has closed it, or something lies there that nobody has asked for."""
    try:
        return bool(connection.can_read())
    except (RedisError, OSError):
        return True


class QuickScript:
    """A Lua script without keys, called one call at a time. Redis may take as long as the client lets it. What fails is
    left to redis-py's own way; an answer that is late is not waited for twice."""

    def __init__(self, client: redis.asyncio.Redis, text: str) -> None:
        self._pool: Any = client.connection_pool  # its types are not told
        self._script = client.register_script(text)
        self._seconds: float | None = self._pool.connection_kwargs.get("socket_timeout")
        self._kept: AbstractConnection | None = None

    async def __call__(self, *args: str | bytes) -> bytes:
        """Its answer, a text. Raises redis.exceptions.RedisError or OSError once the client's patience is over."""
        try:
            async with asyncio.timeout(self._seconds):
                return await self._call(args)
        except TimeoutError:
            raise RedisTimeoutError("Redis did not answer in time") from None
        except (RedisError, OSError):
            # It is away or new, and may not know the script.
            answer: bytes = await self._script(args=args)
            return answer

    async def _call(self, args: tuple[str | bytes, ...]) -> bytes:
        kept, self._kept = self._kept, None
        if kept is None:
            kept = await self._pool.get_connection()
            # The limit is one for all of it.
            kept.socket_timeout = None
        try:
            await kept.send_command("EVALSHA", self._script.sha, 0, *args)
            answer: bytes = await kept.read_response()
        except BaseException:
            # An answer that was not read would be taken for the next one's.
            await asyncio.shield(self._let_go(kept))
            raise
        self._kept = kept
        return answer

    async def _let_go(self, connection: AbstractConnection) -> None:
        await connection.disconnect(nowait=True)
        # The next to have it counts on the client's.
        connection.socket_timeout = self._seconds
        await self._pool.release(connection)
