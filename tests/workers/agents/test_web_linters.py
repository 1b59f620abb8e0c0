"""The web's linters, each for real inside the sandbox: the repository's own copy, by its own configuration."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from bot.domain.findings import AgentResult, NotCovered, Outcome
from workers.agent import Agent
from workers.agents.lint import LintAgent
from workers.registry import AGENTS, LINTERS
from workers.sandbox.bubblewrap import BubblewrapSandbox
from workers.sandbox.choice import choose

from ..stage import Stage, Watching, all_new, plant

PACKAGES = Path(__file__).parents[2] / "linters/node_modules"
AGENT = LintAgent(tools=LINTERS)

real = pytest.mark.skipif(
    not PACKAGES.is_dir() or shutil.which("node") is None or bool(choose("auto", os.environ["PATH"]).why_not),
    reason="the web's linters are not installed (make test installs them), or no sandbox here",
)

WEB: Mapping[str, str] = {
    "package.json": '{"devDependencies": {"eslint": "^10.0.0", "@biomejs/biome": "2.6.8", "oxlint": "1.94.0", '
    '"typescript": "7.0.2", "stylelint": "^17.0.0", "markdownlint-cli2": "^0.22.0"}}\n',
    "eslint.config.mjs": 'export default [{ignores: ["gen/**"]}, {files: ["**/*.js"], rules: {"prefer-const": 2}}];\n',
    "biome.json": '{"files": {"includes": ["**", "!gen"]}, "formatter": {"enabled": false}, '
    '"assist": {"enabled": false}}\n',
    "src/a.js": "let total = 1;\nif (total == 2) {\n  debugger;\n}\n",
    "gen/b.js": "let total = 1;\n",
    ".oxlintrc.json": '{"rules": {"eqeqeq": "error"}}\n',
    "tsconfig.json": '{"compilerOptions": {"lib": ["es5"], "types": []}, "include": ["src"]}\n',
    "src/b.ts": "export const a: string = 1;\n",
    "gen/b.ts": "",
    ".stylelintrc.json": '{"rules": {"length-zero-no-unit": true}, "ignoreFiles": ["gen/**"]}\n',
    "src/[id].css": "a { top: 0px }\n",
    "gen/b.css": "a { top: 0px }\n",
    ".markdownlint.yaml": "MD018: true\n",
    "src/[id].md": "#Shop\n",
}


def look(tmp_path: Path, tool: str, more: Mapping[str, str] | None = None, agent: Agent = AGENT) -> AgentResult:
    plant(tmp_path / "head", {})
    (tmp_path / "head/node_modules").symlink_to(PACKAGES)
    # A folder of the PATH is shown to commands: this one stands for packages that were set up.
    sandbox = BubblewrapSandbox(f"{PACKAGES}{os.pathsep}{os.environ['PATH']}")
    return Stage(tmp_path, {**WEB, **(more or {})}, sandbox=sandbox, settings={"tools": [tool]}).run(agent)


@real
def test_files_that_a_configuration_has_mended_are_told_and_stay_as_they_are(tmp_path: Path) -> None:
    files = {".markdownlint-cli2.yaml": "fix: true\n", "src/good.md": "# Shop\n"}
    result = look(tmp_path, "markdownlint-cli2", files)
    assert (result.outcome, result.findings) == (Outcome.PARTIAL, ())
    why = "markdownlint-cli2 mends it, by its configuration, and does not tell what was wrong"
    assert NotCovered(what="src/[id].md", why=why) in result.not_covered
    assert result.covered == ("src/good.md",)
    assert (tmp_path / "head/src/[id].md").read_text() == WEB["src/[id].md"]


@real
@pytest.mark.parametrize(("tool", "why"), [("eslint", "File ignored because"), ("oxlint", "ignored)")])
def test_a_change_of_files_that_the_configuration_leaves_out_says_so(tmp_path: Path, tool: str, why: str) -> None:
    plant(tmp_path / "head", {})
    (tmp_path / "head/node_modules").symlink_to(PACKAGES)
    sandbox = BubblewrapSandbox(f"{PACKAGES}{os.pathsep}{os.environ['PATH']}")
    files = {**WEB, ".oxlintrc.json": '{"ignorePatterns": ["gen/**"]}'}
    stage = Stage(tmp_path, files, sandbox=sandbox, settings={"tools": [tool]}, diff=all_new("gen/b.js"))
    result = stage.run(AGENT)
    assert result.outcome is Outcome.SKIPPED
    assert result.reason.startswith(f"no linter looked at .js files: gen/b.js ({tool}: {why}")


@real
@pytest.mark.parametrize(
    ("tool", "rule", "path", "line", "replacement", "excluded"),
    [
        ("eslint", "prefer-const", "src/a.js", 1, "const total = 1;", {"gen/b.js": "eslint: File ignored because"}),
        ("biome", "lint/suspicious/noDoubleEquals", "src/a.js", 2, None, {"gen/b.js": "biome: excluded by its conf"}),
        ("oxlint", "eslint(eqeqeq)", "src/a.js", 2, None, {}),
        ("tsc", "TS2322", "src/b.ts", 1, None, {"gen/b.ts": "tsc: no project has it"}),
        ("stylelint", "length-zero-no-unit", "src/[id].css", 1, "a { top: 0 }", {"gen/b.css": "stylelint: ignored"}),
        ("markdownlint-cli2", "MD018/no-missing-space-atx", "src/[id].md", 1, None, {}),
    ],
)
def test_what_is_found_and_what_the_configuration_leaves_out(
    tmp_path: Path, tool: str, rule: str, path: str, line: int, replacement: str | None, excluded: Mapping[str, str]
) -> None:
    result = look(tmp_path, tool)
    found = {(f.rule, f.path, f.start_line, f.replacement) for f in result.findings}
    assert (rule, path, line, replacement) in found, result
    assert result.outcome is Outcome.FINDINGS
    assert path in result.covered
    assert result.tools[tool][0].isdigit()
    assert "(the repository names" not in result.tools[tool]
    assert excluded.keys().isdisjoint({*result.covered, *(f.path for f in result.findings)})
    assert all(
        (what, why) in {(one.what, one.why[: len(why)]) for one in result.not_covered} for what, why in excluded.items()
    )


@real
@pytest.mark.parametrize(
    ("tool", "files", "words"),
    [
        ("eslint", {"eslint.config.mjs": 'throw new Error("no rules today");\n'}, "no rules today"),
        ("biome", {"biome.json": '{"linter": 3}\n'}, "linter has an incorrect type"),
        ("oxlint", {".oxlintrc.json": "{"}, "Failed to parse oxlint configuration file"),
    ],
)
def test_a_configuration_that_is_broken_is_an_error_in_the_tools_words(
    tmp_path: Path, tool: str, files: Mapping[str, str], words: str
) -> None:
    result = look(tmp_path, tool, files)
    assert result.outcome is Outcome.ERROR, result
    assert words in result.reason


LOCAL = [tool for tool in LINTERS if tool.local]
CONFIGURED = {"tsconfig.json": "{}", "src/b.ts": "", "src/a.css": "", "README.md": ""}


@pytest.mark.parametrize("tool", LOCAL, ids=lambda tool: tool.name)
def test_what_the_repository_brings_waits_for_an_approval(tmp_path: Path, tool: object) -> None:
    [chosen] = [one for one in LOCAL if one is tool]
    files = {**WEB, **CONFIGURED, **{name: f"{text}\n" for name, text in chosen.projects.items()}}
    sandbox = Watching(chosen.version[0])
    settings = {"tools": [chosen.name]}
    stage = Stage(tmp_path, files, trusted=False, sandbox=sandbox, settings=settings)
    result = stage.run(AGENT)
    assert (result.outcome, result.waits, sandbox.commands) == (Outcome.PARTIAL, True, [])


@pytest.mark.parametrize("tool", LOCAL, ids=lambda tool: tool.name)
def test_a_tool_that_is_configured_and_not_installed_is_missed(tmp_path: Path, tool: object) -> None:
    [chosen] = [one for one in LOCAL if one is tool]
    files = {**WEB, **CONFIGURED, **{name: f"{text}\n" for name, text in chosen.projects.items()}}
    stage = Stage(tmp_path, files, sandbox=Watching(chosen.version[0]), settings={"tools": [chosen.name]})
    result = stage.run(AGENT)
    assert result.outcome is Outcome.ERROR
    words = "is not installed: it comes with the repository's packages. Install them first."
    assert result.reason == f"{chosen.name} {words}"


def test_nobodys_taste_is_asked_without_a_configuration(tmp_path: Path) -> None:
    files = {"package.json": '{"devDependencies": {"eslint": "9"}}\n', "a.js": "let x = 1;\n", "a.css": "a{}\n"}
    result = Stage(tmp_path, files, sandbox=(sandbox := Watching())).run(AGENT)
    assert (result.outcome, sandbox.commands) == (Outcome.SKIPPED, [])


INSECURE = {
    "package.json": '{"devDependencies": {"eslint": "^10.0.0", "eslint-plugin-security": "^4.0.0"}}\n',
    "eslint.config.mjs": 'import security from "eslint-plugin-security";\n'
    'export default [{plugins: {security}, rules: {"prefer-const": 2, "security/detect-eval-with-expression": 1}}];\n',
    "src/a.js": "let shop = 1;\neval(shop + name);\n",
}


@real
def test_the_security_plugin_of_eslint_speaks_for_the_security_agent(tmp_path: Path) -> None:
    result = look(tmp_path, "eslint-security", INSECURE, AGENTS["security"]())
    assert {(f.tool, f.rule, f.path, f.start_line, f.cwe) for f in result.findings} == {
        ("eslint-security", "security/detect-eval-with-expression", "src/a.js", 2, 95)
    }, result
    assert result.tools["eslint-security"].startswith("10.")


def test_a_strangers_plugin_waits_for_an_approval_and_the_other_scanners_do_not(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {**INSECURE, "app.py": "assert True\n"}, trusted=False)
    result = stage.run(AGENTS["security"]())
    assert (result.outcome, result.waits) == (Outcome.PARTIAL, True)
    assert "app.py" in result.covered
    assert "eslint-security (it may execute what a stranger wrote" in result.reason
