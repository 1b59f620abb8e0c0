"""Pull requests: checks, one comment, threads, and what becomes of them over the pull request's life."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.demo.github import StandInGitHub
from bot.domain.fixes import patch_of
from bot.domain.run import Phase
from bot.domain.verdict import Conclusion, verdict
from tests.flow.assay import CLEAN, CONFIG, DIRTY, QUICK, REPOSITORY, Assay
from tests.repository import Repository

EVERYWHERE = QUICK + 'triggers: {push: ["**"]}\n'
DRAFTS = QUICK + "triggers: {pull_request: {drafts: true}}\n"


def opened(
    github: StandInGitHub, text: str = DIRTY, branch: str = "feature", *, draft: bool = False
) -> tuple[int, str]:
    """A pull request with one changed file: its number and its head."""
    sha = github.commit(REPOSITORY, branch, {"demo.py": text})
    return github.open_pull(REPOSITORY, branch, draft=draft), sha


def test_opened_pull_request_gets_checks_a_comment_and_a_thread(assay: Assay, github: StandInGitHub) -> None:
    number, sha = opened(github)
    assay.settle()
    assert assay.verdict(sha) is Conclusion.FAILURE
    body = assay.comment(number)
    assert sha[:7] in body
    assert "demo.py:1" in body
    (thread,) = github.review_comments(REPOSITORY, number)
    assert (thread.path, thread.line) == ("demo.py", 1)
    assert "```suggestion" in thread.body


def test_fixes_of_a_run_are_one_patch_for_its_commit(assay: Assay, github: StandInGitHub, tmp_path: Path) -> None:
    before = "import os\nimport sys\n\n\ndef größe(number):\n    return number\n"
    sha = github.commit(REPOSITORY, "feature", {"demo.py": before, "more/ä b.py": "import re\n"})
    github.open_pull(REPOSITORY, "feature")
    assay.settle()
    patch = patch_of(assay.run(sha))
    assert (patch.fixes, patch.left_out) == (3, ())
    clone, file = Repository(tmp_path / "clone"), tmp_path / "fixes.patch"
    clone.git("fetch", "--quiet", str(github.world.repositories[REPOSITORY].git.path), sha)
    clone.git("checkout", "--quiet", "FETCH_HEAD")
    file.write_bytes(patch.text.encode())
    clone.git("apply", "--index", str(file))
    assert (clone.root / "demo.py").read_text() == before.removeprefix("import os\nimport sys\n")
    assert (clone.root / "more" / "ä b.py").read_bytes() == b""


def test_fix_turns_the_verdict_edits_the_comment_and_resolves_the_thread(assay: Assay, github: StandInGitHub) -> None:
    number, first = opened(github)
    assay.settle()
    (before,) = github.comments(REPOSITORY, number)
    second = github.push(REPOSITORY, "feature", {"demo.py": CLEAN + "\n\nX = 1\n"})
    assay.settle()
    assert (assay.verdict(first), assay.verdict(second)) == (Conclusion.FAILURE, Conclusion.SUCCESS)
    (after,) = github.comments(REPOSITORY, number)
    assert before.id == after.id
    assert "fixed" in after.body.lower()
    assert [thread.resolved for thread in github.threads(REPOSITORY, number)] == [True]


def test_finding_that_moves_keeps_its_one_thread(assay: Assay, github: StandInGitHub) -> None:
    number, _ = opened(github)
    assay.settle()
    for text in ('"""Demo."""\n\n' + DIRTY, '"""Demo."""\n\n# More.\n' + DIRTY):
        github.push(REPOSITORY, "feature", {"demo.py": text})
        assay.settle()
    assert len(github.review_comments(REPOSITORY, number)) == 1
    assert "open" in assay.comment(number).lower()


def test_finding_outside_the_change_gets_no_thread(assay: Assay, github: StandInGitHub) -> None:
    github.push(REPOSITORY, "main", {"demo.py": DIRTY})
    number, sha = opened(github, DIRTY + "\n\nX = 1\n")
    assay.settle()
    assert assay.verdict(sha) is Conclusion.SUCCESS
    assert github.review_comments(REPOSITORY, number) == []


def test_same_commit_by_push_and_pull_request_is_one_run(assay: Assay, github: StandInGitHub) -> None:
    github.push(REPOSITORY, "main", {CONFIG: EVERYWHERE})
    sha = github.push(REPOSITORY, "feature", {"demo.py": DIRTY})
    assay.settle()
    number = github.open_pull(REPOSITORY, "feature")
    assay.settle()
    assert assay.verdict(sha) is Conclusion.FAILURE
    assert sorted(check.name for check in github.checks(REPOSITORY, sha)) == ["assay", "assay / lint"]
    assert sha[:7] in assay.comment(number)


def test_two_pull_requests_with_one_head_share_the_run_and_get_a_comment_each(
    assay: Assay, github: StandInGitHub
) -> None:
    github.commit(REPOSITORY, "release", {"notes.txt": "x"})
    number, sha = opened(github)
    other = github.open_pull(REPOSITORY, "feature", "release")
    assay.settle()
    assert assay.verdict(sha) is Conclusion.FAILURE
    assert sha[:7] in assay.comment(number)
    assert sha[:7] in assay.comment(other)
    assert [pull.number for pull in assay.run(sha).pulls] == [number, other]


def test_head_that_moved_on_cancels_what_is_unfinished_with_a_word_of_the_newer_one(
    assay: Assay, github: StandInGitHub
) -> None:
    number, first = opened(github)
    assay.settle("intake", "publish")
    second = github.push(REPOSITORY, "feature", {"demo.py": CLEAN + "\n\nX = 1\n"})
    assay.settle()
    assert (assay.verdict(first), assay.verdict(second)) == (Conclusion.CANCELLED, Conclusion.SUCCESS)
    assert second[:7] in str(assay.check(first).output["title"])
    for check in github.checks(REPOSITORY, first):
        assert (check.conclusion, f"commit/{second}/checks" in (check.summary or "")) == ("cancelled", True)
    assert second[:7] in assay.comment(number)


def test_news_that_github_itself_does_not_show_yet_are_waited_for(assay: Assay, github: StandInGitHub) -> None:
    number, first = opened(github)
    assay.settle()
    told = next(made.payload for made in github.deliveries if made.event == "pull_request")
    second = github.commit(REPOSITORY, "replica", {"demo.py": CLEAN + "\n\nX = 1\n"}, parent=first)
    later = {"head": {**told["pull_request"]["head"], "sha": second}, "updated_at": "2100-01-01T00:00:00Z"}
    github.deliver("pull_request", {**told, "pull_request": {**told["pull_request"], **later}})
    assay.settle()
    assert "waiting" in assay.outcomes()
    github.lose_deliveries(3)
    github.push(REPOSITORY, "feature", {}, sha=second)
    assay.wait(1)
    assay.settle()
    assert assay.verdict(second) is Conclusion.SUCCESS
    assert second[:7] in assay.comment(number)


def test_deliveries_in_the_wrong_order_end_with_the_newest_head(assay: Assay, github: StandInGitHub) -> None:
    number, first = opened(github)
    second = github.push(REPOSITORY, "feature", {"demo.py": CLEAN + "\n\nX = 1\n"})
    queue = assay.redis.lrange("rq:queue:intake", 0, -1)
    assay.redis.delete("rq:queue:intake")
    assay.redis.rpush("rq:queue:intake", *reversed(queue))
    assay.settle()
    assert assay.verdict(second) is Conclusion.SUCCESS
    assert not assay.has_run(first) or verdict(assay.run(first)).conclusion is Conclusion.CANCELLED
    assert second[:7] in assay.comment(number)


def test_every_delivery_twice_changes_nothing(assay: Assay, github: StandInGitHub) -> None:
    number, sha = opened(github)
    assay.settle()
    writes = [(request.method, request.path) for request in github.requests if request.method != "GET"]
    for delivery in github.deliveries:
        github.deliver(delivery.event, delivery.payload)
    assay.settle()
    again = [(request.method, request.path) for request in github.requests if request.method != "GET"]
    assert [path for _, path in again[len(writes) :] if "access_tokens" not in path and "graphql" not in path] == []
    assert assay.verdict(sha) is Conclusion.FAILURE
    assert sha[:7] in assay.comment(number)


def test_draft_is_ignored_until_it_is_ready(assay: Assay, github: StandInGitHub) -> None:
    number, sha = opened(github, draft=True)
    assay.settle()
    assert not assay.has_run(sha)
    assert any("drafts is false" in outcome for outcome in assay.outcomes())
    github.mark_ready(REPOSITORY, number)
    assay.settle()
    assert assay.verdict(sha) is Conclusion.FAILURE


def test_draft_is_checked_where_the_repository_wants_it(assay: Assay, github: StandInGitHub) -> None:
    github.push(REPOSITORY, "main", {CONFIG: DRAFTS})
    _, sha = opened(github, draft=True)
    assay.settle()
    assert assay.verdict(sha) is Conclusion.FAILURE


def test_conversion_to_draft_cancels_what_is_unfinished_and_ready_starts_it_again(
    assay: Assay, github: StandInGitHub
) -> None:
    number, sha = opened(github)
    assay.settle("intake", "publish")
    github.to_draft(REPOSITORY, number)
    assay.settle("intake", "publish")
    assert assay.verdict(sha) is Conclusion.CANCELLED
    github.mark_ready(REPOSITORY, number)
    assay.settle()
    assert assay.verdict(sha) is Conclusion.FAILURE


@pytest.mark.parametrize("merged", [False, True])
def test_closing_cancels_what_is_unfinished(assay: Assay, github: StandInGitHub, merged: bool) -> None:
    number, sha = opened(github)
    assay.settle("intake", "publish")
    github.close_pull(REPOSITORY, number, merged=merged)
    assay.settle()
    agent = assay.run(sha).agent("lint")
    assert agent is not None
    assert agent.phase is Phase.DONE
    assert verdict(assay.run(sha)).conclusion in (Conclusion.CANCELLED, Conclusion.FAILURE)
    assert github.comments(REPOSITORY, number) == []


def test_reopening_looks_again(assay: Assay, github: StandInGitHub) -> None:
    number, sha = opened(github)
    assay.settle("intake", "publish")
    github.close_pull(REPOSITORY, number)
    assay.settle("intake", "publish")
    github.reopen(REPOSITORY, number)
    assay.settle()
    assert assay.verdict(sha) is Conclusion.FAILURE
    assert sha[:7] in assay.comment(number)


def test_reopening_what_was_looked_at_starts_nothing(assay: Assay, github: StandInGitHub) -> None:
    number, sha = opened(github)
    assay.settle()
    seen = assay.run(sha).agents
    github.close_pull(REPOSITORY, number)
    assay.settle()
    github.reopen(REPOSITORY, number)
    assay.settle()
    assert assay.run(sha).agents == seen
    assert assay.run(sha).wanted


# -- quick pushes

PATIENT = QUICK + "triggers: {debounce: 60s}\n"


def test_quick_pushes_start_one_run_for_the_last_head(assay: Assay, github: StandInGitHub) -> None:
    github.push(REPOSITORY, "main", {CONFIG: PATIENT})
    number, first = opened(github)
    assay.settle("intake", "publish")
    assert assay.run(first).agents[0].in_flight, "the first starts at once"
    second = github.push(REPOSITORY, "feature", {"demo.py": DIRTY + "\n"})
    third = github.push(REPOSITORY, "feature", {"demo.py": CLEAN + "\n\nX = 1\n"})
    assay.settle("intake", "publish")
    assert not assay.has_run(second)
    assert not assay.has_run(third)
    assert assay.run(first).wanted, "until the next one starts"
    assay.wait(60)
    assay.settle()
    assert not assay.has_run(second)
    assert (assay.verdict(first), assay.verdict(third)) == (Conclusion.CANCELLED, Conclusion.SUCCESS)
    assert assay.run(first).superseded_by == third
    assert third[:7] in assay.comment(number)


def test_push_that_follows_after_a_while_starts_at_once(assay: Assay, github: StandInGitHub) -> None:
    github.push(REPOSITORY, "main", {CONFIG: PATIENT})
    opened(github)
    assay.settle()
    assay.wait(61)
    second = github.push(REPOSITORY, "feature", {"demo.py": CLEAN + "\n\nX = 1\n"})
    assay.settle()
    assert assay.verdict(second) is Conclusion.SUCCESS


def test_whoever_presses_rerun_never_waits(assay: Assay, github: StandInGitHub) -> None:
    github.push(REPOSITORY, "main", {CONFIG: PATIENT})
    _, sha = opened(github)
    assay.settle()
    github.click_rerun(assay.check(sha).id)
    assay.settle()
    assert assay.run(sha).attempt == 2
    # The same where the run has been forgotten.
    assay.redis.delete(f"assay:run:{REPOSITORY}@{sha}")
    github.click_rerun(assay.check(sha).id)
    assay.settle()
    assert assay.verdict(sha) is Conclusion.FAILURE


def test_quick_pushes_to_a_branch_wait_and_to_the_default_branch_do_not(assay: Assay, github: StandInGitHub) -> None:
    github.push(REPOSITORY, "main", {CONFIG: PATIENT.replace("{debounce", '{push: ["**"], debounce')})
    first = github.push(REPOSITORY, "feature", {"other.py": DIRTY})
    second = github.push(REPOSITORY, "feature", {"demo.py": DIRTY})
    third = github.push(REPOSITORY, "feature", {"demo.py": CLEAN})
    main = [github.push(REPOSITORY, "main", {"notes.txt": text}) for text in "ab"]
    assay.settle()
    assert [assay.has_run(sha) for sha in (first, second, third, *main)] == [False, False, True, True, True]
    assay.settle()
    fourth = github.push(REPOSITORY, "feature", {"notes.txt": "x"})
    assay.settle()
    assert not assay.has_run(fourth)
    assay.wait(60)
    assay.settle()
    assert assay.run(fourth).base_sha == third


# -- what was said before


def test_merge_queue_takes_over_what_was_said_of_the_same_files(assay: Assay, github: StandInGitHub) -> None:
    number, head = opened(github, CLEAN + "\n\nX = 1\n")
    assay.settle()
    group = github.merge_group(REPOSITORY, number)
    assay.settle()
    assert group != head
    assert assay.verdict(group) is Conclusion.SUCCESS
    assert f"taken over from {head[:7]}" in str(assay.check(group, "assay / lint").output["title"])
    github.click_rerun(assay.check(group, "assay / lint").id)
    assay.settle()
    assert "taken over" not in str(assay.check(group, "assay / lint").output["title"])


def test_stranger_s_result_does_not_serve_the_repository_s_own_commits(assay: Assay, github: StandInGitHub) -> None:
    fork = github.fork(REPOSITORY, "mallory")
    stranger = github.commit(fork, "feature", {"demo.py": DIRTY}, author="mallory")
    github.open_pull(REPOSITORY, "feature", head_repo=fork)
    assay.settle()
    _, sha = opened(github)
    assay.settle()
    assert stranger != sha
    assert assay.verdict(sha) is Conclusion.FAILURE
    assert "taken over" not in str(assay.check(sha, "assay / lint").output["title"])


# -- what it takes


def asked_by_intake(assay: Assay, github: StandInGitHub) -> list[str]:
    """What the deliveries that wait have GitHub asked about the repository."""
    before, about = len(github.requests), f"/repos/{REPOSITORY}/"
    assay.settle("intake")
    return sorted(request.path.removeprefix(about) for request in github.requests[before:] if about in request.path)


def test_requests_before_agents_start_are_few(assay: Assay, github: StandInGitHub) -> None:
    number, sha = opened(github)
    base = github.head(REPOSITORY, "main")
    config = f"contents/{CONFIG}"
    assert asked_by_intake(assay, github) == [
        f"compare/{base}...{sha}",
        config,
        f"pulls/{number}",
    ]
    assay.settle()
    # By the push and by the suite, of a branch that nobody asked for.
    github.push(REPOSITORY, "other", {"notes.txt": "x"})
    assert asked_by_intake(assay, github) == [config, config]
    assay.settle()
    github.push(REPOSITORY, "main", {"notes.txt": "x"})
    assert asked_by_intake(assay, github) == [config]


def test_new_base_is_a_new_comparison(assay: Assay, github: StandInGitHub) -> None:
    github.commit(REPOSITORY, "other", {"demo.py": DIRTY})
    github.commit(REPOSITORY, "feature", {"README.md": "x"}, parent=github.head(REPOSITORY, "other"))
    number = github.open_pull(REPOSITORY, "feature")
    sha = github.head(REPOSITORY, "feature")
    assay.settle()
    assert assay.verdict(sha) is Conclusion.FAILURE
    github.retarget(REPOSITORY, number, "other")
    assay.settle()
    assert assay.run(sha).base_sha == github.head(REPOSITORY, "other")
    assert assay.run(sha).attempt == 2
    # Nothing that lint reads is in the change any more.
    assert assay.verdict(sha) is Conclusion.NEUTRAL


def test_edited_title_starts_nothing(assay: Assay, github: StandInGitHub) -> None:
    number, sha = opened(github)
    assay.settle()
    github.edit_pull(REPOSITORY, number, title="Another title")
    assay.settle()
    assert assay.run(sha).attempt == 1


def test_comment_that_a_person_deleted_is_written_anew_at_the_next_push(assay: Assay, github: StandInGitHub) -> None:
    number, _ = opened(github)
    assay.settle()
    (comment,) = github.comments(REPOSITORY, number)
    with github.world.lock:
        del github.world.comments[comment.id]
    sha = github.push(REPOSITORY, "feature", {"demo.py": CLEAN + "\n\nX = 1\n"})
    assay.settle()
    assert sha[:7] in assay.comment(number)
