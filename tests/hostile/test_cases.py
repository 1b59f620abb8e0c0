"""The table of hostile cases is true: there are enough of them, each is shown by a test that exists, and no known way
in is left out."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.hostile.cases import CASES, LISTS, Case, lists, table

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text("utf-8")
ENOUGH = 45


@cache
def functions(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def test_there_are_enough() -> None:
    assert len({case.what for case in CASES}) == len(CASES) >= ENOUGH


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what[:40])
def test_a_case_is_shown_by_tests_that_exist(case: Case) -> None:
    assert case.tests
    for test in case.tests:
        file, _, name = test.partition("::")
        assert name in functions(file), test


@pytest.mark.parametrize("name", LISTS)
def test_every_known_way_in_is_tried(name: str) -> None:
    assert any(name in case.met for case in CASES)


def test_nothing_is_met_that_is_on_no_list() -> None:
    assert {name for case in CASES for name in case.met} <= set(LISTS)


@pytest.mark.parametrize("part", [table(), lists()], ids=["cases", "lists"])
def test_the_page_holds_the_table(part: str) -> None:
    assert part in PAGE, f"put this into docs/security.md:\n{part}"
