"""OSV's API, against a server that speaks it."""

from __future__ import annotations

import pytest

from bot.errors import Theirs, Unavailable
from workers.osv.api import OsvApi

from .server import JINJA, LODASH, osv

LODASH_20, JINJA_2 = ("npm", "lodash", "4.17.20"), ("PyPI", "jinja2", "2.10")


def test_finds_and_reads_advisories() -> None:
    with osv(LODASH, JINJA) as server:
        api = OsvApi(server.url)
        found = api.find([LODASH_20, ("npm", "left-pad", "1.0.0"), JINJA_2])
        assert found == [[(LODASH["id"], LODASH["modified"])], [], [(JINJA["id"], JINJA["modified"])]]
        assert api.records([LODASH["id"]]) == {LODASH["id"]: LODASH}
        assert (api.name, api.records([])) == ("OSV at 127.0.0.1", {})


def test_reads_all_pages() -> None:
    many = [{**LODASH, "id": f"GHSA-{number:04}"} for number in range(5)]
    with osv(*many, page=2) as server:
        (found,) = OsvApi(server.url).find([LODASH_20])
        assert found is not None
        assert [id_ for id_, _ in found] == [one["id"] for one in many]


def test_asks_for_no_more_than_a_thousand_at_once() -> None:
    with osv(LODASH) as server:
        found = OsvApi(server.url).find([("npm", f"p{number}", "1") for number in range(1500)] + [LODASH_20])
        assert found[-1] == [(LODASH["id"], LODASH["modified"])]
        assert [len(body["queries"]) for _, body in server.requests] == [1000, 501]


def test_tries_again_what_passes() -> None:
    with osv(LODASH) as server:
        server.failures = [503, 429]
        assert OsvApi(server.url).find([LODASH_20])[0]


@pytest.mark.parametrize(("status", "error"), [(503, Unavailable), (400, Theirs), (302, Theirs)])
def test_failures_are_told(status: int, error: type[Exception]) -> None:
    with osv(LODASH) as server:
        server.failures = [status] * 3
        with pytest.raises(error, match=str(status)):
            OsvApi(server.url).find([LODASH_20])


def test_an_advisory_that_it_does_not_have_is_told() -> None:
    with osv(LODASH) as server, pytest.raises(Theirs, match="does not have GHSA-gone"):
        OsvApi(server.url).records([LODASH["id"], "GHSA-gone"])


def test_a_server_that_is_away() -> None:
    with osv() as server:
        url = server.url
    with pytest.raises(Unavailable, match="ConnectError"):
        OsvApi(url).find([LODASH_20])
