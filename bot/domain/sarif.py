"""A run as SARIF 2.1.0 (OASIS), of the one driver `assay`; a rule's id is `tool/rule`.

Findings that were there before the change carry the baseline state `unchanged`, those that somebody dismissed are
suppressed. What was not looked at is in the invocation's notifications, and makes the execution unsuccessful where an
agent could not finish. So are findings without a place: GitHub's code scanning refuses a file with a result that has
none. Of the fingerprints it reads `primaryLocationLineHash` only.

Source: docs.github.com, "SARIF support for code scanning".
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from bot.domain.findings import Finding, Outcome, Severity
from bot.domain.markdown import clip, safe_url, visible
from bot.domain.run import AgentState, Run
from bot.domain.verdict import findings
from bot.domain.wording import rule_words

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {
    Severity.CRITICAL: "error",
    Severity.HIGH: "error",
    Severity.MEDIUM: "warning",
    Severity.LOW: "note",
    Severity.INFO: "note",
}
# GitHub's scale for what is to be treated as a matter of security; it ranks by ranges of these.
_SCORES = {
    Severity.CRITICAL: "9.5",
    Severity.HIGH: "8.0",
    Severity.MEDIUM: "5.5",
    Severity.LOW: "2.0",
    Severity.INFO: "0.1",
}
_UNFINISHED = (Outcome.ERROR, Outcome.TIMED_OUT, Outcome.CANCELLED)
# GitHub takes no more extensions of a run.
_MOST_TOOLS = 100
# By this name an analysis is found again.
TOOL = "assay"


def to_sarif(run: Run) -> str:
    """The run's findings for viewers and for GitHub's code scanning, in one SARIF run."""
    return json.dumps(_log([_run(findings(run), run, run.shown)]), indent=2) + "\n"


def to_analyses(run: Run, agents: Sequence[AgentState], most: int) -> str:
    """What these agents of the run found, in a SARIF run each, whose category is the agent's: the `most` worst findings
    of each that count or were there before."""
    return json.dumps(_log([_analysis(run, agent, most) for agent in agents]), separators=(",", ":"))


def category_of(agent: str) -> str:
    """By which code scanning tells an agent's analyses from others'."""
    return f"{TOOL}/{agent}"


def _analysis(run: Run, agent: AgentState, most: int) -> dict[str, Any]:
    found = sorted(told_of(agent), key=lambda finding: -finding.severity.rank)[:most]
    analysis = _run(found, run, (agent,), security=agent.plan.kind == "security")
    # What follows the last slash would tell one analysis of the category from another.
    return {**analysis, "automationDetails": {"id": f"{category_of(agent.plan.name)}/"}}


def told_of(agent: AgentState) -> tuple[Finding, ...]:
    """The findings of an agent that code scanning can show."""
    found = agent.result.findings if agent.result else ()
    return tuple(finding for finding in found if finding.path and not finding.dismissed)


def _log(runs: list[dict[str, Any]]) -> dict[str, Any]:
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": runs}


def _run(every: Sequence[Finding], run: Run, agents: Sequence[AgentState], *, security: bool = False) -> dict[str, Any]:
    found = [finding for finding in every if finding.path]
    # The worst of a rule's findings speaks for it.
    rules = {_rule_id(finding): finding for finding in sorted(found, key=lambda finding: finding.severity.rank)}
    index = {rule: number for number, rule in enumerate(rules)}
    return {
        "tool": {
            "driver": {"name": TOOL, "rules": [_rule(rule, rules[rule], security=security) for rule in rules]},
            "extensions": _tools(agents),
        },
        "originalUriBaseIds": {"SRCROOT": {"description": {"text": "The root of the repository."}}},
        "columnKind": "unicodeCodePoints",
        "invocations": [_invocation(run, agents)],
        "results": [_result(finding, index[_rule_id(finding)]) for finding in found],
    }


def _tools(agents: Sequence[AgentState]) -> list[dict[str, str]]:
    """What the agents used, with its version where it told one."""
    used = {name: version for agent in agents if agent.result for name, version in agent.result.tools.items()}
    plain = sorted((clip(visible(name), 100), clip(visible(version), 100)) for name, version in used.items())
    return [{"name": name or "?", **({"version": version} if version else {})} for name, version in plain[:_MOST_TOOLS]]


def _rule_id(finding: Finding) -> str:
    return f"{visible(finding.tool)}/{visible(finding.rule) or 'finding'}"


def _rule(rule: str, finding: Finding, *, security: bool) -> dict[str, Any]:
    url, words = safe_url(finding.url), clip(rule, 250)
    tags = ["security"] if security else []
    tags += [f"external/cwe/cwe-{finding.cwe:03}"] if finding.cwe is not None else []
    properties = {"tags": tags} if tags else {}
    return {
        "id": rule,
        "shortDescription": _message(words),
        "fullDescription": _message(f"{words}, as {finding.tool} reports it."),
        "help": _message(f"See {url}" if url else f"See the documentation of {finding.tool}."),
        "defaultConfiguration": {"level": _LEVELS[finding.severity]},
        **({"helpUri": url} if url else {}),
        **({"properties": properties | _score(finding, security=security)} if properties else {}),
    }


def _score(finding: Finding, *, security: bool) -> dict[str, str]:
    return {"security-severity": _SCORES[finding.severity]} if security else {}


def _result(finding: Finding, rule_index: int) -> dict[str, Any]:
    return {
        "ruleId": _rule_id(finding),
        "ruleIndex": rule_index,
        "level": _LEVELS[finding.severity],
        "message": _message("\n\n".join(filter(None, (finding.words or finding.rule, finding.scenario)))),
        "baselineState": "new" if finding.new else "unchanged",
        "locations": [{"physicalLocation": _location(finding)}],
        **({"partialFingerprints": _fingerprints(finding)} if finding.fingerprint else {}),
        **({"suppressions": [_suppression(finding)]} if finding.dismissed else {}),
        **({"fixes": [_fix(finding)]} if finding.start_line and finding.replacement is not None else {}),
        "properties": {"severity": finding.severity, "sources": list(finding.sources)}
        | ({} if finding.confidence is None else {"confidence": finding.confidence}),
    }


def _fingerprints(finding: Finding) -> dict[str, str]:
    return {"assay/v1": finding.fingerprint, "primaryLocationLineHash": f"{finding.fingerprint}:1"}


def _suppression(finding: Finding) -> dict[str, str]:
    return {"kind": "external", "justification": clip(visible(finding.dismissed), 1_000)}


def _message(text: str) -> dict[str, str]:
    # SARIF reads `[text](target)` as a link.
    return {"text": clip(visible(text, lines=True), 4_000).replace("](", "] (")}


def _artifact(finding: Finding) -> dict[str, str]:
    uri = quote(finding.path, safe="/", errors="replace")
    # A relative one in any case.
    return {"uri": uri.replace("/", "%2F", 1) if uri.startswith("/") else uri, "uriBaseId": "SRCROOT"}


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


def _invocation(run: Run, agents: Sequence[AgentState]) -> dict[str, Any]:
    return {
        "executionSuccessful": not run.plan.problems
        and all(agent.result is not None and agent.outcome not in _UNFINISHED for agent in agents),
        "toolExecutionNotifications": [
            {"level": level, "message": _message(text)} for level, text in _notifications(run, agents)
        ],
    }


def _notifications(run: Run, agents: Sequence[AgentState]) -> list[tuple[str, str]]:
    notes = [("error", f"{p.file}:{p.line}: {p.message}") for p in run.plan.problems]
    for agent in agents:
        if agent.result is None:
            continue
        name, result = agent.plan.name, agent.result
        if result.outcome not in (Outcome.CLEAN, Outcome.FINDINGS):
            level = "error" if result.outcome in _UNFINISHED else "warning"
            notes.append((level, f"{name}: {result.outcome.value.replace('_', ' ')}: {result.reason}"))
        nowhere = [finding for finding in result.findings if not finding.path][:100]
        notes += [(_LEVELS[one.severity], f"{name}: {rule_words(one)}: {one.words}") for one in nowhere]
        notes += [("warning", f"{name}: not looked at: {gap.what}: {gap.why}") for gap in result.not_covered[:100]]
    return notes
