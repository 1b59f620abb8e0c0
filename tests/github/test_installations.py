"""Where the App is installed, and its webhook's deliveries: what is asked and what is made of the answers."""

from __future__ import annotations

import pytest

from bot.errors import Gone, Misconfigured, Unavailable
from bot.github.app_hook import AppHook
from bot.github.installations import installations, repositories
from tests.github.hub import Hub, answer

TIME = "2026-11-21T10:00:00Z"
SECONDS = 1795255200.0


def test_installations_of_all_pages_are_listed() -> None:
    hub = Hub()
    first = [{"id": 1, "created_at": TIME, "suspended_at": None}]
    second = [{"id": 2, "created_at": TIME, "suspended_at": TIME}]
    link = '<https://api.github.com/app/installations?page=2>; rel="next"'
    hub.plan("GET", "/app/installations", answer(first, Link=link), answer(second))
    found = list(installations(hub.app()))
    assert [(one.id, one.created_at, one.suspended) for one in found] == [(1, SECONDS, False), (2, SECONDS, True)]
    assert [request.url.params["page"] for request in hub.sent("GET", "/app/installations")] == ["1", "2"]


def test_repositories_are_listed_by_a_token_that_reaches_all_and_may_only_read() -> None:
    hub = Hub()
    listed = {"id": 5, "full_name": "octo/spoon", "default_branch": "main", "pushed_at": TIME}
    hub.plan(
        "GET",
        "/installation/repositories",
        answer({"total_count": 2, "repositories": [listed, {**listed, "pushed_at": None, "archived": True}]}),
    )
    api = hub.app().installation_api(7, {"checks": "read"})
    (one, asleep), more = repositories(api, 3)
    assert (one.full_name, one.pushed_at, one.asleep, more) == ("octo/spoon", SECONDS, False, False)
    assert (asleep.pushed_at, asleep.asleep) == (0.0, True)
    assert hub.issued == [{"permissions": {"checks": "read"}}]
    assert hub.sent("GET", "/installation/repositories")[0].url.params["page"] == "3"


def test_token_for_a_whole_installation_may_not_write() -> None:
    with pytest.raises(ValueError, match="only read"):
        Hub().app().installation_api(7, {"checks": "write"})


def test_lists_of_a_whole_installation_are_not_kept() -> None:
    hub = Hub()
    hub.plan("GET", "/installation/repositories", answer({"repositories": []}, ETag='"1"'))
    api = hub.app().installation_api(7, {"checks": "read"})
    for _ in range(2):
        repositories(api, 1)
    assert ["if-none-match" in request.headers for request in hub.sent("GET", "/installation/repositories")] == [
        False,
        False,
    ]


def test_deliveries_come_by_pages_with_a_cursor() -> None:
    hub = Hub()
    attempt = {"id": 12, "guid": "g", "delivered_at": TIME, "redelivery": True, "status_code": 502}
    link = '<https://api.github.com/app/hook/deliveries?per_page=100&cursor=v1_3>; rel="next"'
    hub.plan("GET", "/app/hook/deliveries", answer([attempt], Link=link), answer([{**attempt, "status_code": 202}]))
    hook = AppHook(hub.app())
    (failed,), cursor = hook.deliveries()
    assert (failed.id, failed.guid, failed.at, failed.again, failed.ok) == (12, "g", SECONDS, True, False)
    (came,), end = hook.deliveries(cursor)
    assert (cursor, end, came.ok) == ("v1_3", "", True)
    asked = hub.sent("GET", "/app/hook/deliveries")
    assert [request.url.params.get("cursor") for request in asked] == [None, "v1_3"]


@pytest.mark.parametrize(
    ("reply", "error"), [(answer({}, 404), Gone), (answer({}, 401), Misconfigured), (answer({}, 500), Unavailable)]
)
def test_what_goes_wrong_is_told(reply: object, error: type[Exception]) -> None:
    hub = Hub()
    hub.plan("POST", "/app/hook/deliveries/5/attempts", reply)  # type: ignore[arg-type]  # one of the replies above
    with pytest.raises(error):
        AppHook(hub.app()).redeliver(5)


def test_answer_that_is_no_list_is_an_outage() -> None:
    hub = Hub()
    hub.plan("GET", "/app/hook/deliveries", answer({"message": "?"}))
    with pytest.raises(Unavailable):
        AppHook(hub.app()).deliveries()
