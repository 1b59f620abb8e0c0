"""Whether what a reviewer suggests can be taken, by the real grammars."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pytest

from bot.domain.findings import Finding, Severity
from tests.workers.agents.review.reviewing import NO_SANDBOX
from tests.workers.stage import SANDBOX, plant
from workers.agent import Sandbox
from workers.agents.replacements import LONGEST, checked

TREE = {
    "a.py": "def f(x):\n    return x + 1\n",
    "crlf.py": "def f(x):\r\n    return x + 1\r\n",
    "A.java": "class A {\n  int f() { return 1; }\n}\n",
    "macro.c": "LIST_HEAD(x) y {\nint f(void) {\n  return 1;\n}\n",
    "a.json": '{\n  "a": 1\n}\n',
    "jsonc.json": '{\n  // why\n  "a": 1\n}\n',
    "a.yml": "a: 1\nb: [1]\n",
    "a.toml": "a = 1\nb = [1]\n",
    "a.md": "# Title\nWords\n",
    "a.kt": "fun f(): Int {\n  return 1\n}\n",
}
BROKEN = "1 suggested change dropped: the file would not parse, or nothing here can tell."


def found(path: str, replacement: str | None, first: int = 2, last: int | None = None) -> Finding:
    return Finding(
        tool="review",
        rule="review/bug",
        severity=Severity.LOW,
        message="M",
        path=path,
        start_line=first,
        end_line=last or first,
        replacement=replacement,
    )


def check(
    root: Path, *findings: Finding, altered: Collection[tuple[str, int]] = (), sandbox: Sandbox = SANDBOX
) -> tuple[list[str | None], list[str]]:
    plant(root, TREE)
    kept, sentences = checked(findings, altered, root, sandbox)
    assert [one.model_copy(update={"replacement": None}) for one in kept] == [
        one.model_copy(update={"replacement": None}) for one in findings
    ], "what it is about is kept"
    return [one.replacement for one in kept], sentences


def test_what_parses_is_kept_in_every_kind_of_file_that_is_read_here(tmp_path: Path) -> None:
    good = {
        "a.py": "    return x",
        "crlf.py": "    return x",
        "A.java": "  int f() { return 2; }",
        "macro.c": "int f(int a) {",
        "a.json": '  "a": 2',
        "a.yml": "b: [2]",
        "a.toml": "b = [2]",
        "a.md": "Better (words",
    }
    assert check(tmp_path, *(found(*one) for one in good.items())) == (list(good.values()), [])


def test_what_does_not_is_dropped_and_counted(tmp_path: Path) -> None:
    bad = {
        "a.py": "    return (x",
        "crlf.py": "  return x\n    y",
        "A.java": "  int f() { return 2 }",
        "macro.c": "int f(void {",
        "a.json": '  "a": 2,,',
        "a.yml": "b: [2",
        "a.toml": "b = [2",
    }
    kept, (sentence,) = check(tmp_path, *(found(*one) for one in bad.items()))
    assert kept == [None] * len(bad)
    assert sentence == "7 suggested changes dropped: the file would not parse, or nothing here can tell."


def test_each_is_judged_by_itself(tmp_path: Path) -> None:
    both = (found("a.py", "    return (x"), found("a.py", "    return x"), found("a.py", None))
    assert check(tmp_path, *both) == ([None, "    return x", None], [BROKEN])


@pytest.mark.parametrize(("path", "text"), [("a.kt", "  return 2"), ("jsonc.json", '  "a": 2')])
def test_what_nothing_here_can_parse_is_not_suggested(tmp_path: Path, path: str, text: str) -> None:
    assert check(tmp_path, found(path, text)) == ([None], [BROKEN])


def test_where_nothing_can_be_run_only_prose_is_suggested(tmp_path: Path) -> None:
    both = (found("a.py", "    return x"), found("a.md", "Better"))
    assert check(tmp_path, *both, sandbox=NO_SANDBOX) == ([None, "Better"], [BROKEN])


@pytest.mark.parametrize(
    ("finding", "why"),
    [
        (found("a.py", "    return x + 1"), "it changes nothing"),
        (found("crlf.py", "    return x + 1"), "it changes nothing"),
        (found("a.md", "More", 2, 3), "does not fit the file"),
        (found("gone.py", "x = 1", 1), "does not fit the file"),
        (found("a.md", "x" * (LONGEST + 1)), "longer than"),
    ],
)
def test_what_cannot_be_applied_is_dropped(tmp_path: Path, finding: Finding, why: str) -> None:
    kept, (sentence,) = check(tmp_path, finding)
    assert kept == [None]
    assert why in sentence


def test_lines_that_the_model_did_not_see_are_not_written_by_it(tmp_path: Path) -> None:
    kept, (sentence,) = check(tmp_path, found("a.md", "[redacted: token]", 1, 2), altered={("a.md", 2)})
    assert kept == [None]
    assert sentence == "1 suggested change dropped: it would write back what was taken out before sending."


def test_a_link_out_of_the_tree_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "out.py").write_text("x = 1\ny = 2\n")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "in.py").symlink_to(tmp_path / "out.py")
    assert check(tmp_path / "tree", found("in.py", "y = 3"))[0] == [None]
