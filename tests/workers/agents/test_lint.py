"""The lint agent, with the real linters."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from bot.domain.findings import Outcome, Severity
from bot.errors import ToolFailed
from workers.agent import Output, Reading
from workers.agents.lint import LintAgent
from workers.registry import LINTERS
from workers.sandbox.bubblewrap import BubblewrapSandbox
from workers.sandbox.choice import choose
from workers.tools import ruff, yamllint

from ..stage import Stage, Watching, all_new

AGENT = LintAgent(tools=LINTERS)

BAD = {
    "app.py": "import os\n\n\ndef f():\n    return undefined\n",
    "run.sh": "#!/bin/bash\necho $1\n",
    "conf.yml": "a: 1\na: 2\n",
    "Dockerfile": "FROM debian:latest\n",
}


def test_every_linter_says_its_piece(tmp_path: Path) -> None:
    stage = Stage(tmp_path, BAD)
    result = stage.run(AGENT)
    assert result.outcome is Outcome.FINDINGS
    seen = {(f.tool, f.rule, f.path, f.start_line) for f in result.findings}
    assert {
        ("ruff", "F821", "app.py", 5),
        ("shellcheck", "SC2086", "run.sh", 2),
        ("yamllint", "key-duplicates", "conf.yml", 2),
        ("hadolint", "DL3007", "Dockerfile", 1),
    } <= seen
    assert set(result.covered) == set(BAD)
    assert set(result.tools) == {"ruff", "shellcheck", "yamllint", "hadolint"}
    assert all(version[0].isdigit() for version in result.tools.values())
    assert "ruff: 1 file" in stage.said


def test_fixes_are_offered(tmp_path: Path) -> None:
    result = Stage(tmp_path, BAD).run(AGENT)
    assert {f.replacement for f in result.findings if f.rule in ("F401", "SC2086")} == {"", 'echo "$1"'}


@pytest.mark.parametrize("how", ["fix = true", "fix-only = true", "unsafe-fixes = true\nfix = true"])
def test_a_configuration_that_has_ruff_fix_files_hides_nothing_and_changes_nothing(tmp_path: Path, how: str) -> None:
    files = {"app.py": "import os\n", "pyproject.toml": f"[tool.ruff]\n{how}\n"}
    result = Stage(tmp_path, files).run(AGENT)
    assert [(f.rule, f.path, f.replacement) for f in result.findings] == [("F401", "app.py", "")]
    assert (tmp_path / "head/app.py").read_text() == "import os\n"


def test_a_script_for_a_shell_that_shellcheck_does_not_read_was_not_looked_at(tmp_path: Path) -> None:
    files = {"dial.sh": "#!/usr/bin/expect\nspawn $1\n", "run.sh": "#!/bin/sh\necho\n"}
    result = Stage(tmp_path, files).run(AGENT)
    assert (result.outcome, result.findings, result.covered) == (Outcome.CLEAN, (), ("run.sh",))
    [gap] = result.not_covered
    assert (gap.what, gap.why.partition(" scripts")[0]) == (
        "dial.sh",
        "shellcheck: ShellCheck only supports sh/bash/dash/ksh/'busybox sh'",
    )


def test_good_files_are_clean_and_the_rest_is_named(tmp_path: Path) -> None:
    result = Stage(tmp_path, {"app.py": "X = 1\n", "notes.md": "# Notes\n"}).run(AGENT)
    assert result.outcome is Outcome.CLEAN
    assert result.covered == ("app.py",)
    assert [(one.what, one.why) for one in result.not_covered] == [("notes.md", "no linter reads it")]


def test_files_that_no_linter_reads_are_skipped_with_the_reason(tmp_path: Path) -> None:
    result = Stage(tmp_path, {"notes.md": "x\n", "main.rs": "x\n"}).run(AGENT)
    assert result.outcome is Outcome.SKIPPED
    assert result.reason == "no linter reads .rs, .md files" or result.reason == "no linter reads .md, .rs files"
    assert result.remedy


def test_a_change_of_nothing_is_clean(tmp_path: Path) -> None:
    assert Stage(tmp_path, {}).run(AGENT).outcome is Outcome.CLEAN


def test_only_the_named_tools_run(tmp_path: Path) -> None:
    result = Stage(tmp_path, BAD, settings={"tools": ["yamllint"]}).run(AGENT)
    assert set(result.tools) == {"yamllint"}
    assert result.covered == ("conf.yml",)


def test_an_unknown_tool_is_an_error_that_names_the_known(tmp_path: Path) -> None:
    result = Stage(tmp_path, BAD, settings={"tools": ["rufff"]}).run(AGENT)
    assert result.outcome is Outcome.ERROR
    assert "no tool is called rufff; there are ruff, shellcheck, yamllint, hadolint" in result.reason
    assert "agents.lint.tools" in result.remedy


def test_a_missing_tool_makes_it_partial_and_never_clean(tmp_path: Path) -> None:
    files = {"app.py": "X = 1\n", "run.sh": "#!/bin/sh\necho\n"}
    result = Stage(tmp_path, files, sandbox=Watching("shellcheck")).run(AGENT)
    assert result.outcome is Outcome.PARTIAL
    assert "shellcheck-is-missing cannot be started" in result.reason
    assert result.covered == ("app.py",)


def test_all_tools_missing_is_an_error(tmp_path: Path) -> None:
    result = Stage(tmp_path, {"app.py": "X = 1\n"}, sandbox=Watching("ruff")).run(AGENT)
    assert result.outcome is Outcome.ERROR
    assert result.covered == ()


def test_findings_of_one_tool_and_the_failure_of_another_are_partial(tmp_path: Path) -> None:
    result = Stage(tmp_path, BAD, sandbox=Watching("hadolint")).run(AGENT)
    assert result.outcome is Outcome.PARTIAL
    assert {f.tool for f in result.findings} == {"ruff", "shellcheck", "yamllint"}


def test_a_file_that_is_no_text_makes_it_partial_and_spoils_no_other(tmp_path: Path) -> None:
    """One such file makes yamllint crash for all."""
    result = Stage(tmp_path, {"bad.yml": b"a: \xff\n", "dup.yml": "a: 1\na: 2\n"}).run(AGENT)
    assert result.outcome is Outcome.PARTIAL
    assert [f.rule for f in result.findings] == ["key-duplicates"]
    assert "bad.yml (not UTF-8)" in result.reason


def test_one_file_that_breaks_a_tool_does_not_hide_the_others(tmp_path: Path) -> None:
    def picky(output: Output) -> Reading:
        if any("evil" in file for file in output.files):
            raise ToolFailed("ruff panicked")
        return ruff.parse(output)

    files = {f"m{number}.py": "import os\n" for number in range(9)} | {"evil.py": "import os\n"}
    result = Stage(tmp_path, files).run(LintAgent(tools=[replace(ruff.TOOL, parse=picky)]))
    assert result.outcome is Outcome.PARTIAL
    assert len(result.findings) == 9
    assert [(one.what, one.why) for one in result.not_covered] == [("evil.py", "ruff panicked")]


def test_a_tool_that_always_breaks_is_given_up(tmp_path: Path) -> None:
    def broken(output: Output) -> Reading:
        raise ToolFailed("ruff panicked")

    sandbox = Watching()
    files = {f"m{number}.py": "import os\n" for number in range(64)}
    result = Stage(tmp_path, files, sandbox=sandbox).run(LintAgent(tools=[replace(ruff.TOOL, parse=broken)]))
    assert result.outcome is Outcome.ERROR
    assert result.reason == "ruff panicked"
    assert len(sandbox.argv_of("ruff")) < 20


def test_hostile_file_names_are_files_and_nothing_else(tmp_path: Path) -> None:
    names = ["--config=evil.py", "-x.py", "a b.py", "$(id).py", "ünï.py", "a\nb.py"]
    result = Stage(tmp_path, dict.fromkeys(names, "import os\n"), diff=all_new(*names)).run(AGENT)
    assert result.outcome is Outcome.FINDINGS
    assert sorted(f.path for f in result.findings) == sorted(names)


def test_scripts_without_an_ending_are_known_by_their_first_line(tmp_path: Path) -> None:
    files = {
        "bin/run": "#!/usr/bin/env bash\necho $1\n",
        "libexec/shop---version": "#!/bin/sh -e\necho $1\n",
        "bin/tool": "#!/usr/bin/env -S PYTHONUTF8=1 python3.11 -u\nimport os\n",
        "bin/serve": "#!/usr/bin/env node\n",
        "LICENSE": "echo $1\n",
    }
    result = Stage(tmp_path, files).run(AGENT)
    assert {(f.tool, f.rule, f.path) for f in result.findings} == {
        ("shellcheck", "SC2086", "bin/run"),
        ("shellcheck", "SC2086", "libexec/shop---version"),
        ("ruff", "F401", "bin/tool"),
    }
    assert {one.what for one in result.not_covered} == {"bin/serve", "LICENSE"}


def test_shells_that_shellcheck_does_not_know_are_said_to_be_unread(tmp_path: Path) -> None:
    result = Stage(tmp_path, {"a.sh": "#!/bin/zsh\necho ${(q)1}\n", "b.sh": "#!/bin/sh\n"}).run(AGENT)
    assert (result.outcome, result.covered) == (Outcome.CLEAN, ("b.sh",))
    assert [(one.what, one.why) for one in result.not_covered] == [("a.sh", "no linter reads it")]


def test_the_ending_decides_where_the_first_line_names_nobody(tmp_path: Path) -> None:
    files = {"a.py": "#!/usr/bin/env -S uv run --script\nimport os\n", "t.py": "#!/bin/sh\nimport os\n"}
    assert {(f.tool, f.path) for f in Stage(tmp_path, files).run(AGENT).findings} == {
        ("ruff", "a.py"),
        ("ruff", "t.py"),
    }


def test_without_configuration_taste_is_left_out(tmp_path: Path) -> None:
    files = {
        "app.py": 'import sys\nimport os\n\nprint("%s" % dict(a=os.name), sys.argv)\n',
        "shop/__init__.py": "from shop.cart import *\nfrom shop.cart import Cart\n",
        "new.py": "type Pair[T] = tuple[T, T]\n",
        ".github/workflows/ci.yml": f"on: push\njobs:\n  test:\n    steps:\n    - run: {'x' * 100} # long\n",
    }
    assert Stage(tmp_path, files).run(AGENT).findings == ()


def test_links_are_not_linted(tmp_path: Path) -> None:
    (tmp_path / "outside.py").write_text("import os\n")
    (tmp_path / "head").mkdir()
    (tmp_path / "head" / "link.py").symlink_to(tmp_path / "outside.py")
    result = Stage(tmp_path, {"app.py": "X = 1\n"}, diff=all_new("app.py", "link.py")).run(AGENT)
    assert (result.outcome, result.findings) == (Outcome.CLEAN, ())
    assert ("link.py", "a link") in {(one.what, one.why) for one in result.not_covered}


@pytest.mark.parametrize("trusted", [True, False])
def test_the_repositorys_own_configuration_counts_for_trusted_authors_only(tmp_path: Path, trusted: bool) -> None:
    files = {
        "app.py": "import os\n",
        "ruff.toml": 'lint.ignore = ["F401"]\n',
        "run.sh": "#!/bin/bash\necho $1\n",
        ".shellcheckrc": "disable=SC2086\n",
        "conf.yml": "a: 1\na: 2\n",
        ".yamllint": "rules: {}\n",
        "Dockerfile": "FROM debian:latest\n",
        ".hadolint.yaml": "ignored: [DL3007]\n",
    }
    result = Stage(tmp_path, files, trusted=trusted).run(AGENT)
    rules = {f.rule for f in result.findings}
    assert rules == (set() if trusted else {"F401", "SC2086", "key-duplicates", "DL3007"})


def test_configuration_above_the_tree_is_not_honoured(tmp_path: Path) -> None:
    (tmp_path / "ruff.toml").write_text('lint.ignore = ["F401"]\n')
    (tmp_path / ".shellcheckrc").write_text("disable=SC2086\n")
    (tmp_path / ".yamllint").write_text("rules: {}\n")
    files = {"app.py": "import os\n", "run.sh": "#!/bin/bash\necho $1\n", "conf.yml": "a: 1\na: 2\n"}
    result = Stage(tmp_path, files).run(AGENT)
    assert {f.rule for f in result.findings} == {"F401", "SC2086", "key-duplicates"}


def test_configuration_beside_the_files_is_for_tools_that_search_for_it(tmp_path: Path) -> None:
    files = {
        "api/app.py": "import os\n",
        "api/pyproject.toml": '[tool.ruff]\nlint.ignore = ["F401"]\n',
        "docs/conf.yml": "a: 1\na: 2\n",
        "docs/.yamllint": "rules: {}\n",
    }
    assert {f.rule for f in Stage(tmp_path, files).run(AGENT).findings} == {"key-duplicates"}


def test_a_configuration_says_nothing_of_files_beside_its_folder(tmp_path: Path) -> None:
    """Left to itself, ruff has hundreds of rules, and a folder that chose some did so for itself."""
    taste = "from typing import List\n\nx: List[int] = []\n"
    files = {"api/app.py": taste, "api/ruff.toml": 'lint.select = ["UP"]\n', "web/app.py": taste}
    found = Stage(tmp_path, files).run(AGENT).findings
    assert {(f.path, f.rule) for f in found} == {("api/app.py", "UP006"), ("api/app.py", "UP035")}


def test_the_nearest_configuration_says_whether_rules_were_chosen(tmp_path: Path) -> None:
    files = {
        "pyproject.toml": "[tool.ruff]\nline-length = 100\n",
        "app.py": "class shop:\n    pass\n",
        "api/app.py": "class shop:\n    pass\n",
        "api/ruff.toml": 'lint.select = ["N"]\n',
    }
    [finding] = Stage(tmp_path, files).run(AGENT).findings
    assert (finding.path, finding.rule, finding.severity) == ("api/app.py", "N801", Severity.MEDIUM)


def test_a_configuration_that_is_broken_hides_nothing_of_files_beside_its_folder(tmp_path: Path) -> None:
    files = {"api/app.py": "import os\n", "api/ruff.toml": "line-length = 'x'\n", "web/app.py": "import os\n"}
    result = Stage(tmp_path, files).run(AGENT)
    assert [f.path for f in result.findings] == ["web/app.py"]
    assert result.outcome is Outcome.PARTIAL
    [gap] = [one for one in result.not_covered if one.what == "api/app.py"]
    assert "ruff failed with exit code 2" in gap.why
    assert "web/app.py" in result.covered
    assert "api/app.py" not in result.covered


def test_excluded_files_stay_excluded(tmp_path: Path) -> None:
    """And it is said of them that nobody looked at them."""
    own = {"pyproject.toml": '[tool.ruff]\nextend-exclude = ["gen"]\n'}
    files = {"gen/app.py": "import os\n", "gen/more/app.py": "import os\n"}
    result = Stage(tmp_path / "1", {**own, **files, "app.py": "X = 1\n"}, diff=all_new(*files, "app.py")).run(AGENT)
    assert (result.outcome, result.findings, result.covered) == (Outcome.CLEAN, (), ("app.py",))
    assert {(one.what, one.why) for one in result.not_covered} == {
        (path, "ruff: excluded by its configuration") for path in files
    }
    result = Stage(tmp_path / "2", {**own, **files}, diff=all_new(*files)).run(AGENT)
    assert result.outcome is Outcome.SKIPPED
    assert result.reason == "no linter looked at .py files: gen/app.py (ruff: excluded by its configuration)"


@pytest.mark.skipif(bool(choose("auto", os.environ["PATH"]).why_not), reason="no sandbox here")
@pytest.mark.parametrize(
    ("tool", "own", "ending"),
    [
        ("yamllint", {".yamllint": "extends: relaxed\nignore: gen/\n"}, "yml"),
        ("sqlfluff", {".sqlfluff": "[sqlfluff]\ndialect = ansi\n", ".sqlfluffignore": "gen/\n"}, "sql"),
        ("clang-format", {".clang-format": "{}\n", "gen/.clang-format": "DisableFormat: true\n"}, "c"),
        ("taplo", {"taplo.toml": 'exclude = ["gen/**"]\n'}, "toml"),
        ("rustfmt", {"Cargo.toml": "[package]", "gen/.rustfmt.toml": "disable_all_formatting = true\n"}, "rs"),
    ],
)
def test_files_that_its_configuration_keeps_from_a_linter_were_not_looked_at(
    tmp_path: Path, tool: str, own: dict[str, str], ending: str
) -> None:
    sandbox = BubblewrapSandbox(os.environ["PATH"])
    [chosen] = [one for one in LINTERS if one.name == tool]
    if sandbox.which(chosen.version[0]) is None:
        pytest.skip(f"{chosen.version[0]} is not installed")
    kept, read = f"gen/a.{ending}", f"a.{ending}"
    files = {**own, kept: "\n", read: "\n"}
    result = Stage(tmp_path, files, diff=all_new(kept, read), settings={"tools": [tool]}, sandbox=sandbox).run(AGENT)
    assert result.outcome in (Outcome.CLEAN, Outcome.FINDINGS), result.reason
    assert result.covered == (read,)
    assert [(one.what, one.why) for one in result.not_covered] == [(kept, f"{tool}: excluded by its configuration")]


def test_files_that_its_configuration_keeps_from_typos_are_named(tmp_path: Path) -> None:
    """It covers nothing, but whoever reads that it ran ought to know on what."""
    files = {"typos.toml": '[files]\nextend-exclude = ["gen"]\n', "gen/a.md": "teh\n", "a.md": "teh\n"}
    result = Stage(tmp_path, files, settings={"tools": ["typos"]}, diff=all_new("gen/a.md", "a.md")).run(AGENT)
    assert [one.path for one in result.findings] == ["a.md"]
    assert ("gen/a.md", "typos: excluded by its configuration") in {(one.what, one.why) for one in result.not_covered}


def test_a_linter_that_does_not_say_what_it_read_has_not_done_its_work(tmp_path: Path) -> None:
    def silent(output: Output) -> list[str]:
        raise ToolFailed("yamllint lost its list")

    assert yamllint.TOOL.listing
    tool = replace(yamllint.TOOL, listing=replace(yamllint.TOOL.listing, parse=silent))
    result = Stage(tmp_path, {"a.yml": "a: 1\n", ".yamllint": "rules: {}\n"}).run(LintAgent(tools=[tool]))
    assert (result.outcome, result.reason) == (Outcome.ERROR, "yamllint lost its list")


def test_a_linter_that_executes_code_is_none_for_strangers(tmp_path: Path) -> None:
    tool = replace(ruff.TOOL, executes_code=True)
    stage = Stage(tmp_path, {"app.py": "import os\n"}, trusted=False, sandbox=(sandbox := Watching()))
    result = stage.run(LintAgent(tools=[tool, yamllint.TOOL]))
    assert result.outcome is Outcome.PARTIAL
    assert "ruff (it may execute what a stranger wrote, which waits for an approval)" in result.reason
    assert "Approve" in result.remedy
    assert sandbox.commands == []


def test_an_approval_lets_it_be_executed_with_its_configuration(tmp_path: Path) -> None:
    """What executes is approved with all that it is; what only reads still takes no word from a stranger."""
    files = {
        "app.py": "import os\n",
        "ruff.toml": 'lint.ignore = ["F401"]\n',
        "a.yml": "a: 1\na: 2\n",
        ".yamllint": "rules: {}",
    }
    stage = Stage(tmp_path, files, trusted=False, approved=True)
    result = stage.run(LintAgent(tools=[replace(ruff.TOOL, executes_code=True), yamllint.TOOL]))
    assert [f.rule for f in result.findings] == ["key-duplicates"]


def test_many_files_are_shared_out_over_calls(tmp_path: Path) -> None:
    files = {f"{'deep/' * 20}m{number}.py": "import os\n" for number in range(1200)}
    sandbox = Watching()
    result = Stage(tmp_path, files, sandbox=sandbox, diff=all_new(*files)).run(LintAgent(tools=[ruff.TOOL]))
    calls = sandbox.argv_of("ruff")
    assert len(calls) > 1
    assert all(sum(len(word) + 1 for word in call) < 128_000 for call in calls)
    assert len(result.findings) == 1200


def test_a_time_that_is_used_up_is_no_success(tmp_path: Path) -> None:
    result = Stage(tmp_path, {"app.py": "X = 1\n"}, timeout=0).run(AGENT)
    assert result.outcome is Outcome.ERROR
    assert "time is used up" in result.reason


def test_secrets_are_taken_out_of_what_tools_say(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {"app.py": "never_to_be_shown\n"}, secret="never_to_be_shown")
    result = stage.run(AGENT)
    assert result.findings
    assert "never_to_be_shown" not in result.model_dump_json()


def test_code_that_moved_brings_nothing_new(tmp_path: Path) -> None:
    base = {"a.py": "import os\nX = 1\n", "b.py": "Y = 1\n"}
    result = Stage(tmp_path, {"a.py": "X = 1\n", "b.py": "Y = 1\n\nimport os\nimport sys\n"}, base=base).run(AGENT)
    assert {(f.path, f.start_line): f.new for f in result.findings if f.rule == "F401"} == {
        ("b.py", 3): False,
        ("b.py", 4): True,
    }


@pytest.mark.skipif(bool(choose("auto", os.environ["PATH"]).why_not), reason="no sandbox here")
@pytest.mark.parametrize("trusted", [True, False])
def test_every_linter_works_inside_the_sandbox(tmp_path: Path, trusted: bool) -> None:
    files = {"a.py": "import os\n", "a.sh": "echo $1\n", "a.yml": "a: [\n", "Dockerfile": "FROM debian\n"}
    stage = Stage(tmp_path, files, base={}, trusted=trusted, sandbox=BubblewrapSandbox(os.environ["PATH"]))
    result = stage.run(LintAgent(tools=LINTERS))
    assert result.outcome is Outcome.FINDINGS, result.reason
    assert {finding.tool for finding in result.findings} == {"ruff", "shellcheck", "yamllint", "hadolint"}


COMPILED = {
    "go/go.mod": "module shop\n\ngo 1.19\n",
    "go/a.go": 'package shop\n\nimport "fmt"\n\nfunc   F() { fmt.Printf("%d", "x") }\n',
    "c/a.c": "int f(void) {\n  int a[2];\n  a[2] = 1;\n  return   a[0];\n}\n",
    "c/.clang-format": "BasedOnStyle: LLVM\n",
    "sql/a.sql": "SELECT  a FROM t\n",
    "sql/.sqlfluff": "[sqlfluff]\ndialect = ansi\n",
    "bad.toml": "a =\n",
    "taplo.toml": '[[rule]]\ninclude = ["shop/*.toml"]\n[rule.schema]\npath = "./shop/schema.json"\n',
    "shop/schema.json": '{"properties": {"port": {"type": "integer"}}}\n',
    "shop/[id].toml": "# of a shop\nport = 'x'\n",
    "notes.txt": "teh notes\n",
    "typos.toml": "",
    ".github/workflows/w.yml": "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n"
    "      - run: |\n          echo hi\n          echo $NAME\n",
    "crates/Cargo.toml": '[workspace]\nmembers = ["shop"]\n',
    "crates/shop/Cargo.toml": '[package]\nname = "shop"\nversion = "0.1.0"\nedition = "2021"\n',
    "crates/shop/src/lib.rs": "pub fn   f(x: bool) -> u32 {\n    if x == true {\n        return 1;\n    }\n    2\n}\n",
}


@pytest.mark.skipif(bool(choose("auto", os.environ["PATH"]).why_not), reason="no sandbox here")
@pytest.mark.parametrize(
    ("tool", "rule", "path", "line"),
    [
        ("gofmt", "format", "go/a.go", 5),
        ("govet", "printf", "go/a.go", 5),
        ("rustfmt", "format", "crates/shop/src/lib.rs", 1),
        ("clippy", "clippy::bool_comparison", "crates/shop/src/lib.rs", 2),
        ("cppcheck", "arrayIndexOutOfBounds", "c/a.c", 3),
        ("clang-format", "format", "c/a.c", 4),
        ("sqlfluff", "LT01", "sql/a.sql", 1),
        ("toml", "syntax", "bad.toml", 1),
        ("taplo", "schema", "shop/[id].toml", 2),
        ("typos", "typo", "notes.txt", 1),
        ("actionlint", "SC2086", ".github/workflows/w.yml", 8),
    ],
)
def test_linters_of_other_languages_work_inside_the_sandbox(
    tmp_path: Path, tool: str, rule: str, path: str, line: int
) -> None:
    sandbox = BubblewrapSandbox(os.environ["PATH"])
    [chosen] = [one for one in LINTERS if one.name == tool]
    if sandbox.which(chosen.version[0]) is None:
        pytest.skip(f"{chosen.version[0]} is not installed")
    stage = Stage(tmp_path, COMPILED, sandbox=sandbox, settings={"tools": [tool]})
    result = stage.run(LintAgent(tools=LINTERS))
    assert (tool, rule, path, line) in {(f.tool, f.rule, f.path, f.start_line) for f in result.findings}, result
    assert result.tools[tool][0].isdigit()


def lib(name: str, more: str = "") -> str:
    return f'[package]\nname = "{name}"\nversion = "0.1.0"\nedition = "2021"\n{more}'


RUST = "pub fn f(x: bool) -> u32 {\n    if x == true {\n        return 1;\n    }\n    2\n}\n"
WORKSPACE = {
    "Cargo.toml": lib("shop", '[workspace]\nmembers = ["a", "b", "c"]\ndefault-members = [".", "c"]\n'),
    "src/lib.rs": RUST,
    "a/Cargo.toml": lib("a"),
    "a/src/lib.rs": RUST,
    "b/Cargo.toml": lib("b", '[dependencies]\na = {path = "../a"}\n'),
    "b/src/lib.rs": RUST,
    "c/Cargo.toml": lib("c"),
    "c/build.rs": 'fn main() {\n    std::fs::write("built", "").unwrap();\n}\n',
    "c/src/lib.rs": RUST,
}


@pytest.mark.skipif(bool(choose("auto", os.environ["PATH"]).why_not), reason="no sandbox here")
def test_of_a_workspace_only_the_members_that_a_change_touches_are_built(tmp_path: Path) -> None:
    sandbox = BubblewrapSandbox(os.environ["PATH"])
    if sandbox.which("cargo-clippy") is None:
        pytest.skip("clippy is not installed")
    changed = all_new("src/lib.rs", "b/src/lib.rs")
    stage = Stage(tmp_path, WORKSPACE, diff=changed, sandbox=sandbox, settings={"tools": ["clippy"]})
    result = stage.run(AGENT)
    assert {one.path for one in result.findings} == {"src/lib.rs", "b/src/lib.rs"}, result
    assert set(result.covered) == {"src/lib.rs", "b/src/lib.rs"}
    assert not (tmp_path / "head/c/built").exists()


def test_rust_that_is_of_no_package_builds_nothing(tmp_path: Path) -> None:
    files = {"Cargo.toml": '[workspace]\nmembers = ["a"]\n', "a/Cargo.toml": lib("a"), "xtask.rs": RUST}
    settings = {"tools": ["clippy"]}
    result = Stage(tmp_path, files, diff=all_new("xtask.rs"), sandbox=(sandbox := Watching()), settings=settings).run(
        AGENT
    )
    assert (result.outcome, sandbox.commands) == (Outcome.SKIPPED, [])


def test_of_a_module_only_the_packages_that_a_change_touches_are_looked_at(tmp_path: Path) -> None:
    wrong = 'package x\n\nimport "fmt"\n\nfunc F() { fmt.Printf("%d", "x") }\n'
    files = {"svc/go.mod": "module shop\n\ngo 1.19\n", "svc/a/a.go": wrong, "svc/b/b.go": wrong}
    if shutil.which("go") is None:
        pytest.skip("go is not installed")
    sandbox = Watching()
    stage = Stage(tmp_path, files, diff=all_new("svc/a/a.go"), sandbox=sandbox, settings={"tools": ["govet"]})
    result = stage.run(AGENT)
    assert [(one.rule, one.path) for one in result.findings] == [("printf", "svc/a/a.go")], result
    assert sandbox.argv_of("go") == [["go", "vet", "-json", "--", "./a"]]


def test_what_compiles_a_strangers_code_waits_for_an_approval(tmp_path: Path) -> None:
    result = Stage(tmp_path, COMPILED, trusted=False, sandbox=(sandbox := Watching())).run(AGENT)
    assert result.waits or sandbox.which("cargo-clippy") is sandbox.which("go") is None
    assert not {"cargo", "go", "rustfmt"} & {Path(one.argv[0]).name for one in sandbox.commands if one.cwd != Path("/")}
