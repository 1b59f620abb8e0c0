"""Checkstyle's XML, which linters of many languages can write. https://checkstyle.org/"""

from __future__ import annotations

from xml.etree.ElementTree import Element

from bot.domain.findings import Finding, parse_severity
from bot.errors import ToolFailed
from workers.agent import Reader
from workers.tools.output import span
from workers.tools.xml import parse_xml


def parse(text: str, read: Reader) -> list[Finding]:  # noqa: ARG001 - the format knows no fixes
    """Raises ToolFailed for what is no checkstyle report."""
    root = parse_xml("the command", text)
    if root.tag != "checkstyle":
        raise ToolFailed(f"the command printed XML, but no checkstyle report: its root is <{root.tag[:80]}>")
    return [
        _finding(file.get("name", ""), error)
        for file in root.iter("file")
        for error in file.iter("error")
        if error.get("severity") != "ignore"
    ]


def _finding(path: str, error: Element) -> Finding:
    return Finding(
        tool="checkstyle",
        rule=error.get("source") or "checkstyle",
        severity=parse_severity(error.get("severity", "error")),
        message=error.get("message") or "no message",
        path=path,
        **span(error.get("line"), start_column=error.get("column")),
    )
