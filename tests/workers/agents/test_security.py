"""The security agent, with the real scanners."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.domain.diff import Diff, FileDiff
from bot.domain.findings import Outcome, Severity
from workers.agent import Added, History
from workers.agents.security import SecurityAgent
from workers.registry import SCANNERS

from ..stage import Stage, Watching, all_new

AGENT = SecurityAgent(tools=SCANNERS)

# For tests that are about any scanner.
BANDIT = {"tools": ["bandit"]}

# Put together here, so that no scanner finds them in this file.
KEY = "AKIA" + "Z7VRSQ5TJN2XMPLW"
SHELL = 'import subprocess\n\n\ndef run(name):\n    subprocess.call("ls " + name, shell=True)\n'
WORKFLOW = """\
on: pull_request_target
permissions: {}
jobs:
  a:
    runs-on: ubuntu-latest
    permissions: {}
    steps:
      - run: echo "${{ github.event.pull_request.title }}"
"""


def test_every_scanner_says_its_piece(tmp_path: Path) -> None:
    head = {"settings.py": f'KEY = "{KEY}"\n', "app.py": SHELL, ".github/workflows/ci.yml": WORKFLOW}
    result = Stage(tmp_path, head).run(AGENT)
    assert result.outcome is Outcome.FINDINGS
    seen = {(f.tool, f.rule, f.path, f.start_line, f.severity) for f in result.findings}
    assert {
        ("detect-secrets", "secret/aws-access-key", "settings.py", 1, Severity.HIGH),
        ("bandit", "B602", "app.py", 5, Severity.HIGH),
        ("zizmor", "template-injection", ".github/workflows/ci.yml", 8, Severity.HIGH),
    } <= seen
    assert set(result.covered) == set(head)
    assert {"detect-secrets", "bandit", "zizmor"} <= set(result.tools)
    assert all(finding.new for finding in result.findings)


def test_a_secret_is_never_printed(tmp_path: Path) -> None:
    result = Stage(tmp_path, {"settings.py": f'KEY = "{KEY}"\npassword = "Tr0ub4dor-and-3"\n'}).run(AGENT)
    assert len([f for f in result.findings if f.tool == "detect-secrets"]) == 2
    text = result.model_dump_json()
    assert KEY not in text
    assert "Tr0ub4dor" not in text


def test_a_scanner_that_is_not_installed_is_named_where_nobody_else_looked_at_the_code(tmp_path: Path) -> None:
    files = {"a.go": "package a\n", "b.rb": "b = 1\n", "app.py": "X = 1\n", "Dockerfile": "FROM debian:12\n"}
    result = Stage(tmp_path, files, sandbox=Watching("semgrep", "gosec", "trivy")).run(AGENT)
    assert [(one.what, one.why) for one in result.not_covered] == [
        ("semgrep", "not installed: it would read .go, .rb files"),
        ("gosec", "not installed: it would read .go files"),
    ]


def test_harmless_files_are_clean_and_covered(tmp_path: Path) -> None:
    files = {"app.py": "X = 1\n", "notes.md": "# Notes\n", "hash.txt": "8f86d081884c7d659a2feaa0c55ad015a3bf4f1b\n"}
    result = Stage(tmp_path, files).run(AGENT)
    assert result.outcome is Outcome.CLEAN
    assert set(result.covered) == set(files)


def test_what_the_base_had_is_not_new(tmp_path: Path) -> None:
    added = SHELL + '\n\ndef also(name):\n    subprocess.call("rm " + name, shell=True)\n'
    result = Stage(tmp_path, {"app.py": "# moved down\n" + added}, base={"app.py": SHELL}, settings=BANDIT).run(AGENT)
    new = {f.start_line: f.new for f in result.findings if f.rule == "B602"}
    assert new == {6: False, 10: True}


def test_a_renamed_file_keeps_its_old_findings(tmp_path: Path) -> None:
    diff = Diff(files={"new.py": FileDiff(path="new.py", old_path="old.py", status="renamed")})
    result = Stage(tmp_path, {"new.py": SHELL}, base={"old.py": SHELL}, diff=diff, settings=BANDIT).run(AGENT)
    assert [f.new for f in result.findings if f.rule == "B602"] == [False]


def test_a_new_file_in_place_of_a_renamed_one_has_no_base(tmp_path: Path) -> None:
    diff = Diff(
        files={
            "new.py": FileDiff(path="new.py", old_path="old.py", status="renamed"),
            "old.py": FileDiff(path="old.py", status="added"),
        }
    )
    result = Stage(
        tmp_path, {"new.py": SHELL, "old.py": SHELL}, base={"old.py": SHELL}, diff=diff, settings=BANDIT
    ).run(AGENT)
    assert {f.path: f.new for f in result.findings if f.rule == "B602"} == {"new.py": False, "old.py": True}


def test_without_a_base_everything_is_new(tmp_path: Path) -> None:
    result = Stage(tmp_path, {"app.py": SHELL}, settings=BANDIT).run(AGENT)
    assert all(finding.new for finding in result.findings)


def test_the_base_is_scanned_only_where_something_was_found(tmp_path: Path) -> None:
    sandbox = Watching()
    files = {"good.py": "X = 1\n", "bad.py": SHELL}
    base = {"good.py": "X = 2\n", "bad.py": "import subprocess\n"}
    result = Stage(tmp_path, files, base=base, sandbox=sandbox, settings=BANDIT).run(AGENT)
    at_base = [list(one.argv) for one in sandbox.commands if one.cwd == tmp_path / "base" and "--" in one.argv]
    assert [argv[0] for argv in at_base] == ["bandit"]
    assert at_base[0][-1] == "./bad.py"
    assert set(result.covered) == set(files)


def test_what_stands_far_from_the_change_was_there_before(tmp_path: Path) -> None:
    """Nor is the base scanned for it, or even written."""
    sandbox = Watching()
    base = SHELL + "\n" * 20 + "X = 1\n"
    stage = Stage(tmp_path, {"app.py": base + "Y = 1\n"}, base={"app.py": base}, sandbox=sandbox, settings=BANDIT)
    assert [f.new for f in stage.run(AGENT).findings if f.rule == "B602"] == [False]
    assert not [one for one in sandbox.commands if one.cwd == tmp_path / "base"]


def test_a_formatter_makes_no_finding_new(tmp_path: Path) -> None:
    base = "import hashlib\n\nH = (hashlib.sha1(b'x').hexdigest())\n"
    head = 'import hashlib\n\nH = hashlib.sha1(b"x").hexdigest()\n'
    result = Stage(tmp_path, {"app.py": head}, base={"app.py": base}, settings=BANDIT).run(AGENT)
    assert [(f.rule, f.new) for f in result.findings] == [("B324", False)]


def test_a_fork_is_scanned_without_its_own_configuration(tmp_path: Path) -> None:
    files = {"app.py": SHELL, ".bandit": "[bandit]\nskips: B602\n"}
    trusted, fork = (
        Stage(tmp_path / str(trusted), files, trusted=trusted, settings=BANDIT).run(AGENT) for trusted in (True, False)
    )
    assert "B602" not in {f.rule for f in trusted.findings}
    assert "B602" in {f.rule for f in fork.findings}


def test_python_that_bandit_cannot_parse_is_not_called_clean(tmp_path: Path) -> None:
    result = Stage(tmp_path, {"app.py": "def broken(:\n", "good.py": "X = 1\n"}, settings=BANDIT).run(AGENT)
    assert result.outcome is Outcome.PARTIAL
    assert "app.py (bandit: syntax error" in result.reason
    assert "app.py" not in result.covered


def test_binary_files_are_nobodys_business(tmp_path: Path) -> None:
    png = {"logo.png": b"\x89PNG\r\n\0\0"}
    assert Stage(tmp_path / "1", png).run(AGENT).outcome is Outcome.SKIPPED
    result = Stage(tmp_path / "2", {**png, "app.py": "X = 1\n"}).run(AGENT)
    assert result.outcome is Outcome.CLEAN
    assert [(one.what, one.why) for one in result.not_covered] == [("logo.png", "binary")]


def test_a_missing_scanner_makes_it_partial(tmp_path: Path) -> None:
    result = Stage(tmp_path, {"app.py": "X = 1\n"}, sandbox=Watching("bandit")).run(AGENT)
    assert result.outcome is Outcome.PARTIAL
    assert "bandit" in result.reason


def test_an_unknown_scanner_is_an_error(tmp_path: Path) -> None:
    result = Stage(tmp_path, {"app.py": SHELL}, settings={"tools": ["nonsuch"]}).run(AGENT)
    assert result.outcome is Outcome.ERROR
    assert "detect-secrets, bandit, zizmor" in result.reason


def test_a_change_of_nothing_is_clean(tmp_path: Path) -> None:
    assert Stage(tmp_path, {}).run(AGENT).outcome is Outcome.CLEAN


# -- secrets in the commits between


def between(text: str, path: str = "settings.py") -> History:
    """A commit that added a line, and one that took it away."""
    return History(commits=2, added=[Added("c0ffee" + "0" * 34, path, ((7, text),))])


def test_a_secret_that_was_taken_out_again_is_out_all_the_same(tmp_path: Path) -> None:
    files = {"settings.py": "X = 1\n"}
    result = Stage(tmp_path, files, base={}, history=between(f'KEY = "{KEY}"')).run(AGENT)
    assert result.outcome is Outcome.FINDINGS
    [finding] = result.findings
    assert (finding.rule, finding.severity, finding.path, finding.start_line) == (
        "secret/aws-access-key", Severity.HIGH, "", None,
    )  # fmt: skip
    assert "in commit c0ffee0000, settings.py:7" in finding.message
    assert KEY not in result.model_dump_json()
    assert "2 commits one by one" in result.summary


def test_a_secret_that_is_still_there_is_told_once(tmp_path: Path) -> None:
    files = {"settings.py": f'KEY = "{KEY}"\n'}
    result = Stage(tmp_path, files, base={}, history=between(f'KEY = "{KEY}" ')).run(AGENT)
    assert [f.path for f in result.findings if f.tool == "detect-secrets"] == ["settings.py"]
    elsewhere = Stage(tmp_path, files, base={}, history=between(f'OTHER = "{KEY}"')).run(AGENT)
    assert [f.path for f in elsewhere.findings if f.tool == "detect-secrets"] == ["settings.py"]


def test_what_the_base_had_is_not_leaked_by_a_commit_that_moves_it(tmp_path: Path) -> None:
    line = f'KEY = "{KEY}"'
    result = Stage(tmp_path, {"a.py": "X = 1\n"}, base={"a.py": f"{line}\nX = 1\n"}, history=between(line)).run(AGENT)
    assert result.outcome is Outcome.CLEAN


def test_commits_that_could_not_be_read_make_it_partial(tmp_path: Path) -> None:
    result = Stage(tmp_path, {"a.py": "X = 1\n"}, base={}, history=History(gap="commits before the last 250")).run(
        AGENT
    )
    assert result.outcome is Outcome.PARTIAL
    assert "secrets in earlier commits: commits before the last 250" in result.reason


@pytest.mark.parametrize("path", ["../../etc/x", "a" * 300, "/abs/x.py", "a\\nb", "..", "ü/\udcff"])
def test_hostile_names_lead_nowhere(tmp_path: Path, path: str) -> None:
    result = Stage(tmp_path, {"a.py": "X = 1\n"}, base={}, history=between(f'KEY = "{KEY}"', path)).run(AGENT)
    # detect-secrets does not find a name with a backslash.
    assert [f.rule in ("secret/aws-access-key", "secret/aws-key") for f in result.findings] == [True]


def test_what_is_no_secret_by_default_is_counted(tmp_path: Path) -> None:
    result = Stage(tmp_path, {"a.py": 'password = "changeme"\n'}, settings={"tools": ["detect-secrets"]}).run(AGENT)
    assert (result.findings, result.left_out) == ((), {"a placeholder": 1})


def test_a_secret_that_was_accepted_is_left_out_and_counted(tmp_path: Path) -> None:
    files = {"settings.py": f'KEY = "{KEY}"\n'}
    [finding] = Stage(tmp_path, files).run(AGENT).findings
    assert finding.identity in finding.advice
    for name in (finding.identity, finding.fingerprint):
        stage = Stage(tmp_path, files, base={}, settings={"allow": (name,)}, history=between(f'K = "{KEY}"'))
        result = stage.run(AGENT)
        assert result.outcome is Outcome.CLEAN
        assert "accepted (allow): 1" in result.summary


def test_files_that_its_configuration_keeps_from_bandit_were_not_looked_at(tmp_path: Path) -> None:
    files = {"pyproject.toml": '[tool.bandit]\nexclude_dirs = ["gen"]\n', "gen/a.py": "X = 1\n", "a.py": "X = 1\n"}
    result = Stage(tmp_path, files, settings={"tools": ["bandit"]}, diff=all_new("gen/a.py", "a.py")).run(AGENT)
    assert (result.outcome, result.covered) == (Outcome.CLEAN, ("a.py",))
    assert [(one.what, one.why) for one in result.not_covered] == [
        ("gen/a.py", "bandit: excluded by its configuration")
    ]
