"""From a trigger to a run: whether there is anything to run, whether it has to wait, and its beginning."""

from __future__ import annotations

from collections.abc import Callable

from bot.domain.events import CommitReceived, FindingsIgnored
from bot.domain.findings import Ignored
from bot.domain.plan import Plan, plan, why_not
from bot.domain.run import RunKey
from bot.domain.triggers import Trigger
from bot.intake.case import Case
from bot.intake.succession import Runs, Succession
from config.reading import Reading

# Seconds for which GitHub's answers may lag behind its own webhooks, and between two looks whether they still do.
LAG = 10.0
LAG_PAUSE = 1.0


class Later(Exception):
    """The delivery has to be read again, in `seconds`."""

    def __init__(self, reason: str, seconds: float) -> None:
        super().__init__(reason)
        self.seconds = seconds


def plan_for(reading: Reading, trigger: Trigger, default_branch: str) -> Plan | str:
    """The plan, or why there is none."""
    if reading.problems:
        return Plan(source=reading.source, problems=reading.problems)
    if reason := why_not(reading.config, trigger, default_branch):
        return reason
    return plan(reading.config, trigger, reading.source)


class Starts:
    """Begins runs. `ignored(repository)` are the findings that its people decided to ignore."""

    def __init__(self, runs: Runs, succession: Succession, ignored: Callable[[str], tuple[Ignored, ...]]) -> None:
        self._runs = runs
        self._succession = succession
        self._ignored = ignored

    def let_wait(self, case: Case, key: RunKey, trigger: Trigger, reading: Reading) -> None:
        """Raises Later for a head that came just after another one."""
        if wait := self._succession.pause(case, key, trigger, reading.config):
            # Until then the older head's run goes on, so that its checks will lead to one that exists.
            raise Later("another head came just before; the newest one is taken then", wait)

    def start(self, case: Case, key: RunKey, trigger: Trigger, planned: Plan) -> str:
        """Tell the commit's run what asks for it; what became of the delivery, in words."""
        event = CommitReceived(
            at=case.at,
            delivery=case.guid,
            actor=case.received.sender,
            installation=case.received.installation,
            trigger=trigger,
            plan=planned,
        )
        self._runs.update(key, event)
        if ignored := self._ignored(key.repository):
            self._runs.update(key, FindingsIgnored(at=case.at, delivery=case.guid, ignored=ignored))
        return f"accepted: {key}"
