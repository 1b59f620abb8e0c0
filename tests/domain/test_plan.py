"""What runs for a commit, and why."""

from __future__ import annotations

from typing import Any

import pytest

from bot.domain.findings import Severity
from bot.domain.plan import Plan, keeps_every_commit, plan, skipped_by_paths, why_not
from bot.domain.triggers import Manual, MergeGroup, Push, Trigger
from config.repository import RepositoryConfig
from tests.builders import agent_plan, pull

PUSH = Push(branch="main")
GROUP = MergeGroup(head_ref="gh-readonly-queue/main/pr-1")


def config(**sections: Any) -> RepositoryConfig:
    return RepositoryConfig.model_validate(sections)


def planned(agents: dict[str, Any], trigger: Trigger = PUSH) -> Plan:
    return plan(config(agents=agents), trigger)


# -- whether a trigger starts a run


@pytest.mark.parametrize(
    ("triggers", "trigger", "why"),
    [
        ({}, PUSH, ""),
        ({}, Push(branch="feature"), "triggers.push (main) does not name the branch feature"),
        ({"push": ["release/**"]}, Push(branch="release/1.0"), ""),
        ({"push": ["release/**"]}, PUSH, "triggers.push (release/**) does not name the branch main"),
        ({"push": []}, PUSH, "triggers.push (none) does not name the branch main"),
        ({}, pull(), ""),
        ({"pull_request": True}, pull(), ""),
        ({"pull_request": False}, pull(), "triggers.pull_request is false"),
        ({}, pull(draft=True), "the pull request is a draft and triggers.pull_request.drafts is false"),
        ({"pull_request": {"drafts": True}}, pull(draft=True), ""),
        ({"pull_request": {"branches": ["main"]}}, pull(), ""),
        (
            {"pull_request": {"branches": ["main"]}},
            pull(base_ref="next"),
            "triggers.pull_request.branches does not name the base branch next",
        ),
        ({}, GROUP, ""),
        ({"merge_group": False}, GROUP, "triggers.merge_group is false"),
        ({"push": [], "pull_request": False, "merge_group": False}, Manual(), ""),
    ],
)
def test_why_not(triggers: dict[str, Any], trigger: Trigger, why: str) -> None:
    assert why_not(config(triggers=triggers), trigger, default_branch="main") == why


# -- the agents


def test_built_in_agents_come_without_any_configuration() -> None:
    agents = {agent.name: agent for agent in planned({}).agents}
    assert list(agents) == ["test", "lint", "security", "review", "review/verifier"]
    assert [name for name, agent in agents.items() if agent.required] == ["test", "lint", "security"]
    assert {name: agent.fail_on for name, agent in agents.items()} == {
        "test": Severity.MEDIUM,
        "lint": Severity.MEDIUM,
        "security": Severity.HIGH,
        "review": None,
        "review/verifier": None,
    }
    verifier = agents.pop("review/verifier")
    assert (verifier.kind, verifier.verifies, verifier.after) == ("verify", "review", ("review",))
    assert all(agent.kind == agent.name for agent in agents.values())


def test_verifier_is_there_with_the_reviewer_and_unless_it_is_switched_off() -> None:
    for review in ({"enabled": False}, {"verify": {"enabled": False}}):
        assert not [agent for agent in planned({"review": review}).agents if agent.verifies]
    own = planned({"review": {"model": "a", "verify": {"model": "b"}, "timeout": "90s"}}).agents[-1]
    assert (own.settings["model"], own.settings["review_model"], own.timeout) == ("b", "a", 90)


def test_reviewer_may_fail_by_the_risk_of_the_run() -> None:
    review = next(agent for agent in planned({"review": {"fail_on": {"risk": 70}}}).agents if agent.name == "review")
    assert (review.fail_on, review.fail_risk) == (None, 70)


@pytest.mark.parametrize(
    ("word", "severity"),
    [("warning", Severity.MEDIUM), ("error", Severity.HIGH), ("info", Severity.INFO), ("never", None)],
)
def test_fail_on(word: str, severity: Severity | None) -> None:
    (agent,) = (agent for agent in planned({"lint": {"fail_on": word}}).agents if agent.name == "lint")
    assert agent.fail_on is severity


def test_command_is_an_agent_of_its_own_name_with_its_own_settings() -> None:
    docs = planned({"docs": {"run": "mkdocs build --strict", "timeout": "90s", "paths": "docs/"}}).agents[-1]
    assert (docs.name, docs.kind, docs.required, docs.timeout, docs.paths) == ("docs", "command", False, 90, ("docs/",))
    assert docs.settings["run"] == "mkdocs build --strict"
    assert "timeout" not in docs.settings


def test_extension_keeps_settings_that_assay_does_not_know() -> None:
    licence = planned({"licence": {"uses": "licence-check", "allow": ["MIT"]}}).agents[-1]
    assert licence.kind == "extension"
    assert licence.settings == {"uses": "licence-check", "allow": ["MIT"]}


def test_agent_that_is_not_enabled_is_left_out_and_nobody_waits_for_it() -> None:
    agents = planned({"lint": {"enabled": False}, "test": {"after": ["lint", "security", "test"]}}).agents
    waits = {agent.name: agent.after for agent in agents if not agent.verifies}
    assert waits == {"test": ("security",), "security": (), "review": ()}


@pytest.mark.parametrize(
    ("trigger", "skipped"), [(PUSH, True), (GROUP, True), (pull(), False)], ids=["push", "merge group", "pull"]
)
def test_agent_runs_only_for_the_events_in_its_on(trigger: Trigger, skipped: bool) -> None:
    review, verifier = planned({"review": {"on": ["pull_request"]}}, trigger).agents[-2:]
    assert verifier.skip == review.skip
    assert bool(review.skip) is skipped
    assert not skipped or review.skip == f"`on` does not name the event {trigger.event}"


def test_plan_says_where_it_came_from_and_what_is_not_acted_on() -> None:
    made = plan(config(notify=[{"to": "slack"}], agents={"review": {"max_comments": 3}}), PUSH, "the file")
    assert (made.source, made.max_comments) == ("the file", 3)
    assert made.notices == ("This version of Assay does not act on: notify.",)
    assert planned({}).notices == ()


def test_plan_survives_json() -> None:
    made = planned({"docs": {"run": "make docs"}, "own": {"uses": "x", "deep": {"a": [1, None, True]}}})
    assert Plan.model_validate_json(made.model_dump_json()) == made


def test_a_repositorys_image_is_that_of_all_its_agents() -> None:
    made = plan(config(image="ghcr.io/acme/node@sha256:0a"), PUSH)
    assert {agent.image for agent in made.agents} == {"ghcr.io/acme/node@sha256:0a"}
    assert {agent.image for agent in planned({}).agents} == {""}


# -- path filters


@pytest.mark.parametrize(
    ("paths", "ignore", "changed", "why"),
    [
        ((), (), (), ""),
        ((), (), ("a.py",), ""),
        (("src/**",), (), ("src/a.py", "README.md"), ""),
        (("src/**",), (), ("README.md",), "no changed file matches its `paths`"),
        (("src/**",), (), (), "no changed file matches its `paths`"),
        ((), ("*.md",), ("README.md",), "every changed file matches its `paths_ignore`"),
        ((), ("*.md",), ("README.md", "a.py"), ""),
        (("src/**",), ("**/*.md",), ("src/x.md", "a.py"), "no changed file matches its `paths`"),
        (("src/**",), ("**/*.md",), ("src/x.md", "src/a.py"), ""),
    ],
)
def test_skipped_by_paths(paths: tuple[str, ...], ignore: tuple[str, ...], changed: tuple[str, ...], why: str) -> None:
    assert skipped_by_paths(agent_plan(paths=paths, paths_ignore=ignore), changed) == why


# -- whether a branch lets its older heads go


@pytest.mark.parametrize(
    ("triggers", "kept", "let_go"),
    [
        ({}, "main", "next"),
        ({"every_commit": ["release/**"]}, "release/1.0", "main"),
        ({"every_commit": "**"}, "anything", None),
        ({"every_commit": []}, None, "main"),
    ],
)
def test_branch_keeps_every_verdict_where_the_repository_says_so(
    triggers: dict[str, Any], kept: str | None, let_go: str | None
) -> None:
    assert kept is None or keeps_every_commit(config(triggers=triggers), kept, "main")
    assert let_go is None or not keeps_every_commit(config(triggers=triggers), let_go, "main")


def test_agent_says_whether_an_earlier_result_may_do() -> None:
    assert [agent.reuse for agent in planned({"lint": {"reuse": False}}).agents if agent.name in ("test", "lint")] == [
        True,
        False,
    ]
