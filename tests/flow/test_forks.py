"""Forks: a stranger's commit is looked at by the base branch's rules, and nothing of it is executed."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.demo.github import StandInGitHub
from bot.domain.findings import Outcome
from bot.domain.verdict import Conclusion
from tests.flow.assay import CLEAN, CONFIG, DIRTY, QUICK, REPOSITORY, Assay

ALL = """
agents:
  lint: {tools: [ruff]}
  security: {tools: [detect-secrets]}
  shell: {run: "echo gotcha"}
"""
UNAPPROVED = "what a stranger wrote is executed only after somebody with write access has approved it"
LAX = "agents: {test: {enabled: false}, lint: {enabled: false}, security: {enabled: false}}\n"


@pytest.fixture
def fork(github: StandInGitHub, assay: Assay) -> str:
    assert not assay.store.recent()
    return github.fork(REPOSITORY, "mallory")


def opened(github: StandInGitHub, fork: str, files: dict[str, str]) -> tuple[int, str]:
    sha = github.commit(fork, "feature", files, author="mallory")
    return github.open_pull(REPOSITORY, "feature", author="mallory", head_repo=fork), sha


def outcome(assay: Assay, sha: str, name: str) -> tuple[Outcome | None, str]:
    agent = assay.run(sha).agent(name)
    assert agent is not None
    assert agent.result is not None
    return agent.outcome, agent.result.reason


def test_fork_gets_checks_a_comment_and_a_thread(assay: Assay, github: StandInGitHub, fork: str) -> None:
    number, sha = opened(github, fork, {"demo.py": DIRTY})
    assay.settle()
    assert assay.verdict(sha) is Conclusion.FAILURE
    assert sha[:7] in assay.comment(number)
    assert len(github.review_comments(REPOSITORY, number)) == 1


def test_commit_is_fetched_by_name_from_the_base_repository(assay: Assay, github: StandInGitHub, fork: str) -> None:
    opened(github, fork, {"demo.py": DIRTY})
    assay.settle()
    assert {request.path.partition(".git")[0] for request in github.git_requests} == {f"/{REPOSITORY}"}


def test_configuration_is_the_base_branch_s(assay: Assay, github: StandInGitHub, fork: str) -> None:
    _, sha = opened(github, fork, {CONFIG: LAX, "demo.py": DIRTY})
    assay.settle()
    assert assay.verdict(sha) is Conclusion.FAILURE
    assert assay.run(sha).plan.source == f"{CONFIG} at main"


def test_configuration_is_the_base_branch_s_as_it_is_now(assay: Assay, github: StandInGitHub, fork: str) -> None:
    """And not as it was when the pull request was opened."""
    number, sha = opened(github, fork, {"demo.py": DIRTY})
    github.push(REPOSITORY, "main", {CONFIG: QUICK.replace("lint: {", "lint: {fail_on: never, ")})
    github.close_pull(REPOSITORY, number)
    github.reopen(REPOSITORY, number)
    assay.settle()
    assert assay.verdict(sha) is Conclusion.SUCCESS


def test_code_is_not_executed_and_a_person_has_to_decide(assay: Assay, github: StandInGitHub, fork: str) -> None:
    github.push(REPOSITORY, "main", {CONFIG: ALL.replace("agents:", "agents:\n  test: {run: pytest}")})
    assay.settle()
    _, sha = opened(github, fork, {"demo.py": CLEAN + "\n\nX = 1\n", "conftest.py": "raise SystemExit\n"})
    assay.settle()
    for name in ("test", "shell"):
        assert outcome(assay, sha, name) == (Outcome.NOT_RUN, UNAPPROVED)
    assert outcome(assay, sha, "lint")[0] is Outcome.CLEAN
    assert outcome(assay, sha, "security")[0] is Outcome.CLEAN
    assert assay.verdict(sha) is Conclusion.ACTION_REQUIRED


def test_a_strangers_configuration_of_tools_does_not_count(assay: Assay, github: StandInGitHub, fork: str) -> None:
    """A fork may not switch a rule off, nor have ruff print a file of the machine by `extend`."""
    secret = Path("secret.toml")
    secret.write_text("not-for-you = true\n")
    lenient = f'extend = "{secret.resolve()}"\n[lint]\nignore = ["F401"]\n'
    _, sha = opened(github, fork, {"demo.py": DIRTY, "ruff.toml": lenient})
    assay.settle()
    assert assay.verdict(sha) is Conclusion.FAILURE
    assert [note["start_line"] for note in assay.check(sha, "assay / lint").annotations] == [1]
    assert not any("not-for-you" in str(request.body) for request in github.requests)


def test_configuration_of_tools_is_the_base_branch_s(assay: Assay, github: StandInGitHub) -> None:
    """Whether a fork leaves it alone, or changes it, be it by a file that it names."""
    base = {"ruff.toml": 'extend = "rules.toml"\n', "rules.toml": '[lint]\nignore = ["F401"]\n'}
    github.push(REPOSITORY, "main", base)
    fork = github.fork(REPOSITORY, "trudy")
    _, sha = opened(github, fork, {"demo.py": DIRTY})
    assay.settle()
    assert assay.verdict(sha) is Conclusion.SUCCESS
    for changed in ('[lint]\nselect = ["F"]\n', None):
        other = github.push(fork, "feature", {"rules.toml": changed}, author="mallory")
        assay.settle()
        assert assay.verdict(other) is Conclusion.SUCCESS
    lax = github.push(fork, "feature", {"demo.py": f"{DIRTY}print(1 is 1)\n", "ruff.toml": 'exclude = ["*"]\n'})
    assay.settle()
    assert assay.verdict(lax) is Conclusion.FAILURE
    assert {note["start_line"] for note in assay.check(lax, "assay / lint").annotations} == {6}


def test_configuration_of_tools_is_honoured_for_our_own_branches(assay: Assay, github: StandInGitHub) -> None:
    sha = github.commit(REPOSITORY, "feature", {"demo.py": DIRTY, "ruff.toml": '[lint]\nignore = ["F401"]\n'})
    github.open_pull(REPOSITORY, "feature")
    assay.settle()
    assert assay.verdict(sha) is Conclusion.SUCCESS


def test_fork_that_was_deleted_is_looked_at_all_the_same(assay: Assay, github: StandInGitHub, fork: str) -> None:
    number, sha = opened(github, fork, {"demo.py": DIRTY})
    github.delete_repository(fork)
    assay.settle()
    (pull,) = assay.run(sha).pulls
    assert (pull.fork, pull.head_repository) == (True, "")
    assert assay.verdict(sha) is Conclusion.FAILURE
    assert sha[:7] in assay.comment(number)


def test_fork_of_a_commit_of_ours_does_not_take_its_run_over(assay: Assay, github: StandInGitHub, fork: str) -> None:
    sha = github.push(REPOSITORY, "main", {CONFIG: ALL})
    assay.settle()
    trusted = assay.run(sha)
    github.push(fork, "feature", sha=github.head(fork, "main"))
    github.world.repositories[fork].git.fetch(github.world.repositories[REPOSITORY].git, sha, "refs/heads/feature")
    github.commit(REPOSITORY, "old", {}, parent=github.head(fork, "main"))
    github.open_pull(REPOSITORY, "feature", "old", author="mallory", head_repo=fork)
    assay.settle()
    assert [pull.fork for pull in assay.run(sha).pulls] == [True]
    assert assay.run(sha).trusted
    assert assay.run(sha).agents == trusted.agents
