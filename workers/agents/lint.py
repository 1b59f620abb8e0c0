"""The lint agent: every linter that reads a changed file."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import PurePosixPath

from bot.domain.findings import AgentResult, NotCovered, Outcome
from workers.agent import Kit, Tool, Work
from workers.agents import scan
from workers.agents.baseline import mark_old


class LintAgent:
    """Runs those of its tools that the setting `tools` names and that read a file of the work."""

    def __init__(self, tools: Sequence[Tool]) -> None:
        self._tools = tools

    def run(self, work: Work, kit: Kit) -> AgentResult:
        if not work.files:
            return AgentResult(outcome=Outcome.CLEAN, summary="Nothing changed that could be linted.")
        tools = scan.choose(self._tools, work.settings.get("tools"))
        if isinstance(tools, str):
            return scan.misnamed("lint", tools)
        target = scan.Target(work.root, work.files, work.trusted, time.monotonic() + work.timeout)
        # A linter that may execute the repository's code is none for a stranger's commit.
        selection = scan.select([tool for tool in tools if work.trusted or not tool.executes_code], target)
        unread = tuple(NotCovered(what=path, why="no linter reads it") for path in selection.nobodys)
        if not selection.work and not selection.missed:
            reason = f"no linter reads {_kinds(work.files)}"
            remedy = "Any linter can be added as a command: see `agents.<name>.run` in .github/assay.yml."
            return AgentResult(outcome=Outcome.SKIPPED, reason=reason, remedy=remedy, not_covered=unread)
        joined = scan.result(mark_old(scan.run_all(selection, target, kit), target, work, kit), selection)
        return joined.model_copy(update={"not_covered": (*joined.not_covered, *unread)})


def _kinds(files: Sequence[str]) -> str:
    """`.md and .txt files`, by their endings; names where there are none."""
    kinds = list(dict.fromkeys(PurePosixPath(path).suffix or PurePosixPath(path).name for path in files))
    shown = ", ".join(kinds[:5]) + (f" and {len(kinds) - 5} other kinds of" if len(kinds) > 5 else "")
    return f"{shown} files"
