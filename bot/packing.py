"""How texts are kept in Redis: large ones compressed, small ones as they are.

What is compressed is a zlib stream (RFC 1950), which begins with an `x` where JSON never does; so either is read, of
this version or of one before.
"""

from __future__ import annotations

from isal import isal_zlib

# Bytes from which compressing pays, and how hard to try: least, an eighth of a webhook's size for 0.8 us a kilobyte.
_LARGE = 1024
_LEVEL = 0
_MARK = b"x"


def pack(text: bytes) -> bytes:
    """As it is to be kept; the inverse of `unpack`. Not for a text that begins with an `x`."""
    return isal_zlib.compress(text, _LEVEL) if len(text) >= _LARGE else text


def unpack(kept: bytes) -> bytes:
    """The text. Raises isal_zlib.error for what is damaged."""
    return isal_zlib.decompress(kept) if kept.startswith(_MARK) else kept
