"""Who may do what."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from bot.demo.github import StandInGitHub
from tests.demo.client import FILES, REPO, Client, Clock, as_app, with_token


def tokens(github: StandInGitHub) -> str:
    return f"/app/installations/{github.installation('octo')}/access_tokens"


def test_app_describes_itself_and_its_installations(github: StandInGitHub) -> None:
    app = as_app(github)
    told = app.ok("GET", "/app")
    assert (told["id"], told["slug"], told["permissions"]["checks"]) == (github.app_id, "assay-demo", "write")
    id_ = github.installation("octo")
    assert [one["id"] for one in app.ok("GET", "/app/installations")] == [id_]
    assert app.ok("GET", f"/app/installations/{id_}")["account"]["login"] == "octo"
    assert app.ok("GET", f"/repos/{REPO}/installation")["id"] == id_


def test_client_id_and_a_numeric_issuer_are_taken(github: StandInGitHub) -> None:
    assert as_app(github, iss=github.world.app.client_id).get("/app").status_code == 200


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"exp": 1}, "future time"),
        ({"exp": 4_000_000_000}, "too far in the future"),
        ({"iat": 4_000_000_000}, "Issued at"),
        ({"iat": "now"}, "Issued at"),
        ({"iss": "17"}, "Issuer"),
    ],
)
def test_jwt_with_wrong_claims_is_refused(shared: Client, claims: dict[str, object], words: str) -> None:
    answer = as_app(shared.github, **claims).get("/app")
    assert answer.status_code == 401
    assert words in answer.json()["message"]


def test_jwt_of_another_key_is_refused(github: StandInGitHub) -> None:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    github.private_key = other.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    answer = as_app(github).get("/app")
    assert (answer.status_code, answer.json()["message"]) == (401, "A JSON web token could not be decoded")


def test_nobody_is_refused(github: StandInGitHub) -> None:
    assert Client(github, {"User-Agent": "tests"}).get(f"/repos/{REPO}").status_code == 401


def test_token_lives_an_hour() -> None:
    clock = Clock()
    with StandInGitHub(clock=clock) as github:
        github.add_repository(REPO, FILES)
        client = with_token(github)
        clock.now += 3599
        assert client.get(f"/repos/{REPO}").status_code == 200
        clock.now += 1
        answer = client.get(f"/repos/{REPO}")
        assert (answer.status_code, answer.json()["message"]) == (401, "Bad credentials")


def test_token_can_be_made_to_expire_and_can_be_revoked(github: StandInGitHub, client: Client) -> None:
    other = with_token(github)
    assert other.call("DELETE", "/installation/token").status_code == 204
    assert other.get(f"/repos/{REPO}").status_code == 401
    assert client.get(f"/repos/{REPO}").status_code == 200
    github.expire_tokens()
    assert client.get(f"/repos/{REPO}").status_code == 401


@pytest.mark.parametrize(
    "narrowing",
    [
        {"permissions": {"administration": "read"}},
        {"permissions": {"contents": "write"}},
        {"permissions": {"checks": "admin"}},
        {"permissions": {"checks": "all"}},
        {"repositories": ["elsewhere"]},
        {"repository_ids": [1]},
        {"repositories": "demo"},
        {"repository": ["demo"]},
    ],
)
def test_token_cannot_be_asked_for_more_than_was_granted(shared: Client, narrowing: dict[str, object]) -> None:
    assert as_app(shared.github).post(tokens(shared.github), narrowing).status_code == 422


def test_narrowed_token_tells_what_it_may(github: StandInGitHub) -> None:
    narrowing = {"repositories": ["demo"], "permissions": {"checks": "read"}}
    told = as_app(github).ok("POST", tokens(github), narrowing)
    assert told["permissions"] == {"checks": "read", "metadata": "read"}
    assert [repo["full_name"] for repo in told["repositories"]] == [REPO]


def test_permission_that_the_token_lacks_is_refused(github: StandInGitHub) -> None:
    reader = with_token(github, permissions={"checks": "read"})
    assert reader.get(f"/repos/{REPO}/commits/main/check-runs").status_code == 200
    body = {"name": "x", "head_sha": github.head(REPO, "main")}
    answer = reader.post(f"/repos/{REPO}/check-runs", body)
    assert (answer.status_code, answer.json()["message"]) == (403, "Resource not accessible by integration")
    assert answer.headers["X-Accepted-GitHub-Permissions"] == "checks=write"
    assert reader.get(f"/repos/{REPO}/contents/app.py").status_code == 403


def test_comments_need_issues_or_pull_requests(github: StandInGitHub, pull: int) -> None:
    path, body = f"/repos/{REPO}/issues/{pull}/comments", {"body": "hello"}
    for permission in ("issues", "pull_requests"):
        assert with_token(github, permissions={permission: "write"}).post(path, body).status_code == 201
    assert with_token(github, permissions={"checks": "write"}).post(path, body).status_code == 403


def test_other_repositories_are_unknown_to_a_token(github: StandInGitHub, client: Client) -> None:
    github.add_repository("octo/second", FILES)
    github.add_repository("private/thing", FILES, installed=False)
    github.add_repository("public/thing", FILES, installed=False, private=False)
    narrowed = with_token(github, repositories=["demo"])
    assert client.get("/repos/octo/second").status_code == 200
    assert narrowed.get("/repos/octo/second").status_code == 404
    assert client.get("/repos/private/thing").status_code == 404
    assert client.get("/repos/public/thing/contents/app.py").status_code == 200
    sha = github.head("public/thing", "main")
    assert client.post(f"/repos/public/thing/statuses/{sha}", {"state": "success"}).status_code == 403
    offered = narrowed.ok("GET", "/installation/repositories")
    assert [repo["name"] for repo in offered["repositories"]] == ["demo"]


def test_app_and_installation_do_not_stand_in_for_each_other(github: StandInGitHub, client: Client) -> None:
    assert as_app(github).get(f"/repos/{REPO}").status_code == 403
    assert client.get("/app").status_code == 401


def test_uninstalled_app_is_locked_out(github: StandInGitHub, client: Client) -> None:
    github.announce_installation("octo", "deleted")
    assert client.get(f"/repos/{REPO}").status_code == 401
    assert as_app(github).get(f"/repos/{REPO}/installation").status_code == 404


def test_suspended_installation_is_locked_out_until_it_is_not(github: StandInGitHub, client: Client) -> None:
    app, tokens = as_app(github), f"/app/installations/{github.installation('octo')}/access_tokens"
    github.announce_installation("octo", "suspend")
    refused = client.get(f"/repos/{REPO}")
    assert (refused.status_code, refused.json()["message"]) == (403, "This installation has been suspended")
    assert app.call("POST", tokens, {}).status_code == 403
    assert app.ok("GET", "/app/installations")[0]["suspended_at"] is not None
    github.announce_installation("octo", "unsuspend")
    assert client.get(f"/repos/{REPO}").status_code == 200
    assert app.ok("GET", "/app/installations")[0]["suspended_at"] is None
