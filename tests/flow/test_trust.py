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
