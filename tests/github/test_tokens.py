"""The tokens of installations."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from bot.errors import Gone, Refused, Unavailable
from tests.github.hub import REPOSITORY, Hub, answer, moved

PATH = f"/repos/{REPOSITORY}"
TOKENS = "/app/installations/7/access_tokens"
CHECKS = {"checks": "write"}


@pytest.fixture
def hub() -> Hub:
    return Hub()


def token(name: str = "x") -> httpx.Response:
    return answer({"token": f"ghs_{name}", "expires_at": "2100-01-01T00:00:00Z"}, 201)


def test_a_token_reaches_one_repository_and_has_the_jobs_permissions(hub: Hub) -> None:
    assert hub.app().token(7, REPOSITORY, CHECKS) == "ghs_1"
    assert hub.issued == [{"repositories": ["spoon"], "permissions": CHECKS}]
    assert hub.requests[0].url.path == "/app/installations/7/access_tokens"


def test_tokens_are_kept_apart_by_scope_and_used_until_five_minutes_before_their_end(hub: Hub) -> None:
    app = hub.app()
    first = app.token(7, REPOSITORY, CHECKS)
    assert app.token(7, REPOSITORY, dict(CHECKS)) == first
    others = {app.token(7, REPOSITORY, {}), app.token(7, "octo/fork", CHECKS), app.token(8, REPOSITORY, CHECKS)}
    assert first not in others
    assert len(others) == 3
    hub.now += 3600 - 301
    assert app.token(7, REPOSITORY, CHECKS) == first
    hub.now += 2
    assert app.token(7, REPOSITORY, CHECKS) != first


def test_a_revoked_token_is_replaced_once(hub: Hub) -> None:
    hub.plan("GET", PATH, answer({"message": "Bad credentials"}, 401), answer({"id": 1}))
    assert hub.api().request("GET", PATH) == {"id": 1}
    assert len(hub.issued) == 2


@pytest.mark.parametrize("reply", [answer(None, 204), answer({"message": "Bad credentials"}, 401), answer({}, 500)])
def test_a_token_that_is_let_go_is_revoked_and_never_used_again(hub: Hub, reply: httpx.Response) -> None:
    hub.plan("GET", PATH, answer({"id": 1}))
    hub.plan("DELETE", "/installation/token", reply)
    api = hub.api()
    api.let_go()
    assert hub.requests == []
    for _ in range(2):
        api.request("GET", PATH)
    api.let_go()
    api.let_go()
    assert {request.headers["authorization"] for request in hub.sent("DELETE", "/installation/token")} == {
        "Bearer ghs_1"
    }
    api.request("GET", PATH)
    assert hub.requests[-1].headers["authorization"] == "Bearer ghs_2"


def test_a_new_token_that_is_not_taken_either_may_be_taken_later(hub: Hub) -> None:
    hub.plan("GET", PATH, answer({"message": "Bad credentials"}, 401))
    with pytest.raises(Unavailable, match="just issued"):
        hub.api().request("GET", PATH)
    assert len(hub.sent("GET", PATH)) == 2


def test_a_suspended_installation_is_a_refusal_that_says_so(hub: Hub) -> None:
    hub.plan("POST", TOKENS, answer({"message": "This installation has been suspended"}, 403))
    with pytest.raises(Refused, match="has been suspended"):
        hub.api().request("GET", PATH)
    assert len(hub.requests) == 1


def test_the_token_of_a_renamed_repository_names_it_by_its_new_name(hub: Hub) -> None:
    unknown = answer({"message": "There is at least one repository that does not exist"}, 422)
    hub.plan("POST", TOKENS, unknown, token("broad"), token("narrow"))
    hub.plan("GET", PATH, moved(301, "/repositories/9"))
    hub.plan("GET", "/repositories/9", answer({"full_name": "octo/fork"}))
    assert hub.app().token(7, REPOSITORY, CHECKS) == "ghs_narrow"
    assert [body.get("repositories") for body in hub.bodies("POST", TOKENS)] == [["spoon"], None, ["fork"]]
    assert hub.bodies("POST", TOKENS)[1]["permissions"] == {"metadata": "read"}


def test_a_renaming_is_found_whichever_locks_it_takes(hub: Hub) -> None:
    """To find the new name takes another token while the first is asked for: of many, some share a lock by chance."""
    app, refusal = hub.app(), answer({"message": "Validation Failed"}, 422)
    hub.plan("GET", "/repos/octo/old", answer({"full_name": "octo/new"}))
    for installation in range(1, 100):
        token = answer({"token": f"ghs_{installation}", "expires_at": "2100-01-01T00:00:00Z"}, 201)
        # Refused by its old name; then the one for looking, and the one by its new name.
        hub.plan("POST", f"/app/installations/{installation}/access_tokens", refusal, token)
        assert app.token(installation, "octo/old", {"contents": "read"}) == f"ghs_{installation}"


def test_the_token_of_a_deleted_repository_is_gone(hub: Hub) -> None:
    hub.plan("POST", TOKENS, answer({"message": "There is at least one repository that does not exist"}, 422), token())
    with pytest.raises(Gone, match=PATH):
        hub.app().token(7, REPOSITORY, CHECKS)


def test_threads_share_an_app(hub: Hub) -> None:
    hub.plan("GET", PATH, answer({"id": 1}))
    api = hub.api()
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: api.request("GET", PATH), range(40))) == [{"id": 1}] * 40


def test_an_odd_token_answer_does_not_show_the_token(hub: Hub) -> None:
    hub.plan("POST", "/app/installations/7/access_tokens", answer({"token": "ghs_secret"}, 201))
    with pytest.raises(Unavailable) as caught:
        hub.app().token(7, REPOSITORY, CHECKS)
    assert "ghs_secret" not in str(caught.value)


def test_a_token_for_what_is_not_granted_is_refused(hub: Hub) -> None:
    refusal = answer({"message": "The permissions requested are not granted to this installation."}, 422)
    hub.plan("POST", TOKENS, refusal, token())
    hub.plan("GET", PATH, answer({"full_name": REPOSITORY}))
    with pytest.raises(Refused, match="not granted"):
        hub.app().token(7, REPOSITORY, CHECKS)
