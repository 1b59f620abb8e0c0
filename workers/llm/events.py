"""Server-sent events (WHATWG HTML, "Server-sent events") as providers send them: one line of JSON each, with comments
between them. Pure."""

from __future__ import annotations

from collections.abc import Iterator


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
