"""A stranger's commit that changes the configuration of tools is looked at by the base branch's, with real tools."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from bot.domain.findings import AgentResult, Outcome
from tests.workers.stage import Files, Stage, Watching
from workers.registry import AGENTS

LINT, SECURITY = AGENTS["lint"](), AGENTS["security"]()
NO_UNUSED = 'lint.ignore = ["F401"]\n'
NONE_AT_ALL = 'lint.ignore = ["ALL"]\nexclude = ["*"]\n'
# One that the base's configuration accepts, one that it does not.
CODE = "import os\n\nx = 1\nprint(x is 1)\n"


def look(root: Path, base: Files | None, head: Files, *tools: str) -> AgentResult:
    settings = {"tools": list(tools)} if tools else {}
    return Stage(root, head, base=base, trusted=False, settings=settings).run(LINT)


def rules(result: AgentResult) -> set[str]:
    return {finding.rule for finding in result.findings}


def test_what_a_stranger_turns_off_stays_on_and_what_the_base_turns_off_stays_off(tmp_path: Path) -> None:
    base = {
        "ruff.toml": NO_UNUSED,
        ".shellcheckrc": "disable=SC2086\n",
        ".yamllint": "rules: {key-duplicates: disable, trailing-spaces: enable}\n",
        ".hadolint.yaml": "ignored: [DL3007]\n",
    }
    head = {
        "ruff.toml": NONE_AT_ALL,
        ".shellcheckrc": "disable=all\n",
        ".yamllint": "rules: {}\n",
        ".hadolint.yaml": "ignored: [DL3007, DL4000, DL3020]\n",
        "app.py": CODE,
        "run.sh": "#!/bin/bash\necho $1\ncd /x\n",
        "conf.yml": "a: 1 \na: 2\n",
        "Dockerfile": "FROM debian:latest\nADD a /a\n",
    }
    result = look(tmp_path, base, head, "ruff", "shellcheck", "yamllint", "hadolint")
    assert rules(result) == {"F632", "SC2164", "trailing-spaces", "DL3020"}
    assert result.outcome is Outcome.FINDINGS
    assert {"app.py", "run.sh", "conf.yml", "Dockerfile"} <= set(result.covered)


@pytest.mark.parametrize("folder", ["", "api/"])
def test_a_configuration_that_a_stranger_removes_counts(tmp_path: Path, folder: str) -> None:
    result = look(tmp_path, {f"{folder}ruff.toml": NO_UNUSED}, {f"{folder}app.py": CODE}, "ruff")
    assert rules(result) == {"F632"}


def test_a_configuration_that_a_stranger_moves_counts_where_it_was(tmp_path: Path) -> None:
    base = {"api/ruff.toml": f"{NO_UNUSED}# one\n# two\n# three\n", "web/a.txt": ""}
    head = {"web/ruff.toml": base["api/ruff.toml"], "web/a.txt": "", "api/app.py": CODE, "web/app.py": CODE}
    found = look(tmp_path, base, head, "ruff").findings
    assert {(f.path, f.rule) for f in found} == {("api/app.py", "F632"), ("web/app.py", "F632"), ("web/app.py", "F401")}


def test_a_tool_that_the_base_alone_configures_is_used(tmp_path: Path) -> None:
    """A stranger cannot do away with it, and cannot have one used by choosing its taste."""
    taste = {"taplo.toml": "[[rule]]\n"}
    text = {"a.toml": "a = 1\na = 2\n"}
    sandbox = Watching()
    for name, base, head in (("removed", taste, text), ("added", {}, taste | text)):
        Stage(tmp_path / name, head, base=base, trusted=False, sandbox=sandbox).run(LINT)
        assert bool(sandbox.argv_of("taplo")) is (name == "removed")
        sandbox.commands.clear()


def test_a_configuration_is_looked_at_itself_as_the_stranger_has_it(tmp_path: Path) -> None:
    base = {"pyproject.toml": f'[tool.ruff]\n{NO_UNUSED}[project]\nname = "a"\n'}
    head = {"pyproject.toml": "[tool.ruff]\nlint.ignore = \n", "app.py": CODE}
    result = look(tmp_path, base, head, "ruff", "toml")
    assert {(f.tool, f.path) for f in result.findings} == {("ruff", "app.py"), ("toml", "pyproject.toml")}
    assert rules(result) >= {"F632"}
    assert "F401" not in rules(result)


def test_files_that_the_base_s_configuration_leads_to_count_as_the_base_has_them(tmp_path: Path) -> None:
    base = {
        "ruff.toml": 'extend = "conf/rules.toml"\n',
        "conf/rules.toml": 'extend = "more.toml"\n',
        "conf/more.toml": NO_UNUSED,
        ".yamllint": "extends: conf/yaml.yml\n",
        "conf/yaml.yml": "rules: {key-duplicates: disable, trailing-spaces: enable}\n",
    }
    head = {
        **base,
        "conf/more.toml": NONE_AT_ALL,
        "conf/yaml.yml": "rules: {}\nb: 1\nb: 2\n",
        "app.py": CODE,
        "a.yml": "a: 1 \na: 2\n",
    }
    found = look(tmp_path, base, head, "ruff", "yamllint").findings
    assert {(f.path, f.rule) for f in found} == {
        ("app.py", "F632"),
        ("a.yml", "trailing-spaces"),
        # What is configuration is looked at by the tool's defaults, for its own word does not count.
        ("conf/yaml.yml", "key-duplicates"),
    }


def test_sources_that_a_configuration_names_are_looked_at_by_it(tmp_path: Path) -> None:
    base = {"ruff.toml": '[lint.per-file-ignores]\n"shop/__init__.py" = ["F401"]\n', "shop/__init__.py": "X = 1\n"}
    head = {"shop/__init__.py": CODE, "ruff.toml": "# mine\n" + base["ruff.toml"]}
    assert rules(look(tmp_path, base, head, "ruff")) == {"F632"}


def test_what_was_there_before_is_compared_by_the_same_configuration(tmp_path: Path) -> None:
    base = {"ruff.toml": 'lint.select = ["F632", "UP"]\n', "app.py": f"from typing import List\ny: List[int]\n{CODE}"}
    head = {"ruff.toml": 'lint.select = ["F"]\n', "app.py": f"{base['app.py']}print(x is 2)\n"}
    new = [(f.rule, f.start_line) for f in look(tmp_path, base, head, "ruff").findings if f.new]
    assert new == [("F632", 7)]


def test_what_a_stranger_puts_in_the_way_is_put_aside(tmp_path: Path) -> None:
    base = {"ruff.toml": NO_UNUSED, "api/ruff.toml": 'lint.ignore = ["F632"]\n', "api/old.py": ""}
    head = {"ruff.toml/deep/app.py": CODE, "api": "no folder\n", "app.py": CODE}
    found = look(tmp_path, base, head, "ruff").findings
    assert {(f.path, f.rule) for f in found if f.path == "app.py"} == {("app.py", "F632")}


def test_links_of_a_stranger_lead_nowhere(tmp_path: Path) -> None:
    """Trees are written without links; were there one all the same, nothing would be written through it."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "ruff.toml").write_text("# kept\n")
    stage = Stage(
        tmp_path,
        {"app.py": CODE},
        base={"api/ruff.toml": NO_UNUSED, "ruff.toml": NO_UNUSED},
        trusted=False,
        settings={"tools": ["ruff"]},
    )
    work = stage.work()
    (tmp_path / "head" / "api").symlink_to(outside)
    (tmp_path / "head" / "ruff.toml").symlink_to(outside / "ruff.toml")
    assert rules(LINT.run(work, stage.kit())) == {"F632"}
    assert (outside / "ruff.toml").read_text() == "# kept\n"


def test_words_that_are_no_path_lead_nowhere(tmp_path: Path) -> None:
    base = {"ruff.toml": f"{NO_UNUSED}# {'x' * 5_000} {'a/' * 3_000} ../../a // ~\n"}
    head = {"ruff.toml": NONE_AT_ALL, "app.py": CODE}
    assert rules(look(tmp_path, base, head, "ruff")) == {"F632"}


def test_a_first_commit_has_no_say(tmp_path: Path) -> None:
    assert rules(look(tmp_path, None, {"ruff.toml": NONE_AT_ALL, "app.py": CODE}, "ruff")) == {"F632", "F401"}


def test_who_is_trusted_configures_the_tools_with_the_same_commit(tmp_path: Path) -> None:
    head = {"ruff.toml": NONE_AT_ALL, "app.py": CODE}
    stage = Stage(tmp_path, head, base={"ruff.toml": NO_UNUSED}, settings={"tools": ["ruff"]})
    assert stage.run(LINT).findings == ()


def test_accepted_secrets_are_the_base_s(tmp_path: Path) -> None:
    known, fresh = "AKIA" + "Q7ZK3MVX2PLNR5TD", "AKIA" + "W4JH8YBC6SFGE9UA"
    base = {".secrets.baseline": _accepting(known)}
    head = {".secrets.baseline": _accepting(fresh), "a.py": f'a = "{known}"\nb = "{fresh}"\n'}
    result = Stage(tmp_path, head, base=base, trusted=False, settings={"tools": ["detect-secrets"]}).run(SECURITY)
    assert {f.start_line for f in result.findings if f.path == "a.py" and f.counts} == {2}


def _accepting(secret: str) -> str:
    digest = hashlib.sha1(secret.encode(), usedforsecurity=False).hexdigest()
    known = {"type": "AWS Access Key", "filename": "a.py", "hashed_secret": digest, "line_number": 1}
    plugins = [{"name": "AWSKeyDetector"}]
    return json.dumps({"version": "1.5.0", "plugins_used": plugins, "results": {"a.py": [known]}})
