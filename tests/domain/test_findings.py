"""Findings: their order, their identity, and one problem seen twice."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bot.domain.findings import Finding, Severity, content, merge, parse_severity, with_fingerprints
from tests.builders import finding

# -- severity


def test_severities_are_ordered_by_weight_not_by_letter() -> None:
    assert sorted(Severity, reverse=True) == [
        Severity.CRITICAL,
        Severity.HIGH,
        Severity.MEDIUM,
        Severity.LOW,
        Severity.INFO,
    ]
    assert max(Severity) is Severity.CRITICAL


@given(st.sampled_from(Severity), st.sampled_from(Severity))
def test_comparisons_agree(one: Severity, other: Severity) -> None:
    assert (one < other, one <= other, one > other, one >= other) == (
        one.rank < other.rank,
        one.rank <= other.rank,
        one.rank > other.rank,
        one.rank >= other.rank,
    )


@pytest.mark.parametrize(
    ("word", "severity"),
    [
        ("HIGH", Severity.HIGH),
        (" Error ", Severity.HIGH),
        ("warning", Severity.MEDIUM),
        ("note", Severity.INFO),
        ("style", Severity.LOW),
        ("BLOCKER", Severity.CRITICAL),
        ("sometimes", Severity.MEDIUM),
        ("", Severity.MEDIUM),
    ],
)
def test_words_of_tools(word: str, severity: Severity) -> None:
    assert parse_severity(word) is severity


def test_unknown_word_is_the_default() -> None:
    assert parse_severity("sometimes", Severity.LOW) is Severity.LOW


@pytest.mark.parametrize("field", ["start_line", "end_line", "start_column", "end_column"])
def test_lines_and_columns_count_from_one(field: str) -> None:
    with pytest.raises(ValidationError):
        finding(**{field: 0})


# -- identity


def name(source: str, *findings: Finding) -> list[str]:
    lines = source.split("\n")
    return [one.fingerprint for one in with_fingerprints(findings, lambda _, number: lines[number - 1])]


def test_fingerprint_survives_moved_and_indented_lines() -> None:
    before = name("import os", finding(start_line=1))
    after = name("# new\n\n\timport   os ", finding(start_line=3, message="said otherwise"))
    assert before == after


def test_fingerprint_changes_with_content_tool_rule_and_path() -> None:
    same = finding(start_line=1)
    others = [finding(start_line=1, **{field: "other"}) for field in ("tool", "rule", "path")]
    prints = [*name("import os", same), *name("import sys", same), *(name("import os", other)[0] for other in others)]
    assert len(set(prints)) == 5


def test_repeated_lines_have_fingerprints_of_their_own_that_survive_moving() -> None:
    lines = (finding(start_line=1), finding(start_line=2))
    first = name("x = 1\nx = 1", *lines)
    assert len(set(first)) == 2
    assert name("\nx = 1\nx = 1", *(finding(start_line=line) for line in (2, 3))) == first


def test_finding_without_a_line_goes_by_its_message_without_numbers() -> None:
    one, other, third = (
        finding(start_line=None, message=message)
        for message in ("coverage fell to 81.5%", "coverage fell to 79.2%", "no tests")
    )
    assert name("", one) == name("", other) != name("", third)


def test_finding_on_a_blank_line_goes_by_its_message() -> None:
    assert name("\n", finding(start_line=1, message="a")) != name("\n", finding(start_line=1, message="b"))


@given(st.text(st.sampled_from("ab1'\"`(),; \t\r\x1c\x85\xa0\u2028\udcff\0"), max_size=12))
def test_what_a_line_is_about_is_what_it_always_was(line: str) -> None:
    """Fingerprints are remembered from commit to commit."""
    assert content(line, "9 x") == (re.sub(r"[\s'\"`(),;]+", " ", line).strip() or "0 x")


@given(st.text(), st.text(), st.text(st.characters(), max_size=20))
def test_fingerprint_of_any_text_is_short_and_stable(rule: str, path: str, line: str) -> None:
    made = [
        with_fingerprints([finding(rule=rule, path=path)], lambda *_: line + "\udcff")[0].fingerprint for _ in range(2)
    ]
    assert made[0] == made[1]
    assert len(made[0]) == 20


# -- one problem seen twice


def seen_by(source: str, **fields: object) -> Finding:
    return finding(tool=source.partition("/")[2], sources=(source,), **fields)


SECRETS = (
    seen_by("lint/ruff", rule="S105", message="Possible hardcoded password"),
    seen_by("security/bandit", rule="B105", message="hunter2", severity=Severity.LOW, cwe=259, url="https://b105"),
    seen_by("security/detect-secrets", rule="secret/secret-keyword", message="Secret Keyword", severity=Severity.HIGH),
)


def test_one_secret_seen_by_three_tools_is_one_finding() -> None:
    (one,) = merge(SECRETS)
    assert one.sources == ("lint/ruff", "security/bandit", "security/detect-secrets")
    assert (one.severity, one.rule) == (Severity.HIGH, "secret/secret-keyword")
    assert (one.cwe, one.url) == (259, "https://b105")


@given(st.permutations(SECRETS))
def test_order_does_not_change_who_speaks(secrets: list[Finding]) -> None:
    (one,) = merge(secrets)
    assert one.severity is Severity.HIGH
    assert set(one.sources) == {secret.sources[0] for secret in SECRETS}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"rule": "S602"}, {"rule": "B602"}),
        ({"rule": "F401"}, {"rule": "F401"}),
        ({"rule": "a", "cwe": 89, "message": "x"}, {"rule": "b", "cwe": 89, "message": "y"}),
        ({"rule": "a", "message": "Use of assert detected"}, {"rule": "b", "message": "use of `assert` detected."}),
    ],
    ids=["ruff's and bandit's number", "rule", "weakness", "words"],
)
def test_same_problem(one: dict[str, object], other: dict[str, object]) -> None:
    assert len(merge((seen_by("a/one", **one), seen_by("b/two", **other)))) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"rule": "E501", "message": "Line too long"},
        {"start_line": 4},
        {"path": "other.py"},
        {"start_line": None},
        {"rule": "E501", "message": "!", "cwe": None},
    ],
    ids=["rule", "line", "file", "no line", "no words"],
)
def test_different_problems_stay_two(other: dict[str, object]) -> None:
    assert len(merge((seen_by("a/one"), seen_by("b/two", **other)))) == 2


def test_two_findings_of_one_source_are_kept() -> None:
    assert len(merge((seen_by("lint/ruff"), seen_by("lint/ruff")))) == 2
    assert len(merge((finding(), finding()))) == 2


def test_two_findings_each_of_two_sources_pair_up() -> None:
    merged = merge((seen_by("a/one"), seen_by("a/one"), seen_by("b/two"), seen_by("b/two")))
    assert [one.sources for one in merged] == [("a/one", "b/two")] * 2


def test_what_only_the_quieter_one_knows_is_kept() -> None:
    loud = seen_by("a/one", severity=Severity.HIGH, new=False)
    quiet = seen_by("b/two", severity=Severity.LOW, replacement="", evidence="proof", scenario="x = 0", confidence=0.5)
    for order in ((loud, quiet), (quiet, loud)):
        (one,) = merge(order)
        assert (one.tool, one.replacement, one.evidence, one.new) == ("one", "", "proof", True)
        assert (one.scenario, one.confidence) == ("x = 0", 0.5)


def test_a_replacement_stands_for_its_own_lines_only() -> None:
    """What one says of more lines than the other would be put in the place of one of them."""
    loud = seen_by("a/one", severity=Severity.HIGH)
    quiet = seen_by("b/two", severity=Severity.LOW, end_line=(loud.start_line or 1) + 2, replacement="x\ny\nz")
    (one,) = merge((loud, quiet))
    assert (one.end_line, one.replacement) == (loud.end_line, None)


def test_findings_of_the_whole_run_are_never_merged() -> None:
    assert len(merge((seen_by("a/one", start_line=None), seen_by("b/two", start_line=None)))) == 2


def letters(number: int) -> str:
    return "".join("abcdefghij"[int(digit)] for digit in f"{number:05}")


def test_thousands_of_findings_on_one_line_take_no_time_to_speak_of() -> None:
    begun = time.process_time()
    many = [
        seen_by(f"{source}/tool", rule=f"{source}{number}", message=f"{source}{letters(number)} " * 20)
        for source in "ab"
        for number in range(5_000)
    ]
    assert len(merge(many)) == 10_000
    assert time.process_time() - begun < 10.0


CLAIM: dict[str, Any] = {
    "rule": "review/bug",
    "message": "The import of os is never used. It is unused since the path is built by hand.",
    "start_line": 2,
    "end_line": 5,
    "severity": Severity.LOW,
}


def test_reviewer_s_claim_and_a_tool_s_word_on_one_of_its_lines_are_one_finding() -> None:
    for order in (
        (seen_by("lint/ruff", message="`os` imported but unused import"), seen_by("review/review", **CLAIM)),
        (seen_by("review/review", **CLAIM), seen_by("lint/ruff", message="`os` imported but unused import")),
    ):
        (one,) = merge(order)
        assert set(one.sources) == {"lint/ruff", "review/review"}
        assert one.rule == "F401"


@pytest.mark.parametrize(
    "other",
    [
        {"start_line": 6, "message": "import of os never used"},
        {"message": "Line too long"},
        {"message": "Trailing whitespace"},
        {"path": "other.py", "message": "import of os never used"},
    ],
)
def test_claim_that_says_something_else_or_elsewhere_stands_alone(other: dict[str, Any]) -> None:
    assert len(merge((seen_by("lint/ruff", **other), seen_by("review/review", **CLAIM)))) == 2


def test_two_claims_of_the_reviewer_are_two_and_a_security_claim_joins_the_scanner_s() -> None:
    assert len(merge((seen_by("review/review", **CLAIM), seen_by("review/review", **CLAIM)))) == 2
    scanned = seen_by("security/bandit", rule="B608", message="Possible SQL injection", severity=Severity.HIGH)
    claim = seen_by("review/review", **(CLAIM | {"rule": "review/security", "message": "A name may end the query."}))
    (one,) = merge((scanned, claim))
    assert one.severity is Severity.HIGH


def test_merged_finding_counts_while_one_of_the_two_does() -> None:
    ignored = seen_by("a/one", dismissed="ignored by ada")
    (one,) = merge((ignored, seen_by("b/two")))
    assert one.counts
    (both,) = merge((ignored, seen_by("b/two", dismissed="ignored by ada")))
    assert not both.counts
