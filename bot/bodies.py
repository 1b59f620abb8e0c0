"""Reading request bodies that strangers send: bounded in size, in time, and all of them together.

Nobody has shown a signature yet. So a body may be no larger than GitHub's largest, has to be there in time, and what is
large shares a room: however many come at once, the process keeps within its memory, and GitHub's deliveries, nearly all
of which are small, are never crowded out.
"""

from __future__ import annotations

import asyncio
from binascii import a2b_qp

from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

# Bytes. GitHub never sends more (https://docs.github.com/webhooks/webhook-events-and-payloads#payload-cap).
LARGEST = 25 * 2**20
# What every body may have for itself, and what those that are larger may have together.
SMALL, _ROOM = 256 * 2**10, 2 * LARGEST
# Seconds. GitHub gives up after ten.
PATIENCE = 10.0
_MOST_FIELDS = 5


class TooLarge(Exception):
    """More than GitHub sends."""


class NoRoom(Exception):
    """Too much is being read already."""


class TooSlow(Exception):
    """It did not arrive in time."""


class Bodies:
    """Reads bodies. One for a process."""

    def __init__(self) -> None:
        self._taken = 0

    async def read(self, length: int, receive: Receive) -> bytes:
        """The raw body of a request that says it has `length` bytes (0 when it does not say).

        Raises TooLarge, NoRoom, TooSlow, and starlette's ClientDisconnect.
        """
        if length > LARGEST:
            raise TooLarge
        message = await _next(receive)
        chunk: bytes = message.get("body", b"")
        # As most of them are: there in one piece.
        if not message.get("more_body", False) and len(chunk) <= SMALL:
            return chunk
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._gather(message, receive)
        except TimeoutError:
            raise TooSlow from None

    async def _gather(self, message: Message, receive: Receive) -> bytes:
        chunks: list[bytes] = []
        size = taken = 0
        try:
            while True:
                chunks.append(message.get("body", b""))
                size += len(chunks[-1])
                if size > LARGEST:
                    raise TooLarge
                wanted = max(0, size - SMALL)
                if self._taken - taken + wanted > _ROOM:
                    raise NoRoom
                self._taken, taken = self._taken - taken + wanted, wanted
                if not message.get("more_body", False):
                    return b"".join(chunks)
                message = await _next(receive)
        finally:
            self._taken -= taken


async def _next(receive: Receive) -> Message:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return message


def payload_of(form: bytes) -> bytes:
    """The field `payload` of a form (application/x-www-form-urlencoded). Raises ValueError where there is none.

    Python's own reader takes seconds for 25 MB of escapes; C reads them as those of "quoted-printable" (RFC 2045, 6.7),
    whose escapes begin with another sign.
    """
    for field in form.split(b"&", _MOST_FIELDS):
        name, _, value = field.partition(b"=")
        if name == b"payload" and value.isascii():
            return a2b_qp(value.replace(b"+", b" ").replace(b"=", b"%3D").replace(b"%", b"="))
    raise ValueError("the form has no field `payload`")
