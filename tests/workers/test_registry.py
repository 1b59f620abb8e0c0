"""Which agents there are."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bot.errors import Misconfigured
from config.repository import BUILT_IN
from workers import registry
from workers.registry import AGENTS, FORMATS, TOOLS, agent_for


def test_every_kind_of_the_configuration_has_its_agent() -> None:
    assert set(AGENTS) == {*BUILT_IN, "command", "verify"}
    for kind in AGENTS:
        assert callable(agent_for(kind, {}).run)


def test_every_format_of_the_configuration_can_be_read() -> None:
    from typing import get_args

    from config.repository import Format

    assert {*FORMATS, "exit-code", "errorformat"} == set(get_args(Format))


def test_names_of_tools_are_unique() -> None:
    names = [tool.name for tool in TOOLS]
    assert len(set(names)) == len(names)


def test_an_unknown_kind_is_a_misconfiguration() -> None:
    with pytest.raises(Misconfigured, match="no agent 'tset'; there are test, lint"):
        agent_for("tset", {})


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package that brings agents."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "their_agents.py").write_text("class Mine:\n    def run(self, work, kit): ...\n")
    info = tmp_path / "their_agents-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-agents\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[assay.agents]\nmine = their_agents:Mine\ngone = their_agents:Gone\n")
    sys.modules.pop("their_agents", None)
    registry._extensions.cache_clear()


@pytest.mark.usefixtures("package")
def test_an_extension_is_found_by_its_entry_point() -> None:
    assert type(agent_for("extension", {"uses": "mine"})).__name__ == "Mine"


@pytest.mark.usefixtures("package")
def test_a_missing_extension_names_those_installed() -> None:
    with pytest.raises(
        Misconfigured, match=r"no installed package|No installed package brings an agent 'yours' .*gone, mine"
    ):
        agent_for("extension", {"uses": "yours"})


@pytest.mark.usefixtures("package")
def test_an_extension_that_cannot_be_loaded_says_why() -> None:
    with pytest.raises(Misconfigured, match="'gone' cannot be loaded: AttributeError"):
        agent_for("extension", {"uses": "gone"})
