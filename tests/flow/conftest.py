"""The whole of Assay, for flow tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from bot.demo.github import StandInGitHub
from bot.redis.embedded import EmbeddedRedis
from tests.contract.openapi import validate_requests
from tests.flow.assay import CLEAN, CONFIG, QUICK, REPOSITORY, Assay, running


@pytest.fixture
def github() -> Iterator[StandInGitHub]:
    with StandInGitHub() as stand_in:
        yield stand_in


@pytest.fixture
def assay(
    github: StandInGitHub, redis: Redis, redis_server: EmbeddedRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Assay]:
    """Assay with one repository. Afterwards every request that it made is held against GitHub's own description."""
    # That Redis waits for the disk is not what these tests are about.
    redis.config_set("appendfsync", "no")
    github.add_repository(REPOSITORY, {CONFIG: QUICK, "demo.py": CLEAN})
    with running(github, redis, redis_server.url, tmp_path, monkeypatch) as application:
        yield application
    redis.config_set("appendfsync", "always")
    assert github.unexpected == []
    assert validate_requests(github.requests) == []
