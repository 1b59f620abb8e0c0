"""What counts as missed, hidden or out of place when Assay is held against the tools by hand."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from bench.compare.__main__ import main
from bench.compare.score import Hit, Shown, Tally, changed_lines, shown_of, tally, unnamed
from bench.compare.tools import HANDS

HEAD = {"a.py": ["import os", "x = y", "import os"]}
BASE = {"a.py": ["import os"]}


def hit(line: int, rule: str = "F401", path: str = "a.py") -> Hit:
    return Hit("ruff", rule, path, line)


def shown(line: int, rule: str = "F401", *, new: bool = True, tools: str = "ruff", path: str = "a.py") -> Shown:
    return Shown(frozenset(tools.split()), rule, path, line, line, new)


def text(files: Mapping[str, list[str]], path: str, line: int) -> str:
    return "".join(files.get(path, [])[line - 1 : line])


def count(head: list[Hit], told: list[Shown], base: list[Hit] | None = None, *, said: bool = False) -> Tally:
    texts = (lambda path, line: text(HEAD, path, line)), (lambda path, line: text(BASE, path, line))
    return tally(head, base or [], told, {"a.py": {2, 3}}, texts, lambda hit: hit.rule != "D100", lambda _: said)


def test_what_is_printed_on_a_changed_line_and_not_shown_is_missed() -> None:
    done = count([hit(2, "F821"), hit(3)], [shown(2, "F821")])
    assert (done.hits, done.shown, done.missed) == (2, 1, [hit(3)])


def test_what_lies_on_lines_that_did_not_change_is_nobodys_business() -> None:
    assert count([hit(1)], []) == Tally()


def test_old_is_as_many_as_the_base_has_of_the_same_words() -> None:
    """Line 1 was there: what it says is its own, and the same words on line 3 are new."""
    assert count([hit(3)], [], [hit(1)]).old == 1
    assert count([hit(1), hit(3)], [], [hit(1)]).missed == [hit(3)]
    assert count([hit(1), hit(3)], [shown(3, new=False)], [hit(1)]).hidden == [hit(3)]


def test_of_a_rule_that_is_left_out_or_a_file_that_is_said_to_be_nothing_is_missed() -> None:
    assert count([hit(2, "D100")], []).chosen == 1
    assert count([hit(2)], [], said=True).said == 1


def test_what_is_shown_where_nothing_changed_is_outside() -> None:
    done = count([], [shown(1), shown(2), shown(1, path="b.py")])
    assert done.outside == [shown(1), shown(1, path="b.py")]


def test_of_two_tools_that_say_the_same_one_speaks() -> None:
    assert count([hit(2, "E9")], [shown(2, "syntax", tools="ruff toml")]).shown == 1
    assert count([hit(2, "E9")], [shown(2, "syntax")]).missed


def test_changed_lines_of_a_patch_without_context() -> None:
    patch = (
        "diff --git old.py a b.py\n--- old.py\n+++ a b.py\t\n"
        "@@ -1 +1,2 @@ def f():\n-x\n+x\n+y\n@@ -9,2 +8,0 @@\n-a\n-b\n"
        "diff --git gone.py gone.py\n--- gone.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n"
        'diff --git "\\"\\303\\244.sh" "\\"\\303\\244.sh"\n--- /dev/null\n+++ "\\"\\303\\244.sh"\n@@ -0,0 +1 @@\n+x\n'
    )
    assert changed_lines(patch) == {"a b.py": {1, 2}, '"ä.sh': {1}}


REPORT: dict[str, Any] = {
    "agents": [{"tools": {"ruff": "1"}, "not_covered": [{"what": "a.toml", "why": "gosec would, where installed"}]}],
    "findings": [
        {"tool": "ruff", "sources": ["lint/ruff"], "rule": "F401", "path": "a.py"}
        | {"start_line": line, "end_line": None, "new": True}
        for line in (3, None)
    ],
}


def test_a_report_names_what_ran_and_what_is_missing() -> None:
    assert unnamed(["ruff", "gosec", "govet", "toml"], REPORT) == ["govet", "toml"]
    assert shown_of(REPORT) == [shown(3)]


def test_hands_know_their_files_by_name_first_line_and_configuration(tmp_path: Path) -> None:
    hands = {hand.name: hand for hand in HANDS}
    (tmp_path / "run").write_text("#!/usr/bin/env bash\n")
    (tmp_path / "a.c").write_text("int x;\n")
    assert hands["shellcheck"].reads(tmp_path, "run")
    assert not hands["ruff"].reads(tmp_path, "run")
    assert not hands["clang-format"].reads(tmp_path, "a.c")
    (tmp_path / ".clang-format").write_text("")
    assert hands["clang-format"].reads(tmp_path, "a.c")


def test_a_real_change_by_real_tools(tmp_path: Path) -> None:
    """The whole: an import that is not used, beside one that was there, and a shell script."""

    def git(*args: str) -> None:
        names = ["-c", "user.name=a", "-c", "user.email=a@b.example"]
        subprocess.run(["git", *names, *args], cwd=tmp_path / "repo", check=True, capture_output=True)

    (tmp_path / "repo").mkdir()
    git("init", "--quiet")
    (tmp_path / "repo/a.py").write_text("import os\n")
    git("add", ".")
    git("commit", "-m", "one")
    (tmp_path / "repo/a.py").write_text("import os\nimport sys\n")
    (tmp_path / "repo/go.sh").write_text("#!/bin/sh\necho $1\n")
    git("add", ".")
    git("commit", "-m", "two")
    words = tmp_path / "words"
    done = CliRunner().invoke(main, [f"mine={tmp_path / 'repo'}", "--commits", "1", "--words", str(words)])
    assert "| mine | Python, shell | 1 | bandit, detect-secrets, ruff, shellcheck | 2 | 2 | 0 |" in done.output
    assert done.exit_code == 0, done.output
    assert len(json.loads(next(words.glob("*.json")).read_text())["findings"]) == 2
    done = CliRunner().invoke(main, [f"mine={tmp_path / 'repo'}", "--whole"])
    assert "| mine | Python, shell | 1 | bandit, detect-secrets, ruff, shellcheck | 3 | 3 | 0 |" in done.output
