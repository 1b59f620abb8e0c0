"""GitHub's code scanning: what it is told, and what people are told where it does not listen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from bot.demo.github import PERMISSIONS, StandInGitHub
from bot.domain.verdict import Conclusion
from bot.publishing.scan_writer import NO_PERMISSION, SETTLED, SWITCHED_OFF
from bot.redis.embedded import EmbeddedRedis
from bot.store import Store
from tests.flow.assay import CLEAN, CONFIG, DIRTY, QUICK, REPOSITORY, Assay, running
from tests.flow.desk import PublishingDesk, sixty

ON = QUICK + "  own: {run: 'true', required: true}\ncode_scanning: true\n"
HEAD = "refs/pull/1/head"


@pytest.fixture
def scanned(assay: Assay, github: StandInGitHub) -> Assay:
    """With a repository that has code scanning, and tells it."""
    github.buy_code_security(REPOSITORY)
    github.push(REPOSITORY, "main", {CONFIG: ON})
    assay.settle()
    settle(assay)
    return assay


def settle(assay: Assay) -> None:
    """And hear what became of it."""
    assay.settle()
    for _ in range(10):
        assay.wait(30.0)
        assay.settle()


def opened(github: StandInGitHub, text: str = DIRTY, **files: str) -> str:
    """A pull request with one changed file, or more: its head."""
    sha = github.commit(REPOSITORY, "feature", {"demo.py": text, **files})
    github.open_pull(REPOSITORY, "feature")
    return sha


def told(github: StandInGitHub, sha: str) -> dict[tuple[str, str], list[str]]:
    """What code scanning shows of a commit: by ref and category the rules that were broken."""
    shown = [made for made in github.analyses(REPOSITORY) if made.commit_sha == sha]
    assert len({(made.ref, made.category) for made in shown}) == len(shown), "something was told twice"
    return {(made.ref, made.category): [result["ruleId"] for result in made.results] for made in shown}


def uploads(github: StandInGitHub) -> list[int]:
    return [call.status for call in github.requests if call.path.endswith("/code-scanning/sarifs")]


def words(assay: Assay, sha: str) -> str:
    """What the joined check says of code scanning."""
    lines = (assay.check(sha).summary or "").split("\n")
    return "\n".join(line for line in lines if line.startswith("Code scanning"))


def test_a_pull_requests_findings_are_told_once_by_agent(scanned: Assay, github: StandInGitHub) -> None:
    before = len(uploads(github))
    sha = opened(github)
    settle(scanned)
    assert told(github, sha) == {(HEAD, "assay/lint"): ["ruff/F401"], (HEAD, "assay/own"): []}
    assert words(scanned, sha) == ""
    scanned.unpublished.publish_again(scanned.run(sha).key)
    settle(scanned)
    assert uploads(github)[before:] == [202]
    assert scanned.unpublished.since_before(scanned.clock.time() + 10**6) == []


def test_what_was_mended_is_gone_with_the_next_head(scanned: Assay, github: StandInGitHub) -> None:
    first = opened(github)
    settle(scanned)
    second = github.push(REPOSITORY, "feature", {"demo.py": CLEAN + "\n\nX = 1\n"})
    settle(scanned)
    assert told(github, first)[HEAD, "assay/lint"] == ["ruff/F401"]
    assert told(github, second)[HEAD, "assay/lint"] == []


def test_of_a_branch_only_those_speak_who_see_all_of_it(scanned: Assay, github: StandInGitHub) -> None:
    sha = github.push(REPOSITORY, "main", {"demo.py": DIRTY})
    settle(scanned)
    assert told(github, sha) == {("refs/heads/main", "assay/own"): []}
    assert words(scanned, sha).startswith("Code scanning of main is not told of lint")


def test_an_older_commit_of_a_branch_says_nothing_any_more(scanned: Assay, github: StandInGitHub) -> None:
    first = github.push(REPOSITORY, "main", {"demo.py": DIRTY})
    second = github.push(REPOSITORY, "main", {"demo.py": CLEAN + "\n\nX = 1\n"})
    settle(scanned)
    assert (told(github, first), len(told(github, second))) == ({}, 1)


def test_an_entry_of_the_merge_queue_is_told_of_once_it_is_merged(scanned: Assay, github: StandInGitHub) -> None:
    github.push(REPOSITORY, "main", {CONFIG: ON + "triggers: {push: ['**']}\n"})
    opened(github, CLEAN + "\n\nX = 1\n")
    settle(scanned)
    before = len(uploads(github))
    sha = github.merge_group(REPOSITORY, 1)
    settle(scanned)
    assert scanned.verdict(sha) is Conclusion.SUCCESS
    assert (told(github, sha), len(uploads(github))) == ({}, before)
    github.push(REPOSITORY, "main", sha=sha)
    settle(scanned)
    assert told(github, sha) == {("refs/heads/main", "assay/own"): []}


def test_nobody_is_told_where_it_is_not_asked_for(assay: Assay, github: StandInGitHub) -> None:
    github.buy_code_security(REPOSITORY)
    sha = opened(github)
    settle(assay)
    assert (uploads(github), words(assay, sha)) == ([], "")


def test_a_pull_request_cannot_ask_for_it(assay: Assay, github: StandInGitHub) -> None:
    github.buy_code_security(REPOSITORY)
    sha = opened(github, **{CONFIG: ON})
    settle(assay)
    assert assay.verdict(sha) is Conclusion.FAILURE
    assert (uploads(github), words(assay, sha)) == ([], "")


def test_that_it_is_off_is_told_once_and_fails_nothing(assay: Assay, github: StandInGitHub) -> None:
    """A private repository without Code Security."""
    github.push(REPOSITORY, "main", {CONFIG: ON})
    sha = opened(github, CLEAN + "\n\nX = 1\n")
    settle(assay)
    assert assay.verdict(sha) is Conclusion.SUCCESS
    assert words(assay, sha) == f"Code scanning does not show what was found: {SWITCHED_OFF}"
    assert "Code scanning" not in assay.comment(1)
    assay.unpublished.publish_again(assay.run(sha).key)
    settle(assay)
    # Of the push to main and of the pull request.
    assert uploads(github) == [403, 403]


@pytest.fixture
def unallowed(
    redis: Redis, redis_server: EmbeddedRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Assay]:
    """With an App that may not write to code scanning."""
    permissions = {name: level for name, level in PERMISSIONS.items() if name != "security_events"}
    with StandInGitHub(permissions=permissions) as github:
        github.add_repository(REPOSITORY, {CONFIG: ON, "demo.py": CLEAN})
        github.buy_code_security(REPOSITORY)
        with running(github, redis, redis_server.url, tmp_path, monkeypatch) as application:
            yield application
        assert github.unexpected == []


def test_that_the_app_lacks_the_permission_is_told_once_and_fails_nothing(unallowed: Assay) -> None:
    sha = opened(unallowed.github, CLEAN + "\n\nX = 1\n")
    settle(unallowed)
    assert unallowed.verdict(sha) is Conclusion.SUCCESS
    assert words(unallowed, sha) == f"Code scanning does not show what was found: {NO_PERMISSION}"
    assert uploads(unallowed.github) == []


@pytest.mark.parametrize("arrived", [True, False])
def test_a_lost_answer_tells_nothing_twice(scanned: Assay, github: StandInGitHub, *, arrived: bool) -> None:
    before = len(uploads(github))
    github.fail("reset", method="POST", path="/code-scanning/sarifs", after=arrived)
    sha = opened(github)
    settle(scanned)
    scanned.wait(SETTLED)
    settle(scanned)
    assert told(github, sha)[HEAD, "assay/lint"] == ["ruff/F401"]
    assert uploads(github)[before:] == ([0] if arrived else [0, 202])
    assert words(scanned, sha) == ""


def test_a_file_that_github_cannot_process_is_told(scanned: Assay, github: StandInGitHub) -> None:
    github.world.scan_seconds = 10**6
    sha = opened(github)
    scanned.settle()
    (made,) = (made for made in github.world.uploads.values() if made.commit_sha == sha)
    scanned.wait(6.0)
    scanned.settle()
    assert (made.state, words(scanned, sha)) == ("pending", "")
    made.log["runs"][0]["results"][0]["locations"] = []
    made.due = 0.0
    settle(scanned)
    assert "GitHub cannot process it: locationFromSarifResult: expected at least one location" in words(scanned, sha)
    assert scanned.verdict(sha) is Conclusion.FAILURE


def test_a_file_that_is_never_processed_is_told_of_in_the_end(scanned: Assay, github: StandInGitHub) -> None:
    github.world.scan_seconds = 10**6
    sha = opened(github)
    scanned.settle()
    for _ in range(30):
        scanned.wait(130.0)
        scanned.settle()
    assert words(scanned, sha).endswith("GitHub has taken it, and does not say what became of it.")
    assert scanned.unpublished.since_before(scanned.clock.time() + 10**6) == []


def test_of_very_many_findings_the_worst_are_told(store: Store) -> None:
    with StandInGitHub(echo=False) as github:
        desk = PublishingDesk(github, store, REPOSITORY, scanning=True)
        finding = sixty()[0]
        many = [finding.model_copy(update={"fingerprint": f"{number:020x}"}) for number in range(5_003)]
        key = desk.open_pull()
        desk.finish(key, *many)
        desk.settle(key)
        (made,) = github.analyses(REPOSITORY)
        assert (len(made.results), made.warning) == (5_000, "")
        summary = github.check(REPOSITORY, key.sha, "assay").summary or ""
        assert "Code scanning shows only the 5,000 worst findings of lint." in summary
        desk.app.close()
