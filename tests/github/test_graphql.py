"""GitHub's GraphQL API."""

from __future__ import annotations

import pytest

from bot.errors import Gone, Refused, Unavailable
from tests.github.hub import Hub, answer


@pytest.fixture
def hub() -> Hub:
    return Hub()


def test_graphql_sends_query_and_variables(hub: Hub) -> None:
    hub.plan("POST", "/graphql", answer({"data": {"x": 1}}))
    assert hub.api().graphql("query", {"n": 1}) == {"x": 1}
    assert hub.bodies("POST", "/graphql") == [{"query": "query", "variables": {"n": 1}}]


@pytest.mark.parametrize(
    ("kind", "error"), [("NOT_FOUND", Gone), ("FORBIDDEN", Refused), ("UNPROCESSABLE", Refused), (None, Refused)]
)
def test_graphql_errors_count_even_with_data(hub: Hub, kind: str | None, error: type[Exception]) -> None:
    hub.plan("POST", "/graphql", answer({"data": {"x": None}, "errors": [{"type": kind, "message": "sorry"}]}))
    with pytest.raises(error, match="sorry"):
        hub.api().graphql("query", {})


def test_a_graphql_limit_is_a_limit(hub: Hub) -> None:
    hub.plan("POST", "/graphql", answer({"errors": [{"type": "RATE_LIMITED", "message": "no more"}]}))
    with pytest.raises(Unavailable) as caught:
        hub.api().graphql("query", {})
    assert caught.value.retry_after == 60


@pytest.mark.parametrize("data", [[], {}, {"data": None}, {"errors": "x"}, {"errors": [1]}])
def test_odd_graphql_answers_are_failures(hub: Hub, data: object) -> None:
    hub.plan("POST", "/graphql", answer(data))
    with pytest.raises((Unavailable, Refused)):
        hub.api().graphql("query", {})
