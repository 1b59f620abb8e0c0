"""The risk of a run, 0 to 100: a sum of factors, each of which is stated. Pure.

It is no probability. It says how much a person who merges this takes on trust: what was found and stands, what nobody
looked at, what no test would notice, and how large and how delicate the change is. Every factor has a weight, the most
it can add; the weights are the table below. More of anything never makes it smaller.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from bot.domain.findings import Finding, Measure, Outcome, Severity, spoken_by
from bot.domain.model import Frozen
from bot.domain.run import AgentState, Run

FINDINGS, SECURITY, TESTS, COVERAGE, DEPENDENCIES, SIZE, HISTORY = 50, 20, 25, 20, 10, 10, 5
WEIGHTS = {
    "findings": FINDINGS,
    "security": SECURITY,
    "tests": TESTS,
    "not looked at": COVERAGE,
    "dependencies": DEPENDENCIES,
    "size": SIZE,
    "history": HISTORY,
}
# What one finding adds.
_POINTS = {Severity.CRITICAL: 50, Severity.HIGH: 30, Severity.MEDIUM: 10, Severity.LOW: 2, Severity.INFO: 0}
_SECURITY_POINTS = {Severity.CRITICAL: 20, Severity.HIGH: 15, Severity.MEDIUM: 8, Severity.LOW: 2, Severity.INFO: 0}
# Failing tests, tests that did not run to their end though code changed, and code changed without any test.
_FAILING, _UNTESTED, _NO_TEST = 25, 15, 8
_A_DEPENDENCY = 5
# From here on size adds nothing: changed lines.
_LARGEST = 5_000
_LOOKED = (Outcome.CLEAN, Outcome.FINDINGS, Outcome.SKIPPED)
_READS = (Outcome.CLEAN, Outcome.FINDINGS)


class Factor(Frozen):
    """What a factor adds, the most it could, and why."""

    name: str
    points: int
    weight: int
    why: str


class Risk(Frozen):
    """The score and the factors that make it up, the heaviest first; those that add nothing are left out."""

    score: int
    factors: tuple[Factor, ...] = ()


def risk(run: Run, found: Sequence[Finding]) -> Risk:
    """The risk of a run as it stands; `found` are the findings that count, one problem once."""
    measure = next((agent.result.measure for agent in run.agents if agent.result and agent.result.measure), None)
    told = (
        ("findings", *_findings(found)),
        ("security", *_security(found)),
        ("tests", *_tests(run, measure)),
        ("not looked at", *_coverage(run, measure)),
        ("dependencies", *_dependencies(measure)),
        ("size", *_size(measure)),
        ("history", *_history(measure)),
    )
    factors = [
        Factor(name=name, points=min(points, WEIGHTS[name]), weight=WEIGHTS[name], why=why)
        for name, points, why in told
        if points > 0
    ]
    factors.sort(key=lambda factor: -factor.points)
    return Risk(score=min(100, sum(factor.points for factor in factors)), factors=tuple(factors))


def _findings(found: Sequence[Finding]) -> tuple[int, str]:
    return _weighed(found, _POINTS)


def _security(found: Sequence[Finding]) -> tuple[int, str]:
    return _weighed([finding for finding in found if _is_security(finding)], _SECURITY_POINTS)


def _is_security(finding: Finding) -> bool:
    return finding.rule == "review/security" or spoken_by("security", finding)


def _weighed(found: Sequence[Finding], points: Mapping[Severity, int]) -> tuple[int, str]:
    numbers = Counter(one.severity for one in found)
    words = (f"{numbers[severity]:,} {severity}" for severity in reversed(Severity) if numbers[severity])
    return sum(points[severity] * number for severity, number in numbers.items()), ", ".join(words)


def _tests(run: Run, measure: Measure | None) -> tuple[int, str]:
    results = [agent.result for agent in run.agents if agent.result and agent.plan.kind == "test"]
    failing = sum(result.tests.failed + result.tests.errors for result in results if result.tests)
    if failing:
        return _FAILING, f"{failing:,} failing"
    if measure is None or not measure.code:
        return 0, ""
    if not any(result.outcome in _READS for result in results):
        return _UNTESTED, "code changed, and no test was run to its end"
    return (0, "") if measure.tests else (_NO_TEST, "code changed, and no test with it")


def _coverage(run: Run, measure: Measure | None) -> tuple[int, str]:
    """The share of the changed files that nobody says to have read, and of the agents that did not look to the end."""
    asked = [agent for agent in run.shown if agent.plan.required or agent.plan.kind == "review"]
    unread = _unread(run, measure)
    short = [agent for agent in asked if agent.outcome not in _LOOKED]
    partly = [agent.plan.name for agent in short if agent.outcome is Outcome.PARTIAL]
    nothing = [agent.plan.name for agent in short if agent.outcome is not Outcome.PARTIAL]
    share = max(unread, len(short) / len(asked) if asked else 0.0)
    words = [
        f"{unread:.0%} of the changed files" if unread else "",
        f"all that {', '.join(nothing)} should" if nothing else "",
        f"some of what {', '.join(partly)} should" if partly else "",
    ]
    return math.ceil(COVERAGE * share), " and ".join(word for word in words if word)


def _unread(run: Run, measure: Measure | None) -> float:
    if measure is None or not measure.files:
        return 0.0
    read = {path for agent in run.agents if agent.result for path in agent.result.covered if _reads(agent)}
    return max(0.0, 1 - len(read) / measure.files)


def _reads(agent: AgentState) -> bool:
    return agent.plan.kind in ("review", "lint", "security")


def _dependencies(measure: Measure | None) -> tuple[int, str]:
    named = measure.dependencies if measure else ()
    return _A_DEPENDENCY * len(named), ", ".join(named[:3]) + (f" and {len(named) - 3} more" if len(named) > 3 else "")


def _size(measure: Measure | None) -> tuple[int, str]:
    lines = measure.added + measure.removed if measure else 0
    # Small changes differ more in what they ask of a reader than large ones.
    points = SIZE * math.log1p(lines / 100) / math.log1p(_LARGEST / 100)
    return math.floor(min(points, SIZE)), f"{lines:,} changed lines"


def _history(measure: Measure | None) -> tuple[int, str]:
    troubled = measure.troubled if measure else 0
    return troubled, f"something was found in these files at {troubled} earlier commits"
