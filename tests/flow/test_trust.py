"""Whose forks are executed unasked, and who may give orders, by the configuration of the base branch."""

from __future__ import annotations

import pytest

from bot.demo.github import StandInGitHub
from bot.domain.findings import Outcome
from tests.flow.assay import CLEAN, CONFIG, REPOSITORY, Assay
from tests.flow.test_people import SHELL, opened, outcome, press, reactions, words

TRUSTED = 'trusted: {people: [Ada], teams: [core], bots: ["helper[bot]"]}\n'


@pytest.fixture
def world(github: StandInGitHub, assay: Assay) -> StandInGitHub:
    github.push(REPOSITORY, "main", {CONFIG: SHELL + TRUSTED})
    assay.settle()
    github.world.repositories[REPOSITORY].collaborators |= {"alice": "write", "mia": "maintain", "bob": "admin"}
    for name in ("ada", "carl", "dora", "mallory", "helper[bot]"):
        github.world.user(name)
    github.world.teams["octo/core"] = {"carl": True, "dora": False}
    return github


@pytest.mark.parametrize(
    ("author", "trusted"),
    [("ada", True), ("carl", True), ("helper[bot]", True), ("dora", False), ("mallory", False)],
)
def test_who_is_named_in_the_base_branch_is_executed_unasked(
    assay: Assay, world: StandInGitHub, author: str, trusted: bool
) -> None:
    """Somebody who was only invited to a team is not in it."""
    fork = world.fork(REPOSITORY, "mallory" if "[" in author else author)
    _, sha = opened(world, assay, fork, author)
    assert outcome(assay, sha, "shell") is (Outcome.CLEAN if trusted else Outcome.NOT_RUN)
    assert assay.run(sha).trusted == trusted


def test_nobody_names_themselves(assay: Assay, world: StandInGitHub) -> None:
    fork = world.fork(REPOSITORY, "mallory")
    files = {CONFIG: SHELL + "trusted: {people: [mallory]}\ncommands: {who: write}\n", "demo.py": CLEAN + "\n\nX = 1\n"}
    sha = world.commit(fork, "feature", files, author="mallory")
    world.open_pull(REPOSITORY, "feature", author="mallory", head_repo=fork)
    assay.settle()
    assert outcome(assay, sha, "shell") is Outcome.NOT_RUN


def test_teams_that_cannot_be_asked_count_for_nothing(assay: Assay, world: StandInGitHub) -> None:
    world.world.app.permissions = {n: level for n, level in world.world.app.permissions.items() if n != "members"}
    _, sha = opened(world, assay, world.fork(REPOSITORY, "carl"), "carl")
    assert outcome(assay, sha, "shell") is Outcome.NOT_RUN
    assert not [one for one in world.requests if "/teams/" in one.path]


def test_a_configuration_that_cannot_be_read_names_nobody(assay: Assay, world: StandInGitHub) -> None:
    world.push(REPOSITORY, "main", {CONFIG: SHELL + TRUSTED + "nonsense: {}\n"})
    assay.settle()
    _, sha = opened(world, assay, world.fork(REPOSITORY, "ada"), "ada")
    assert not assay.run(sha).trusted


@pytest.mark.parametrize(
    ("who", "may"),
    [
        ("write", ("alice", "mia", "bob")),
        ("maintain", ("mia", "bob")),
        ("admin", ("bob",)),
        ("nobody", ()),
    ],
)
def test_the_base_branch_says_who_gives_orders(
    assay: Assay, world: StandInGitHub, who: str, may: tuple[str, ...]
) -> None:
    world.push(REPOSITORY, "main", {CONFIG: SHELL + f"commands: {{who: {who}}}\n"})
    assay.settle()
    number, sha = opened(world, assay, world.fork(REPOSITORY, "mallory"))
    for person in ("alice", "mia", "bob"):
        comment = world.comment(REPOSITORY, number, "/assay rerun lint", author=person)
        assay.settle()
        assert reactions(world, comment) == ["rocket" if person in may else "confused"]
    assert len(words(world, number)) == 3 - len(may)
    press(assay, world, sha, "alice")
    assert (outcome(assay, sha, "shell") is Outcome.CLEAN) == ("alice" in may)


@pytest.mark.parametrize("press_it", ["one check", "the joined check", "all checks", "the button"])
def test_githubs_own_buttons_take_the_same_permission(assay: Assay, world: StandInGitHub, press_it: str) -> None:
    world.push(REPOSITORY, "main", {CONFIG: SHELL + "commands: {who: maintain}\n"})
    assay.settle()
    _, sha = opened(world, assay, world.fork(REPOSITORY, "mallory"))

    def press_as(who: str) -> None:
        match press_it:
            case "one check":
                world.click_rerun(assay.check(sha, "assay / lint").id, author=who)
            case "the joined check":
                world.click_rerun(assay.check(sha).id, author=who)
            case "all checks":
                world.rerequest_suite(REPOSITORY, sha, author=who)
            case _:
                world.click_action(assay.check(sha).id, "rerun", author=who)
        assay.settle()

    press_as("alice")
    press_as("rita")
    assert assay.run(sha).attempt == 1
    assert assay.outcomes()[0] == "ignored: rita may not write to this repository"
    told = str(assay.check(sha).output.get("summary"))
    assert "Not run again for alice on 20" in told
    assert "orders take the permission `maintain` here." in told
    assert "rita" not in told, "who may not write does not make Assay write"
    press_as("mia")
    assert assay.run(sha).attempt == 2


def test_a_push_is_run_again_by_whom_the_default_branch_lets(assay: Assay, world: StandInGitHub) -> None:
    """Whoever pushes a branch does not say so there."""
    world.push(REPOSITORY, "main", {CONFIG: SHELL + "triggers: {push: ['**']}\ncommands: {who: admin}\n"})
    sha = world.push(REPOSITORY, "topic", {CONFIG: SHELL + "triggers: {push: ['**']}\ncommands: {who: write}\n"})
    assay.settle()
    world.click_rerun(assay.check(sha).id, author="alice")
    assay.settle()
    assert assay.run(sha).attempt == 1
    world.click_rerun(assay.check(sha).id, author="bob")
    assay.settle()
    assert assay.run(sha).attempt == 2


def test_nobody_is_believed_while_github_does_not_say_who_may(assay: Assay, world: StandInGitHub) -> None:
    _, sha = opened(world, assay, world.fork(REPOSITORY, "mallory"))
    world.fail("error", path="/collaborators/", status=503, times=20)
    world.click_rerun(assay.check(sha).id, author="bob")
    assay.settle()
    assert assay.run(sha).attempt == 1
