from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bot.domain.diff import Diff, FileDiff
from bot.domain.findings import Finding, Severity
from workers.agent import LAST_TRY
from workers.agents.claims import MAX_CLAIMS, Claim, Review, to_findings
from workers.llm.schema import strict_schema

# a.py: lines 10-20 in the diff, of which 12-14 are added; 30-36, around lines that were removed.
DIFF = Diff(files={"a.py": FileDiff(path="a.py", added=((12, 14),), hunks=((10, 20), (30, 36)), removed=2)})
PATHS = {"a.py": "a.py"}


def claim(**fields: Any) -> Claim:
    given = {
        "path": "a.py",
        "start_line": 12,
        "end_line": 12,
        "severity": "high",
        "kind": "bug",
        "title": "It fails",
        "explanation": "Because.",
        "scenario": "When x is 0.",
        "confidence": 0.8,
    }
    return Claim.model_validate(given | fields)


def findings(*claims: Claim) -> list[Finding]:
    return to_findings(list(claims), PATHS, DIFF)[0]


def test_a_claim_becomes_a_finding() -> None:
    (finding,) = findings(claim(end_line=13, confidence=0.9, replacement="y = 1"))
    assert (finding.tool, finding.rule, finding.severity) == ("review", "review/bug", Severity.HIGH)
    assert (finding.path, finding.start_line, finding.end_line) == ("a.py", 12, 13)
    assert finding.message == "It fails. Because."
    assert (finding.scenario, finding.confidence, finding.evidence) == ("When x is 0.", 0.9, "")
    assert finding.replacement == "y = 1"


@pytest.mark.parametrize(("first", "last"), [(12, 12), (10, 12), (14, 20), (10, 20), (30, 30), (31, 36)])
def test_lines_that_touch_the_change_are_taken(first: int, last: int) -> None:
    assert findings(claim(start_line=first, end_line=last))


@pytest.mark.parametrize(
    ("first", "last"), [(10, 11), (15, 20), (9, 12), (12, 21), (14, 30), (25, 25), (0, 12), (-3, 12), (12, 10**12)]
)
def test_lines_that_do_not_are_dropped_and_counted(first: int, last: int) -> None:
    assert to_findings([claim(start_line=first, end_line=last)], PATHS, DIFF) == ([], 1)


@pytest.mark.parametrize("path", ["b.py", "", "/etc/passwd", "../a.py", "A.py"])
def test_a_file_that_was_not_shown_is_dropped_and_counted(path: str) -> None:
    assert to_findings([claim(path=path)], PATHS, DIFF) == ([], 1)


def test_a_name_shown_with_its_hidden_characters_is_mapped_back() -> None:
    diff = Diff(files={"a\u200b.py": FileDiff(path="a\u200b.py", added=((1, 1),), hunks=((1, 1),))})
    paths = {"a\\u{200b}.py": "a\u200b.py"}
    found, _ = to_findings([claim(path="a\\u{200b}.py", start_line=1, end_line=1)], paths, diff)
    assert found[0].path == "a\u200b.py"


def test_an_end_before_the_start_is_one_line() -> None:
    (finding,) = findings(claim(start_line=13, end_line=1))
    assert (finding.start_line, finding.end_line) == (13, 13)


def test_a_repeat_is_dropped_and_counted() -> None:
    found, dropped = to_findings([claim(), claim(), claim(title="Other")], PATHS, DIFF)
    assert (len(found), dropped) == (2, 1)


def test_a_flood_is_cut() -> None:
    flood = [claim(title=f"Fault {number}") for number in range(200)]
    found, dropped = to_findings(flood, PATHS, DIFF)
    assert (len(found), dropped) == (MAX_CLAIMS, 150)


@pytest.mark.parametrize(
    ("given", "lines"),
    [
        ("y = 1\n", "y = 1"),
        ("```python\n  y = 1\n```", "  y = 1"),
        ("```\na\nb\n```\n", "a\nb"),
        ("a\r\nb", "a\nb"),
        ("", ""),
        (None, None),
    ],
)
def test_a_replacement_is_the_bare_lines(given: str | None, lines: str | None) -> None:
    assert findings(claim(replacement=given))[0].replacement == lines


def test_words_are_bounded() -> None:
    (finding,) = findings(claim(title="t" * 10_000, explanation="e" * 10_000, scenario="s" * 10_000))
    assert len(finding.message) < 2_300
    assert len(finding.scenario) <= 2_000


UNFIT = [
    ("kind", "style"),
    ("kind", None),
    ("confidence", None),
    ("confidence", 85),
    ("confidence", -0.1),
    ("confidence", float("nan")),
    ("scenario", None),
    ("scenario", " \n"),
    ("title", ""),
    ("explanation", " "),
    ("severity", "fatal"),
]


@pytest.mark.parametrize(("field", "value"), UNFIT)
def test_a_claim_without_kind_confidence_or_a_failing_case_does_not_fit(field: str, value: object) -> None:
    with pytest.raises(ValidationError):
        claim(**{field: value})
    left_out = {name: given for name, given in claim().model_dump().items() if name != field}
    with pytest.raises(ValidationError):
        Claim.model_validate(left_out)


def answer(*claims: object, **fields: object) -> str:
    return json.dumps({"summary": "It sums.", "findings": claims} | fields)


def test_claims_that_do_not_fit_are_dropped_on_the_last_try_only() -> None:
    good, bad = claim().model_dump(), claim().model_dump() | {"confidence": 85}
    text = answer(good, bad, "words", None, unfit=900)
    with pytest.raises(ValidationError):
        Review.model_validate_json(text, context={LAST_TRY: False})
    review = Review.model_validate_json(text, context={LAST_TRY: True})
    assert (len(review.findings), review.unfit) == (1, 3)
    assert Review.model_validate_json(review.model_dump_json()).unfit == 3


@pytest.mark.parametrize("text", ["[]", "{}", '{"summary": "s", "findings": {}}', '{"summary": 1, "findings": []}'])
def test_what_is_no_answer_fits_on_no_try(text: str) -> None:
    with pytest.raises(ValidationError):
        Review.model_validate_json(text, context={LAST_TRY: True})


def test_how_many_do_not_fit_is_not_the_models_to_say() -> None:
    assert Review.model_validate_json(answer(unfit=900), context={LAST_TRY: False}).unfit == 0
    assert "unfit" not in json.dumps(strict_schema(Review))


@given(st.integers(), st.integers())
def test_whatever_lines_are_claimed_a_finding_lies_in_one_hunk(first: int, last: int) -> None:
    for finding in findings(claim(start_line=first, end_line=last)):
        assert finding.start_line
        assert finding.last_line
        assert DIFF.commentable("a.py", finding.start_line, finding.last_line)
