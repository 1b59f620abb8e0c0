"""docs/configuration.md holds the tables that the models make, and its examples are valid."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from config.reading import Layer, default_text, read
from config.reference import key_tables, settings_table
from config.repository import RepositoryConfig

PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text("utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("table", [settings_table(), *key_tables().values(), default_text()])
def test_the_page_holds_the_table_as_the_models_make_it(table: str) -> None:
    assert table in PAGE, f"put this into docs/configuration.md:\n{table}"


def test_the_page_names_what_is_not_acted_on() -> None:
    everything = RepositoryConfig.model_validate(
        {
            "triggers": {"schedule": [{"cron": "0 3 * * 1"}]},
            "approvals": {"apply_fix": "write"},
            "notify": [{"a": "b"}],
            "workflows": {"a": {}},
        }
    )
    section = PAGE.partition("### Not acted on yet")[2].partition("###")[0]
    assert all(f"`{key}`" in section for key in everything.not_acted_on())


@pytest.mark.parametrize("text", EXAMPLES)
def test_an_example_of_the_page_reads_without_problems(text: str) -> None:
    assert read([Layer("example", "assay.yml", text)]).problems == ()
