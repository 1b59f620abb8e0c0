"""Approvals over time: what is shown when a stranger pushes again, what carries over, and how a question ends."""

from __future__ import annotations

import pytest

from bot.demo.github import StandInGitHub
from bot.domain.events import ApprovalGranted
from bot.domain.findings import Outcome
from bot.domain.reduce import reduce
from bot.domain.render_timeline import explain_run
from bot.domain.run import Run, RunKey
from bot.domain.verdict import Conclusion
from tests.flow.assay import CLEAN, CONFIG, REPOSITORY, Assay
from tests.flow.test_people import SHELL, opened, outcome, press, words

DAY = 86_400.0
SOURCES = SHELL + "approvals: {carry_over: sources}\n"


@pytest.fixture
def fork(github: StandInGitHub, assay: Assay) -> str:
    github.push(REPOSITORY, "main", {CONFIG: SHELL})
    assay.settle()
    github.world.repositories[REPOSITORY].collaborators |= {"alice": "write", "bob": "admin"}
    github.world.user("mallory")
    return github.fork(REPOSITORY, "mallory")


def policy(assay: Assay, github: StandInGitHub, text: str) -> None:
    github.push(REPOSITORY, "main", {CONFIG: text})
    assay.settle()


def pushed(assay: Assay, github: StandInGitHub, fork: str, files: dict[str, str]) -> str:
    sha = github.push(fork, "feature", files, author="mallory")
    assay.settle()
    return sha


def summary(assay: Assay, sha: str) -> str:
    return str(assay.check(sha, "assay").output.get("summary"))


def buttons(assay: Assay, sha: str) -> list[str]:
    return [action["label"] for action in assay.check(sha, "assay").actions]


def later(assay: Assay, days: float) -> None:
    assay.wait(days * DAY)
    assay.settle()


def granted(assay: Assay, sha: str) -> ApprovalGranted:
    log = assay.store.log(RunKey(repository=REPOSITORY, sha=sha))
    (found,) = [event for event in log if isinstance(event, ApprovalGranted)]
    return found


def test_the_next_push_asks_again_and_shows_what_changed(assay: Assay, github: StandInGitHub, fork: str) -> None:
    _, first = opened(github, assay, fork)
    press(assay, github, first, "alice")
    second = pushed(assay, github, fork, {"other.py": "X = 2\n", "Makefile": "all:\n", "a_`b`.md": ""})
    assert outcome(assay, second, "shell") is Outcome.NOT_RUN
    told = summary(assay, second)
    assert f"**Changed since `{first[:7]}`, which alice approved on 20" in told
    assert (
        f"[3 files]({github.url}/{REPOSITORY}/compare/{first}..{second}), 1 of which decides what is executed" in told
    )
    assert "- `Makefile` (decides what is executed)\n- ``a_`b`.md``\n- `other.py`" in told
    press(assay, github, second, "bob")
    assert outcome(assay, second, "shell") is Outcome.CLEAN
    event = granted(assay, second)
    assert event.saw[0] == "an approval would run shell: cat demo.py"
    assert event.saw[1].startswith(f"3 files changed since {first[:7]}, which alice approved, 1 of which decide")


def test_it_is_compared_with_the_last_one_that_was_approved(assay: Assay, github: StandInGitHub, fork: str) -> None:
    _, first = opened(github, assay, fork)
    press(assay, github, first, "alice")
    pushed(assay, github, fork, {"one.md": ""})
    third = pushed(assay, github, fork, {"two.md": ""})
    assert f"/compare/{first}..{third})" in summary(assay, third)
    assert "[2 files]" in summary(assay, third)


def test_a_rewritten_history_hides_nothing(assay: Assay, github: StandInGitHub, fork: str) -> None:
    """What the approved commit had and the new one has not differs, too."""
    base = github.head(fork, "main")
    sha = github.commit(fork, "feature", {"demo.py": CLEAN + "\n\nX = 1\n", "conftest.py": "SAFE = True\n"})
    github.open_pull(REPOSITORY, "feature", author="mallory", head_repo=fork)
    assay.settle()
    press(assay, github, sha, "alice")
    again = github.push(fork, "feature", {"demo.py": CLEAN + "\n\nX = 1\n"}, author="mallory", parent=base)
    assay.settle()
    assert "`conftest.py` (decides what is executed)" in summary(assay, again)


@pytest.mark.parametrize(
    ("files", "text", "carried"),
    [
        ({"other.py": "X = 2\n"}, SOURCES, True),
        ({"other.py": "X = 2\n", "tox.ini": ""}, SOURCES, False),
        ({"demo.py": CLEAN + "\n\nX = 2\n"}, SOURCES, False),
        ({"other.py": "X = 2\n"}, SHELL, False),
    ],
    ids=["sources", "configuration", "what a command names", "never"],
)
def test_an_approval_carries_over_by_policy_only(
    assay: Assay, github: StandInGitHub, fork: str, files: dict[str, str], text: str, carried: bool
) -> None:
    policy(assay, github, text)
    _, first = opened(github, assay, fork)
    press(assay, github, first, "alice")
    second = pushed(assay, github, fork, files)
    assert outcome(assay, second, "shell") is (Outcome.CLEAN if carried else Outcome.NOT_RUN)
    if carried:
        event = granted(assay, second)
        assert (event.actor, event.carried_from, event.until) == ("alice", first, granted(assay, first).until)
        assert f"Approved for execution by alice, carried over from `{first[:7]}`" in summary(assay, second)
        assert assay.run(second).attempt == 1, "it was not asked first"


def test_nothing_carries_over_from_who_may_not_any_more(assay: Assay, github: StandInGitHub, fork: str) -> None:
    policy(assay, github, SOURCES)
    _, first = opened(github, assay, fork)
    press(assay, github, first, "alice")
    github.world.repositories[REPOSITORY].collaborators["alice"] = "read"
    second = pushed(assay, github, fork, {"other.py": "X = 2\n"})
    assert outcome(assay, second, "shell") is Outcome.NOT_RUN


def test_a_strangers_own_configuration_carries_nothing_over(assay: Assay, github: StandInGitHub, fork: str) -> None:
    sha = github.commit(fork, "feature", {CONFIG: SOURCES, "demo.py": CLEAN + "\n\nX = 1\n"}, author="mallory")
    github.open_pull(REPOSITORY, "feature", author="mallory", head_repo=fork)
    assay.settle()
    press(assay, github, sha, "alice")
    second = pushed(assay, github, fork, {"other.py": "X = 2\n"})
    assert outcome(assay, second, "shell") is Outcome.NOT_RUN


def test_a_question_reminds_once_on_its_check_and_ends(
    assay: Assay, github: StandInGitHub, fork: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "bot.sweep")
    number, sha = opened(github, assay, fork)
    assert "Reminder" not in summary(assay, sha)
    later(assay, 2)
    assert "Reminder" not in summary(assay, sha)
    later(assay, 2)
    assert "**Reminder: this has waited for an approval since 20" in summary(assay, sha)
    assert buttons(assay, sha) == ["Approve", "Re-run all"]
    writes = assay.check(sha, "assay").writes
    later(assay, 5)
    assert assay.check(sha, "assay").writes == writes, "once"
    later(assay, 6)
    assert "Nobody approved it in time" in summary(assay, sha)
    said = [
        "people are reminded that it waits for an approval",
        "nobody approved it in time, and it is not asked for any more",
    ]
    key = RunKey(repository=REPOSITORY, sha=sha)
    told = [(one.levelname, one.getMessage()) for one in caplog.records if one.name == "bot.sweep"]
    assert told == [("INFO", f"{key}: {words}") for words in said]
    assert [words for words in said if words in explain_run(assay.run(sha), assay.store.log(key))] == said
    assert buttons(assay, sha) == ["Re-run all"]
    assert assay.verdict(sha) is Conclusion.ACTION_REQUIRED
    github.comment(REPOSITORY, number, f"/assay approve {sha}", author="alice")
    assay.settle()
    assert "it is not asked any more" in words(github, number)[0]
    assert outcome(assay, sha, "shell") is Outcome.NOT_RUN
    github.click_action(assay.check(sha, "assay").id, "rerun", author="alice")
    assay.settle()
    assert buttons(assay, sha) == ["Approve", "Re-run all"]
    press(assay, github, sha, "alice")
    assert outcome(assay, sha, "shell") is Outcome.CLEAN


def test_an_approval_ends(assay: Assay, github: StandInGitHub, fork: str) -> None:
    policy(assay, github, SHELL + "approvals: {expire: 2d, remind: 1d}\n")
    _, sha = opened(github, assay, fork)
    press(assay, github, sha, "alice")
    later(assay, 3)
    assert outcome(assay, sha, "shell") is Outcome.CLEAN, "what was done stays"
    github.click_action(assay.check(sha, "assay").id, "rerun", author="alice")
    assay.settle()
    assert outcome(assay, sha, "shell") is Outcome.NOT_RUN
    assert buttons(assay, sha) == ["Approve", "Re-run all"]
    press(assay, github, sha, "bob")
    assert outcome(assay, sha, "shell") is Outcome.CLEAN
    assert "Approved for execution by bob" in summary(assay, sha)


def test_what_waits_in_a_queue_when_its_approval_ends_is_not_executed(
    assay: Assay, github: StandInGitHub, fork: str
) -> None:
    policy(assay, github, SHELL + "approvals: {expire: 1h, remind: 30m}\n")
    _, sha = opened(github, assay, fork)
    github.click_action(assay.check(sha, "assay").id, "approve", author="alice")
    assay.settle("intake", "publish")
    assert assay.run(sha).under_approval == ("lint", "shell")
    assay.clock.ahead += 3700
    assay.settle()
    assert outcome(assay, sha, "shell") is Outcome.NOT_RUN
    assert buttons(assay, sha) == ["Approve", "Re-run all"]


def test_show_tells_who_approved_what_and_what_they_saw(assay: Assay, github: StandInGitHub, fork: str) -> None:
    _, sha = opened(github, assay, fork)
    press(assay, github, sha, "alice")
    key = RunKey(repository=REPOSITORY, sha=sha)
    log = assay.store.log(key)
    text = explain_run(assay.run(sha), log)
    assert "ApprovalGranted approved: what a stranger wrote may be executed until 20" in text
    assert "[by alice, delivery " in text
    assert "saw: an approval would run shell: cat demo.py\n" in text
    again: Run | None = None
    for event in log:
        again = reduce(again, event, key).run
    assert again == assay.run(sha)
