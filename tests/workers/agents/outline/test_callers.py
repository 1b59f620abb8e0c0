"""Who calls what a change changes, in a tree of real files."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from bot.domain.diff import Diff, parse_diff
from tests.workers.agents.changes import patch_of
from tests.workers.stage import SANDBOX, plant
from workers.agents.outline import callers
from workers.agents.outline.callers import Caller, changed_names, find_callers
from workers.agents.outline.outline import outlines

BEFORE = "class Cart:\n    def total(self, values):\n        return sum(values)\n\n\ndef untouched():\n    return 1\n"
AFTER = BEFORE.replace("sum(values)", "sum(values, 1)")
TREE = {
    "shop/cart.py": AFTER,
    "shop/pay.py": "import shop.cart\n\n\nclass Till:\n    def pay(self, cart):\n        return cart.total(5)\n",
    "shop/talk.py": "# total(1) is only spoken of\nTEXT = 'total(2)'\ntotal = 3\n",
    "tests/test_cart.py": "def test_total():\n    assert Cart().total([]) == 1\n",
    "vendor/lib.py": "total(1)\n",
    ".hidden/a.py": "total(1)\n",
    "web/cart.js": "function show(cart) {\n  return cart.total([1]);\n}\n",
}


def diff_of(before: str, after: str, path: str = "shop/cart.py") -> Diff:
    return parse_diff(patch_of({path: before}, {path: after}).split("\n"))


def names_of(tmp_path: Path, before: str, after: str) -> tuple[str, ...]:
    plant(tmp_path, {"shop/cart.py": after})
    return changed_names(outlines(["shop/cart.py"], tmp_path, SANDBOX), diff_of(before, after))["shop/cart.py"]


def test_what_is_looked_for_is_the_innermost_that_changed(tmp_path: Path) -> None:
    assert names_of(tmp_path, BEFORE, AFTER) == ("total",)


@pytest.mark.parametrize("name", ["__init__", "get", "do", "test_it"])
def test_names_that_tell_nothing_are_not_looked_for(tmp_path: Path, name: str) -> None:
    assert names_of(tmp_path, f"def {name}():\n    return 1\n", f"def {name}():\n    return 2\n") == ()


def test_callers_are_found_where_the_diff_does_not_show_them_code_before_tests(tmp_path: Path) -> None:
    plant(tmp_path, TREE)
    found = find_callers(["total"], tmp_path, diff_of(BEFORE, AFTER), SANDBOX, lambda path: path.startswith("vendor/"))
    assert found == [
        Caller("total", "shop/pay.py", 6, "Till.pay", "return cart.total(5)"),
        Caller("total", "web/cart.js", 2, "show", "return cart.total([1]);"),
        Caller("total", "tests/test_cart.py", 2, "test_total", "assert Cart().total([]) == 1"),
    ]


def test_calls_on_lines_of_the_diff_are_left_out(tmp_path: Path) -> None:
    plant(tmp_path, {"shop/cart.py": "def total():\n    return total()\n"})
    diff = diff_of("", "def total():\n    return total()\n")
    assert find_callers(["total"], tmp_path, diff, SANDBOX, lambda _: False) == []


def test_of_many_callers_a_few_are_told(tmp_path: Path) -> None:
    plant(tmp_path, {f"f{number:03}.py": "total(1)\n" * 50 for number in range(100)})
    found = find_callers(["total"], tmp_path, Diff(), SANDBOX, lambda _: False)
    assert [(one.path, one.line) for one in found] == [("f000.py", 1), ("f001.py", 1), ("f002.py", 1)]


def test_links_lead_nowhere(tmp_path: Path) -> None:
    plant(tmp_path, {"outside.py": "total(1)\n", "tree/a.py": "x = 1\n"})
    (tmp_path / "tree" / "link.py").symlink_to(tmp_path / "outside.py")
    (tmp_path / "tree" / "up").symlink_to(tmp_path)
    assert find_callers(["total"], tmp_path / "tree", Diff(), SANDBOX, lambda _: False) == []


def test_a_large_tree_is_searched_for_a_bounded_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(tmp_path, {f"d{number % 50}/f{number}.py": "x = 1\n" * 200 for number in range(3_000)})
    begun = time.monotonic()
    assert find_callers(["total"], tmp_path, Diff(), SANDBOX, lambda _: False) == []
    assert time.monotonic() - begun < 5
    monkeypatch.setattr(callers, "_FILES", 10)
    plant(tmp_path, {"z/last.py": "total(1)\n"})
    assert find_callers(["total"], tmp_path, Diff(), SANDBOX, lambda _: False) == []
