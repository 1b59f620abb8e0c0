from __future__ import annotations

from email.utils import formatdate

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.github.limits import LONGEST, backoff, hold, retry_after
from tests.github.hub import answer

NOW = 1_800_000_000.0


def from_graphql(data: object) -> httpx.Response:
    response = answer(data)
    response.request = httpx.Request("POST", "https://api.github.com/graphql")
    return response


@pytest.mark.parametrize("status", [403, 429])
def test_retry_after_is_obeyed(status: int) -> None:
    assert hold(answer({}, status, retry_after="17"), NOW) == 17


def test_retry_after_may_be_a_date() -> None:
    assert hold(answer({}, 429, retry_after=formatdate(NOW + 30, usegmt=True)), NOW) == 30


def test_the_primary_limit_waits_for_its_reset() -> None:
    headers = {"x_ratelimit_remaining": "0", "x_ratelimit_reset": str(int(NOW) + 90)}
    assert hold(answer({"message": "API rate limit exceeded"}, 403, **headers), NOW) == 91


def test_a_reset_in_the_past_does_not_wait_backwards() -> None:
    headers = {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "1"}
    assert hold(answer({}, 403, **headers), NOW) == 0


def test_a_secondary_limit_without_a_time_waits_a_minute() -> None:
    headers = {"x_ratelimit_remaining": "4000", "x_ratelimit_reset": str(int(NOW) + 900)}
    response = answer({"message": "You have exceeded a secondary rate limit. Please wait."}, 403, **headers)
    assert hold(response, NOW) == 60


def test_429_alone_waits_a_minute() -> None:
    assert hold(httpx.Response(429), NOW) == 60


def test_a_missing_permission_is_no_limit() -> None:
    response = answer({"message": "Resource not accessible by integration"}, 403, x_ratelimit_remaining="4999")
    assert hold(response, NOW) is None


@pytest.mark.parametrize("status", [401, 404, 422, 500, 503])
def test_other_failures_are_no_limit(status: int) -> None:
    assert hold(answer({}, status, retry_after="5"), NOW) is None


@pytest.mark.parametrize("kind", ["RATE_LIMIT", "RATE_LIMITED"])
def test_graphql_tells_of_its_limit_with_a_200(kind: str) -> None:
    assert hold(from_graphql({"errors": [{"type": kind, "message": "no more"}]}), NOW) == 60


@pytest.mark.parametrize("data", [{"data": {}}, {"errors": "x"}, {"errors": [1]}, {"errors": [{}]}, [], None])
def test_other_graphql_answers_are_no_limit(data: object) -> None:
    assert hold(from_graphql(data), NOW) is None


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_no_header_breaks_the_reading(value: str) -> None:
    seconds = retry_after(answer({}, 503, retry_after=value), NOW)
    assert seconds is None or 0 <= seconds <= LONGEST


def test_nobody_waits_longer_than_the_window() -> None:
    assert hold(answer({}, 429, retry_after="9" * 30), NOW) == LONGEST


@given(st.integers(min_value=0, max_value=3))
def test_backoff_doubles_around_half_a_second(attempt: int) -> None:
    assert 0.25 * 2**attempt <= backoff(attempt) <= 0.75 * 2**attempt
