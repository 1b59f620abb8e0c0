"""Orders in comments and buttons: who may give them, what they do, and what is answered."""

from __future__ import annotations

import pytest

from bot.demo.github import StandInGitHub
from bot.domain.events import ApprovalGranted
from bot.domain.findings import Outcome
from bot.domain.render_gates import APPROVE
from bot.domain.run import RunKey
from bot.domain.verdict import Conclusion
from bot.intake.allowance import PER_HOUR
from bot.patience import GIVE_UP
from bot.queues import LATER
from tests.flow.assay import CLEAN, CONFIG, REPOSITORY, Assay

SHELL = """
agents:
  test: {enabled: false}
  lint: {tools: [ruff]}
  security: {enabled: false}
  review: {enabled: false}
  shell: {run: "cat demo.py", required: true}
"""


@pytest.fixture
def fork(github: StandInGitHub, assay: Assay) -> str:
    github.push(REPOSITORY, "main", {CONFIG: SHELL})
    assay.settle()
    people = github.world.repositories[REPOSITORY].collaborators
    people |= {"alice": "write", "bob": "admin", "rita": "read"}
    for name in ("rita", "mallory"):
        github.world.user(name)
    return github.fork(REPOSITORY, "mallory")


def opened(github: StandInGitHub, assay: Assay, fork: str, author: str = "mallory") -> tuple[int, str]:
    sha = github.commit(fork, "feature", {"demo.py": CLEAN + "\n\nX = 1\n"}, author=author)
    number = github.open_pull(REPOSITORY, "feature", author=author, head_repo=fork)
    assay.settle()
    return number, sha


def outcome(assay: Assay, sha: str, name: str) -> Outcome | None:
    agent = assay.run(sha).agent(name)
    assert agent is not None
    return agent.outcome


def reactions(github: StandInGitHub, comment: int) -> list[str]:
    return [content for content, _ in github.world.reactions.get(comment, [])]


def words(github: StandInGitHub, number: int) -> list[str]:
    """What Assay said in the conversation, but for its sticky comment."""
    said = [one.body for one in github.comments(REPOSITORY, number)]
    return [body for body in said if "assay:reply:" in body]


def press(assay: Assay, github: StandInGitHub, sha: str, who: str) -> None:
    github.click_action(assay.check(sha, "assay").id, APPROVE.identifier, author=who)
    assay.settle()


@pytest.mark.parametrize("by", ["button", "comment"])
def test_a_strangers_commit_is_executed_once_it_is_approved(
    assay: Assay, github: StandInGitHub, fork: str, by: str
) -> None:
    number, sha = opened(github, assay, fork)
    assert assay.verdict(sha) is Conclusion.ACTION_REQUIRED
    assert outcome(assay, sha, "lint") is Outcome.CLEAN
    assert f"/assay approve {sha}" in str(assay.check(sha, "assay").output.get("summary"))
    assert "shell: `cat demo.py`" in str(assay.check(sha, "assay").output.get("summary"))
    assert [action["label"] for action in assay.check(sha, "assay").actions] == ["Approve", "Re-run all"]
    if by == "button":
        press(assay, github, sha, "alice")
    else:
        comment = github.comment(REPOSITORY, number, f"Looks fine.\n\n/assay approve {sha}", author="alice")
        assay.settle()
        assert reactions(github, comment) == ["rocket"]
    assert outcome(assay, sha, "shell") is Outcome.CLEAN
    assert assay.verdict(sha) is Conclusion.SUCCESS
    assert "Approved for execution by alice" in str(assay.check(sha, "assay").output.get("summary"))
    run = assay.run(sha)
    assert not run.trusted
    log = assay.store.log(RunKey(repository=REPOSITORY, sha=sha))
    (granted,) = [event for event in log if isinstance(event, ApprovalGranted)]
    assert (granted.actor, bool(granted.delivery)) == ("alice", True)


PLUGIN = """
agents:
  test: {enabled: false}
  lint: {tools: [ruff]}
  security: {tools: [detect-secrets, eslint-security]}
  review: {enabled: false}
"""


def test_a_scanner_that_executes_waits_for_an_approval(assay: Assay, github: StandInGitHub, fork: str) -> None:
    github.push(REPOSITORY, "main", {CONFIG: PLUGIN})
    files = {"package.json": '{"eslint-plugin-security": ""}', "eslint.config.mjs": "", "a.js": "", "a.py": "X = 1\n"}
    sha = github.commit(fork, "feature", files, author="mallory")
    github.open_pull(REPOSITORY, "feature", author="mallory", head_repo=fork)
    assay.settle()
    assert assay.verdict(sha) is Conclusion.ACTION_REQUIRED
    summary = str(assay.check(sha, "assay").output.get("summary"))
    would_run = summary.partition("An approval would run")[2].partition("\n|")[0]
    assert "security" in would_run
    assert "lint" not in would_run
    press(assay, github, sha, "alice")
    security = assay.run(sha).agent("security")
    assert security is not None
    assert security.result is not None
    assert (security.barred, security.result.waits) == (False, False)


def test_nobody_approves_their_own_commit(assay: Assay, github: StandInGitHub, fork: str) -> None:
    number, sha = opened(github, assay, fork)
    # Given a right after the fact, it is still their own.
    github.world.repositories[REPOSITORY].collaborators["mallory"] = "write"
    comment = github.comment(REPOSITORY, number, f"/assay approve {sha}", author="mallory")
    assay.settle()
    assert reactions(github, comment) == ["confused"]
    assert "nobody approves what they wrote themselves" in words(github, number)[0]
    press(assay, github, sha, "mallory")
    assert outcome(assay, sha, "shell") is Outcome.NOT_RUN


@pytest.mark.parametrize("who", ["rita", "nobody-at-all"])
def test_who_may_not_write_gives_no_orders_and_gets_no_answer(
    assay: Assay, github: StandInGitHub, fork: str, who: str
) -> None:
    number, sha = opened(github, assay, fork)
    comment = github.comment(REPOSITORY, number, f"/assay approve {sha}", author=who)
    assay.settle()
    press(assay, github, sha, who)
    assert reactions(github, comment) == []
    assert words(github, number) == []
    assert outcome(assay, sha, "shell") is Outcome.NOT_RUN
    assert assay.run(sha).approval is None


def test_what_a_payload_says_of_its_author_counts_for_nothing(
    assay: Assay, github: StandInGitHub, fork: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, sha = opened(github, assay, fork)
    monkeypatch.setattr("bot.demo.pull_shapes.association", lambda *_: "OWNER", raising=False)
    github.comment(REPOSITORY, number, f"/assay approve {sha}", author="rita")
    assay.settle()
    assert assay.run(sha).approval is None


def test_an_approval_holds_for_one_commit(assay: Assay, github: StandInGitHub, fork: str) -> None:
    number, first = opened(github, assay, fork)
    press(assay, github, first, "alice")
    second = github.push(fork, "feature", {"demo.py": CLEAN + "\n\nX = 2\n"}, author="mallory")
    assay.settle()
    assert outcome(assay, first, "shell") is Outcome.CLEAN
    assert outcome(assay, second, "shell") is Outcome.NOT_RUN
    assert assay.verdict(second) is Conclusion.ACTION_REQUIRED
    assert number


def test_a_push_between_the_reading_and_the_word_is_not_approved(
    assay: Assay, github: StandInGitHub, fork: str
) -> None:
    number, read = opened(github, assay, fork)
    pushed = github.push(fork, "feature", {"demo.py": CLEAN + "\n\nX = 2\n"}, author="mallory")
    for order in (f"/assay approve {read}", "/assay approve"):
        comment = github.comment(REPOSITORY, number, order, author="alice")
        assay.settle()
        assert reactions(github, comment) == ["confused"]
    assert pushed in words(github, number)[0]
    assert outcome(assay, pushed, "shell") is Outcome.NOT_RUN
    assert assay.run(pushed).approval is None


def test_two_who_approve_at_once_approve_once(assay: Assay, github: StandInGitHub, fork: str) -> None:
    _, sha = opened(github, assay, fork)
    check = assay.check(sha, "assay").id
    for who in ("alice", "bob"):
        github.click_action(check, APPROVE.identifier, author=who)
    assay.settle()
    run = assay.run(sha)
    assert run.approval is not None
    assert run.approval.actor in ("alice", "bob")
    assert run.attempt == 2


def test_a_fork_of_somebody_who_may_write_is_executed(assay: Assay, github: StandInGitHub, fork: str) -> None:
    assert fork
    own = github.fork(REPOSITORY, "alice")
    _, sha = opened(github, assay, own, author="alice")
    assert outcome(assay, sha, "shell") is Outcome.CLEAN
    assert assay.verdict(sha) is Conclusion.SUCCESS


def test_agents_run_again_at_a_word(assay: Assay, github: StandInGitHub, fork: str) -> None:
    number, sha = opened(github, assay, fork)
    comment = github.comment(REPOSITORY, number, "/assay rerun lint", author="alice")
    assay.settle()
    attempts = {agent.plan.name: agent.attempt for agent in assay.run(sha).agents}
    assert attempts == {"lint": 2, "shell": 1}
    assert reactions(github, comment) == ["rocket"]
    assert words(github, number) == []


@pytest.mark.parametrize(
    ("order", "answer"),
    [
        ("/assay aprove", "did you mean `/assay approve`?"),
        ("/assay rerun typos", "there is no agent `typos`; there are `lint`, `shell`"),
        ("/assay help", "| `/assay approve SHA` |"),
    ],
)
def test_what_cannot_be_done_is_answered_once(
    assay: Assay, github: StandInGitHub, fork: str, order: str, answer: str
) -> None:
    number, _ = opened(github, assay, fork)
    github.comment(REPOSITORY, number, order, author="alice")
    assay.settle()
    (said,) = words(github, number)
    assert answer in said
    orders = [one for one in github.deliveries if one.event == "issue_comment"]
    for sent in orders:
        github.deliver(sent.event, sent.payload, guid=sent.guid)
    assay.settle()
    assert len(words(github, number)) == 1


def test_an_answer_waits_ever_longer_for_github_and_not_for_ever(
    assay: Assay, github: StandInGitHub, fork: str, caplog: pytest.LogCaptureFixture
) -> None:
    number, _ = opened(github, assay, fork)
    github.fail(path="/reactions", times=10_000)
    github.comment(REPOSITORY, number, "/assay help", author="alice")
    assay.settle()
    assay.wait(3600)
    assay.settle()
    assert assay.redis.zcount(LATER, assay.clock.time() + 800, "+inf") == assay.redis.zcard(LATER) == 1
    assert "cannot be answered" not in caplog.text
    assay.wait(GIVE_UP)
    assay.settle()
    assert assay.redis.zcard(LATER) == 0
    assert "cannot be answered" in caplog.text


def test_a_person_gives_so_many_orders_an_hour(
    assay: Assay, github: StandInGitHub, fork: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.intake.allowance.PER_HOUR", 2)
    number, _ = opened(github, assay, fork)
    comments = [github.comment(REPOSITORY, number, "/assay help", author="alice") for _ in range(4)]
    assay.settle()
    assert [bool(reactions(github, comment)) for comment in comments].count(True) == 2
    assert PER_HOUR == 30
