"""Configuration of tools that a stranger brings along. The tools are the real ones, outside of any sandbox: what they
would execute, or read, or leave out, has to be held before that."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from bot.domain.findings import AgentResult
from tests.workers.stage import Stage
from workers.registry import AGENTS

CANARY = "canary_77aa01"
TOKEN = "ghp_" + "k3Jd82hsK2mQp0Zx7Yb4Wc9Ve1Tu5Rn6La8S"


def look(root: Path, agent: str, files: dict[str, str], *tools: str, trusted: bool = False) -> AgentResult:
    (root / "secret.txt").write_text(f"{CANARY}\n")
    files = {path: text.replace("ROOT", str(root)) for path, text in files.items()}
    return Stage(root, files, settings={"tools": list(tools)}, trusted=trusted).run(AGENTS[agent]())


def test_ruff_prints_no_file_of_the_machine(tmp_path: Path) -> None:
    files = {"a.py": "import os\n", "ruff.toml": 'extend = "ROOT/secret.txt"\n'}
    result = look(tmp_path, "lint", files, "ruff")
    assert [finding.rule for finding in result.findings] == ["F401"]
    assert CANARY not in result.model_dump_json()


def test_a_file_that_shellcheck_is_told_to_read_is_not_read(tmp_path: Path) -> None:
    files = {
        "run.sh": "#!/bin/bash\n# shellcheck source=ROOT/secret.txt\n. ./x\necho $1\n",
        ".shellcheckrc": "external-sources=true\nsource-path=/\n",
    }
    result = look(tmp_path, "lint", files, "shellcheck")
    assert "SC2086" in {finding.rule for finding in result.findings}
    assert CANARY not in result.model_dump_json()


def test_yamllint_extends_no_file_of_the_machine(tmp_path: Path) -> None:
    result = look(tmp_path, "lint", {"a.yml": "a: 1\na: 2\n", ".yamllint": "extends: ROOT/secret.txt\n"}, "yamllint")
    assert [finding.rule for finding in result.findings] == ["key-duplicates"]
    assert CANARY not in result.model_dump_json()


def test_sqlfluff_loads_no_code_of_a_strangers(tmp_path: Path) -> None:
    """Its templates may be given a library of the repository's, which is Python."""
    files = {
        "a.sql": "SELECT {{ evil() }} from t\n",
        ".sqlfluff": "[sqlfluff]\ndialect = ansi\ntemplater = jinja\n[sqlfluff:templater:jinja]\nlibrary_path = lib\n",
        "lib/__init__.py": "",
        "lib/evil.py": "open('ROOT/executed', 'w')\n",
    }
    look(tmp_path, "lint", files, "sqlfluff")
    assert not (tmp_path / "executed").exists()


def test_a_strangers_baseline_makes_no_secret_known(tmp_path: Path) -> None:
    known = {
        "type": "GitHub Token",
        "filename": "a.py",
        "hashed_secret": hashlib.sha1(TOKEN.encode(), usedforsecurity=False).hexdigest(),
        "line_number": 1,
    }
    baseline = {"version": "1.5.0", "plugins_used": [{"name": "GitHubTokenDetector"}], "results": {"a.py": [known]}}
    files = {"a.py": f'token = "{TOKEN}"\n', ".secrets.baseline": json.dumps(baseline), ".gitignore": "a.py\n"}
    result = look(tmp_path, "security", files, "detect-secrets")
    assert "a.py" in {finding.path for finding in result.findings if finding.counts}
    assert TOKEN not in result.model_dump_json()


def test_a_stranger_turns_no_rule_of_a_scanner_off(tmp_path: Path) -> None:
    files = {
        "a.py": "import subprocess\n\nsubprocess.call(input(), shell=True)\n",
        ".bandit": "[bandit]\nskips: B602\nexclude: /\n",
        "pyproject.toml": '[tool.bandit]\nskips = ["B602"]\nexclude_dirs = ["."]\n',
    }
    result = look(tmp_path, "security", files, "bandit")
    assert "B602" in {finding.rule for finding in result.findings}


def test_a_stranger_turns_no_rule_about_workflows_off(tmp_path: Path) -> None:
    workflow = (
        "on: pull_request_target\njobs:\n  a:\n    runs-on: x\n    steps:\n    - run: echo ${{ github.head_ref }}\n"
    )
    files = {
        ".github/workflows/ci.yml": workflow,
        "zizmor.yml": "rules: {template-injection: {disable: true}, dangerous-triggers: {disable: true}}\n",
        ".github/zizmor.yml": "rules: {template-injection: {disable: true}, dangerous-triggers: {disable: true}}\n",
    }
    result = look(tmp_path, "security", files, "zizmor")
    assert {"template-injection", "dangerous-triggers"} <= {finding.rule.split("/")[-1] for finding in result.findings}


@pytest.mark.parametrize(
    "files",
    [
        {"conftest.py": "open('ROOT/executed', 'w')\n", "test_a.py": "def test(): pass\n"},
        {"setup.py": "open('ROOT/executed', 'w')\n", "requirements.txt": "-e .\n"},
        {"package.json": '{"scripts": {"preinstall": "touch ROOT/executed", "test": "touch ROOT/executed"}}'},
        {"Makefile": "test:\n\ttouch ROOT/executed\n"},
        {"build.rs": "fn main() {}\n", "Cargo.toml": '[package]\nname = "a"\nversion = "0.1.0"\nbuild = "build.rs"\n'},
        {"tox.ini": "[testenv]\ncommands_pre = touch ROOT/executed\n", "noxfile.py": "open('ROOT/executed', 'w')\n"},
        {
            "pyproject.toml": '[tool.pytest.ini_options]\naddopts = "-p evil"\n',
            "evil.py": "open('ROOT/executed', 'w')\n",
        },
        {".pre-commit-config.yaml": "repos: []\n", "mypy.ini": "[mypy]\nplugins = evil.py\n", "evil.py": "1 / 0\n"},
    ],
    ids=[
        "conftest",
        "setup.py",
        "npm scripts",
        "Makefile",
        "build script",
        "tox and nox",
        "pytest plugin",
        "mypy plugin",
    ],
)
@pytest.mark.parametrize("agent", ["test", "lint"])
def test_nothing_that_configuration_names_is_executed(tmp_path: Path, agent: str, files: dict[str, str]) -> None:
    planted = {path: text.replace("ROOT", str(tmp_path)) for path, text in files.items()}
    Stage(tmp_path, {"app.py": "X = 1\n", **planted}, trusted=False).run(AGENTS[agent]())
    assert not (tmp_path / "executed").exists()
