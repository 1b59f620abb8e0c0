"""Telling flaky tests from broken ones: what failed is run again once, alone, and what passes then is flaky. How often
that happens is remembered per repository."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from bot.domain.findings import FlakyTest
from bot.errors import ToolFailed
from workers.agent import Case, Memory
from workers.agents.suites.running import Ran, Running

# More failures than that are no flakiness.
_MOST_AGAIN = 50
_KEPT = 30 * 24 * 3600
_MOST_REMEMBERED = 500


def identity(case: Case) -> str:
    """What a test is called from one run to the next."""
    return ".".join(filter(None, (case.classname, case.name)))


def again(ran: Ran, running: Running) -> tuple[frozenset[str], str]:
    """The tests that failed and pass now that they are run alone, and why nothing was run again, else empty."""
    failed = ran.failed
    if not failed:
        return frozenset(), ""
    if len(failed) > _MOST_AGAIN:
        return frozenset(), f"more than {_MOST_AGAIN} failed"
    argv = ran.suite.again(failed)
    if argv is None:
        return frozenset(), f"{ran.suite.name} cannot run these alone"
    if running.shell.left < ran.completed.seconds + 1:
        return frozenset(), "no time was left"
    running.shell.say(f"{ran.suite.name}: what failed, once more")
    try:
        second = running.run(ran.suite, argv)
    except ToolFailed as error:
        return frozenset(), str(error)
    wanted = {identity(case) for case in failed}
    passed = {identity(case) for case in second.cases if case.status == "passed"}
    failing = {identity(case) for case in second.cases if case.status in ("failed", "error")}
    return frozenset((passed - failing) & wanted), ""


class Rates:
    """How often tests of a suite were flaky, of the runs since."""

    def __init__(self, memory: Memory, suite: str) -> None:
        self._memory, self._key = memory, f"tests/flaky/{suite}"

    def count(self, flaky: Sequence[str]) -> Sequence[FlakyTest]:
        """Count one more run, in which these were flaky, and tell of them. Nothing is noted while none ever was."""
        rates = self._load()
        if not rates and not flaky:
            return ()
        for name in flaky:
            rates.setdefault(name, (0, 0))
        rates = {name: (times + (name in flaky), runs + 1) for name, (times, runs) in rates.items()}
        kept = sorted(rates.items(), key=lambda item: -item[1][0])[:_MOST_REMEMBERED]
        self._memory.note({self._key: json.dumps(dict(kept))}, _KEPT)
        return [FlakyTest(name=name, times=rates[name][0], runs=rates[name][1]) for name in flaky]

    def _load(self) -> dict[str, tuple[int, int]]:
        [text] = self._memory.recall([self._key])
        try:
            known: Mapping[str, Sequence[int]] = json.loads(text or "{}")
            return {name: (int(times), int(runs)) for name, (times, runs) in known.items()}
        except (ValueError, TypeError, AttributeError):
            # Noted by another version.
            return {}
