from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.llm.failures import retry_after, said

NOON = 1_792_065_600.0  # Thu, 15 Oct 2026 12:00:00 GMT, in seconds since the epoch


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "soon"}, None),
    ],
)
def test_retry_after_in_seconds(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, NOON) == seconds


def test_retry_after_as_a_date_is_counted_from_now() -> None:
    headers = {"retry-after": "Thu, 15 Oct 2026 12:00:30 GMT"}
    assert retry_after(headers, NOON) == 30


@given(st.text(max_size=40))
def test_any_retry_after_is_a_wait_or_nothing(value: str) -> None:
    wait = retry_after({"retry-after": value}, NOON)
    assert wait is None or wait >= 0


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "no such thing"}},
        {"message": "no such thing"},
        {"error": "no such thing"},
        "no such thing",
    ],
)
def test_words_are_found_in_any_shape_of_error(body: object) -> None:
    assert said(body, "") == "no such thing"


def test_words_are_short_and_without_the_secret() -> None:
    text = said({"message": "key sk-1234\n" + "x" * 1000}, "sk-1234")
    assert text.startswith("key *** xxx")
    assert len(text) == 300


def test_no_words_are_said_to_be_none() -> None:
    assert said(None, "sk-1234") == "no reason given"
