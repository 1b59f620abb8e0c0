"""What is defined where, by the real grammars, in a process of their own."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import NoSandbox
from tests.workers.stage import SANDBOX, plant
from workers.agent import Command, Completed
from workers.agents.outline import outline
from workers.agents.outline.inside import GRAMMARS, LARGEST
from workers.agents.outline.outline import LANGUAGES, Definition, Outline, Use, errors_in, outlines, parse
from workers.sandbox.choice import choose

# Of each language: a file, its definitions as (name, first line, last line, last line of its head), its uses.
SAMPLES = {
    "shop.py": (
        "class Cart:\n    @property\n    def total(\n        self,\n    ):\n        return helper(self.sum())\n",
        [("Cart", 1, 6, 1), ("total", 3, 6, 5)],
        [("helper", 6), ("sum", 6)],
    ),
    "shop.js": (
        "class Cart {\n  total(values) {\n    return helper(values) + this.sum();\n  }\n}\nconst f = (a) => {\n};\n",
        [("Cart", 1, 5, 1), ("total", 2, 4, 2), ("f", 6, 7, 6)],
        [("helper", 3), ("sum", 3)],
    ),
    "shop.ts": (
        "interface Shape { a: number }\nabstract class Cart {\n  total(v: any): any {\n    return helper(v);\n  }\n}\n",
        [("Shape", 1, 1, 1), ("Cart", 2, 6, 2), ("total", 3, 5, 3)],
        [("helper", 4)],
    ),
    "shop.tsx": (
        "function View(a: number) {\n  return <p>{helper(a)}</p>;\n}\n",
        [("View", 1, 3, 1)],
        [("helper", 2)],
    ),
    "shop.go": (
        "package shop\n\nfunc (c *Cart) Total(v []int) int {\n\treturn helper(v) + c.sum()\n}\n",
        [("Total", 3, 5, 3)],
        [("helper", 4), ("sum", 4)],
    ),
    "Shop.java": (
        "class Shop {\n  int total(int[] v)\n      throws E {\n    return helper(v) + this.sum();\n  }\n}\n",
        [("Shop", 1, 6, 1), ("total", 2, 5, 3)],
        [("helper", 4), ("sum", 4)],
    ),
    "shop.rs": (
        "impl Cart {\n    fn total(&self) -> i32 {\n        helper(1) + self.sum()\n    }\n}\n",
        [("Cart", 1, 5, 1), ("total", 2, 4, 2)],
        [("helper", 3), ("sum", 3)],
    ),
    "shop.c": (
        "static int\ntotal(struct cart *c)\n{\n  return helper(c) + c->sum(1);\n}\nchar *name(void) { return 0; }\n",
        [("total", 1, 5, 2), ("name", 6, 6, 6)],
        [("helper", 4), ("sum", 4)],
    ),
    "shop.cpp": (
        "class Cart { int total() { return helper(1); } };\nint Cart::all() { return other.sum(); }\n",
        [("Cart", 1, 1, 1), ("total", 1, 1, 1), ("Cart::all", 2, 2, 2)],
        [("helper", 1), ("sum", 2)],
    ),
    "Shop.cs": (
        "class Cart {\n  int Total(int[] v) {\n    return helper(v) + this.sum();\n  }\n}\n",
        [("Cart", 1, 5, 1), ("Total", 2, 4, 2)],
        [("helper", 3), ("sum", 3)],
    ),
    "shop.rb": (
        "module Shop\n  class Cart\n    def total(v)\n      helper(v) + self.sum()\n    end\n  end\nend\n",
        [("Shop", 1, 7, 1), ("Cart", 2, 6, 2), ("total", 3, 5, 3)],
        [("helper", 4), ("sum", 4)],
    ),
    "shop.php": (
        "<?php\nclass Cart {\n  function total($v) {\n    return helper($v) + $this->sum();\n  }\n}\n",
        [("Cart", 2, 6, 2), ("total", 3, 5, 3)],
        [("helper", 4), ("sum", 4)],
    ),
}


@pytest.mark.parametrize("path", SAMPLES)
def test_definitions_and_uses_of_each_language(tmp_path: Path, path: str) -> None:
    text, definitions, calls = SAMPLES[path]
    plant(tmp_path, {path: text})
    found = outlines([path], tmp_path, SANDBOX, ("helper", "sum"))[path]
    assert found.errors == 0
    assert found.definitions == tuple(Definition(*one) for one in definitions)
    assert found.uses == tuple(Use(name, line, alone=name == "helper") for name, line in calls)


# Of each language a constant, MAX, that is used, spoken of, and imported from somewhere else.
CONSTANTS = {
    "a.py": "from b import MAX\nMAX = 5\n# MAX\nx = 'MAX' + str(MAX)\n",
    "a.js": "import { MAX } from 'b';\nconst MAX = 5;\n// MAX\nf('MAX', MAX);\n",
    "a.ts": "import { MAX } from 'b';\nexport const MAX: number = 5;\n// MAX\nf('MAX', MAX);\n",
    "a.tsx": "import { MAX } from 'b';\nconst MAX = 5;\n// MAX\nf('MAX', MAX);\n",
    "a.go": 'package a\nconst MAX = 5\n// MAX\nvar v = f("MAX", MAX)\n',
    "A.java": 'import b.MAX;\nclass A { static final int MAX = 5; // MAX\n\n int f() { return g("MAX", MAX); } }\n',
    "a.rs": 'use b::MAX;\nconst MAX: i32 = 5;\n// MAX\nfn f() { g("MAX", MAX); }\n',
    "a.c": '#include "MAX.h"\n#define MAX 5\n// MAX\nint f() { return g("MAX", MAX); }\n',
    "a.cpp": '#include "MAX.h"\n#define MAX 5\n// MAX\nint f() { return g("MAX", MAX); }\n',
    "A.cs": 'using B.MAX;\nclass A { const int MAX = 5; // MAX\n\n int F() { return G("MAX", MAX); } }\n',
    "a.rb": "require 'MAX'\nMAX = 5\n# MAX\nputs('MAX', MAX)\n",
    "a.php": "<?php\nconst MAX = 5;\n// MAX\nf('MAX', MAX);\n",
}


@pytest.mark.parametrize("path", CONSTANTS)
def test_constants_are_definitions_and_only_what_is_code_uses_them(tmp_path: Path, path: str) -> None:
    plant(tmp_path, {path: CONSTANTS[path]})
    found = outlines([path], tmp_path, SANDBOX, ("MAX",))[path]
    assert [one.first for one in found.definitions if one.name == "MAX"] == [2]
    assert [(one.line, one.alone) for one in found.uses] == [(4, True)]


def test_every_language_has_a_constant() -> None:
    assert {LANGUAGES[Path(path).suffix] for path in CONSTANTS} == set(GRAMMARS)


# Of each language a file that does not parse.
BROKEN = {
    "a.py": "def f(:\n    pass\n",
    "a.js": "function f( {\n",
    "a.ts": "function f(a: {\n",
    "a.tsx": "const a = <p>;\n",
    "a.go": "package a\nfunc f( {}\n",
    "A.java": "class A { int f( { } }\n",
    "a.rs": "fn f( {}\n",
    "a.c": "int f(void) { return 1 }\n",
    "a.cpp": "class A { int f( }\n",
    "A.cs": "class A { int F( { } }\n",
    "a.rb": "def f(\n  1\n",
    "a.php": "<?php\nfunction f( {\n",
}


def test_what_does_not_parse_is_told(tmp_path: Path) -> None:
    data = {"a.json": "{}", "b.json": "{,}", "a.toml": "a = 1", "b.toml": "a =", "a.yml": "a: 1", "b.yaml": "a: [1"}
    plant(tmp_path, BROKEN | data | {"a.kt": "fun f("})
    errors = errors_in([*BROKEN, *data, "a.kt", "none.py"], tmp_path, SANDBOX)
    assert {LANGUAGES[Path(path).suffix] for path in BROKEN} == set(GRAMMARS)
    assert all(errors[path] > 0 for path in BROKEN)
    assert {path: errors.get(path) for path in data} == {
        "a.json": 0,
        "b.json": None,
        "a.toml": 0,
        "b.toml": None,
        "a.yml": 0,
        "b.yaml": None,
    }
    assert "a.kt" not in errors


def test_it_runs_in_the_sandbox_of_jobs(tmp_path: Path) -> None:
    sandbox = choose("auto", os.environ["PATH"]).make(threading.Event())
    if not sandbox.isolates:
        pytest.skip("there is no sandbox on this machine")
    tmp_path.chmod(0o755)
    plant(tmp_path / "tree", {path: text for path, (text, _, _) in SAMPLES.items()})
    assert set(outlines(list(SAMPLES), tmp_path / "tree", sandbox)) == set(SAMPLES)


def test_every_language_has_a_sample() -> None:
    assert set(LANGUAGES.values()) == set(GRAMMARS)
    assert {LANGUAGES[Path(path).suffix] for path in SAMPLES} == set(GRAMMARS)


def test_a_line_lies_in_definitions_from_the_outermost_in() -> None:
    one = Outline((Definition("inner", 3, 5, 3), Definition("outer", 1, 9, 1), Definition("other", 10, 12, 10)))
    assert [found.name for found in one.around(4)] == ["outer", "inner"]
    assert one.around(20) == ()


HOSTILE = {
    "deep": "(" * 200_000,
    "nested": "".join(f"{' ' * depth}def f{depth}():\n" for depth in range(500)) + " " * 500 + "pass\n",
    "many": "def f(): g()\n" * 20_000,
    "odd": "def \udcff\x00(): pass\n\u2028def g(): pass",
    "large": "x = 1\n" * (LARGEST // 6 + 1),
    "empty": "",
}


def test_a_hostile_file_takes_a_bounded_time_and_harms_no_other(tmp_path: Path) -> None:
    for name, text in HOSTILE.items():
        (tmp_path / f"{name}.py").write_bytes(text.encode("utf-8", "surrogateescape"))
    plant(tmp_path, {"z.py": "def last():\n    pass\n", "none.txt": "x"})
    begun = time.monotonic()
    found = outlines([*(f"{name}.py" for name in HOSTILE), "none.txt", "z.py"], tmp_path, SANDBOX, ("g",))
    assert time.monotonic() - begun < 15
    assert found["z.py"].definitions == (Definition("last", 1, 2, 1),)
    assert found["large.py"] == Outline()
    assert (found["empty.py"].errors, found["z.py"].errors) == (0, 0)
    assert all(len(one.definitions) <= 2_000 for one in found.values())
    assert all(len(one.uses) <= 2_000 for one in found.values())


def test_a_file_that_ends_the_program_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import json, os, sys\n"
        "for path, _ in json.load(sys.stdin)['files']:\n"
        "    if path == 'bad.py':\n"
        "        os.abort()\n"
        "    print(json.dumps([path, [['f', 1, 1, 1]], [], 0]), flush=True)\n"
    )
    monkeypatch.setattr(outline, "_PROGRAM", program)
    names = ["a.py", "bad.py", "b.py"]
    plant(tmp_path, dict.fromkeys(names, "x"))
    assert set(outlines(names, tmp_path, SANDBOX)) == {"a.py", "b.py"}
    assert set(outlines(["bad.py"] * 5 + ["c.py"], tmp_path, SANDBOX)) == set(), "it is given up after a few"


def test_a_file_that_takes_too_long_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outline, "_A_FILE", 0.5)
    # Opening it takes for ever.
    os.mkfifo(tmp_path / "a.py")
    plant(tmp_path, {"b.py": "def f(): pass\n"})
    begun = time.monotonic()
    assert set(outlines(["a.py", "b.py"], tmp_path, SANDBOX)) == {"b.py"}
    assert time.monotonic() - begun < 10


def test_where_nothing_can_be_run_nothing_is_known(tmp_path: Path) -> None:
    class Nowhere:
        level = "none"
        isolates = True

        def run(self, command: Command) -> Completed:
            raise NoSandbox("there is no sandbox")

        def which(self, program: str) -> str | None:
            raise AssertionError(program)

    plant(tmp_path, {"a.py": "def f(): pass\n"})
    assert outlines(["a.py"], tmp_path, Nowhere()) == {}


@given(
    st.lists(st.sampled_from(["a", "b", "c"]), unique=True),
    st.lists(
        st.text()
        | st.sampled_from(
            [json.dumps([name, [["f", 1, 2, 1]], [["g", 1, True]], 0]) for name in "abc"]
            + [
                "{}",
                "[]",
                '["a", [["f", 1]], [], 0]',
                '["a", [["f", "1", 2, 1]], [], 0]',
                "[" * 10_000,
                '["a", [], [], 0] x',
            ]
        )
    ),
)
def test_whatever_is_said_is_of_the_files_that_were_asked_for(paths: list[str], lines: list[str]) -> None:
    found = parse("\n".join(lines), paths)
    assert list(found) == paths[: len(found)]
