"""`assay config`."""

from __future__ import annotations

import io
import json
import shutil
import sys

import pytest

from tests.cli.command import Assay
from tests.repository import Repository

BAD = "agents:\n  lint:\n    failon: high\n  test: {timeout: soon}\n"


def test_good_file_is_valid(assay: Assay, repository: Repository) -> None:
    file = repository.root / ".github/assay.yml"
    assert assay("config", "validate", file) == (0, f"{file}: valid\n", "")


def test_default_is_the_file_of_the_folder_one_is_in(
    assay: Assay, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository.root)
    assert assay("config", "validate").out == ".github/assay.yml: valid\n"


def test_bad_file_is_1_with_every_problem_by_line_and_key(assay: Assay, repository: Repository) -> None:
    file = repository.write(".github/assay.yml", BAD)
    ended = assay("config", "validate", file)
    assert (ended.code, ended.out) == (1, "")
    first, second = ended.err.splitlines()
    assert first.startswith(f"{file}:3:5: agents.lint.failon: ")
    assert "fail_on" in first
    assert second.startswith(f"{file}:4:")


def test_standard_input(assay: Assay, monkeypatch: pytest.MonkeyPatch) -> None:
    for text, code in ((BAD.encode(), 1), (b"version: 1\n", 0), (b"\xff\xfe\x00", 1), (b"#" * 3_000_000, 1)):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
        assert assay("config", "validate", "-").code == code


def test_missing_file_is_2(assay: Assay, repository: Repository) -> None:
    ended = assay("config", "validate", repository.root / "nowhere.yml")
    assert ended.code == 2
    assert "nowhere.yml cannot be read: No such file" in ended.err


def test_keys_of_later_versions_are_told(assay: Assay, repository: Repository) -> None:
    file = repository.write(".github/assay.yml", "approvals: {apply_fix: write}\n")
    ended = assay("config", "validate", file)
    assert ended.code == 0
    assert "does not act on `approvals.apply_fix`" in ended.out


def test_schema_is_json(assay: Assay) -> None:
    schema = json.loads(assay("config", "schema").out)
    assert schema["properties"]["agents"]


def test_explain_says_what_would_run_and_why(assay: Assay, repository: Repository) -> None:
    repository.commit(
        {
            ".github/assay.yml": "agents:\n"
            "  docs: {run: mkdocs build, paths: ['docs/**']}\n"
            "  types: {run: mypy ., setup: pip install mypy, required: true, timeout: 90s}\n"
            "  review: {enabled: false}\n",
            "pyproject.toml": "[tool.pytest.ini_options]\n[tool.ruff]\n",
            "Makefile": "test:\n\tpytest\n",
        }
    )
    repository.git("switch", "--quiet", "--create", "topic")
    repository.write("deploy.sh", "echo\n")
    repository.write("a.py", "A = 1\n")
    repository.write("shop.rb", "shop = 1\n")
    text = assay("config", "explain", repository.root).out
    assert "Configuration: .github/assay.yml\n3 files changed since main (" in text
    agents = {
        row["agent"]: row for row in json.loads(assay("config", "explain", repository.root, "--json").out)["agents"]
    }
    test, make = agents["test"]["why"]
    assert test.startswith("found pytest by pyproject.toml: runs ")
    assert make == "not make test: Makefile is there, but pytest was found: most often it runs just that"
    *reading, others = agents["lint"]["why"]
    assert {"ruff on 1 file, by pyproject.toml", "shellcheck on 1 file"} <= set(reading)
    assert others.startswith("nothing that changed is for yamllint, hadolint")
    assert "detect-secrets on 3 files" in agents["security"]["why"]
    semgrep = "semgrep on 1 file" if shutil.which("semgrep") else "not semgrep: not installed: it would read .rb files"
    assert semgrep in agents["security"]["why"]
    assert (agents["docs"]["runs"], agents["docs"]["why"]) == (False, ["no changed file matches its `paths`"])
    assert agents["types"]["why"] == ["sets up with: pip install mypy", "runs: mypy ."]
    assert agents["types"]["timeout"] == 90
    assert (agents["review"]["runs"], agents["review"]["why"]) == (False, ["agents.review.enabled is false"])


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"package.json": '{"scripts": {"test": "vitest"}}'}, "found npm test by package.json: runs npm test --silent"),
        ({"Makefile": "test:\n\t./run\n"}, "found make test by Makefile: runs make test"),
        ({"README.md": "x"}, "no test suite was found"),
        ({".github/assay.yml": "agents: {test: {run: ./run-tests}}"}, "runs: ./run-tests"),
    ],
)
def test_explain_says_which_tests_were_found(
    assay: Assay, repository: Repository, files: dict[str, str], why: str
) -> None:
    repository.commit({".github/assay.yml": ""} | files)
    agents = json.loads(assay("config", "explain", repository.root, "--json").out)["agents"]
    assert agents[0]["why"][0].startswith(why)


def test_explain_of_review_depends_on_a_key(
    assay: Assay, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.commit({".github/assay.yml": ""})
    assert "set OPENAI_API_KEY" in assay("config", "explain", repository.root).out
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    assert "asks gpt-" in assay("config", "explain", repository.root).out


def test_explain_of_a_bad_file_is_2(assay: Assay, repository: Repository) -> None:
    repository.write(".github/assay.yml", BAD)
    ended = assay("config", "explain", repository.root)
    assert ended.code == 2
    assert ".github/assay.yml:3:5: agents.lint.failon" in ended.err
