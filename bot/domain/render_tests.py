"""A test run's results in the check of its agent: beside the counts what was slow, flaky, and not covered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bot.domain.findings import CoveredFile, Tests
from bot.domain.markdown import bullets, code, plain
from bot.domain.render_parts import section
from bot.domain.wording import duration, tests_words

_FILES = 30
_SPANS = 40


def tests_facts(tests: Tests) -> Mapping[str, str]:
    """Rows for the table of facts; an empty one where there is nothing to say."""
    why_not = tests.compared.why_not if tests.compared else ""
    return {
        "Tests": tests_words(tests),
        "Not compared": plain(why_not, 300),
        "Coverage": coverage_words(tests),
    }


def coverage_words(tests: Tests) -> str:
    """`9 of 12 changed lines (75%)`; empty where no report told."""
    lines = sum(file.lines for file in tests.coverage)
    if not lines:
        return ""
    ran = lines - sum(len(file.missed) for file in tests.coverage)
    return f"{ran:,} of {lines:,} changed lines ({ran * 100 // lines}%)"


def tests_sections(tests: Tests) -> Iterator[str]:
    """Lists for the check's text."""
    missed = [file for file in tests.coverage if file.missed]
    yield section("Changed lines that no test ran", bullets(_missed(file) for file in missed[:_FILES]))
    rates = (f"{code(one.name)}: in {one.times:,} of the last {one.runs:,} runs" for one in tests.flaky[:_FILES])
    yield section("Flaky tests", bullets(rates))
    slow = (f"{code(one.name)}: {duration(one.seconds)}" for one in tests.slowest)
    yield section("Slowest tests", bullets(slow))


def _missed(file: CoveredFile) -> str:
    return f"{code(file.path)}: {', '.join(_spans(file.missed))}"


def _spans(lines: tuple[int, ...]) -> list[str]:
    """`3-5, 9`."""
    spans: list[list[int]] = []
    for line in lines:
        if spans and line == spans[-1][1] + 1:
            spans[-1][1] = line
        else:
            spans.append([line, line])
    told = [f"{first}-{last}" if last > first else f"{first}" for first, last in spans[:_SPANS]]
    return told + ["…"] * (len(spans) > _SPANS)
