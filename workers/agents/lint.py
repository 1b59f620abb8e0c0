"""The lint agent: every linter that reads a changed file."""

from __future__ import annotations

import time
from collections.abc import Sequence

from bot.domain.findings import AgentResult, NotCovered, Outcome
from workers.agent import Kit, Tool, Work
from workers.agents import scan
from workers.agents.baseline import mark_old


class LintAgent:
    """Runs those of its tools that the setting `tools` names and that read a file of the work.

    Those that only read look at anybody's commit. Those that may execute what they find (a configuration that is a
    program, a build script, macros) look at commits whose author is trusted, or that somebody approved; each in a copy
    of the tree, where nothing but that copy is to be had.
    """

    def __init__(self, tools: Sequence[Tool]) -> None:
        self._tools = tools

    def run(self, work: Work, kit: Kit) -> AgentResult:
        if not work.files:
            return AgentResult(outcome=Outcome.CLEAN, summary="Nothing changed that could be linted.")
        wanted = work.settings.get("tools")
        tools = scan.choose(self._tools, wanted)
        if isinstance(tools, str):
            return scan.misnamed("lint", tools)
        present, ends = scan.present(tools, wanted, kit.sandbox), time.monotonic() + work.timeout
        with scan.opened(work, kit, present, ends) as target:
            selection = scan.select(present, target, scan.named(wanted))
            return self._result(tools, selection, target, work, kit)

    def _result(
        self, tools: Sequence[Tool], selection: scan.Selection, target: scan.Target, work: Work, kit: Kit
    ) -> AgentResult:
        unread = tuple(NotCovered(what=path, why=_why_unread(path, tools, kit)) for path in selection.nobodys)
        scans = mark_old(scan.run_all(selection, target, kit), target, work, kit)
        joined = scan.result(scans, selection)
        joined = joined.model_copy(update={"not_covered": (*joined.not_covered, *unread)})
        if joined.outcome is not Outcome.CLEAN or joined.covered:
            return joined
        return joined.model_copy(
            update={
                "outcome": Outcome.SKIPPED,
                "reason": _why_nothing(selection, joined, work),
                "remedy": "Any linter can be added as a command: see `agents.<name>.run` in .github/assay.yml.",
            }
        )


def _why_nothing(selection: scan.Selection, joined: AgentResult, work: Work) -> str:
    """Why not one file was looked at, though some may have had their linter."""
    if gap := next(iter(joined.not_covered), None) if selection.work else None:
        return f"no linter looked at {scan.kinds(work.files)}: {gap.what} ({gap.why})"
    return f"no linter reads {scan.kinds(work.files)}"


def _why_unread(path: str, tools: Sequence[Tool], kit: Kit) -> str:
    """Names those that would read a file if they were installed."""
    missing = [
        tool.name
        for tool in tools
        if tool.optional and not tool.taste and tool.applies(path) and kit.sandbox.which(tool.version[0]) is None
    ]
    return f"no linter reads it; {' and '.join(missing)} would, where installed" if missing else "no linter reads it"
