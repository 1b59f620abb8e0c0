"""GitLab's report of code quality, a subset of Code Climate's issues.
https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.domain.findings import Finding, Severity
from bot.errors import ToolFailed
from workers.agent import Reader
from workers.tools.output import load_json, mapping, mappings, span, string

_SEVERITY = {
    "info": Severity.INFO,
    "minor": Severity.LOW,
    "major": Severity.MEDIUM,
    "critical": Severity.HIGH,
    "blocker": Severity.CRITICAL,
}


def parse(text: str, read: Reader) -> list[Finding]:  # noqa: ARG001 - the format knows no fixes
    """Raises ToolFailed for what is no list of issues."""
    issues = load_json("the command", text)
    if not isinstance(issues, list):
        raise ToolFailed("the command printed JSON, but no code quality report: it is no list")
    return [_finding(issue) for issue in mappings(issues)]


def _finding(issue: Mapping[str, Any]) -> Finding:
    place = mapping(issue.get("location"))
    lines, positions = mapping(place.get("lines")), mapping(place.get("positions"))
    begin, end = mapping(positions.get("begin")), mapping(positions.get("end"))
    return Finding(
        tool=string(issue.get("engine_name")) or "gitlab",
        rule=string(issue.get("check_name")) or "code-quality",
        severity=_SEVERITY.get(string(issue.get("severity")), Severity.MEDIUM),
        message=string(issue.get("description")) or "no message",
        path=string(place.get("path")),
        **span(
            lines.get("begin", begin.get("line")),
            lines.get("end", end.get("line")),
            begin.get("column"),
            end.get("column"),
        ),
    )
