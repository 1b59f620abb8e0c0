"""The repository's configuration: where it is read, what a bad one does, and that each of its words is acted on."""

from __future__ import annotations

import time

import pytest

from bot.demo.github import StandInGitHub
from bot.domain.findings import Outcome
from bot.domain.verdict import Conclusion
from tests.flow.assay import CLEAN, CONFIG, DIRTY, QUICK, REPOSITORY, Assay

OFF = """
agents:
  test: {enabled: false}
  lint: {enabled: false}
  security: {enabled: false}
  review: {enabled: false}
"""
BAD = QUICK + "  lnit: {fail_on: never}\n"


def pushed(github: StandInGitHub, config: str, **files: str) -> str:
    return github.push(REPOSITORY, "main", {CONFIG: config, "demo.py": CLEAN + "\n\nX = 1\n", **files})


def command(text: str) -> str:
    """A configuration of one command of our own."""
    return f"{OFF}  own: {{required: true, {text}}}\n"


# -- where it is read


def test_repository_without_a_file_gets_the_built_in_agents(assay: Assay, github: StandInGitHub) -> None:
    github.add_repository("octo/plain", {"demo.py": CLEAN, "test_demo.py": "def test(): pass\n"})
    sha = github.push("octo/plain", "main", {"demo.py": CLEAN + "\n\nX = 1\n"})
    assay.settle()
    run = assay.run(sha, "octo/plain")
    assert run.plan.source == "built-in defaults"
    outcomes = {agent.plan.name: agent.outcome for agent in run.shown}
    assert outcomes == {
        "test": Outcome.CLEAN,
        "lint": Outcome.CLEAN,
        "security": Outcome.CLEAN,
        "review": Outcome.NOT_RUN,
    }


def test_organisation_s_file_is_below_the_repository_s(assay: Assay, github: StandInGitHub) -> None:
    github.add_repository("octo/.github", {CONFIG: "agents: {lint: {fail_on: never}, security: {enabled: false}}\n"})
    sha = pushed(github, "agents: {test: {enabled: false}, review: {enabled: false}}\n", **{"demo.py": DIRTY})
    assay.settle()
    assert [agent.plan.name for agent in assay.run(sha).shown] == ["lint"]
    assert assay.verdict(sha) is Conclusion.SUCCESS
    assert "over organisation octo" in assay.run(sha).plan.source


def test_organisation_s_file_serves_a_repository_without_one(assay: Assay, github: StandInGitHub) -> None:
    github.add_repository("octo/.github", {CONFIG: QUICK})
    github.add_repository("octo/plain", {"demo.py": CLEAN})
    sha = github.push("octo/plain", "main", {"demo.py": DIRTY})
    assay.settle()
    assert [agent.plan.name for agent in assay.run(sha, "octo/plain").shown] == ["lint"]
    assert assay.run(sha, "octo/plain").plan.source == "organisation octo"


def test_mistake_of_the_organisation_is_reported_against_its_file(assay: Assay, github: StandInGitHub) -> None:
    github.add_repository("octo/.github", {CONFIG: "agents: {lint: {fail_no: never}}\n"})
    sha = pushed(github, QUICK)
    assay.settle()
    assert assay.verdict(sha) is Conclusion.FAILURE
    assert "octo/.github" in str(assay.check(sha, "assay / config").title)


# -- a bad file


def test_bad_file_is_a_failed_check_on_its_line_and_nothing_runs(assay: Assay, github: StandInGitHub) -> None:
    sha = pushed(github, BAD)
    assay.settle()
    assert assay.verdict(sha) is Conclusion.FAILURE
    check = assay.check(sha, "assay / config")
    assert check.conclusion == "failure"
    (note,) = check.annotations
    assert (note["path"], note["start_line"]) == (CONFIG, len(BAD.splitlines()))
    assert "lint" in note["message"], "the nearest right word"
    assert [made.name for made in github.checks(REPOSITORY, sha)] == ["assay", "assay / config"]


def test_mended_file_runs_again_and_has_no_check_of_its_own(assay: Assay, github: StandInGitHub) -> None:
    pushed(github, BAD)
    assay.settle()
    sha = pushed(github, QUICK, **{"more.py": "Y = 1\n"})
    assay.settle()
    assert assay.verdict(sha) is Conclusion.SUCCESS
    assert sorted(check.name for check in github.checks(REPOSITORY, sha)) == ["assay", "assay / lint"]


def test_bad_file_is_told_of_in_the_pull_request(assay: Assay, github: StandInGitHub) -> None:
    sha = github.commit(REPOSITORY, "feature", {CONFIG: BAD})
    number = github.open_pull(REPOSITORY, "feature")
    assay.settle()
    assert assay.verdict(sha) is Conclusion.FAILURE
    assert "lnit" in assay.comment(number)


def test_check_of_a_bad_file_does_not_linger_once_the_base_is_mended(assay: Assay, github: StandInGitHub) -> None:
    """A fork's pull request is held up by the base's file. When that is mended, a re-run looks at the same commit."""
    pushed(github, BAD)
    fork = github.fork(REPOSITORY, "mallory")
    sha = github.commit(fork, "feature", {"more.py": "Y = 1\n"})
    github.open_pull(REPOSITORY, "feature", head_repo=fork)
    assay.settle()
    assert assay.verdict(sha) is Conclusion.FAILURE
    pushed(github, QUICK)
    assay.settle()
    github.click_rerun(assay.check(sha, "assay / config").id)
    assay.settle()
    assert assay.verdict(sha) is Conclusion.SUCCESS
    assert assay.check(sha, "assay / config").conclusion == "neutral"


def test_file_that_is_far_too_large_is_a_failed_check(assay: Assay, github: StandInGitHub) -> None:
    sha = pushed(github, QUICK + "#" * 1_100_000)
    assay.settle()
    assert assay.verdict(sha) is Conclusion.FAILURE
    (note,) = assay.check(sha, "assay / config").annotations
    assert "at most" in note["message"]


@pytest.mark.parametrize("text", ["", "agents:\n", "# nothing yet\n"])
def test_empty_file_is_the_built_in_configuration(assay: Assay, github: StandInGitHub, text: str) -> None:
    sha = pushed(github, text)
    assay.settle("intake")
    assert [agent.plan.name for agent in assay.run(sha).shown] == ["test", "lint", "security", "review"]


# -- its words


def test_keys_that_are_not_acted_on_are_named(assay: Assay, github: StandInGitHub) -> None:
    sha = pushed(github, QUICK + "approvals: {apply_fix: write}\n")
    assay.settle()
    assert "does not act on: approvals.apply_fix" in str(assay.check(sha).summary)


def test_agent_whose_paths_do_not_match_is_skipped_with_a_reason(assay: Assay, github: StandInGitHub) -> None:
    sha = pushed(github, QUICK.replace("tools: [ruff]", "tools: [ruff], paths: [docs/**]"))
    assay.settle()
    check = assay.check(sha, "assay / lint")
    assert check.conclusion == "skipped"
    assert "no changed file matches" in f"{check.title}{check.summary}"
    assert assay.verdict(sha) is Conclusion.NEUTRAL


def test_agent_of_another_event_is_skipped_with_a_reason(assay: Assay, github: StandInGitHub) -> None:
    sha = pushed(github, QUICK.replace("tools: [ruff]", "tools: [ruff], on: pull_request"))
    assay.settle()
    check = assay.check(sha, "assay / lint")
    assert (check.conclusion, "does not name the event push" in f"{check.title}") == ("skipped", True)


def test_agent_waits_for_those_before_it(assay: Assay, github: StandInGitHub) -> None:
    config = QUICK + "  last: {run: 'true', after: lint, required: true}\n"
    sha = pushed(github, config)
    assay.settle("intake", "publish")
    assay.settle("command")
    assert assay.check(sha, "assay / last").status == "queued"
    assert "Waiting for lint" in str(assay.check(sha, "assay / last").title)
    assay.settle()
    lint, last = assay.run(sha).agents
    assert (lint.finished_at or 0) <= (last.started_at or 0)
    assert assay.verdict(sha) is Conclusion.SUCCESS


def test_command_with_a_sarif_report_gives_annotations(assay: Assay, github: StandInGitHub) -> None:
    place = '{"artifactLocation":{"uri":"demo.py"},"region":{"startLine":5}}'
    result = (
        f'{{"ruleId":"R7","level":"error","message":{{"text":"bad"}},"locations":[{{"physicalLocation":{place}}}]}}'
    )
    report = f'{{"version":"2.1.0","runs":[{{"tool":{{"driver":{{"name":"own"}}}},"results":[{result}]}}]}}'
    sha = pushed(github, command("run: cat report.sarif, format: sarif"), **{"report.sarif": report})
    assay.settle()
    assert assay.verdict(sha) is Conclusion.FAILURE
    (note,) = assay.check(sha, "assay / own").annotations
    assert (note["path"], note["start_line"], note["annotation_level"]) == ("demo.py", 5, "failure")
    assert "bad" in note["message"]


def test_command_that_takes_too_long_is_timed_out(assay: Assay, github: StandInGitHub) -> None:
    sha = pushed(github, command("run: sleep 60, timeout: 1s"))
    begun = time.monotonic()
    assay.settle()
    assert time.monotonic() - begun < 20
    assert assay.check(sha, "assay / own").conclusion == "timed_out"
    assert assay.verdict(sha) is Conclusion.FAILURE


def test_extension_that_is_not_installed_is_an_error_that_says_so(assay: Assay, github: StandInGitHub) -> None:
    sha = pushed(github, f"{OFF}  own: {{uses: nowhere, required: true}}\n")
    assay.settle()
    assert assay.verdict(sha) is Conclusion.FAILURE
    check = assay.check(sha, "assay / own")
    assert "nowhere" in f"{check.title}"
    assert "Install it beside Assay" in f"{check.summary}"


def test_configuration_without_a_required_agent_decides_nothing(assay: Assay, github: StandInGitHub) -> None:
    sha = pushed(github, OFF + "  own: {run: 'true'}\n")
    assay.settle()
    assert assay.verdict(sha) is Conclusion.NEUTRAL
