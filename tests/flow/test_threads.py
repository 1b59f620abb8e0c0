"""What people say in review threads is heard, and not asked about again."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bot.demo.github import StandInGitHub
from bot.domain.opinions import Told
from bot.domain.verdict import Conclusion
from bot.ledger import Ledger
from tests.flow.assay import CLEAN, CONFIG, DIRTY, QUICK, REPOSITORY, Assay
from tests.flow.test_pulls import opened

MORE = CLEAN + "\n\nX = 1\n"


def known(assay: Assay) -> Told:
    (told,) = Ledger(assay.redis).all(REPOSITORY)
    return told


def thread_of(github: StandInGitHub, number: int) -> int:
    return github.review_comments(REPOSITORY, number)[0].id


Speak = Callable[[StandInGitHub, int], object]
WAYS: dict[str, Speak] = {
    "answered": lambda github, comment: github.reply(comment, "We need it for its side effect."),
    "resolved": lambda github, comment: github.resolve_thread(comment),
}


@pytest.mark.parametrize("decision", WAYS)
def test_what_people_decide_is_heard_at_once_and_not_raised_in_another_pull_request(
    assay: Assay, github: StandInGitHub, decision: str
) -> None:
    number, _ = opened(github)
    assay.settle()
    WAYS[decision](github, thread_of(github, number))
    assay.settle()
    assert (known(assay).decision, known(assay).by) == (decision, "alice")
    other, sha = opened(github, DIRTY + "\n\nY = 2\n", "other")
    assay.settle()
    assert github.review_comments(REPOSITORY, other) == []
    # It is not theirs to say that it counts for nothing.
    assert assay.verdict(sha) is Conclusion.FAILURE
    assert "✗ **medium**" in assay.comment(other)


def test_thumb_down_is_seen_with_the_next_commit(assay: Assay, github: StandInGitHub) -> None:
    number, _ = opened(github)
    assay.settle()
    github.react(thread_of(github, number), "THUMBS_DOWN", "bob")
    github.push(REPOSITORY, "feature", {"notes.txt": "x"})
    assay.settle()
    assert (known(assay).decision, known(assay).by) == ("disliked", "bob")
    other, _ = opened(github, DIRTY, "other")
    assay.settle()
    assert github.review_comments(REPOSITORY, other) == []


def test_thumb_up_silences_nothing_and_assay_s_own_words_are_no_opinion(assay: Assay, github: StandInGitHub) -> None:
    number, _ = opened(github)
    assay.settle()
    github.react(thread_of(github, number), "THUMBS_UP")
    github.push(REPOSITORY, "feature", {"demo.py": MORE})
    assay.settle()
    told = known(assay)
    assert (told.decision, told.fixed) == ("liked", True)
    other, _ = opened(github, DIRTY, "other")
    assay.settle()
    assert len(github.review_comments(REPOSITORY, other)) == 1


def test_fixed_finding_is_answered_and_resolved_and_its_thread_goes_on_when_it_is_back(
    assay: Assay, github: StandInGitHub
) -> None:
    number, _ = opened(github)
    assay.settle()
    fixed = github.push(REPOSITORY, "feature", {"demo.py": MORE})
    assay.settle()
    (thread,) = github.threads(REPOSITORY, number)
    assert thread.resolved
    assert [one.body for one in thread.comments[1:]] == [f"Fixed in {fixed[:7]}."]
    again = github.push(REPOSITORY, "feature", {"demo.py": DIRTY + "\n\nX = 1\n"})
    assay.settle()
    (thread,) = github.threads(REPOSITORY, number)
    assert not thread.resolved
    assert thread.comments[-1].body == f"Back in {again[:7]}."
    assert known(assay).decision == ""
    assert not known(assay).fixed


def test_rebase_keeps_the_one_thread(assay: Assay, github: StandInGitHub) -> None:
    number, _ = opened(github)
    assay.settle()
    main = github.push(REPOSITORY, "main", {"notes.txt": "x"})
    rebased = github.commit(REPOSITORY, "rebased", {"demo.py": "# A line above.\n" + DIRTY}, parent=main)
    github.push(REPOSITORY, "feature", {}, sha=rebased)
    assay.settle()
    assert rebased[:7] in assay.comment(number)
    assert len(github.threads(REPOSITORY, number)) == 1


# -- /assay ignore


def test_ignored_finding_counts_for_nothing_here_and_in_every_other_pull_request(
    assay: Assay, github: StandInGitHub
) -> None:
    number, sha = opened(github)
    assay.settle()
    assert assay.verdict(sha) is Conclusion.FAILURE
    github.reply(thread_of(github, number), "/assay ignore --always kept for its side effect", "octo")
    assay.settle()
    assert assay.verdict(sha) is Conclusion.SUCCESS
    (thread,) = github.threads(REPOSITORY, number)
    assert thread.resolved
    answer = thread.comments[-1].body
    assert "Not raised again in this repository, as `octo` decided." in answer
    line = f'ignore:\n  - {{fingerprint: {known(assay).fingerprint}, reason: "kept for its side effect"}}'
    assert line in answer
    assert "1 settled by people, not raised again" in assay.comment(number)
    other, second = opened(github, DIRTY + "\n\nY = 2\n", "other")
    assay.settle()
    assert assay.verdict(second) is Conclusion.SUCCESS
    assert github.review_comments(REPOSITORY, other) == []
    # It is no more in the way, and no more fixed either.
    assert "fixed" not in assay.comment(number)


def test_line_in_the_configuration_pins_it(assay: Assay, github: StandInGitHub) -> None:
    opened(github)
    assay.settle()
    pin = f"ignore:\n  - {{fingerprint: {known(assay).fingerprint}, reason: known}}\n"
    assay.redis.delete(f"assay:told:{REPOSITORY}")
    github.push(REPOSITORY, "main", {CONFIG: QUICK + pin})
    sha = github.commit(REPOSITORY, "pinned", {"demo.py": DIRTY}, parent=github.head(REPOSITORY, "main"))
    number = github.open_pull(REPOSITORY, "pinned")
    assay.settle()
    assert assay.verdict(sha) is Conclusion.SUCCESS
    assert github.review_comments(REPOSITORY, number) == []
    assert "known" in assay.comment(number)


@pytest.mark.parametrize(
    ("text", "author"),
    [
        ("/assay ignore", "mallory"),
        ("Please do not /assay ignore this", "octo"),
        ("> /assay ignore", "octo"),
        ("/assay ignored", "octo"),
        ("/assay", "octo"),
    ],
)
def test_who_may_not_write_or_says_something_else_ignores_nothing(
    assay: Assay, github: StandInGitHub, text: str, author: str
) -> None:
    number, sha = opened(github)
    assay.settle()
    github.reply(thread_of(github, number), text, author)
    assay.settle()
    assert assay.verdict(sha) is Conclusion.FAILURE
    assert known(assay).decision != "ignored"
    assert Ledger(assay.redis).ignored(REPOSITORY) == ()
