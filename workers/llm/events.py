"""Answers that come as server-sent events (WHATWG HTML, "Server-sent events"): one line of JSON each, with comments
between them. Pure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

from workers.llm.reply import Reply


class Lines:
    """Takes a stream apart, whatever its bytes are cut into."""

    def __init__(self) -> None:
        self._line = bytearray()

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The data of each event that has come to its end."""
        first, *others = chunk.split(b"\n")
        self._line += first
        for line in others:
            field, _, data = bytes(self._line).removesuffix(b"\r").partition(b":")
            self._line = bytearray(line)
            if field == b"data":
                yield data.strip()


class Streamed(ABC):
    """An answer that is still coming. `written` counts the characters of it that came, thoughts included; `done`: there
    is no more of it."""

    def __init__(self) -> None:
        self.written = 0
        self.done = False
        self._lines = Lines()

    def feed(self, chunk: bytes) -> None:
        """Take in bytes as they come. Raises Unfit for what is no part of such an answer."""
        for data in self._lines.feed(chunk):
            self._take(data)

    @abstractmethod
    def _take(self, data: bytes) -> None:
        """Take in the data of one event."""

    @abstractmethod
    def reply(self) -> Reply:
        """The whole answer. Raises Unavailable when the provider stopped in the middle of it, and as
        `failures.within` when it failed."""
