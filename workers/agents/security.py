"""The security agent: secrets, insecure code, insecure workflows; what the commit brought told from what was there."""

from __future__ import annotations

import time
from collections.abc import Sequence

from bot.domain.findings import AgentResult, Outcome
from workers.agent import Kit, Tool, Work
from workers.agents import scan
from workers.agents.baseline import mark_old
from workers.agents.dependencies.look import look
from workers.agents.part import Part
from workers.agents.secrets import search

DEPENDENCIES = "dependencies"


class SecurityAgent:
    """Runs its scanners on the files of the work, and on the base's versions of those that they found something in;
    looks for secrets in each commit on the way, and at the packages that lock files name.

    Most only read, so a fork's commits are scanned like others, by the base's configuration of the scanners; one that
    executes is held back until somebody approves, as a linter is. `secrets` is the name of the scanner that looks at
    commits, too.
    """

    def __init__(self, tools: Sequence[Tool], secrets: str = "detect-secrets") -> None:
        self._tools = tools
        self._secrets = secrets

    def run(self, work: Work, kit: Kit) -> AgentResult:
        wanted = work.settings.get("tools")
        tools = scan.choose(self._tools, _without(wanted, DEPENDENCIES))
        if isinstance(tools, str):
            return scan.misnamed("security", f"{tools}; and {DEPENDENCIES}")
        ends = time.monotonic() + work.timeout
        result = self._scan(tools, scan.present(tools, wanted, kit.sandbox), work, kit, ends)
        for tool in tools:
            if tool.name == self._secrets:
                result = _with(result, search(tool, work, kit, result.findings, ends))
        if _asks(wanted, DEPENDENCIES) and (seen := look(work, kit)) is not None:
            result = _with(result, seen)
        return _without_allowed(result, [str(one) for one in work.settings.get("allow", ())])

    def _scan(self, wanted: Sequence[Tool], tools: Sequence[Tool], work: Work, kit: Kit, ends: float) -> AgentResult:
        if not work.files:
            return AgentResult(outcome=Outcome.CLEAN, summary="Nothing changed that could be scanned.")
        with scan.opened(work, kit, tools, ends) as target:
            selection = scan.select(tools, target, scan.named(work.settings.get("tools")))
            if not selection.work and not selection.missed:
                reason = "no scanner reads what changed: binary or generated files only"
                return AgentResult(outcome=Outcome.SKIPPED, reason=reason, not_covered=selection.unreadable)
            scans = mark_old(scan.run_all(selection, target, kit), target, work, kit)
            result = scan.result(scans, selection)
            lacking = scan.absent(wanted, tools, selection, work.files)
            return result.model_copy(update={"not_covered": (*result.not_covered, *lacking)})


def _asks(wanted: object, name: str) -> bool:
    return wanted is None or wanted == "auto" or (isinstance(wanted, list | tuple) and name in wanted)


def _without(wanted: object, name: str) -> object:
    return [one for one in wanted if one != name] if isinstance(wanted, list | tuple) else wanted


def _with(result: AgentResult, part: Part) -> AgentResult:
    """What was said so far, and what a further look has to say."""
    outcome = result.outcome
    if part.gaps and outcome is not Outcome.ERROR:
        outcome = Outcome.PARTIAL
    elif part.findings and outcome in (Outcome.CLEAN, Outcome.SKIPPED):
        outcome = Outcome.FINDINGS
    elif part.covered and outcome is Outcome.SKIPPED:
        outcome = Outcome.CLEAN
    gaps = "; ".join(f"{one.what}: {one.why}" for one in part.gaps[:3])
    reason = "" if result.outcome is Outcome.SKIPPED and outcome is not Outcome.SKIPPED else result.reason
    return result.model_copy(
        update={
            "outcome": outcome,
            "findings": (*result.findings, *part.findings),
            "summary": "; ".join(filter(None, (result.summary, part.summary))),
            "reason": " ".join(filter(None, (reason, f"Not looked at: {gaps}." if gaps else ""))),
            "remedy": " ".join(filter(None, (result.remedy, part.remedy))),
            "covered": tuple(sorted({*result.covered, *part.covered})),
            "not_covered": (*result.not_covered, *part.gaps),
            "tools": {**result.tools, **part.tools},
            "log": "\n".join(filter(None, (result.log, *part.log))),
        }
    )


def _without_allowed(result: AgentResult, allow: Sequence[str]) -> AgentResult:
    """Findings that the repository has accepted are left out and counted. Those of packages are accepted by advisory,
    while they are put together."""
    kept = tuple(one for one in result.findings if not {one.identity, one.fingerprint} & set(allow))
    accepted = len(result.findings) - len(kept)
    if not accepted:
        return result
    outcome = Outcome.CLEAN if result.outcome is Outcome.FINDINGS and not kept else result.outcome
    return result.model_copy(
        update={"findings": kept, "outcome": outcome, "summary": f"{result.summary}; accepted (allow): {accepted}"}
    )
