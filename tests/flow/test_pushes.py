"""Pushes and merge queues: from a signed webhook to a verdict on the commit."""

from __future__ import annotations

from bot.demo.github import StandInGitHub
from bot.domain.verdict import Conclusion
from tests.flow.assay import CLEAN, CONFIG, DIRTY, QUICK, REPOSITORY, Assay

EVERYWHERE = QUICK + 'triggers: {push: ["**"]}\n'


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
