"""deps.dev's API, against a server that speaks it."""

from __future__ import annotations

import pytest

from bot.errors import Unavailable
from workers.agent import Facts
from workers.osv.registry import DepsDev

from .server import osv


def test_tells_what_is_known_of_versions() -> None:
    with osv() as server:
        server.versions = {
            "NPM/packages/@colors/colors/versions/1.5.0": {
                "publishedAt": "2022-02-12T03:40:01Z",
                "licenses": ["MIT"],
                "isDefault": True,
                "isDeprecated": False,
            },
            "GO/packages/github.com/a/b/versions/v1.0.0": {"isDeprecated": True, "deprecatedReason": "retracted"},
        }
        asked = [
            ("npm", "@colors/colors", "1.5.0"),
            ("Go", "github.com/a/b", "1.0.0"),
            ("npm", "own", "1.0.0"),
            ("Packagist", "a/b", "1"),
        ]
        assert DepsDev(server.url).facts(asked) == [
            Facts(published="2022-02-12", licence="MIT"),
            Facts(deprecated="retracted"),
            None,
            None,
        ]
        assert len(server.requests) == 3


def test_a_server_that_fails_is_told() -> None:
    with osv() as server:
        server.failures = [500] * 3
        with pytest.raises(Unavailable, match="500"):
            DepsDev(server.url).facts([("npm", "a", "1.0.0")])
