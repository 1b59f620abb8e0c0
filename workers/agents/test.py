"""The test agent: runs the repository's tests, and turns their reports into results and findings."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from bot.domain.findings import AgentResult, NotCovered, Outcome
from bot.errors import Theirs, ToolFailed
from workers.agent import Kit, Work
from workers.agents import missing
from workers.agents.shell import Shell, secrets, untrusted, without_secrets
from workers.agents.suites import comparing, covering, flaky
from workers.agents.suites.judging import Seen, join, judge
from workers.agents.suites.preparing import Ready, prepare
from workers.agents.suites.running import Ran, Readers, Running
from workers.agents.suites.setups import needed
from workers.agents.suites.suite import Left, Suite
from workers.agents.suites.table import Detection, configured, detect, look

_NO_SUITE = AgentResult(
    outcome=Outcome.SKIPPED,
    reason="no test suite was found",
    remedy="Set agents.test.run in .github/assay.yml.",
)


_SET_UP = "Let the machine that runs Assay reach what it fetches, or say how in agents.test.setup in .github/assay.yml."


class TestAgent:
    """Runs the configured command, or the suites that it detects. `readers` understand what they report."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers

    def run(self, work: Work, kit: Kit) -> AgentResult:
        if not work.trusted:
            return untrusted()
        if lacks := without_secrets(work):
            return lacks
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
        shell, settings = running.shell, running.shell.work.settings
        reports = covering.reports(running.tree, [str(glob) for glob in settings.get("coverage") or ()])
        with ExitStack() as stack:
            ready = Ready()
            if command := settings.get("run"):
                suite = configured(str(command), running.scratch)
                suite = replace(suite, env={**secrets(shell.work), **suite.env})
                found = Detection([suite])
            else:
                rows = look(running.tree)
                if shell.kit.prepared and not settings.get("setup"):
                    setups = needed(running.tree, rows.setups)
                    ready = prepare(setups, shell, running.tree, shell.kit.prepared, stack)
                    shell = replace(shell, reads=(*shell.reads, *ready.folders))
                    running = Running(shell, running.scratch, self._readers)
                found = detect(shell, running.scratch, rows, ready)
            result = join([_suite(suite, running, ready) for suite in found.suites] or [_NO_SUITE])
        lines, unread = covering.covered(reports, self._readers.coverage, running.tree, shell.work.diff)
        tests = result.tests.model_copy(update={"coverage": tuple(lines)}) if result.tests else None
        left = tuple(_left(one) for one in found.left if one.counts)
        return result.model_copy(update={"tests": tests, "not_covered": (*result.not_covered, *unread, *left)})


def _left(one: Left) -> NotCovered:
    return NotCovered(what=one.what, why=one.why)


def _suite(suite: Suite, running: Running, ready: Ready) -> AgentResult:
    shell = running.shell
    shell.say(suite.name)
    try:
        ran = running.build(suite) or _affected_first(suite, running)
    except ToolFailed as error:
        remedy = "Install it on the machine that runs Assay, or set agents.test.run in .github/assay.yml."
        return AgentResult(outcome=Outcome.ERROR, reason=shell.kit.redact(str(error)), remedy=remedy)
    result = judge(ran, _look_closer(ran, running), running)
    why = shell.kit.redact(ready.why_not(suite.folder))
    return _without_setup(result, why) if why else result


def _without_setup(result: AgentResult, why: str) -> AgentResult:
    """It was run with what is installed on the machine. What it lacked is laid to the set-up, and not to the change."""
    words = f"the set-up failed: {why}"
    if result.outcome is Outcome.CLEAN:
        return result.model_copy(update={"summary": f"{result.summary}; {words}"})
    if result.outcome is Outcome.FINDINGS:
        return result.model_copy(update={"outcome": Outcome.PARTIAL, "reason": words, "remedy": _SET_UP})
    return result.model_copy(update={"reason": f"{words}; {result.reason}", "remedy": _SET_UP})


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
    # What could not begin for want of something not installed is neither flaky nor new.
    root = shell.work.root
    ran = replace(ran, cases=[case for case in ran.cases if not missing.needs(case, root)])
    passed, why_not = flaky.again(ran, running)
    rates = flaky.Rates(shell.kit.memory, ran.suite.name).count(sorted(passed))
    against = comparing.compare(ran, passed, running)
    comparing.note(ran, passed, running)
    return Seen(passed, rates, why_not, against, quarantine)
