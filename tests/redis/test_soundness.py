"""What is said of a Redis, by real ones; what is not to be had here, an old one and one elsewhere, is made up."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
from redis import Redis
from redis.exceptions import NoPermissionError

from bot.redis.connection import NONE, connect
from bot.redis.embedded import EmbeddedRedis
from bot.redis.soundness import Remark, examine
from config.redis_url import parse_redis_url
from tests.servers import Server

SOUND = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}


def remarks(client: Redis, url: str) -> list[Remark]:
    """All but that it is fine."""
    return [remark for remark in examine(client, parse_redis_url(url)) if remark.state != "ok"]


class Told:
    """A Redis that says what it is told to say; `settings` None: CONFIG is forbidden."""

    def __init__(self, settings: dict[str, str] | None = None, **info: object) -> None:
        self._settings = settings
        self._info = info

    def info(self) -> dict[str, object]:
        if not self._info:
            raise NoPermissionError("this user has no permissions to run the 'info' command")
        return self._info

    def config_get(self, pattern: str) -> dict[str, str]:
        if self._settings is None:
            raise NoPermissionError("this user has no permissions to run the 'config|get' command")
        return {name: value for name, value in self._settings.items() if name.startswith(pattern.rstrip("*"))}


def told(url: str = "redis://localhost", settings: dict[str, str] | None = None, **info: object) -> list[Remark]:
    return remarks(cast("Redis", Told(settings, **info)), url)


def test_embedded_one_is_sound(redis: Redis, redis_server: EmbeddedRedis) -> None:
    first, *others = examine(redis, parse_redis_url(redis_server.url))
    assert first.state == "ok"
    assert first.what.endswith(" answers")
    assert others == []


def test_one_that_has_not_been_set_up(tmp_path: Path) -> None:
    with (
        Server(tmp_path, "--maxmemory-policy", "allkeys-lru") as server,
        connect(server.url, NONE) as client,
    ):
        said = {remark.what: remark.remedy for remark in remarks(client, server.url)}
    assert list(said) == ["is not durable (appendonly no)", "evicts keys when memory is short (allkeys-lru)"]
    assert said["is not durable (appendonly no)"].startswith("set `appendonly yes` and `appendfsync always`")
    assert said["evicts keys when memory is short (allkeys-lru)"].startswith("set `maxmemory-policy noeviction`")


def test_one_whose_user_may_not_ask_is_unknown_and_no_failure(tmp_path: Path) -> None:
    acl = "user assay on >secret ~* &* +@all -config -info"
    with (
        Server(tmp_path, config=acl) as server,
        connect(f"redis://assay:secret@127.0.0.1:{server.port}", NONE) as client,
    ):
        version, configuration = remarks(client, server.url)
    assert (version.state, version.what) == ("warn", "version unknown")
    unknown = "does not tell how it is configured (appendonly, appendfsync, maxmemory-policy: unknown)"
    assert (configuration.state, configuration.what) == ("warn", unknown)


def test_one_that_forbids_config_is_asked_otherwise(tmp_path: Path) -> None:
    options = ("--rename-command", "CONFIG", "", "--maxmemory-policy", "volatile-ttl")
    with Server(tmp_path, *options) as server, connect(server.url, NONE) as client:
        said = [remark.what for remark in remarks(client, server.url)]
    assert said == ["is not durable (appendonly no)", "evicts keys when memory is short (volatile-ttl)"]


def test_late_writes() -> None:
    (remark,) = told(settings=SOUND | {"appendfsync": "everysec"}, redis_version="7.2.4")
    assert (remark.state, remark.what) == ("warn", "writes to disk late (appendfsync everysec)")


@pytest.mark.parametrize("version", ["6.2.0", "7.0.15", "10.0.1", "6.10.0"])
def test_recent_enough(version: str) -> None:
    assert told(settings=SOUND, redis_version=version) == []


@pytest.mark.parametrize("version", ["6.0.16", "5.0.7", "2.8.1"])
def test_too_old(version: str) -> None:
    assert told(settings=SOUND, redis_version=version) == [
        Remark("fail", f"{version} is too old", "install Redis 6.2 or later")
    ]


def test_network_without_tls() -> None:
    (remark,) = told("redis://redis.example.com", SOUND, redis_version="7.2.4")
    assert (remark.state, remark.what) == ("warn", "is reached over the network without TLS")
    assert told("rediss://redis.example.com", SOUND, redis_version="7.2.4") == []


def test_tls_that_checks_nothing() -> None:
    (remark,) = told("rediss://redis.example.com?ssl_cert_reqs=none", SOUND, redis_version="7.2.4")
    assert remark.what == "may be anybody (its certificate is not checked)"
