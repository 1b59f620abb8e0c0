"""Reviewdog's diagnostic format, as one JSON document (rdjson) or one diagnostic a line (rdjsonl).
https://github.com/reviewdog/reviewdog/blob/master/proto/rdf/reviewdog.proto"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.domain.findings import Finding, Severity, parse_severity
from bot.errors import ToolFailed
from workers.agent import Reader
from workers.tools.edits import Edit, with_fix
from workers.tools.output import load_json, mapping, mappings, number, span, string

# The protocol buffer's numbers, which its JSON form may use instead of names.
_NUMBERED = {1: Severity.HIGH, 2: Severity.MEDIUM, 3: Severity.INFO}


def parse(text: str, read: Reader) -> list[Finding]:
    """Raises ToolFailed for what is no DiagnosticResult."""
    result = mapping(load_json("the command", text))
    if "diagnostics" not in result:
        raise ToolFailed("the command printed JSON, but no rdjson: `diagnostics` is missing")
    return [_finding(diagnostic, result, read) for diagnostic in mappings(result["diagnostics"])]


def parse_lines(text: str, read: Reader) -> list[Finding]:
    """Raises ToolFailed for a line that is no Diagnostic."""
    findings = []
    for line in filter(str.strip, text.split("\n")):
        diagnostic = mapping(load_json("the command", line))
        if "location" not in diagnostic and "message" not in diagnostic:
            raise ToolFailed(f"the command printed a line that is no rdjson diagnostic: {line[:300]!r}")
        findings.append(_finding(diagnostic, {}, read))
    return findings


def _finding(diagnostic: Mapping[str, Any], result: Mapping[str, Any], read: Reader) -> Finding:
    location, code = mapping(diagnostic.get("location")), mapping(diagnostic.get("code"))
    source = mapping(diagnostic.get("source") or result.get("source"))
    tool, path = string(source.get("name")) or "rdjson", string(location.get("path"))
    finding = Finding(
        tool=tool,
        rule=string(code.get("value")) or tool,
        severity=_severity(diagnostic.get("severity") or result.get("severity")),
        message=string(diagnostic.get("message")) or "no message",
        path=path,
        url=string(code.get("url")) or None,
        **_span(mapping(location.get("range"))),
    )
    suggestion = next(mappings(diagnostic.get("suggestions")), None)
    return with_fix(finding, [_edit(suggestion)], read(path)) if suggestion else finding


def _severity(value: Any) -> Severity:
    if isinstance(value, int):
        return _NUMBERED.get(value, Severity.MEDIUM)
    return parse_severity(string(value))


def _span(area: Mapping[str, Any]) -> dict[str, int | None]:
    start, end = mapping(area.get("start")), mapping(area.get("end"))
    return span(start.get("line"), end.get("line"), start.get("column"), end.get("column"))


def _edit(suggestion: Mapping[str, Any]) -> Edit:
    """A range without columns means whole lines; without an end, the place of its start."""
    area = mapping(suggestion.get("range"))
    start, end, text = mapping(area.get("start")), mapping(area.get("end")), string(suggestion.get("text"))
    line, column = number(start.get("line")) or 0, number(start.get("column"))
    end_line = number(end.get("line")) or line
    if column is None:
        return Edit(line, 1, end_line + 1, 1, text + "\n" if text and not text.endswith("\n") else text)
    return Edit(line, column, end_line, number(end.get("column")) or (1 if end_line > line else column), text)
