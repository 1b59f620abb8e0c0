"""Texts as Redis keeps them."""

from __future__ import annotations

import zlib

from hypothesis import given
from hypothesis import strategies as st

from bot.packing import pack, unpack

JSON = st.binary(max_size=5000).map(lambda rest: b"{" + rest)


@given(JSON)
def test_what_was_packed_comes_back(text: bytes) -> None:
    assert unpack(pack(text)) == text


def test_large_text_is_made_small_and_small_one_left_alone() -> None:
    large = b'{"a": "' + b"many words " * 1000 + b'"}'
    assert len(pack(large)) < len(large) / 20
    assert pack(b"{}") == b"{}"


def test_what_a_version_before_kept_is_read() -> None:
    assert unpack(zlib.compress(b'{"a": 1}')) == b'{"a": 1}'
    assert unpack(b"") == b""
