"""A run as SARIF 2.1.0 (OASIS), one `run` of the one driver `assay`; a rule's id is `tool/rule`.

Findings that were there before the change carry the baseline state `unchanged`. What was not looked at is in the
invocation's notifications, and makes the execution unsuccessful where an agent could not finish.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from bot.domain.findings import Finding, Outcome, Severity
from bot.domain.markdown import clip, safe_url, visible
from bot.domain.run import Run
from bot.domain.verdict import findings

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {
    Severity.CRITICAL: "error",
    Severity.HIGH: "error",
    Severity.MEDIUM: "warning",
    Severity.LOW: "note",
    Severity.INFO: "note",
}
_UNFINISHED = (Outcome.ERROR, Outcome.TIMED_OUT, Outcome.CANCELLED)


def to_sarif(run: Run) -> str:
    """The run's findings for viewers and for GitHub's code scanning."""
    found = findings(run)
    rules = {_rule_id(finding): finding for finding in reversed(found)}
    index = {rule: number for number, rule in enumerate(rules)}
    log = {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": "assay", "rules": [_rule(rule, rules[rule]) for rule in rules]}},
                "originalUriBaseIds": {"SRCROOT": {"description": {"text": "The root of the repository."}}},
                "columnKind": "unicodeCodePoints",
                "invocations": [_invocation(run)],
                "results": [_result(finding, index[_rule_id(finding)]) for finding in found],
            }
        ],
    }
    return json.dumps(log, indent=2) + "\n"


def _rule_id(finding: Finding) -> str:
    return f"{visible(finding.tool)}/{visible(finding.rule) or 'finding'}"


def _rule(rule: str, finding: Finding) -> dict[str, Any]:
    url = safe_url(finding.url)
    return {
        "id": rule,
        "defaultConfiguration": {"level": _LEVELS[finding.severity]},
        **({"helpUri": url} if url else {}),
        **({"properties": {"tags": [f"external/cwe/cwe-{finding.cwe:03}"]}} if finding.cwe is not None else {}),
    }


def _result(finding: Finding, rule_index: int) -> dict[str, Any]:
    return {
        "ruleId": _rule_id(finding),
        "ruleIndex": rule_index,
        "level": _LEVELS[finding.severity],
        "message": _message("\n\n".join(filter(None, (finding.words or finding.rule, finding.scenario)))),
        "baselineState": "new" if finding.new else "unchanged",
        **({"locations": [{"physicalLocation": _location(finding)}]} if finding.path else {}),
        **({"partialFingerprints": {"assay/v1": finding.fingerprint}} if finding.fingerprint else {}),
        **(
            {"fixes": [_fix(finding)]}
            if finding.path and finding.start_line and finding.replacement is not None
            else {}
        ),
        "properties": {"severity": finding.severity, "sources": list(finding.sources)}
        | ({} if finding.confidence is None else {"confidence": finding.confidence}),
    }


def _message(text: str) -> dict[str, str]:
    # SARIF reads `[text](target)` as a link.
    return {"text": clip(visible(text, lines=True), 4_000).replace("](", "] (")}


def _artifact(finding: Finding) -> dict[str, str]:
    return {"uri": quote(finding.path, safe="/", errors="replace"), "uriBaseId": "SRCROOT"}


def _location(finding: Finding) -> dict[str, Any]:
    location: dict[str, Any] = {"artifactLocation": _artifact(finding)}
    if finding.start_line:
        last = max(finding.start_line, finding.last_line or finding.start_line)
        columns = {"startColumn": finding.start_column, "endColumn": _end_column(finding, last)}
        columns = {name: column for name, column in columns.items() if column is not None}
        location["region"] = {"startLine": finding.start_line, "endLine": last, **columns}
    return location


def _end_column(finding: Finding, last: int) -> int | None:
    """SARIF's end column is the one after the last character, and no region ends before it starts."""
    if finding.start_column is None or finding.end_column is None:
        return None
    return max(finding.end_column, finding.start_column) if last == finding.start_line else finding.end_column


def _fix(finding: Finding) -> dict[str, Any]:
    first = finding.start_line or 1
    deleted = {"startLine": first, "startColumn": 1, "endLine": (finding.last_line or first) + 1, "endColumn": 1}
    inserted = f"{finding.replacement}\n" if finding.replacement else ""
    replacement = {"deletedRegion": deleted, "insertedContent": {"text": inserted}}
    return {"artifactChanges": [{"artifactLocation": _artifact(finding), "replacements": [replacement]}]}


def _invocation(run: Run) -> dict[str, Any]:
    return {
        "executionSuccessful": not run.plan.problems
        and all(agent.result is not None and agent.outcome not in _UNFINISHED for agent in run.shown),
        "toolExecutionNotifications": [
            {"level": level, "message": _message(text)} for level, text in _notifications(run)
        ],
    }


def _notifications(run: Run) -> list[tuple[str, str]]:
    notes = [("error", f"{p.file}:{p.line}: {p.message}") for p in run.plan.problems]
    for agent in run.shown:
        if agent.result is None:
            continue
        name, result = agent.plan.name, agent.result
        if result.outcome not in (Outcome.CLEAN, Outcome.FINDINGS):
            level = "error" if result.outcome in _UNFINISHED else "warning"
            notes.append((level, f"{name}: {result.outcome.value.replace('_', ' ')}: {result.reason}"))
        notes += [("warning", f"{name}: not looked at: {gap.what}: {gap.why}") for gap in result.not_covered[:100]]
    return notes
