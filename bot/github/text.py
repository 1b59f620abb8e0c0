"""Fitting text into GitHub's fields."""

from __future__ import annotations

_CUT = "…"


def fit(text: str, limit: int) -> str:
    """The text within `limit` bytes of UTF-8 (so within as many characters too), ending in `…` where it was cut.

    NUL and lone surrogates, which GitHub refuses to parse and JSON cannot carry, become `\N{REPLACEMENT CHARACTER}`.
    """
    raw = text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    data = raw.encode()
    if len(data) <= limit:
        return raw
    return data[: limit - len(_CUT.encode())].decode("utf-8", "ignore") + _CUT
