"""Assay with a model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from bot.demo.github import StandInGitHub
from bot.demo.model import KEY, MODEL, ScriptedModel
from bot.redis.embedded import EmbeddedRedis
from tests.flow.assay import CLEAN, CONFIG, REPOSITORY, Assay, running
from tests.flow.review.reviewing import (
    REVIEWED,
    Reviewer,
)


@pytest.fixture
def reviewer() -> Reviewer:
    return Reviewer()


@pytest.fixture
def server(reviewer: Reviewer) -> Iterator[ScriptedModel]:
    with ScriptedModel(reviewer, models=(MODEL, "other")) as scripted:
        yield scripted


@pytest.fixture
def more() -> dict[str, str]:
    """Settings that a test has beside the usual ones."""
    return {}


@pytest.fixture
def assay(
    github: StandInGitHub,
    redis: Redis,
    redis_server: EmbeddedRedis,
    server: ScriptedModel,
    more: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Assay]:
    redis.config_set("appendfsync", "no")
    people = {"alice": "write", "eve": "read"}
    github.add_repository(REPOSITORY, {CONFIG: REVIEWED, "demo.py": CLEAN}, collaborators=people)
    model = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": server.base_url, "ASSAY_LLM_MODEL": MODEL}
    prices = tmp_path / "prices.toml"
    prices.write_text(f"{MODEL} = {{input = 0.01, output = 0.01}}")
    model["ASSAY_LLM_PRICES"] = str(prices)
    with running(github, redis, redis_server.url, tmp_path, monkeypatch, **(model | more)) as application:
        yield application
    redis.config_set("appendfsync", "always")


@pytest.fixture
def two_prices(more: dict[str, str], tmp_path: Path) -> None:
    """To be asked for before `assay`."""
    table = tmp_path / "two.toml"
    table.write_text(f"{MODEL} = {{input = 1, output = 1}}\nother = {{input = 100, output = 100}}")
    more["ASSAY_LLM_PRICES"] = str(table)


@pytest.fixture
def allowed(more: dict[str, str]) -> None:
    """To be asked for before `assay`."""
    more |= {"ASSAY_LLM_VERIFY_MODEL": "other", "ASSAY_LLM_MODELS": "another"}


@pytest.fixture
def unlogged(more: dict[str, str]) -> None:
    """To be asked for before `assay`."""
    more["ASSAY_LLM_LOG"] = "false"


@pytest.fixture
def by_responses(more: dict[str, str]) -> None:
    """Asked by the Responses API. To be asked for before `assay`."""
    more["ASSAY_LLM_API"] = "responses"


@pytest.fixture
def backup(more: dict[str, str]) -> Iterator[Reviewer]:
    """A second provider. To be asked for before `assay`."""
    second = Reviewer()
    with ScriptedModel(second, models=("large",), key="sk-of-the-backup") as scripted:
        table = f'[backup]\nurl = "{scripted.base_url}"\nkey = "sk-of-the-backup"\nmodel = "large"'
        more["ASSAY_LLM_FALLBACKS"] = table
        yield second
