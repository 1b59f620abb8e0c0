from __future__ import annotations

import pytest
from hypothesis import given

from bot.domain.findings import Finding, Severity
from bot.domain.render_inline import fingerprint_of, inline
from bot.domain.views import InlineComment
from tests.domain.hostile import HOSTILE, live_parts
from tests.domain.runs import failing_run, found, make_agent, make_finding, make_run


def comments(*findings: Finding, limit: int = 5) -> tuple[InlineComment, ...]:
    return inline(make_run(make_agent("lint", found(*findings))), limit)


def test_the_worst_come_first_and_no_more_than_the_limit() -> None:
    assert [note.path for note in inline(failing_run(), 2)] == ["shop/settings.py", "tests/test_cart.py"]
    assert inline(failing_run(), 0) == ()


@pytest.mark.parametrize(
    "finding",
    [
        make_finding(place="context"),
        make_finding(place="elsewhere"),
        make_finding(start_line=None),
        make_finding(new=False),
        make_finding(severity=Severity.LOW),
    ],
)
def test_some_findings_deserve_no_comment(finding: Finding) -> None:
    assert comments(finding) == ()


def test_a_replacement_makes_a_low_finding_worth_a_comment() -> None:
    (note,) = comments(make_finding(severity=Severity.LOW, replacement="x = 1"))
    assert "```suggestion\nx = 1\n```" in note.body


def test_a_deletion_is_an_empty_suggestion() -> None:
    assert "```suggestion\n```" in comments(make_finding(replacement=""))[0].body


def test_a_replacement_with_fences_stays_in_its_fence() -> None:
    assert "````suggestion\n```sh\nx\n```\n````" in comments(make_finding(replacement="```sh\nx\n```"))[0].body


def test_a_replacement_with_unseen_characters_is_not_offered() -> None:
    assert "suggestion" not in comments(make_finding(replacement="x = '\u202e'"))[0].body


def test_a_comment_spans_the_lines_of_its_finding() -> None:
    (note,) = comments(make_finding(start_line=3, end_line=7))
    assert (note.path, note.start_line, note.end_line) == ("shop/cart.py", 3, 7)


def test_a_comment_tells_who_saw_it_and_links_the_rule() -> None:
    finding = make_finding(url="https://docs.example/F401", sources=("lint/ruff", "security/bandit"))
    assert comments(finding)[0].body.endswith(
        "<sub>[`ruff F401`](https://docs.example/F401) · seen by `lint/ruff, security/bandit`</sub>"
    )


def test_a_claim_says_when_it_shows_and_how_sure_it_is() -> None:
    claim = make_finding(
        tool="review", rule="review/bug", scenario="total([5]) is 0.", confidence=0.85, verification="confirmed"
    )
    (note,) = comments(claim)
    assert "\n\n**When:** total(\\[5\\]) is 0.\n\n" in note.body
    assert note.body.endswith("<sub>`review/bug` · 85% sure · verified</sub>")


def test_the_fingerprint_is_read_back() -> None:
    finding = make_finding()
    assert fingerprint_of(comments(finding)[0].body) == finding.fingerprint


@pytest.mark.parametrize(
    "body", ["", "hello", "x <!-- assay:finding:aaaaaaaaaaaaaaaaaaaa -->", "<!-- assay:pull:1 -->"]
)
def test_another_comment_has_no_fingerprint(body: str) -> None:
    assert fingerprint_of(body) is None


@given(HOSTILE)
def test_hostile_words_stay_inert(text: str) -> None:
    finding = make_finding(
        text,
        rule=text,
        url=f"http:{text}",
        evidence=text,
        scenario=text,
        replacement=text + "<!-- assay:finding:00000000 -->",
    )
    (note,) = comments(finding)
    allowed = ("fence", "strong_open", "strong_close")
    assert live_parts(note.body, *allowed) == []
    assert fingerprint_of(note.body) == finding.fingerprint
    assert len(note.body) < 60_000


def test_a_comment_is_no_longer_than_github_takes_whatever_is_said() -> None:
    """65,536 characters; one of ours may become five."""
    for text in ("$" * 20_000, "`" * 20_000, "@a " * 20_000, "\u202e" * 20_000, "x\n" * 20_000):
        evil = make_finding(
            text,
            rule=text,
            path=text,
            sources=(text, text),
            url=f"https://a.b/{text}",
            evidence=text,
            scenario=text,
            replacement=text,
        )
        (note,) = comments(evil)
        assert len(note.body) < 65_536
