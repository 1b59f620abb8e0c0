"""The security agent: secrets, insecure code, insecure workflows; what the commit brought told from what was there."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bot.domain.findings import AgentResult, Finding, Outcome, with_fingerprints
from workers.agent import Kit, Tool, Work
from workers.agents import scan, tree
from workers.agents.dependencies.look import look
from workers.agents.part import Part
from workers.agents.secrets import search

DEPENDENCIES = "dependencies"


class SecurityAgent:
    """Runs its scanners on the files of the work, and on the base's versions of those that they found something in;
    looks for secrets in each commit on the way, and at the packages that lock files name.

    They only read, so a fork's commits are scanned like others, without their configuration of the scanners. `secrets`
    is the name of the scanner that looks at commits, too.
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
        result = self._scan(tools, work, kit, ends)
        for tool in tools:
            if tool.name == self._secrets:
                result = _with(result, search(tool, work, kit, result.findings, ends))
        if _asks(wanted, DEPENDENCIES) and (seen := look(work, kit)) is not None:
            result = _with(result, seen)
        return _without_allowed(result, [str(one) for one in work.settings.get("allow", ())])

    def _scan(self, tools: Sequence[Tool], work: Work, kit: Kit, ends: float) -> AgentResult:
        if not work.files:
            return AgentResult(outcome=Outcome.CLEAN, summary="Nothing changed that could be scanned.")
        target = scan.Target(work.root, work.files, work.trusted, ends)
        selection = scan.select([tool for tool in tools if work.trusted or not tool.executes_code], target)
        if not selection.work and not selection.missed:
            reason = "no scanner reads what changed: binary or generated files only"
            return AgentResult(outcome=Outcome.SKIPPED, reason=reason, not_covered=selection.unreadable)
        scans = _mark_old(scan.run_all(selection, target, kit), target, work, kit)
        return scan.result(scans, selection)


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


def _mark_old(scans: tuple[scan.Scan, ...], target: scan.Target, work: Work, kit: Kit) -> tuple[scan.Scan, ...]:
    """Findings that the base has too are not new. Where the base cannot be scanned, all count as new.

    It is scanned only for what lies at a change; in a file that the base has, the rest was there before.
    """
    found = [finding for one in scans for finding in one.findings if finding.path]
    touched = {finding.path for finding in found if _touched(finding, work)}
    old_paths = {path: old for path in {finding.path for finding in found} if (old := _old_path(path, work))}
    asked = {path: old for path, old in old_paths.items() if path in touched}
    known: set[str] = set()
    if asked:
        if (base := work.base()) is None:
            return scans
        known = _at_base(scans, asked, replace(target, root=base), kit)
    line_of = _line_of(target.root)

    def is_new(finding: Finding) -> bool:
        return finding.fingerprint not in known if finding.path in asked else finding.path not in old_paths

    return tuple(replace(one, findings=_compare(one.findings, is_new, line_of)) for one in scans)


def _touched(finding: Finding, work: Work) -> bool:
    place = work.diff.place(finding.path, finding.start_line, finding.last_line)
    return finding.start_line is None or place in ("added", "context")


def _old_path(path: str, work: Work) -> str | None:
    """What the file was called at the base; None when the base does not have it."""
    file = work.diff.files.get(path)
    if file is None:
        return path
    return None if file.status == "added" else file.old_path or path


def _at_base(scans: Sequence[scan.Scan], old_paths: Mapping[str, str], target: scan.Target, kit: Kit) -> set[str]:
    """The fingerprints of what the same tools find in the base's version of the same files, under their new names."""
    new_paths = {old: new for new, old in old_paths.items()}
    work = []
    for one in scans:
        wanted = sorted({old_paths[f.path] for f in one.findings if f.path in old_paths})
        if files := tuple(path for path in wanted if tree.kind(target.root, path) == "text"):
            work.append((one.tool, files))
    line_of = _line_of(target.root)
    known: set[str] = set()
    for one in scan.run_all(scan.Selection(tuple(work)), target, kit, note=" at the base"):
        moved = [f.model_copy(update={"path": new_paths[f.path]}) for f in one.findings if f.path in new_paths]
        named = with_fingerprints(moved, lambda path, line: line_of(old_paths[path], line))
        known |= {finding.fingerprint for finding in named}
    return known


def _compare(
    findings: Sequence[Finding], is_new: Callable[[Finding], bool], line_of: Callable[[str, int], str]
) -> tuple[Finding, ...]:
    named = with_fingerprints(findings, line_of)
    return tuple(finding.model_copy(update={"new": is_new(finding)}) for finding in named)


def _line_of(root: Path) -> Callable[[str, int], str]:
    read = tree.reader(root)
    return lambda path, line: "".join(read(path)[line - 1 : line])
