"""The linters' parsers, on recorded output."""

from __future__ import annotations

import json

import pytest

from bot.domain.findings import Severity
from bot.errors import ToolFailed
from workers.tools import actionlint, hadolint, ruff, shellcheck, yamllint

from .recordings import PYTHON, SHELL, output, recorded


def test_ruff_findings_have_place_severity_and_link() -> None:
    reading = ruff.parse(output(recorded("ruff.json")))
    seen = {(f.rule, f.path, f.start_line, f.severity) for f in reading.findings}
    assert ("F821", "/checkout/a.py", 8, Severity.HIGH) in seen
    assert ("E711", "/checkout/a.py", 6, Severity.MEDIUM) in seen
    assert ("invalid-syntax", "/checkout/broken.py", 1, Severity.HIGH) in seen
    unused = next(f for f in reading.findings if f.rule == "F401")
    assert unused.url == "https://docs.astral.sh/ruff/rules/unused-import"
    assert (unused.start_column, unused.end_column) == (8, 10)


def test_ruff_safe_fix_becomes_a_replacement_of_whole_lines() -> None:
    findings = ruff.parse(output(recorded("ruff.json"), sources={"a.py": PYTHON})).findings
    unused = next(f for f in findings if f.rule == "F401")
    assert (unused.start_line, unused.end_line, unused.replacement) == (1, 1, "")
    assert next(f for f in findings if f.rule == "E711").replacement is None  # not a safe one
    assert next(f for f in findings if f.rule == "F821").replacement is None


@pytest.mark.parametrize("choice", ['[lint]\nselect = ["ALL"]\n', 'lint.extend-select=["UP"]', 'extend = "base.toml"'])
def test_ruff_taste_counts_less_where_the_repository_never_chose_rules(choice: str) -> None:
    stdout = '[{"code": "UP035", "filename": "a.py", "message": "m", "location": {"row": 1, "column": 1}}]'
    [by_default] = ruff.parse(output(stdout)).findings
    [chosen] = ruff.parse(output(stdout, config="ruff.toml", sources={"ruff.toml": choice})).findings
    assert (by_default.severity, chosen.severity) == (Severity.LOW, Severity.MEDIUM)


def test_ruff_configuration_that_chooses_no_rules_makes_taste_no_duty() -> None:
    """ruff's own defaults grow with every version."""
    stdout = '[{"code": "UP035", "filename": "a.py", "message": "m", "location": {"row": 1, "column": 1}}]'
    sources = {"pyproject.toml": "[tool.ruff]\nline-length = 100\n"}
    [finding] = ruff.parse(output(stdout, config="pyproject.toml", sources=sources)).findings
    assert finding.severity is Severity.LOW


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("requests/compat.py", "`io` imported but unused"),
        ("shop/__init__.py", "`.cart` imported but unused"),
        ("a.py", "`ssl` imported but unused; consider using `importlib.util.find_spec` to test for availability"),
    ],
)
def test_ruff_import_that_is_there_for_others_is_no_mistake(path: str, message: str) -> None:
    results = [{"code": "F401", "filename": path, "message": message, "location": {"row": 1, "column": 1}}]
    [finding] = ruff.parse(output(json.dumps(results))).findings
    assert finding.severity is Severity.LOW


def test_ruff_crash_is_told_in_its_own_words() -> None:
    with pytest.raises(ToolFailed, match="ruff failed with exit code 2: error: unexpected argument"):
        ruff.parse(output("", "error: unexpected argument '--x' found", exit_code=2))


def test_shellcheck_levels_and_wiki_links() -> None:
    findings = shellcheck.parse(output(recorded("shellcheck.json"))).findings
    seen = {(f.rule, f.path, f.start_line, f.severity) for f in findings}
    assert ("SC2086", "./t.sh", 2, Severity.LOW) in seen
    assert ("SC2034", "./t.sh", 4, Severity.LOW) in seen
    assert ("SC1073", "./s.sh", 4, Severity.HIGH) in seen
    assert findings[0].url == f"https://www.shellcheck.net/wiki/{findings[0].rule}"


def test_shellcheck_advice_is_a_warning_where_the_repository_configures_it() -> None:
    findings = shellcheck.parse(output(recorded("shellcheck.json"), config=".shellcheckrc")).findings
    assert ("SC2034", Severity.MEDIUM) in {(f.rule, f.severity) for f in findings}


def test_shellcheck_fix_of_two_insertions_is_one_replacement() -> None:
    findings = shellcheck.parse(output(recorded("shellcheck.json"), sources={"t.sh": SHELL})).findings
    fixed = {f.start_line: f.replacement for f in findings if f.rule == "SC2086" and f.path == "./t.sh"}
    assert fixed[2] == 'echo "$1"'
    assert fixed[3] is None  # its columns count a tab as eight


def test_yamllint_tells_broken_from_untidy() -> None:
    findings = yamllint.parse(output(recorded("yamllint.txt"))).findings
    seen = {(f.rule, f.path, f.start_line, f.severity) for f in findings}
    assert ("key-duplicates", "./y.yml", 2, Severity.HIGH) in seen
    assert ("colons", "./y.yml", 3, Severity.LOW) in seen
    assert ("syntax", "./bad.yml", 2, Severity.HIGH) in seen
    assert next(f for f in findings if f.rule == "colons").message == "too many spaces after colon"


def test_yamllint_crash_after_some_findings_is_a_crash() -> None:
    """It ends with 1 for findings and for a crash alike."""
    trace = "Traceback (most recent call last):\n  ...\nUnicodeDecodeError: 'utf-8' codec can't decode byte 0xff"
    with pytest.raises(ToolFailed, match="yamllint crashed: Traceback"):
        yamllint.parse(output(recorded("yamllint.txt"), trace))
    with pytest.raises(ToolFailed, match=r"yamllint failed: \[Errno 2\] No such file"):
        yamllint.parse(output("", "[Errno 2] No such file or directory: 'x'"))


def test_yamllint_path_with_colons_is_whole() -> None:
    [finding] = yamllint.parse(output("./a:1:2: [x].yml:3:4: [error] wrong (odd) thing (colons)\n")).findings
    assert finding.start_line in (1, 3)  # hostile names cannot do more than mislead about themselves


def test_hadolint_levels() -> None:
    findings = hadolint.parse(output(recorded("hadolint.json"))).findings
    seen = {(f.rule, f.path, f.start_line, f.severity) for f in findings}
    assert ("DL3007", "./Dockerfile", 1, Severity.MEDIUM) in seen
    assert ("DL3004", "./Dockerfile", 2, Severity.HIGH) in seen


@pytest.mark.parametrize(("config", "severity"), [(None, Severity.LOW), (".hadolint.yaml", Severity.MEDIUM)])
def test_hadolint_packages_without_a_version_are_advice(config: str | None, severity: Severity) -> None:
    stdout = '[{"code": "DL3008", "file": "./Dockerfile", "line": 2, "level": "warning", "message": "Pin versions"}]'
    [finding] = hadolint.parse(output(stdout, config=config)).findings
    assert finding.severity is severity


@pytest.mark.parametrize(
    ("path", "tools"),
    [
        ("a/b.py", {"ruff"}),
        ("stubs/x.pyi", {"ruff"}),
        ("notebook.ipynb", set()),
        ("bin/x.sh", {"shellcheck"}),
        (".github/workflows/ci.yml", {"yamllint"}),
        ("chart/templates/deploy.yaml", set()),
        ("Dockerfile", {"hadolint"}),
        ("docker/Dockerfile.dev", {"hadolint"}),
        ("api.Dockerfile", {"hadolint"}),
        ("Containerfile.prod", {"hadolint"}),
        ("Dockerfiles/readme.md", set()),
        ("Dockerfile.dockerignore", set()),
        ("Dockerfile.j2", set()),
        ("parser/dockerfile.go", set()),
    ],
)
def test_each_file_goes_to_those_who_read_it(path: str, tools: set[str]) -> None:
    linters = (ruff.TOOL, shellcheck.TOOL, yamllint.TOOL, hadolint.TOOL)
    assert {tool.name for tool in linters if tool.applies(path)} == tools


WORKFLOW = """\
name: w
on:
  push:
    branch: main
jobs:
  test:
    runs-on: ubuntu-latst
    needs: build
    steps:
      - uses: actions/checkout@v2
      - name: script
        run: |
          echo hi
          echo $GREETING
      - run: echo ${{ github.evnt }} $NAME
      - run: >-
          echo a
          $B
"""


def test_actionlint_tells_broken_from_unwise_and_where_in_a_script() -> None:
    sources = {".github/workflows/w.yml": WORKFLOW, ".github/workflows/bad.yml": "on: [\n"}
    reading = actionlint.parse(output(recorded("actionlint.json"), sources=sources))
    assert {
        (f.rule, f.path[20:], f.start_line, f.start_column, f.end_column, f.severity) for f in reading.findings
    } == {
        ("syntax-check", "w.yml", 4, 5, 12, Severity.HIGH),
        ("job-needs", "w.yml", 6, 3, 8, Severity.HIGH),
        ("runner-label", "w.yml", 7, 14, 26, Severity.LOW),
        ("action", "w.yml", 10, 15, 34, Severity.MEDIUM),
        ("SC2086", "w.yml", 14, None, None, Severity.LOW),
        ("SC2086", "w.yml", 15, None, None, Severity.LOW),
        ("expression", "w.yml", 15, 23, 34, Severity.MEDIUM),
        # One whose lines are folded is told of as a whole.
        ("SC2086", "w.yml", 16, None, None, Severity.LOW),
        ("syntax-check", "bad.yml", 1, None, None, Severity.HIGH),
    }
    messages = {f.rule: f.message for f in reading.findings}
    assert messages["expression"] == 'property "evnt" is not defined'
    assert messages["runner-label"].startswith(
        'label "ubuntu-latst" is unknown. if it is a custom label for self-hosted'
    )


def test_actionlint_that_knows_the_runners_means_it() -> None:
    found = actionlint.parse(output(recorded("actionlint.json"), config=".github/actionlint.yaml")).findings
    assert {f.severity for f in found if f.rule == "runner-label"} == {Severity.MEDIUM}
    assert "-config-file=.github/actionlint.yaml" in actionlint.argv(["./a.yml"], ".github/actionlint.yaml")


def test_actionlint_whose_configuration_is_wrong_has_failed() -> None:
    words = 'could not parse config file ".github/actionlint.yaml": yaml: unmarshal errors'
    with pytest.raises(ToolFailed, match="could not parse config file"):
        actionlint.parse(output("", words, 3))
