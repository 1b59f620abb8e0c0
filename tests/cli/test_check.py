"""`assay check` as a developer uses it: what it prints, what it exits with, and a pre-push hook."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bot.cli.check import exit_code
from bot.domain.findings import AgentResult, Finding, Outcome, Severity
from bot.domain.run import AgentState, Phase, Run
from tests.builders import agent_plan, run_key
from tests.cli.command import COMMAND, Assay, environment
from tests.cli.conftest import QUICK
from tests.repository import Repository

DIRTY = "import os\n\nPRICE = 1\n"


# -- exit codes


def test_clean_change_is_0(assay: Assay, repository: Repository) -> None:
    repository.write("shop.py", "PRICE = 2\n")
    ended = assay("check", repository.root)
    assert ended.code == 0
    assert "1 file changed since main (" in ended.out
    assert "✓ lint" in ended.out
    assert ended.err == ""


def test_what_the_repository_calls_its_folders_is_not_taken_for_ours(repository: Repository) -> None:
    """Nor for what we build on: `python -m` looks into the current folder first."""
    for name in ("config/__init__.py", "workers/__init__.py", "click.py", "pydantic.py"):
        repository.write(name, 'raise SystemExit("the repository\'s own")\n')
    argv = [sys.executable, "-m", "bot.cli", "config", "validate"]
    done = subprocess.run(argv, cwd=repository.root, env=environment(), capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, ""), done


def test_finding_on_a_changed_line_is_1(assay: Assay, repository: Repository) -> None:
    repository.write("shop.py", DIRTY)
    ended = assay("check", repository.root)
    assert ended.code == 1
    assert "✗ shop.py:1:8 medium `os` imported but unused [ruff F401]" in ended.out


def test_finding_on_a_line_that_was_there_is_not_counted(assay: Assay, repository: Repository) -> None:
    repository.commit({"shop.py": DIRTY})
    repository.write("shop.py", DIRTY + "PRICES = 2\n")
    assert assay("check", repository.root).code == 0
    everything = assay("check", repository.root, "--all")
    assert everything.code == 1
    assert "F401" in everything.out


def test_finding_below_fail_on_is_0(assay: Assay, repository: Repository) -> None:
    repository.commit({".github/assay.yml": QUICK.replace("[ruff]", "[ruff], fail_on: high")})
    repository.write("shop.py", DIRTY)
    ended = assay("check", repository.root)
    assert ended.code == 0
    assert "- shop.py:1:8 medium" in ended.out


def test_finding_of_an_agent_that_is_not_required_is_0(assay: Assay, repository: Repository) -> None:
    repository.commit({".github/assay.yml": QUICK.replace("[ruff]", "[ruff], required: false")})
    repository.write("shop.py", DIRTY)
    assert assay("check", repository.root).code == 0


def test_agent_asked_for_by_name_counts(assay: Assay, repository: Repository) -> None:
    settings = "agents:\n  docs: {run: 'exit 1'}\n  lint: {required: false}\n"
    repository.commit({".github/assay.yml": settings})
    repository.write("shop.py", DIRTY)
    assert assay("check", repository.root, "--agent", "docs").code == 1
    only = assay("check", repository.root, "--agent", "lint")
    assert only.code == 1
    assert "docs" not in only.out


def test_missing_tool_is_2_with_its_remedy(assay: Assay, repository: Repository) -> None:
    repository.commit({".github/assay.yml": "agents: {docs: {run: 'mkdocs-is-missing build', required: true}}"})
    repository.write("README.md", "hello\n")
    ended = assay("check", repository.root, "--agent", "docs")
    assert ended.code == 2
    assert "mkdocs-is-missing" in ended.out


def test_agent_that_was_asked_for_and_cannot_run_is_2(assay: Assay, repository: Repository) -> None:
    repository.commit({".github/assay.yml": ""})
    repository.write("shop.py", "PRICE = 2\n")
    ended = assay("check", repository.root, "--agent", "review")
    assert ended.code == 2
    assert "OPENAI_API_KEY" in ended.out


def test_review_without_a_key_is_told_and_does_not_matter(assay: Assay, repository: Repository) -> None:
    repository.commit({".github/assay.yml": QUICK.replace("  review: {enabled: false}\n", "")})
    repository.write("shop.py", "PRICE = 2\n")
    ended = assay("check", repository.root)
    assert ended.code == 0
    assert "– review  Not run: no model is configured" in ended.out


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        ([Outcome.CLEAN, Outcome.SKIPPED], 0),
        ([Outcome.CLEAN, Outcome.PARTIAL], 2),
        ([Outcome.CLEAN, Outcome.NOT_RUN], 2),
        ([Outcome.CLEAN, Outcome.ERROR], 2),
        ([Outcome.CLEAN, Outcome.TIMED_OUT], 2),
        ([Outcome.FINDINGS, Outcome.ERROR], 1),
        ([], 0),
    ],
)
def test_exit_code_of_outcomes(outcomes: list[Outcome], code: int) -> None:
    bad = Finding(tool="t", rule="r", severity=Severity.HIGH, message="m")
    agents = tuple(
        AgentState(
            plan=agent_plan(f"a{number}"),
            phase=Phase.DONE,
            result=AgentResult(outcome=outcome, findings=(bad,) if outcome is Outcome.FINDINGS else ()),
        )
        for number, outcome in enumerate(outcomes)
    )
    assert exit_code(Run(key=run_key(), installation=0, created_at=0, updated_at=0, agents=agents)) == code


# -- what cannot be looked at


def test_folder_in_no_repository_is_2(assay: Assay, tmp_path: Path) -> None:
    ended = assay("check", tmp_path)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"assay: {tmp_path} is not in a git repository")


def test_unknown_base_is_2(assay: Assay, repository: Repository) -> None:
    ended = assay("check", repository.root, "--base", "nowhere")
    assert ended.code == 2
    assert "--base nowhere" in ended.err


def test_all_and_base_contradict_each_other(assay: Assay, repository: Repository) -> None:
    assert assay("check", repository.root, "--base", "HEAD", "--all").code == 2


def test_unknown_agent_is_2_and_names_those_there_are(assay: Assay, repository: Repository) -> None:
    ended = assay("check", repository.root, "--agent", "linter")
    assert ended.code == 2
    assert "there is no agent 'linter'; there are: lint" in ended.err


def test_bad_configuration_is_2_with_line_key_and_remedy(assay: Assay, repository: Repository) -> None:
    repository.write(".github/assay.yml", "agents:\n  lint:\n    failon: high\n")
    ended = assay("check", repository.root)
    assert ended.code == 2
    assert ".github/assay.yml:3:5: agents.lint.failon: " in ended.err
    assert "fail_on" in ended.err


@pytest.mark.parametrize("kind", ["folder", "dangling link"])
def test_configuration_that_cannot_be_read_is_2(assay: Assay, repository: Repository, kind: str) -> None:
    file = repository.root / ".github/assay.yml"
    file.unlink()
    if kind == "folder":
        file.mkdir()
    else:
        file.symlink_to("nowhere.yml")
    ended = assay("check", repository.root)
    assert ended.code == 2
    assert "assay.yml cannot be read" in ended.err


def test_bug_is_2_and_never_1(assay: Assay, repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hook tells findings from failure by the code; Python's own for a traceback is 1."""
    monkeypatch.setattr("bot.cli.check.local_kit", lambda _: 1 / 0)
    repository.write("shop.py", DIRTY)
    ended = assay("check", repository.root)
    assert ended.code == 2
    assert "bug in Assay" in ended.err
    assert "ZeroDivisionError" in ended.err


def test_working_tree_is_left_as_it_was(assay: Assay, repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests run in place; what they compile is not the developer's to find in `git status`."""
    # Plugins that happen to be installed may run git themselves, and have it refresh the index.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    repository.commit(
        {
            ".github/assay.yml": "",
            "pyproject.toml": "[tool.pytest.ini_options]\npythonpath = ['.']\n",
            "test_shop.py": "from shop import PRICE\n\n\ndef test_price():\n    assert PRICE\n",
        }
    )
    repository.write("shop.py", "PRICE = 2\n")
    before = repository.digest(), sorted(repository.root.rglob("*"))
    ended = assay("check", repository.root)
    assert ended.code == 0, ended.out
    assert "✓ test      1 passed" in ended.out
    assert (repository.digest(), sorted(repository.root.rglob("*"))) == before


# -- nothing to look at


@pytest.mark.parametrize("form", ["text", "json", "sarif", "markdown"])
def test_no_change_is_0_and_runs_nothing(assay: Assay, repository: Repository, form: str) -> None:
    repository.commit({".github/assay.yml": "agents: {test: {run: 'touch ran; exit 1'}}"})
    ended = assay("check", repository.root, "--format", form)
    assert ended.code == 0
    assert not (repository.root / "ran").exists()
    if form == "text":
        assert ended.out.startswith("✓ Nothing has changed since main (")
    if form == "json":
        assert {agent["outcome"] for agent in json.loads(ended.out)["agents"]} == {"skipped"}


def test_empty_repository_is_0(assay: Assay, tmp_path: Path) -> None:
    Repository(tmp_path / "empty")
    ended = assay("check", tmp_path / "empty")
    assert ended.code == 0
    assert "There is no file to look at" in ended.out


# -- formats


def test_formats_for_machines_are_clean(assay: Assay, repository: Repository) -> None:
    repository.write("shop.py", DIRTY)
    report = json.loads(assay("check", repository.root, "--format", "json").out)
    assert report["verdict"]["conclusion"] == "failure"
    assert report["repository"] == "local/shop"
    sarif = json.loads(assay("check", repository.root, "--format", "sarif").out)
    assert sarif["version"] == "2.1.0"
    assert [result["ruleId"] for run in sarif["runs"] for result in run["results"]] == ["ruff/F401"]
    assert assay("check", repository.root, "--format", "markdown").out.startswith("### ✗ Failed: 1 finding to mend")


def test_hostile_names_and_texts_do_not_reach_the_terminal(assay: Assay, repository: Repository) -> None:
    repository.write("\x1b[2J evil\u202e.py", DIRTY)
    ended = assay("check", repository.root)
    assert ended.code == 1
    assert "\x1b" not in ended.out
    assert "\u202e" not in ended.out


# -- real processes


def test_progress_and_colours_only_on_a_terminal(repository: Repository) -> None:
    repository.write("shop.py", DIRTY)
    piped = subprocess.run(
        [*COMMAND, "check", "--format", "json"], cwd=repository.root, env=environment(), capture_output=True
    )
    assert piped.stderr == b""
    json.loads(piped.stdout)
    main, terminal = pty.openpty()
    watched = subprocess.Popen(
        [*COMMAND, "check"], cwd=repository.root, env=environment(TERM="xterm"), stdout=terminal, stderr=terminal
    )
    os.close(terminal)
    shown = b""
    while True:
        try:
            shown += os.read(main, 1 << 16)
        except OSError:  # how Linux tells that the other end of a terminal is closed
            break
    os.close(main)
    assert watched.wait(30) == 1
    assert "✗".encode() in shown
    assert b"\x1b[31m" in shown
    assert b"lint" in shown.partition(b"changed since")[0]


def test_hook_blocks_the_push_until_the_finding_is_mended(repository: Repository, tmp_path: Path) -> None:
    remote = Repository(tmp_path / "remote.git", "--bare")
    hook = repository.root / ".git/hooks/pre-push"
    hook.write_text(f"#!/bin/sh\nexec {sys.executable} -m bot.cli check\n")
    hook.chmod(0o755)
    repository.git("remote", "add", "origin", str(remote.root))
    repository.git("push", "--quiet", "--no-verify", "origin", "main")
    repository.commit({"shop.py": DIRTY})
    push = ["git", "push", "--quiet", "origin", "main"]
    refused = subprocess.run(push, cwd=repository.root, env=environment(), capture_output=True, text=True)
    assert refused.returncode != 0
    assert "F401" in refused.stdout + refused.stderr
    repository.commit({"shop.py": "PRICE = 3\n"})
    accepted = subprocess.run(push, cwd=repository.root, env=environment(), capture_output=True, text=True)
    assert accepted.returncode == 0, accepted.stderr
    assert remote.git("rev-parse", "main") == repository.git("rev-parse", "HEAD")


def test_ctrl_c_ends_the_tools_and_clears_up(repository: Repository, tmp_path: Path) -> None:
    """As a terminal does it: SIGINT to the whole foreground group, which tools are not part of."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    repository.commit({".github/assay.yml": f"agents: {{docs: {{run: 'echo $$ > {tmp_path}/pid; sleep 60'}}}}"})
    repository.write("shop.py", "PRICE = 2\n")
    check = subprocess.Popen(
        [*COMMAND, "check", "--agent", "docs"],
        cwd=repository.root,
        env=environment(TMPDIR=str(scratch)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    pid = tmp_path / "pid"
    while not pid.exists() or not pid.read_text().strip():
        assert check.poll() is None
        time.sleep(0.02)
    os.killpg(check.pid, signal.SIGINT)
    out, err = check.communicate(timeout=20)
    assert (check.returncode, out, err) == (130, b"", b"\nassay: interrupted\n")
    assert not Path(f"/proc/{pid.read_text().strip()}").exists()
    assert list(scratch.iterdir()) == []


def test_check_loads_neither_the_api_client_nor_the_model_s(repository: Repository) -> None:
    """A developer waits for every module that is imported, at every push."""
    heavy = ("githubkit", "openai", "redis", "rq", "fastapi", "uvicorn", "httpx", "httpx2", "psutil")
    code = f"import sys; import bot.cli.check; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
