"""What a tool would write, told by diffs."""

from __future__ import annotations

import pytest

from bot.domain.findings import Finding, Severity
from workers.agent import Tool
from workers.tools import biome, clang_format
from workers.tools.edits import Edit
from workers.tools.reformat import RULE, edits_of, findings, mending

from .recordings import output, reader, recorded

LINES = {"a.js": "let a = 1\nlet b = 2\nlet c = 3\n", "b.js": "x\n"}
DIFFS = """\
--- 0
+++ 0
@@ -1 +1 @@
-let a = 1
+const a = 1;
@@ -3 +3,2 @@
-let c = 3
+const c = 3;

--- 1
+++ 1
@@ -1 +0,0 @@
-x
""".replace("3;\n\n", "3;\n+\n")


def said(rule: str, line: int | None, path: str = "./a.js", **more: str) -> Finding:
    return Finding(
        tool="t", rule=rule, severity=Severity.LOW, message=rule, path=path, start_line=line, end_line=line, **more
    )


def mended(*findings: Finding, diffs: str = DIFFS) -> list[tuple[str, int | None, str | None]]:
    seen = output(diffs, exit_code=0, files=["./a.js", "./b.js"], sources=LINES)
    return [(one.rule, one.start_line, one.replacement) for one in mending("t", "").parse(findings, seen)]


def test_diffs_of_several_files_are_told_apart_whatever_stands_in_them() -> None:
    text = "--- 0\n+++ 0\n@@ -2,2 +2 @@\n--- 1\n-@@ -9 +9 @@\n+++ x\n--- 1\n+++ 1\n@@ -0,0 +1 @@\n+y\n"
    assert list(edits_of(text)) == [("0", Edit(2, 1, 4, 1, "++ x\n")), ("1", Edit(1, 1, 1, 1, "y\n"))]


@pytest.mark.parametrize(
    ("hunk", "edits"),
    [
        ("-b\n\\ No newline at end of file\n+b\n", [Edit(2, 1, 3, 1, "b\n\n")]),
        ("-b\n\\ No newline at end of file\n+c\n\\ No newline at end of file\n", [Edit(2, 1, 2, 2, "c")]),
        ("-b\n+b\n\\ No newline at end of file\n", []),
    ],
)
def test_the_newline_at_the_end_of_a_file(hunk: str, edits: list[Edit]) -> None:
    assert [edit for _, edit in edits_of(f"--- 0\n+++ 0\n@@ -2 +2 @@\n{hunk}")] == edits


def test_what_was_cut_off_is_no_edit() -> None:
    assert list(edits_of("--- 0\n+++ 0\n@@ -2,2 +2,2 @@\n-a\n-b\n+c\n")) == []


def test_formatting_is_told_anew_at_each_place() -> None:
    assert mended(said(RULE, None), said("r", 2), said(RULE, None, "b.js")) == [
        ("r", 2, None),
        (RULE, 1, "const a = 1;"),
        (RULE, 3, "const c = 3;\n"),
        (RULE, 1, ""),
    ]


def test_a_fix_is_of_those_who_speak_of_its_lines_where_they_say_the_same() -> None:
    assert mended(said("r", 1), said("s", 2), said("s", 3), said("s", 3), said("t", None)) == [
        ("r", 1, "const a = 1;"),
        ("s", 2, None),
        ("s", 3, "const c = 3;\n"),
        ("s", 3, "const c = 3;\n"),
        ("t", None, None),
    ]
    assert mended(said("r", 1), said("s", 1), said("s", 3))[:2] == [("r", 1, None), ("s", 1, None)]
    assert mended(said("r", 1, replacement="own"), said("s", 3))[0] == ("r", 1, "own")


def test_a_part_of_a_fix_is_nobodys() -> None:
    assert mended(said("r", 1)) == [("r", 1, None)]


def test_without_a_diff_findings_stay_as_they_are() -> None:
    assert mended(said(RULE, 1), diffs="") == [(RULE, 1, None)]
    assert mended(said(RULE, 1), diffs=DIFFS.replace("0\n", "9\n")) == [(RULE, 1, None)]


C = "#include <b.h>\n#include <a.h>\nint   f ( void ) ;\n\n\nint g(void) {\nreturn 1;}\n"
SCRIPT = 'let total = 1;\nif (total == 2) {\n  debugger;\n}\nconst s = "😀"; let é = 2; if (!!total) eval(s + é);\n'


def of_tool(tool: Tool, diffs: str, sources: dict[str, str], *found: Finding) -> list[tuple[object, ...]]:
    assert tool.mending is not None
    seen = output(recorded(diffs), exit_code=0, files=[f"./{name}" for name in sources], sources=sources)
    return [(one.path, one.rule, one.start_line, one.replacement) for one in tool.mending.parse(found, seen)]


def test_clang_format_moves_a_line_in_one_fix() -> None:
    sources = {"a.c": C, "b --- c.c": "int h;\nint  i;"}
    found = [said(RULE, line, f"./{name}") for name, line in (("a.c", 1), ("a.c", 3), ("b --- c.c", 2))]
    assert of_tool(clang_format.TOOL, "clang-format.diff", sources, *found) == [
        ("./a.c", RULE, 1, "#include <a.h>\n#include <b.h>\nint f(void);"),
        ("./a.c", RULE, 6, "int g(void) { return 1; }"),
        ("./b --- c.c", RULE, 2, "int i;"),
    ]


def test_biome_formats_and_mends_what_is_safe() -> None:
    sources = {"src/a.js": SCRIPT, "src/bad.js": "let x = ;\n"}
    found = [said(RULE, None, "src/a.js"), said("noDebugger", 3, "src/a.js"), said("useConst", 1, "src/bad.js")]
    assert of_tool(biome.TOOL, "biome.diff", sources, *found) == [
        ("src/a.js", "noDebugger", 3, None),
        ("src/a.js", RULE, 1, "const total = 1;"),
        ("src/a.js", RULE, 3, "\tdebugger;"),
        ("src/a.js", RULE, 5, 'const s = "😀";\nconst é = 2;\nif (total) eval(s + é);'),
        ("src/bad.js", "useConst", 1, "const x = ;"),
    ]


def test_a_move_that_is_too_long_for_a_fix_is_told_at_both_ends_without_one() -> None:
    lines = ["#include <z.h>", *(f"#include <a{number}.h>" for number in range(40))]
    edits = [Edit(1, 1, 2, 1, ""), Edit(42, 1, 42, 1, "#include <z.h>\n")]
    found = list(findings("t", "a.c", edits, reader({"a.c": "\n".join(lines) + "\n"})))
    assert [(one.start_line, one.last_line, one.replacement) for one in found] == [(1, 1, None), (41, 41, None)]
