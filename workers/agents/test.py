"""The test agent: runs the repository's tests, and turns their reports into results and findings."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bot.domain.findings import AgentResult, Finding, NotCovered, Outcome, Severity, Tests
from bot.errors import Theirs, ToolFailed
from workers.agent import Case, Completed, Kit, Reader, Work
from workers.agents import missing, tree
from workers.agents.shell import Reports, Shell, cut_short, last_words, untrusted
from workers.agents.suites import Suite, configured, detect

# pytest's exit code for a run that collected nothing.
_NOTHING_COLLECTED = 5
_MOST_FINDINGS = 500
_UNFINISHED = (Outcome.TIMED_OUT, Outcome.PARTIAL)

# The worst first: how the outcomes of several suites join.
_WORST = (Outcome.TIMED_OUT, Outcome.ERROR, Outcome.PARTIAL, Outcome.FINDINGS, Outcome.NOT_RUN, Outcome.SKIPPED)

_NO_SUITE = AgentResult(
    outcome=Outcome.SKIPPED,
    reason="no test suite was found",
    remedy="Set agents.test.run in .github/assay.yml.",
)


@dataclass(frozen=True)
class Ran:
    """A suite that came to an end, and what it reported, if it `reported` at all."""

    suite: Suite
    completed: Completed
    reported: bool
    cases: Sequence[Case]
    missed: Sequence[NotCovered] = ()


class TestAgent:
    """Runs the configured command, or the suites that it detects. `parse_junit` reads a report, `to_finding` makes a
    finding of a failed case."""

    def __init__(
        self, parse_junit: Callable[[str], list[Case]], to_finding: Callable[[Case, str, Reader], Finding]
    ) -> None:
        self._parse, self._to_finding = parse_junit, to_finding

    def run(self, work: Work, kit: Kit) -> AgentResult:
        if not work.trusted:
            return untrusted()
        with tempfile.TemporaryDirectory(prefix="assay-", ignore_cleanup_errors=True) as scratch:
            shell = Shell.begin(work, kit, Path(scratch) / "home")
            shell.home.mkdir()
            try:
                return shell.setup("test") or self._run(shell, Path(scratch, "junit.xml"))
            except Theirs as error:
                remedy = "Correct agents.test.junit in .github/assay.yml."
                return AgentResult(outcome=Outcome.ERROR, reason=str(error), remedy=remedy)

    def _run(self, shell: Shell, junit: Path) -> AgentResult:
        command = shell.work.settings.get("run")
        suites = [configured(str(command), junit)] if command else detect(shell, junit)
        return _join([self._suite(suite, shell, junit) for suite in suites] or [_NO_SUITE])

    def _suite(self, suite: Suite, shell: Shell, junit: Path) -> AgentResult:
        try:
            return self._judge(self._execute(suite, shell, junit), shell)
        except ToolFailed as error:
            remedy = "Install it on the machine that runs Assay, or set agents.test.run in .github/assay.yml."
            return AgentResult(outcome=Outcome.ERROR, reason=str(error), remedy=remedy)

    def _execute(self, suite: Suite, shell: Shell, junit: Path) -> Ran:
        shell.kit.progress(suite.name)
        junit.unlink(missing_ok=True)
        own, left = Reports(junit.parent, [junit.name]), Reports(shell.work.root, _globs(shell.work))
        completed = shell.run(suite.argv, suite.env)
        cases: list[Case] = []
        texts, missed = left.read()
        # The repository's own reports say it best; ours is for where there are none.
        if not texts:
            texts, too_large = own.read()
            missed += too_large
        for text in texts:
            try:
                cases += self._parse(text)
            except ToolFailed as error:
                missed.append(NotCovered(what="a JUnit report", why=str(error)))
        return Ran(suite, completed, bool(texts), cases, tuple(missed))

    def _judge(self, ran: Ran, shell: Shell) -> AgentResult:
        """What a suite's end means. Failed tests speak for themselves; without any, a bad end needs another reason."""
        log = shell.tail(ran.completed)
        needs = [missing.needs(case, shell.work.root) for case in ran.cases]
        begun = [case for case, need in zip(ran.cases, needs, strict=True) if not need]
        failed = [case for case in begun if case.status in ("failed", "error")]
        read = tree.reader(shell.work.root)
        findings = tuple(
            tree.tidy(self._to_finding(case, ran.suite.name, read), shell.work.root, shell.kit.redact)
            for case in failed[:_MOST_FINDINGS]
        )
        result = (
            cut_short(ran.completed, "test", ran.suite.name, log)
            or missing.not_installed([need for need in needs if need], begun)
            or _nothing_ran(ran)
            or (_failed(findings, failed) if findings else None)
            or (_broke(ran, log) if ran.completed.exit_code else None)
            or AgentResult(outcome=Outcome.CLEAN, summary=f"{ran.suite.name} passed")
        )
        return result.model_copy(
            update={
                "findings": result.findings or (findings if result.outcome in _UNFINISHED else ()),
                "tests": _count(ran.cases),
                "not_covered": (*result.not_covered, *ran.missed),
                "seconds": ran.completed.seconds,
                "remedy": result.remedy or _hint(log),
                "log": log,
            }
        )


def _globs(work: Work) -> list[str]:
    return [str(glob) for glob in work.settings.get("junit") or ()]


def _count(cases: Sequence[Case]) -> Tests | None:
    if not cases:
        return None
    by = Counter(case.status for case in cases)
    return Tests(passed=by["passed"], failed=by["failed"], errors=by["error"], skipped=by["skipped"])


def _hint(log: str) -> str:
    module = missing.module_in(log)
    return missing.remedy(module) if module else ""


def _nothing_ran(ran: Ran) -> AgentResult | None:
    """A run without a single test is not green, whatever its exit code."""
    pytest = any("pytest" in word for word in ran.suite.argv) and ran.completed.exit_code == _NOTHING_COLLECTED
    if ran.cases or not (pytest or (ran.reported and ran.completed.exit_code == 0)):
        return None
    outcome = Outcome.SKIPPED if ran.suite.name == "pytest" else Outcome.NOT_RUN
    remedy = "Add tests, or set agents.test.run in .github/assay.yml, or agents.test.enabled to false."
    return AgentResult(outcome=outcome, reason=f"{ran.suite.name}: no tests were collected", remedy=remedy)


def _failed(findings: tuple[Finding, ...], failed: Sequence[Case]) -> AgentResult:
    summary = f"{len(failed)} test{'' if len(failed) == 1 else 's'} failed"
    if len(failed) > len(findings):
        summary += f", of which {len(findings)} are shown"
    return AgentResult(outcome=Outcome.FINDINGS, summary=summary, findings=findings)


def _broke(ran: Ran, log: str) -> AgentResult:
    """A bad exit code that no failed test explains."""
    code = ran.completed.exit_code
    if ran.suite.name == "pytest" and code != 1:
        reason, remedy = f"pytest ended with exit code {code}: {last_words(log)}", "See the log; run pytest by hand."
        return AgentResult(outcome=Outcome.ERROR, reason=reason, remedy=_hint(log) or remedy)
    finding = Finding(
        tool=ran.suite.name,
        rule="exit-code",
        severity=Severity.HIGH,
        message=f"{ran.suite.name} failed (exit code {code}): {last_words(log)}",
        evidence=log,
    )
    return AgentResult(outcome=Outcome.FINDINGS, summary=f"{ran.suite.name} failed", findings=(finding,))


def _join(results: Sequence[AgentResult]) -> AgentResult:
    """One result of all suites: the worst outcome, and everything that was found."""
    if len(results) == 1:
        return results[0]
    worst = next((r for outcome in _WORST for r in results if r.outcome is outcome), results[0])
    counts = [result.tests for result in results if result.tests]
    return worst.model_copy(
        update={
            "summary": "; ".join(filter(None, (result.summary or result.reason for result in results))),
            "findings": tuple(finding for result in results for finding in result.findings),
            "not_covered": tuple(one for result in results for one in result.not_covered),
            "tests": _sum(counts) if counts else None,
            "seconds": sum(result.seconds for result in results),
            "log": "\n\n".join(filter(None, (result.log for result in results))),
        }
    )


def _sum(counts: Sequence[Tests]) -> Tests:
    return Tests(
        passed=sum(one.passed for one in counts),
        failed=sum(one.failed for one in counts),
        errors=sum(one.errors for one in counts),
        skipped=sum(one.skipped for one in counts),
    )
