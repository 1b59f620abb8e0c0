"""Reviews that set off reviews."""

from __future__ import annotations

from bot.demo.github import StandInGitHub
from bot.domain.findings import Outcome
from bot.domain.verdict import Conclusion
from tests.flow.assay import CONFIG, REPOSITORY, Assay
from tests.flow.review.reviewing import (
    FAULTY,
    REVIEWED,
    Reviewer,
    review_of,
)


def test_loop_of_a_bot_s_fixes_ends_with_a_person(assay: Assay, github: StandInGitHub, reviewer: Reviewer) -> None:
    sha = github.commit(REPOSITORY, "feature", {CONFIG: REVIEWED.replace("high}", "high, max_rounds: 2}")})
    number = github.open_pull(REPOSITORY, "feature")
    assay.settle()
    for round_ in range(3):
        sha = github.push(REPOSITORY, "feature", {"demo.py": FAULTY + "#" * round_}, author="fixer[bot]")
        assay.settle()
    held = review_of(assay, sha)
    assert held.outcome is Outcome.NOT_RUN
    assert "bots have pushed 3 times in a row" in assay.comment(number)
    assert assay.verdict(sha) is Conclusion.ACTION_REQUIRED
    asked = len(reviewer.asked)
    github.click_rerun(assay.check(sha, "assay / review").id, "octo")
    assay.settle()
    assert len(reviewer.asked) > asked
    assert assay.verdict(sha) is Conclusion.FAILURE
    person = github.push(REPOSITORY, "feature", {"demo.py": FAULTY + "# by hand"}, author="octo")
    assay.settle()
    assert review_of(assay, person).outcome is Outcome.FINDINGS
