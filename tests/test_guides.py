"""The guides for those who add to Assay: what they show is executed, and their table is the registry's."""

from __future__ import annotations

import importlib
import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from config.reading import Layer, read
from config.repository import ExtensionConfig
from workers.reference import tools_table
from workers.registry import TOOLS

DOCS = Path(__file__).parent.parent / "docs"


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (DOCS / page).read_text("utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", ["adding-a-tool.md", "adding-an-agent.md"])
def test_the_example_works(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = page.removesuffix(".md").replace("-", "_")
    (tmp_path / f"{name}.py").write_text("\n".join(blocks(page, "python")), "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    names = vars(importlib.import_module(name))
    tests: list[Callable[[Path], None]] = [one for name, one in names.items() if name.startswith("test_")]
    assert tests
    for test in tests:
        test(tmp_path)


def test_the_agents_entry_point_and_configuration_are_valid() -> None:
    [package], [configuration] = blocks("adding-an-agent.md", "toml"), blocks("adding-an-agent.md", "yaml")
    points = tomllib.loads(package)["project"]["entry-points"]["assay.agents"]
    agents = read([Layer("repository", "assay.yml", configuration)]).config.agents
    sizes = agents.__pydantic_extra__["sizes"]
    assert isinstance(sizes, ExtensionConfig)
    assert sizes.uses in points


def test_the_table_of_tools_is_the_registrys() -> None:
    lock = (DOCS.parent / "requirements.lock").read_text("utf-8")
    table = tools_table(lock)
    assert table in (DOCS / "tools.md").read_text("utf-8"), f"docs/tools.md has to hold this table:\n{table}"
    assert len(table.splitlines()) == len(TOOLS) + 2
