from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from bot.errors import Gone, Misconfigured, Refused, Unavailable
from bot.github.client import MAX_PAGES, App
from bot.github.connection import Options
from bot.github.pacing import Paced
from tests.github.hub import APP_ID, REPOSITORY, Hub, answer, moved, pem

PATH = f"/repos/{REPOSITORY}"
CHECKS = {"checks": "write"}


@pytest.fixture
def hub() -> Hub:
    return Hub()


# Who we are


def test_info_is_asked_once_and_names_the_bot(hub: Hub) -> None:
    hub.plan("GET", "/app", answer({"slug": "assay", "name": "Assay", "permissions": CHECKS, "events": ["push"]}))
    app = hub.app()
    assert app.bot_login == "assay[bot]"
    assert app.info.events == ("push",)
    assert app.info.permissions == CHECKS
    assert len(hub.requests) == 1


def test_rejected_credentials_are_the_operators_to_mend(hub: Hub) -> None:
    hub.plan("GET", "/app", answer({"message": "A JSON web token could not be decoded"}, 401))
    with pytest.raises(Misconfigured, match="private key"):
        _ = hub.app().info


@pytest.mark.parametrize("key", ["", "junk", "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----"])
def test_a_bad_private_key_is_the_operators_to_mend(key: str) -> None:
    with App(APP_ID, key) as app, pytest.raises(Misconfigured, match="PEM"):
        _ = app.info


# Base URLs


def test_an_enterprise_servers_addresses() -> None:
    hub = Hub(prefix="/api/v3")
    hub.plan("GET", PATH, answer({"id": 1}))
    api = hub.api(api_url="https://github.example.com/api/v3")
    assert api.request("GET", PATH) == {"id": 1}
    hub.prefix = ""
    hub.plan("POST", "/api/graphql", answer({"data": {"viewer": 1}}))
    assert api.graphql("{viewer}", {}) == {"viewer": 1}
    assert {request.url.host for request in hub.requests} == {"github.example.com"}


def test_the_user_agent_is_ours(hub: Hub) -> None:
    hub.plan("GET", PATH, answer({}))
    hub.api().request("GET", PATH)
    assert {request.headers["user-agent"] for request in hub.requests} == {"assay/test"}


# Errors


@pytest.mark.parametrize("status", [404, 410])
def test_gone(hub: Hub, status: int) -> None:
    hub.plan("GET", PATH, answer({"message": "Not Found"}, status))
    with pytest.raises(Gone):
        hub.api().request("GET", PATH)


@pytest.mark.parametrize("status", [400, 403, 409, 422])
def test_refusals_carry_githubs_words(hub: Hub, status: int) -> None:
    errors = [{"resource": "CheckRun", "field": "name", "code": "missing_field"}, "odd", {"message": "no"}]
    hub.plan("POST", PATH, answer({"message": "Validation Failed", "errors": errors}, status))
    with pytest.raises(Refused, match=r"Validation Failed \(CheckRun name missing_field; odd; no\)") as caught:
        hub.api().request("POST", PATH, json={})
    assert caught.value.status == status
    assert hub.slept == []


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'{"message": null}'])
def test_refusals_without_words(hub: Hub, body: bytes) -> None:
    hub.plan("GET", PATH, httpx.Response(422, content=body))
    with pytest.raises(Refused):
        hub.api().request("GET", PATH)


def test_an_answer_that_is_no_json_is_a_failure(hub: Hub) -> None:
    hub.plan("GET", PATH, httpx.Response(200, content=b"<html>"))
    with pytest.raises(Unavailable, match="JSON"):
        hub.api().request("GET", PATH)


def test_an_empty_answer_is_none(hub: Hub) -> None:
    hub.plan("DELETE", PATH, httpx.Response(204))
    assert hub.api().request("DELETE", PATH) is None


def test_a_renamed_repository_is_followed(hub: Hub) -> None:
    hub.plan("GET", PATH, answer({}, 301, location="https://api.github.com/repositories/1"))
    hub.plan("GET", "/repositories/1", answer({"id": 1}))
    assert hub.api().request("GET", PATH) == {"id": 1}


# Trying again


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("trouble", [answer({}, 500), answer({}, 502), httpx.ReadError(""), httpx.ReadTimeout("")])
def test_failures_that_pass_are_tried_again(hub: Hub, method: str, trouble: httpx.Response | Exception) -> None:
    hub.plan(method, PATH, trouble, trouble, trouble, answer({"id": 1}))
    assert hub.api().request(method, PATH) == {"id": 1}
    assert len(hub.slept) == 3
    assert 0.25 <= hub.slept[0] <= 0.75
    assert 1 <= hub.slept[2] <= 3


def test_after_three_more_tries_it_is_unavailable(hub: Hub) -> None:
    hub.plan("GET", PATH, answer({}, 503))
    with pytest.raises(Unavailable, match="503"):
        hub.api().request("GET", PATH)
    assert len(hub.sent("GET", PATH)) == 4


@pytest.mark.parametrize("trouble", [answer({}, 502), httpx.ReadError(""), httpx.ReadTimeout(""), httpx.WriteError("")])
def test_a_post_whose_answer_was_lost_is_not_sent_again(hub: Hub, trouble: httpx.Response | Exception) -> None:
    hub.plan("POST", PATH, trouble, answer({"id": 1}))
    with pytest.raises(Unavailable):
        hub.api().request("POST", PATH)
    assert len(hub.sent("POST", PATH)) == 1


def test_a_post_that_may_be_repeated_is(hub: Hub) -> None:
    hub.plan("POST", PATH, httpx.ReadError(""), answer({}, 503), answer({"id": 1}))
    assert hub.api().request("POST", PATH, repeatable=True) == {"id": 1}


@pytest.mark.parametrize("trouble", [httpx.ConnectError("refused"), httpx.ConnectTimeout("")])
def test_a_post_that_was_never_sent_is_sent_again(hub: Hub, trouble: Exception) -> None:
    hub.plan("POST", PATH, trouble, answer({"id": 1}))
    assert hub.api().request("POST", PATH) == {"id": 1}


# Limits


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_short_limit_is_waited_for(hub: Hub, method: str) -> None:
    hub.plan(method, PATH, answer({}, 403, retry_after="3"), answer({}, 429, retry_after="4"), answer({"id": 1}))
    assert hub.api(patience=10.0).request(method, PATH) == {"id": 1}
    assert hub.slept == [3, 4]


def test_a_long_limit_is_the_callers_to_wait_for(hub: Hub) -> None:
    hub.plan("POST", PATH, answer({"message": "You have exceeded a secondary rate limit"}, 403))
    with pytest.raises(Unavailable) as caught:
        hub.api().request("POST", PATH)
    assert caught.value.retry_after == 60
    assert hub.slept == []


def test_patience_is_for_the_whole_request(hub: Hub) -> None:
    hub.plan("GET", PATH, answer({}, 429, retry_after="6"))
    with pytest.raises(Unavailable) as caught:
        hub.api(patience=10.0).request("GET", PATH)
    assert hub.slept == [6]
    assert caught.value.retry_after == 6


def test_nothing_is_asked_while_github_has_said_to_wait(hub: Hub) -> None:
    hub.plan("GET", PATH, answer({}, 429, retry_after="30"), answer({"id": 1}))
    app = hub.app()
    with pytest.raises(Unavailable):
        app.api(7, REPOSITORY, CHECKS).request("GET", PATH)
    hub.now += 20
    with pytest.raises(Unavailable) as caught:
        app.api(7, REPOSITORY, {"contents": "read"}).request("GET", PATH)
    assert caught.value.retry_after == 10
    assert len(hub.sent("GET", PATH)) == 1
    app.api(8, REPOSITORY, CHECKS).request("GET", PATH)
    hub.now += 10
    app.api(7, REPOSITORY, CHECKS).request("GET", PATH)


def test_patience_is_an_argument(hub: Hub) -> None:
    hub.plan("GET", PATH, answer({}, 429, retry_after="30"), answer({"id": 1}))
    assert hub.api(patience=60.0).request("GET", PATH) == {"id": 1}


def test_maintenance_says_when_to_come_back(hub: Hub) -> None:
    hub.plan("GET", PATH, answer({}, 503, retry_after="600"))
    with pytest.raises(Unavailable) as caught:
        hub.api().request("GET", PATH)
    assert caught.value.retry_after == 600


def test_no_try_begins_after_enough_time(hub: Hub) -> None:
    """Whoever publishes holds a lock meanwhile."""

    def slow(_: httpx.Request) -> httpx.Response:
        hub.now += 14
        raise httpx.ReadTimeout("")

    hub.plan("PATCH", PATH, slow)
    with pytest.raises(Unavailable):
        hub.api().request("PATCH", PATH)
    assert len(hub.sent("PATCH", PATH)) == 2


# Redirects


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH"])
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_request_is_sent_again_as_it_is_where_github_says(hub: Hub, method: str, status: int) -> None:
    hub.plan(method, PATH, moved(status, "/repositories/9?page=2"))
    hub.plan(method, "/repositories/9", answer({"id": 1}))
    body = None if method == "GET" else {"name": "x"}
    assert hub.api().request(method, PATH, json=body) == {"id": 1}
    (request,) = hub.sent(method, "/repositories/9")
    assert request.url.query == b"page=2"
    assert request.headers["authorization"] == "Bearer ghs_1"
    assert request.content == (b"" if method == "GET" else hub.sent(method, PATH)[0].content)


@pytest.mark.parametrize("host", ["https://evil.example", "http://api.github.com", "https://api.github.com:444", "//x"])
def test_a_token_goes_nowhere_but_to_github(hub: Hub, host: str) -> None:
    hub.plan("GET", PATH, moved(301, "/repositories/9", host))
    with pytest.raises(Refused, match="elsewhere"):
        hub.api().request("GET", PATH)
    assert {str(request.url.copy_with(path="/", query=None)) for request in hub.requests} == {"https://api.github.com/"}


def test_redirects_that_do_not_end_are_a_refusal(hub: Hub) -> None:
    hub.plan("POST", PATH, moved(307, PATH))
    with pytest.raises(Refused, match="circles"):
        hub.api().request("POST", PATH)
    assert len(hub.sent("POST", PATH)) == 3


# The budget of writes


@dataclass
class Purse:
    """A budget of so many writes."""

    left: int = 1000
    spent: list[int] = field(default_factory=list)
    holds: list[tuple[int, float]] = field(default_factory=list)

    def take(self, installation: int) -> None:
        if not self.left:
            raise Paced(5)
        self.left -= 1
        self.spent.append(installation)

    def hold(self, installation: int, seconds: float) -> None:
        self.holds.append((installation, seconds))


def test_every_try_of_a_write_is_counted_and_no_read(hub: Hub) -> None:
    purse = Purse()
    hub.plan("PATCH", PATH, answer({}, 502), httpx.ReadError(""), answer({"id": 1}))
    hub.plan("GET", PATH, answer({"id": 1}))
    hub.plan("POST", "/graphql", answer({"data": {}}))
    api = hub.api(budget=purse)
    api.request("PATCH", PATH)
    assert purse.spent == [7, 7, 7]
    api.request("GET", PATH)
    api.graphql("query", {})
    assert len(purse.spent) == 3
    api.graphql("mutation", {}, writes=True)
    assert len(purse.spent) == 4


def test_without_room_nothing_is_sent_and_reads_go_on(hub: Hub) -> None:
    hub.plan("GET", PATH, answer({"id": 1}))
    api = hub.api(budget=Purse(left=0))
    with pytest.raises(Paced) as caught:
        api.request("POST", PATH)
    assert caught.value.retry_after == 5
    assert hub.sent("POST", PATH) == []
    assert hub.slept == []
    assert api.request("GET", PATH) == {"id": 1}


def test_that_github_said_to_wait_is_told_to_all(hub: Hub) -> None:
    purse = Purse()
    hub.plan("GET", PATH, answer({}, 429, retry_after="30"))
    with pytest.raises(Unavailable):
        hub.api(budget=purse).request("GET", PATH)
    assert purse.holds == [(7, 30)]


# Conditional requests


def test_an_unchanged_answer_is_served_from_memory(hub: Hub) -> None:
    def reply(request: httpx.Request) -> httpx.Response:
        if request.headers.get("if-none-match") == '"v1"':
            return httpx.Response(304)
        return answer({"id": 1}, etag='"v1"')

    hub.plan("GET", PATH, reply)
    api = hub.api()
    assert [api.request("GET", PATH) for _ in range(3)] == [{"id": 1}] * 3
    assert [r.headers.get("if-none-match") for r in hub.sent("GET", PATH)] == [None, '"v1"', '"v1"']


def test_a_changed_answer_replaces_the_one_in_memory(hub: Hub) -> None:
    hub.plan("GET", PATH, answer(1, etag='"v1"'), answer(2, etag='"v2"'), httpx.Response(304))
    api = hub.api()
    assert [api.request("GET", PATH) for _ in range(3)] == [1, 2, 2]


def test_answers_are_kept_apart_by_token_scope_and_query(hub: Hub) -> None:
    hub.plan("GET", PATH, answer(1, etag='"v1"'))
    app = hub.app()
    app.api(7, REPOSITORY, CHECKS).request("GET", PATH)
    app.api(7, REPOSITORY, CHECKS).request("GET", PATH, params={"ref": "x"})
    app.api(7, REPOSITORY, {"contents": "read"}).request("GET", PATH)
    assert [r.headers.get("if-none-match") for r in hub.sent("GET", PATH)] == [None] * 3


# Pages


def test_pages_follow_the_link_header(hub: Hub) -> None:
    def reply(request: httpx.Request) -> httpx.Response:
        page = int(request.url.params.get("page", 1))
        assert request.url.params["per_page"] == "100"
        assert request.url.params["filter"] == "all"
        query = f"per_page=100&filter=all&page={page + 1}"
        link = f'<https://evil.example/repositories/1/x?{query}>; rel="next", <https://x>; rel="last"'
        data = {"total": 3, "items": [page]}
        return answer(data, link=link) if page < 3 else answer(data)

    hub.plan("GET", f"{PATH}/x", reply)
    assert list(hub.api().pages(f"{PATH}/x", {"filter": "all"}, key="items")) == [1, 2, 3]
    assert {request.url.host for request in hub.requests} == {"api.github.com"}


def test_pages_end_somewhere(hub: Hub) -> None:
    hub.plan("GET", PATH, answer([1], link='<https://api.github.com/x?page=2>; rel="next"'))
    assert len(list(hub.api().pages(PATH))) == MAX_PAGES


@pytest.mark.parametrize("data", [{}, {"items": {}}, None, "x"])
def test_a_page_that_is_no_list_is_a_failure(hub: Hub, data: object) -> None:
    hub.plan("GET", PATH, answer(data))
    with pytest.raises(Unavailable):
        list(hub.api().pages(PATH, key="items"))


# Real sockets


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    drops = 2
    connections: set[tuple[str, int]] = set()  # noqa: RUF012 - one server, one test

    def do_GET(self) -> None:
        self.connections.add(self.client_address)
        if type(self).drops:
            type(self).drops -= 1
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        body = b'{"slug": "assay", "name": "Assay", "permissions": {}, "events": []}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


@contextmanager
def serving() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_reset_connections_are_survived_and_good_ones_reused() -> None:
    with serving() as url, App(APP_ID, pem(), Options(api_url=url, sleep=lambda _: None)) as app:
        assert app.info.slug == "assay"
        del app.info
        assert app.bot_login == "assay[bot]"
        assert len(_Handler.connections) == 3


def test_nobody_listening_is_unavailable() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with (
            App(APP_ID, pem(), Options(api_url=url, sleep=lambda _: None)) as app,
            pytest.raises(Unavailable, match="refused"),
        ):
            _ = app.info
