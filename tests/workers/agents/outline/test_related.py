"""Who uses what a change changes, and where is defined what it uses, in a tree of real files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from bot.domain.diff import Diff, parse_diff
from bot.domain.redact import redact
from tests.workers.agents.changes import patch_of
from tests.workers.stage import SANDBOX, plant
from workers.agents import tree
from workers.agents.outline import search
from workers.agents.outline.outline import outlines
from workers.agents.outline.related import Caller, Names, Related, find_related, names_of
from workers.agents.outline.search import module

BEFORE = "class Cart:\n    def total(self, values):\n        return sum(values)\n\n\ndef untouched():\n    return 1\n"
AFTER = BEFORE.replace("sum(values)", "sum(values, 1)")
TREE = {
    "shop/cart.py": AFTER,
    "shop/pay.py": "import shop.cart\n\n\nclass Till:\n    def pay(self, cart):\n        return cart.total(5)\n",
    "shop/talk.py": "# total(1) is only spoken of\nTEXT = 'total(2)'\ntotal = 3\n",
    "tests/test_cart.py": "from shop.cart import Cart\n\n\ndef test_total():\n    assert Cart().total([]) == 1\n",
    "vendor/lib.py": "x.total(1)\n",
    ".hidden/a.py": "x.total(1)\n",
    "web/cart.js": "function show(cart) {\n  return cart.total([1]);\n}\n",
}


def nothing(_: str) -> bool:
    return False


def diff_of(before: str, after: str, path: str = "shop/cart.py") -> Diff:
    return parse_diff(patch_of({path: before}, {path: after}).split("\n"))


def changed(tmp_path: Path, before: str, after: str) -> Names:
    plant(tmp_path / "old", {"shop/cart.py": before})
    plant(tmp_path / "new", {"shop/cart.py": after})
    was, found = (outlines(["shop/cart.py"], tmp_path / one, SANDBOX) for one in ("old", "new"))
    return names_of(found, diff_of(before, after), tree.reader(tmp_path / "new"), was)


def related(
    root: Path,
    files: Mapping[str, str],
    changes: Mapping[str, tuple[str, ...]],
    uses: Mapping[str, tuple[str, ...]] | None = None,
    skipped: Callable[[str], bool] = nothing,
) -> Related:
    plant(root, files)
    return find_related(Names(changes, uses or {}), root, SANDBOX, redact, skipped)


def places(found: Related) -> list[tuple[str, int]]:
    return [(one.path, one.line) for one in found.callers]


TOTAL = {"total": ("shop/cart.py",)}


# -- names


def test_what_is_looked_for_is_the_innermost_that_changed_and_what_its_lines_use(tmp_path: Path) -> None:
    after = AFTER.replace("sum(values, 1)", "summed(values, MOST)")
    names = changed(tmp_path, BEFORE, after)
    assert set(names.changed) == {"total"}
    assert set(names.used) == {"summed", "MOST"}


def test_what_is_gone_is_looked_for(tmp_path: Path) -> None:
    assert set(changed(tmp_path, BEFORE, BEFORE.replace("untouched", "other")).changed) == {"untouched", "other"}


def test_constant_that_changed_is_looked_for(tmp_path: Path) -> None:
    assert set(changed(tmp_path, "LIMIT = 1\n", "LIMIT = 2\n").changed) == {"LIMIT"}


@pytest.mark.parametrize("name", ["__init__", "get", "do", "test_it"])
def test_names_that_tell_nothing_are_not_looked_for(tmp_path: Path, name: str) -> None:
    names = changed(tmp_path, f"def {name}():\n    return 1\n", f"def {name}():\n    return {name}()\n")
    assert names.all == ()


# -- users


def test_users_are_found_code_before_tests_and_none_that_cannot_mean_it(tmp_path: Path) -> None:
    found = related(tmp_path, TREE, TOTAL, skipped=lambda path: path.startswith("vendor/"))
    assert found.callers == (
        Caller("total", "shop/pay.py", 6, "Till.pay", "return cart.total(5)"),
        Caller("total", "tests/test_cart.py", 5, "test_total", "assert Cart().total([]) == 1"),
    )


def test_who_imports_it_comes_first_then_the_nearest(tmp_path: Path) -> None:
    files = {
        "shop/cart.py": AFTER,
        "a/far.py": "x.total(1)\n",
        "shop/near.py": "x.total(1)\n",
        "z/importing.py": "from shop import cart\n\ncart.total(1)\n",
    }
    found = related(tmp_path, files, TOTAL)
    assert places(found) == [("z/importing.py", 3), ("shop/near.py", 1), ("a/far.py", 1)]


ELSEWHERE = {
    "python": (
        "cart.py",
        "def total():\n    pass\n",
        "from shop.cart import (\n    total,\n)\n\ntotal()\n",
        5,
        "total()\n",
    ),
    "javascript": (
        "cart.js",
        "export function total() {}\n",
        "import {\n  total,\n} from '../shop/cart';\nrun(total);\n",
        4,
        "total();\n",
    ),
    "typescript": (
        "cart.ts",
        "export function total() {}\n",
        "const { total } = require('../shop/cart');\n[1].map(total);\n",
        2,
        "total();\n",
    ),
}


@pytest.mark.parametrize("language", ELSEWHERE)
def test_name_by_itself_counts_only_where_it_is_imported(tmp_path: Path, language: str) -> None:
    name, text, importing, line, not_importing = ELSEWHERE[language]
    end = Path(name).suffix
    files = {f"shop/{name}": text, f"web/one{end}": importing, f"web/two{end}": not_importing}
    found = related(tmp_path, files, {"total": (f"shop/{name}",)})
    assert (f"web/one{end}", line) in places(found)
    assert {path for path, _ in places(found)} == {f"web/one{end}"}


IMPORTS = [
    ("a.go", 'package a\n\nimport (\n\t"fmt"\n\n\tshop "example.com/x/cart"\n)\n', "cart/total.go"),
    ("A.java", "package a;\nimport static com.shop.Cart.total;\n", "com/shop/Cart.java"),
    ("a.rs", "use crate::shop::cart::total;\n", "src/shop/cart.rs"),
    ("a.rs", "pub use shop::total;\n", "src/shop/mod.rs"),
    ("a.c", '#include "cart.h"\n', "src/cart.c"),
    ("A.cs", "using static Shop.Cart;\n", "Shop/Cart.cs"),
    ("a.rb", "require_relative 'shop/cart'\n", "shop/cart.rb"),
    ("a.php", "<?php\nuse App\\Shop\\Cart;\n", "src/Shop/Cart.php"),
    ("a.ts", "export * from './my-cart';\n", "web/my-cart.ts"),
    ("a.js", "const cart = await import('./cart.js');\n", "web/cart/index.js"),
]


@pytest.mark.parametrize(("path", "text", "other"), IMPORTS)
def test_imports_of_each_language_are_understood(path: str, text: str, other: str) -> None:
    assert module(f"deep/below/{path}", text).knows(module(other, ""))
    assert not module(f"deep/below/{path}", "x = 1\n").knows(module(other, ""))


def test_of_many_users_a_few_are_told(tmp_path: Path) -> None:
    files = {f"f{number:03}.py": "from shop import cart\ncart.total(1)\n" * 50 for number in range(100)}
    found = related(tmp_path, {"shop/cart.py": AFTER, **files}, TOTAL)
    assert places(found) == [("f000.py", 2), ("f001.py", 2), ("f002.py", 2)]


# -- definitions


def definitions(found: Related) -> list[tuple[str, int]]:
    return [(one.path, one.line) for one in found.definitions]


def test_definition_that_is_imported_is_the_one_that_is_meant(tmp_path: Path) -> None:
    files = {
        "app/use.py": "from shop.tax import taxed\n\ntaxed(1)\n",
        "shop/tax.py": "def taxed(amount):\n    return amount\n",
        "other/tax2.py": "def taxed(amount):\n    return 0\n",
    }
    found = related(tmp_path, files, {}, {"taxed": ("app/use.py",)})
    assert definitions(found) == [("shop/tax.py", 1)]
    assert found.definitions[0].lines == ("def taxed(amount):", "    return amount")
    assert found.definitions[0].users == {"app/use.py"}


def test_where_nothing_is_imported_only_a_single_one_is_told(tmp_path: Path) -> None:
    one = {"app/use.py": "x.taxed(1)\n", "shop/tax.py": "class Tax:\n    def taxed(self):\n        return 1\n"}
    uses = {"taxed": ("app/use.py",)}
    assert definitions(related(tmp_path, one, {}, uses)) == [("shop/tax.py", 2)]
    two = {"other/tax.py": "def taxed():\n    return 2\n"}
    assert definitions(related(tmp_path, one | two, {}, uses)) == []


def test_of_a_long_definition_the_beginning_is_told_without_secrets(tmp_path: Path) -> None:
    token = "ghp_" + "a1B2c3D4e5" * 4
    body = "".join(f"    x{number} = {number}\n" for number in range(50))
    files = {"use.py": "import tax\ntax.taxed()\n", "tax.py": f"def taxed():\n    key = '{token}'\n{body}"}
    (found,) = related(tmp_path, files, {}, {"taxed": ("use.py",)}).definitions
    assert len(found.lines) == 12
    assert token not in "".join(found.lines)


def test_what_everybody_uses_does_not_crowd_out_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_FOUND", 5)
    files = {f"a{number:02}.py": "raise ValueError('x')\n" for number in range(50)}
    more = {"z/use.py": "from z.tax import taxed\n\ntaxed(ValueError)\n", "z/tax.py": "def taxed():\n    pass\n"}
    found = related(tmp_path, files | more, {}, {"ValueError": ("z/use.py",), "taxed": ("z/use.py",)})
    assert definitions(found) == [("z/tax.py", 1)]


# -- limits


def test_links_lead_nowhere(tmp_path: Path) -> None:
    plant(tmp_path, {"outside.py": "x.total(1)\n", "tree/shop/cart.py": AFTER})
    (tmp_path / "tree" / "shop" / "link.py").symlink_to(tmp_path / "outside.py")
    (tmp_path / "tree" / "up").symlink_to(tmp_path)
    assert related(tmp_path / "tree", {}, TOTAL).callers == ()


@pytest.mark.parametrize("bound", ["_SECONDS", "_FILES", "_BYTES", "_FOUND"])
def test_a_search_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str) -> None:
    tree = {"shop/cart.py": AFTER, "shop/near.py": "x.total(1)\n"}
    assert places(related(tmp_path, tree, TOTAL)) == [("shop/near.py", 1)]
    monkeypatch.setattr(search, bound, -1)
    assert related(tmp_path, tree, TOTAL).callers == ()


def test_the_nearest_files_are_searched_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_FILES", 3)
    files = {f"d{number % 50}/f{number}.py": "x = 1\n" for number in range(50)}
    near = related(
        tmp_path, {"shop/cart.py": AFTER, **files, "z/last.py": "x.total(1)\n", "shop/near.py": "x.total(1)\n"}, TOTAL
    )
    assert places(near) == [("shop/near.py", 1)]
