"""What the end of a suite means: failed tests speak for themselves; without any, a bad end needs another reason."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from bot.domain.findings import AgentResult, Comparison, Finding, FlakyTest, Outcome, Severity, Tests, TimedTest
from bot.domain.glob import matches_any
from workers.agent import Case
from workers.agents import missing, tree
from workers.agents.shell import cut_short, last_words
from workers.agents.suites.comparing import NOTHING, Against
from workers.agents.suites.flaky import identity
from workers.agents.suites.running import Ran, Running

# pytest's exit code for a run that collected nothing, and unittest's since Python 3.12.
_NOTHING_COLLECTED = 5
_MOST_FINDINGS = 500
_SLOWEST = 5
# A test that is quicker is never among the slowest; seconds.
_SLOW = 0.1
# What a `configure` misses on a machine is most often no fault of the change.
_NOT_CONFIGURED = re.compile(r"^configure: error: .+", re.MULTILINE)
_UNFINISHED = (Outcome.TIMED_OUT, Outcome.PARTIAL)

# The worst first: how the outcomes of several suites join.
_WORST = (Outcome.TIMED_OUT, Outcome.ERROR, Outcome.PARTIAL, Outcome.FINDINGS, Outcome.NOT_RUN, Outcome.SKIPPED)


@dataclass(frozen=True)
class Seen:
    """What is known of a suite's failures beside that: those that passed `again`, alone (or `why_not` it was not
    tried), how often that happened, those of the base, and the globs of the `quarantine`."""

    flaky: frozenset[str] = frozenset()
    rates: Sequence[FlakyTest] = ()
    why_not: str = ""
    against: Against = NOTHING
    quarantine: Sequence[str] = ()

    def quarantined(self, case: Case) -> bool:
        return matches_any(self.quarantine, identity(case)) or matches_any(self.quarantine, case.name)


def judge(ran: Ran, seen: Seen, running: Running) -> AgentResult:
    """The result of one suite."""
    shell = running.shell
    log = shell.tail(ran.completed)
    needs = [missing.needs(case, shell.work.root) for case in ran.cases]
    begun = [case for case, need in zip(ran.cases, needs, strict=True) if not need]
    failed = [case for case in begun if case.status in ("failed", "error")]
    lacking = [need for need in needs if need]
    if not ran.cases and (gem := missing.lacks_gem(ran.completed, shell.work.root)):
        lacking = [gem]
    # What ran and failed had all that it depends on, whatever it prints.
    tested = any(case.status == "failed" for case in failed)
    findings = tuple(_finding(case, ran, seen, running) for case in failed[:_MOST_FINDINGS])
    result = (
        cut_short(ran.completed, "test", ran.suite.name, log)
        or missing.not_installed(lacking, begun)
        or (None if tested else missing.unreachable(ran.completed, ran.suite.name))
        or _nothing_ran(ran)
        or (_failed(findings, failed, seen) if findings else None)
        or (_broke(ran, log) if ran.completed.exit_code else None)
        or AgentResult(outcome=Outcome.CLEAN, summary=f"{ran.suite.name} passed")
    )
    result = _unread(ran, result) or result
    return result.model_copy(
        update={
            "findings": result.findings or (findings if result.outcome in _UNFINISHED else ()),
            "tests": _count(ran.cases, seen, failed),
            "not_covered": (*result.not_covered, *ran.missed),
            "seconds": ran.completed.seconds,
            "remedy": result.remedy or _hint(log),
            "log": log,
        }
    )


def _finding(case: Case, ran: Ran, seen: Seen, running: Running) -> Finding:
    shell = running.shell
    read = tree.reader(shell.work.root)
    finding = running.readers.to_finding(case, ran.suite.name, read)
    name, notes, severity = identity(case), [], finding.severity
    if name in seen.flaky:
        severity = Severity.MEDIUM
        rate = next((one for one in seen.rates if one.name == name), None)
        often = f"; so in {rate.times} of the last {rate.runs} runs" if rate and rate.runs > 1 else ""
        notes.append(f"flaky: it passed when it was run again alone{often}")
    elif name in seen.against.before:
        notes.append("it fails without this change, too")
    if seen.quarantined(case):
        severity = Severity.INFO
        notes.append("in quarantine by agents.test.quarantine")
    noted = f"{finding.message} ({'; '.join(notes)})" if notes else finding.message
    finding = finding.model_copy(update={"message": noted, "severity": severity})
    return tree.tidy(finding, shell.work.root, shell.kit.redact)


def _count(cases: Sequence[Case], seen: Seen, failed: Sequence[Case]) -> Tests | None:
    if not cases:
        return None
    by = Counter(case.status for case in cases)
    slow = sorted((case for case in cases if case.seconds >= _SLOW), key=lambda case: -case.seconds)[:_SLOWEST]
    return Tests(
        passed=by["passed"],
        failed=by["failed"],
        errors=by["error"],
        skipped=by["skipped"],
        compared=seen.against.comparison,
        flaky=tuple(seen.rates),
        quarantined=sum(seen.quarantined(case) for case in failed),
        slowest=tuple(TimedTest(name=identity(case)[:200], seconds=round(case.seconds, 3)) for case in slow),
    )


def _hint(log: str) -> str:
    module = missing.module_in(log)
    return missing.remedy(module) if module else ""


def _nothing_ran(ran: Ran) -> AgentResult | None:
    """A run without a single test is not green, whatever its exit code."""
    name = ran.suite.name.partition(" in ")[0]
    code = ran.completed.exit_code
    told = ran.reported or (ran.suite.prints and ran.suite.prints != "any")
    none = any("pytest" in word for word in ran.suite.argv) and code == _NOTHING_COLLECTED
    none = none or (name == "unittest" and code in (0, _NOTHING_COLLECTED)) or (bool(told) and code == 0)
    if ran.cases or ran.building or not none:
        return None
    outcome = Outcome.SKIPPED if name in ("pytest", "unittest") else Outcome.NOT_RUN
    remedy = "Add tests, or set agents.test.run in .github/assay.yml, or agents.test.enabled to false."
    return AgentResult(outcome=outcome, reason=f"{ran.suite.name}: no tests were collected", remedy=remedy)


def _failed(findings: tuple[Finding, ...], failed: Sequence[Case], seen: Seen) -> AgentResult:
    summary = f"{len(failed)} test{'' if len(failed) == 1 else 's'} failed"
    if len(failed) > len(findings):
        summary += f", of which {len(findings)} are shown"
    if seen.why_not:
        summary += f"; not run again to tell flaky from broken: {seen.why_not}"
    return AgentResult(outcome=Outcome.FINDINGS, summary=summary, findings=findings)


def _unread(ran: Ran, result: AgentResult) -> AgentResult | None:
    """Not every test is known of: whatever the others say, that is no whole answer."""
    if not ran.missed or result.outcome not in (Outcome.CLEAN, Outcome.FINDINGS):
        return None
    reason = f"{ran.suite.name}: {ran.missed[0].what}: {ran.missed[0].why}"
    return result.model_copy(update={"outcome": Outcome.PARTIAL, "reason": reason})


def _broke(ran: Ran, log: str) -> AgentResult:
    """A bad exit code that no failed test explains."""
    code, name = ran.completed.exit_code, ran.suite.name
    if ran.suite.failing and code not in ran.suite.failing and not ran.building:
        reason, remedy = f"{name} ended with exit code {code}: {last_words(log)}", f"See the log; run {name} by hand."
        return AgentResult(outcome=Outcome.ERROR, reason=reason, remedy=_hint(log) or remedy)
    if ran.building and (told := _NOT_CONFIGURED.search(log)):
        remedy = "Install what it needs in agents.test.setup, or on the machine that runs Assay."
        return AgentResult(outcome=Outcome.ERROR, reason=f"{name} cannot be built here: {told[0]}"[:300], remedy=remedy)
    what = "does not build" if ran.building else "failed"
    finding = Finding(
        tool=name,
        rule="build" if ran.building else "exit-code",
        severity=Severity.HIGH,
        message=f"{name} {what} (exit code {code}): {last_words(log)}",
        evidence=log,
    )
    return AgentResult(outcome=Outcome.FINDINGS, summary=f"{name} {what}", findings=(finding,))


# -- several suites


def join(results: Sequence[AgentResult]) -> AgentResult:
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
    compared = [one.compared for one in counts if one.compared]
    slowest = sorted((test for one in counts for test in one.slowest), key=lambda test: -test.seconds)
    return Tests(
        passed=sum(one.passed for one in counts),
        failed=sum(one.failed for one in counts),
        errors=sum(one.errors for one in counts),
        skipped=sum(one.skipped for one in counts),
        compared=_compared(compared) if compared else None,
        flaky=tuple(test for one in counts for test in one.flaky),
        quarantined=sum(one.quarantined for one in counts),
        slowest=tuple(slowest[:_SLOWEST]),
    )


def _compared(all_of: Sequence[Comparison]) -> Comparison:
    fixed = [one.fixed for one in all_of if one.fixed is not None]
    return Comparison(
        new=sum(one.new for one in all_of),
        before=sum(one.before for one in all_of),
        fixed=sum(fixed) if len(fixed) == len(all_of) else None,
        why_not="; ".join(dict.fromkeys(one.why_not for one in all_of if one.why_not)),
    )
