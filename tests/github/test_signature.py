from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.github.signature import sign, verify

BODY = b'{"zen": "Keep it logically awesome."}'


def test_githubs_own_example_verifies() -> None:
    """The values that docs.github.com publishes for testing an implementation."""
    header = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    assert sign(b"Hello, World!", "It's a Secret to Everybody") == header
    assert verify(b"Hello, World!", header, ["It's a Secret to Everybody"])


def test_current_and_previous_secret_both_count() -> None:
    assert verify(BODY, sign(BODY, "new"), ["new", "old"])
    assert verify(BODY, sign(BODY, "old"), ["new", "old"])
    assert not verify(BODY, sign(BODY, "older"), ["new", "old"])


def test_one_changed_byte_is_noticed() -> None:
    assert not verify(BODY + b" ", sign(BODY, "secret"), ["secret"])


def test_sha1_is_never_enough() -> None:
    digest = hmac.new(b"secret", BODY, hashlib.sha1).hexdigest()
    assert not verify(BODY, f"sha1={digest}", ["secret"])
    assert not verify(BODY, f"sha256={digest}", ["secret"])


@pytest.mark.parametrize("secrets", [[], [""], ["", ""]])
def test_without_a_secret_nothing_is_genuine(secrets: list[str]) -> None:
    assert not verify(BODY, sign(BODY, ""), secrets)


@pytest.mark.parametrize("header", [None, "", "sha256=", "sha256", "sha256=ä", "sha256=\ud800", "\0", "=" * 10_000])
def test_odd_headers_are_refused(header: str | None) -> None:
    assert not verify(BODY, header, ["secret"])


@given(st.text())
def test_no_header_raises(header: str) -> None:
    assert not verify(BODY, header, ["secret", "sécret"])


@given(st.binary(), st.text(min_size=1).filter(lambda text: text.isprintable()))
def test_what_was_signed_verifies(body: bytes, secret: str) -> None:
    assert verify(body, sign(body, secret), ["another", secret])
