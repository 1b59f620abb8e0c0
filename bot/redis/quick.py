"""A script that is called thousands of times a second, on a connection of its own.

For every command redis-py takes a connection from its pool, times it, sets a limit to the sending and another to the
answer, each with a task of its own, and gives the connection back: 90 us of processor, of which a script's call on a
connection that is kept takes less than half. What fails is left to redis-py's own way; an answer that is
late is not waited for twice.
"""

from __future__ import annotations

import asyncio
from typing import Any

import redis.asyncio
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError


class QuickScript:
    """A Lua script without keys, called one call at a time. Redis may take as long as the client lets it."""

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
