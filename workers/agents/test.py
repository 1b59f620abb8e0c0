"""The test agent: runs the repository's tests, and turns their reports into results and findings."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bot.domain.findings import AgentResult, NotCovered, Outcome
from bot.errors import Theirs, ToolFailed
from workers.agent import Kit, Work
from workers.agents.shell import Shell, untrusted
from workers.agents.suites import comparing, covering, flaky
from workers.agents.suites.judging import Seen, join, judge
from workers.agents.suites.running import Ran, Readers, Running
from workers.agents.suites.suite import Left, Suite
from workers.agents.suites.table import Detection, configured, detect

_NO_SUITE = AgentResult(
    outcome=Outcome.SKIPPED,
    reason="no test suite was found",
    remedy="Set agents.test.run in .github/assay.yml.",
)


class TestAgent:
    """Runs the configured command, or the suites that it detects. `readers` understand what they report."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers

    def run(self, work: Work, kit: Kit) -> AgentResult:
        if not work.trusted:
            return untrusted()
        # All in one folder, for the commands see no other: it is their home, and holds their reports.
        with tempfile.TemporaryDirectory(prefix="assay-", ignore_cleanup_errors=True) as folder:
            scratch = Path(folder)
            shell = Shell.begin(work, kit, scratch)
            try:
                return shell.setup("test") or self._run(Running(shell, scratch, self._readers))
            except Theirs as error:
                remedy = "Correct agents.test.junit or agents.test.coverage in .github/assay.yml."
                return AgentResult(outcome=Outcome.ERROR, reason=str(error), remedy=remedy)

    def _run(self, running: Running) -> AgentResult:
        shell = running.shell
        command = shell.work.settings.get("run")
        found = Detection([configured(str(command), running.scratch)]) if command else detect(shell, running.scratch)
        reports = covering.reports(running.tree, [str(glob) for glob in shell.work.settings.get("coverage") or ()])
        result = join([_suite(suite, running) for suite in found.suites] or [_NO_SUITE])
        lines, unread = covering.covered(reports, self._readers.coverage, running.tree, shell.work.diff)
        tests = result.tests.model_copy(update={"coverage": tuple(lines)}) if result.tests else None
        left = tuple(_left(one) for one in found.left if one.counts)
        return result.model_copy(update={"tests": tests, "not_covered": (*result.not_covered, *unread, *left)})


def _left(one: Left) -> NotCovered:
    return NotCovered(what=one.what, why=one.why)


def _suite(suite: Suite, running: Running) -> AgentResult:
    shell = running.shell
    shell.say(suite.name)
    try:
        ran = running.build(suite) or _affected_first(suite, running)
    except ToolFailed as error:
        remedy = "Install it on the machine that runs Assay, or set agents.test.run in .github/assay.yml."
        return AgentResult(outcome=Outcome.ERROR, reason=shell.kit.redact(str(error)), remedy=remedy)
    return judge(ran, _look_closer(ran, running), running)


def _affected_first(suite: Suite, running: Running) -> Ran:
    """By the setting `first`: the tests that the change concerns, where somebody can tell; the others only when these
    pass."""
    settings, diff = running.shell.work.settings, running.shell.work.diff
    argv = suite.affected(diff.paths) if settings.get("first") == "affected" else None
    if argv is None:
        return running.run(suite)
    running.shell.say(f"{suite.name}: what the change concerns")
    some = running.run(suite, argv)
    if some.completed.exit_code == 0 and not some.failed:
        running.shell.say(suite.name)
        return running.run(suite)
    rest = NotCovered(what="the other tests", why="tests that the change concerns failed (agents.test.first)")
    return replace(some, missed=(*some.missed, rest))


def _look_closer(ran: Ran, running: Running) -> Seen:
    """What can be found out about failures: flaky or broken, new or not."""
    shell = running.shell
    quarantine: Sequence[str] = [str(glob) for glob in shell.work.settings.get("quarantine") or ()]
    if ran.completed.timed_out or not ran.cases:
        return Seen(quarantine=quarantine)
    passed, why_not = flaky.again(ran, running)
    rates = flaky.Rates(shell.kit.memory, ran.suite.name).count(sorted(passed))
    against = comparing.compare(ran, passed, running)
    comparing.note(ran, passed, running)
    return Seen(passed, rates, why_not, against, quarantine)
