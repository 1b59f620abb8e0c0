"""Pushes and merge queues: from a signed webhook to a verdict on the commit."""

from __future__ import annotations

from bot.demo.github import StandInGitHub
from bot.domain.events import AgentStarted
from bot.domain.findings import Outcome
from bot.domain.verdict import Conclusion
from tests.flow.assay import CLEAN, CONFIG, DIRTY, QUICK, REPOSITORY, Assay

EVERYWHERE = QUICK + 'triggers: {push: ["**"]}\n'
MORE = CLEAN + "\n\nX = 1\n"


def redelivered(assay: Assay, github: StandInGitHub, *numbers: int) -> None:
    """Deliver these pushes, counted from the first, as though it were for the first time and in this order."""
    pushes = [delivery for delivery in github.deliveries if delivery.event == "push"]
    for number in numbers:
        github.deliver("push", pushes[number].payload)
    assay.settle()


def test_push_to_the_default_branch_gets_checks_and_a_verdict(assay: Assay, github: StandInGitHub) -> None:
    sha = github.push(REPOSITORY, "main", {"demo.py": CLEAN + "\n\nX = 1\n"})
    assay.settle()
    assert assay.verdict(sha) is Conclusion.SUCCESS
    assert {check.name: check.conclusion for check in github.checks(REPOSITORY, sha)} == {
        "assay": "success",
        "assay / lint": "success",
    }


def test_finding_on_a_pushed_line_fails_with_an_annotation_there(assay: Assay, github: StandInGitHub) -> None:
    sha = github.push(REPOSITORY, "main", {"demo.py": DIRTY})
    assay.settle()
    assert assay.verdict(sha) is Conclusion.FAILURE
    (note,) = assay.check(sha, "assay / lint").annotations
    assert (note["path"], note["start_line"], note["annotation_level"]) == ("demo.py", 1, "warning")
    assert "F401" in note["message"] + note["title"]


def test_finding_on_a_line_that_was_there_before_is_not_the_pusher_s(assay: Assay, github: StandInGitHub) -> None:
    github.push(REPOSITORY, "main", {"demo.py": DIRTY})
    sha = github.push(REPOSITORY, "main", {"demo.py": DIRTY + "\n\nX = 1\n"})
    assay.settle()
    assert assay.verdict(sha) is Conclusion.SUCCESS


def test_push_to_another_branch_waits_for_its_pull_request(assay: Assay, github: StandInGitHub) -> None:
    sha = github.push(REPOSITORY, "feature", {"demo.py": DIRTY})
    assay.settle()
    assert not assay.has_run(sha)
    assert any("triggers.push (main) does not name the branch feature" in outcome for outcome in assay.outcomes())


def test_first_push_of_a_new_branch_is_compared_with_the_default_branch(assay: Assay, github: StandInGitHub) -> None:
    base = github.push(REPOSITORY, "main", {CONFIG: EVERYWHERE})
    sha = github.push(REPOSITORY, "feature", {"demo.py": DIRTY})
    assay.settle()
    assert assay.run(sha).base_sha == base
    assert assay.verdict(sha) is Conclusion.FAILURE


def test_force_push_is_compared_with_where_the_histories_parted(assay: Assay, github: StandInGitHub) -> None:
    base = github.push(REPOSITORY, "main", {"README.md": "1"})
    github.push(REPOSITORY, "main", {"README.md": "2"})
    sha = github.push(REPOSITORY, "main", {"demo.py": DIRTY}, parent=base)
    assay.settle()
    assert assay.run(sha).base_sha == base
    assert assay.verdict(sha) is Conclusion.FAILURE


def test_empty_commit_is_looked_at_and_clean(assay: Assay, github: StandInGitHub) -> None:
    sha = github.push(REPOSITORY, "main", {})
    assay.settle()
    assert assay.verdict(sha) is Conclusion.SUCCESS


def test_deleted_branch_and_pushed_tag_start_nothing(assay: Assay, github: StandInGitHub) -> None:
    github.push(REPOSITORY, "feature", {"demo.py": DIRTY})
    github.push_tag(REPOSITORY, "v1", github.head(REPOSITORY, "main"))
    github.delete_branch(REPOSITORY, "feature")
    assay.settle()
    assert assay.store.recent() == []
    assert {"ignored: push that deleted a branch", "ignored: push of a tag"} <= set(assay.outcomes())


def test_head_of_a_deleted_branch_is_let_go_unless_it_is_there_again(assay: Assay, github: StandInGitHub) -> None:
    github.push(REPOSITORY, "main", {CONFIG: QUICK + 'triggers: {push: ["**"], every_commit: []}\n'})
    assay.settle()
    ends = {}
    for branch in ("alone", "kept"):
        ends[branch] = github.push(REPOSITORY, branch, {"demo.py": f"{CLEAN}\n\n{branch.upper()} = 1\n"})
    assay.settle("intake")
    again = {"demo.py": CLEAN, "again.py": CLEAN}
    github.delete_branch(REPOSITORY, "alone")
    github.delete_branch(REPOSITORY, "kept")
    ends["kept"] = github.push(REPOSITORY, "kept", again)
    assay.settle("intake")
    assert not assay.run(ends["alone"]).wanted
    assert [agent.outcome for agent in assay.run(ends["alone"]).agents] == [Outcome.CANCELLED]
    assert assay.run(ends["kept"]).wanted
    assay.settle()
    assert "the branch alone was deleted" in " ".join(assay.outcomes())
    assert "ignored: the branch kept is there again" in assay.outcomes()
    assert assay.check(ends["alone"]).conclusion == "cancelled"


def test_same_commit_by_push_and_by_check_suite_is_one_run_with_one_set_of_checks(
    assay: Assay, github: StandInGitHub
) -> None:
    sha = github.push(REPOSITORY, "main", {"demo.py": DIRTY})
    assay.settle()
    assert sorted(check.name for check in github.checks(REPOSITORY, sha)) == ["assay", "assay / lint"]
    assert len(assay.store.recent()) == 1


def test_lost_push_is_made_up_for_by_the_check_suite(assay: Assay, github: StandInGitHub) -> None:
    github.lose_deliveries(1)
    sha = github.push(REPOSITORY, "main", {"demo.py": DIRTY})
    assay.settle()
    assert assay.verdict(sha) is Conclusion.FAILURE


# -- branches of which only the newest head is of interest


def test_branch_that_moves_on_cancels_what_is_unfinished_with_a_link_to_the_newer_head(
    assay: Assay, github: StandInGitHub
) -> None:
    base = github.push(REPOSITORY, "main", {CONFIG: EVERYWHERE})
    first = github.push(REPOSITORY, "feature", {"other.py": DIRTY})
    assay.settle("intake", "publish")
    second = github.push(REPOSITORY, "feature", {"demo.py": MORE})
    assay.settle("intake", "publish")
    assert [made.conclusion for made in github.checks(REPOSITORY, first)] == ["cancelled", "cancelled"]
    for check in github.checks(REPOSITORY, first):
        assert f"[`{second[:7]}`]({github.url}/{REPOSITORY}/commit/{second}/checks)" in (check.summary or "")
    assay.settle()
    # What the first brought is the second's to answer for: nobody else has looked at it.
    assert (assay.run(second).base_sha, assay.verdict(second)) == (base, Conclusion.FAILURE)
    assert not any(isinstance(event, AgentStarted) for event in assay.store.log(assay.run(first).key))


def test_head_that_was_looked_at_is_what_the_next_one_is_compared_with(assay: Assay, github: StandInGitHub) -> None:
    github.push(REPOSITORY, "main", {CONFIG: EVERYWHERE})
    first = github.push(REPOSITORY, "feature", {"other.py": DIRTY})
    assay.settle()
    second = github.push(REPOSITORY, "feature", {"demo.py": MORE})
    assay.settle()
    assert (assay.verdict(first), assay.verdict(second)) == (Conclusion.FAILURE, Conclusion.SUCCESS)
    assert assay.run(second).base_sha == first


def test_commit_that_a_pull_request_waits_for_is_let_go_by_both(assay: Assay, github: StandInGitHub) -> None:
    github.push(REPOSITORY, "main", {CONFIG: EVERYWHERE})
    first = github.push(REPOSITORY, "feature", {"demo.py": DIRTY})
    github.open_pull(REPOSITORY, "feature")
    assay.settle("intake", "publish")
    second = github.push(REPOSITORY, "feature", {"demo.py": MORE})
    assay.settle()
    assert (assay.verdict(first), assay.verdict(second)) == (Conclusion.CANCELLED, Conclusion.SUCCESS)
    assert assay.run(first).superseded_by == second


def test_commit_that_another_branch_holds_goes_on(assay: Assay, github: StandInGitHub) -> None:
    github.push(REPOSITORY, "main", {CONFIG: EVERYWHERE})
    first = github.push(REPOSITORY, "feature", {"demo.py": DIRTY})
    github.push(REPOSITORY, "main", {}, sha=first)
    assay.settle("intake", "publish")
    github.push(REPOSITORY, "feature", {"demo.py": MORE})
    assay.settle()
    assert assay.verdict(first) is Conclusion.FAILURE


def test_every_commit_of_the_default_branch_keeps_its_verdict(assay: Assay, github: StandInGitHub) -> None:
    first = github.push(REPOSITORY, "main", {"demo.py": DIRTY})
    assay.settle("intake", "publish")
    second = github.push(REPOSITORY, "main", {"demo.py": MORE})
    assay.settle()
    assert (assay.verdict(first), assay.verdict(second)) == (Conclusion.FAILURE, Conclusion.SUCCESS)


def test_default_branch_moves_on_where_the_repository_says_so(assay: Assay, github: StandInGitHub) -> None:
    github.push(REPOSITORY, "main", {CONFIG: QUICK + "triggers: {every_commit: []}\n"})
    assay.settle()
    first = github.push(REPOSITORY, "main", {"demo.py": DIRTY})
    assay.settle("intake", "publish")
    second = github.push(REPOSITORY, "main", {"demo.py": MORE})
    assay.settle()
    assert (assay.verdict(first), assay.verdict(second)) == (Conclusion.CANCELLED, Conclusion.SUCCESS)


def test_older_push_that_is_told_of_late_does_not_stop_the_newer_one(assay: Assay, github: StandInGitHub) -> None:
    base = github.push(REPOSITORY, "main", {CONFIG: EVERYWHERE})
    github.lose_deliveries(4)
    first = github.push(REPOSITORY, "feature", {"other.py": DIRTY})
    second = github.push(REPOSITORY, "feature", {"demo.py": MORE})
    redelivered(assay, github, 2)
    assert assay.run(second).base_sha == first
    redelivered(assay, github, 1)
    assert not assay.has_run(first)
    assert any(f"moved on to {second[:7]}" in outcome for outcome in assay.outcomes())
    # Nobody has looked at the first one, and now nobody will but as a part of the second.
    assert (assay.run(second).base_sha, assay.verdict(second)) == (base, Conclusion.FAILURE)


def test_push_told_of_twice_and_late_changes_nothing(assay: Assay, github: StandInGitHub) -> None:
    github.push(REPOSITORY, "main", {CONFIG: EVERYWHERE})
    first = github.push(REPOSITORY, "feature", {"demo.py": DIRTY})
    assay.settle()
    second = github.push(REPOSITORY, "feature", {"demo.py": MORE})
    assay.settle("intake", "publish")
    redelivered(assay, github, 1, 2, 1)
    assert (assay.verdict(first), assay.verdict(second)) == (Conclusion.FAILURE, Conclusion.SUCCESS)
    assert (assay.run(second).attempt, assay.run(second).base_sha) == (1, first)


def test_branch_that_is_set_back_takes_up_what_was_cancelled(assay: Assay, github: StandInGitHub) -> None:
    github.push(REPOSITORY, "main", {CONFIG: EVERYWHERE})
    first = github.push(REPOSITORY, "feature", {"demo.py": DIRTY})
    assay.settle("intake", "publish")
    second = github.push(REPOSITORY, "feature", {"demo.py": MORE})
    assay.settle("intake", "publish")
    github.push(REPOSITORY, "feature", {}, sha=first)
    assay.settle()
    assert (assay.verdict(first), assay.verdict(second)) == (Conclusion.FAILURE, Conclusion.CANCELLED)


def test_push_that_github_itself_does_not_show_yet_is_waited_for(assay: Assay, github: StandInGitHub) -> None:
    github.push(REPOSITORY, "main", {CONFIG: EVERYWHERE})
    before = github.push(REPOSITORY, "feature", {"demo.py": DIRTY})
    assay.settle()
    payload = next(made.payload for made in github.deliveries[::-1] if made.event == "push")
    after = github.commit(REPOSITORY, "replica", {"demo.py": MORE}, parent=before)
    github.deliver("push", {**payload, "before": before, "after": after})
    assay.settle()
    assert assay.outcomes()[0] == "waiting"
    github.world.repositories[REPOSITORY].git.set_ref("refs/heads/feature", after)
    assay.wait(1)
    assay.settle()
    assert assay.verdict(after) is Conclusion.SUCCESS


# -- the merge queue


def test_entry_that_leaves_the_merge_queue_is_cancelled(assay: Assay, github: StandInGitHub) -> None:
    github.commit(REPOSITORY, "feature", {"demo.py": DIRTY})
    sha = github.merge_group(REPOSITORY, github.open_pull(REPOSITORY, "feature"))
    assay.settle("intake", "publish")
    github.leave_queue(REPOSITORY, sha)
    assay.settle()
    assert assay.verdict(sha) is Conclusion.CANCELLED
    reason = assay.run(sha).agents[0].result
    assert reason is not None
    assert reason.reason == "it left the merge queue (dequeued)"


def test_entry_that_has_left_before_it_is_told_of_starts_nothing(assay: Assay, github: StandInGitHub) -> None:
    github.commit(REPOSITORY, "feature", {"demo.py": DIRTY})
    number = github.open_pull(REPOSITORY, "feature")
    github.lose_deliveries(3)
    sha = github.merge_group(REPOSITORY, number)
    asked = next(made.payload for made in github.deliveries if made.event == "merge_group")
    github.leave_queue(REPOSITORY, sha)
    github.deliver("merge_group", asked)
    assay.settle()
    assert "waiting" in assay.outcomes(), "GitHub's answer may lag behind"
    assay.wait(11)
    assay.settle()
    assert any("has left the merge queue" in outcome for outcome in assay.outcomes())
    assert not assay.has_run(sha)


def test_merge_group_is_compared_with_its_base(assay: Assay, github: StandInGitHub) -> None:
    github.commit(REPOSITORY, "feature", {"demo.py": DIRTY})
    number = github.open_pull(REPOSITORY, "feature")
    sha = github.merge_group(REPOSITORY, number)
    assay.settle()
    assert assay.run(sha).base_sha == github.head(REPOSITORY, "main")
    assert assay.verdict(sha) is Conclusion.FAILURE


def test_events_that_are_none_of_assay_s_business_are_recorded_with_a_reason(
    assay: Assay, github: StandInGitHub
) -> None:
    github.deliver("star", {"action": "created", "sender": {"login": "alice"}})
    github.ping()
    assay.settle()
    assert assay.outcomes() == ["accepted: ping", "ignored: event star is not one Assay acts on"]


def test_malformed_payload_is_recorded_and_does_no_harm(assay: Assay, github: StandInGitHub) -> None:
    github.deliver("push", {"ref": 7, "installation": {"id": 1}})
    assay.settle()
    (outcome,) = assay.outcomes()
    assert outcome.startswith("ignored: the push payload is malformed")
