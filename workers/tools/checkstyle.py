"""Checkstyle's XML, which linters of many languages can write. https://checkstyle.org/"""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element

from bot.domain.findings import Finding, parse_severity
from bot.errors import ToolFailed
from workers.agent import Reader
from workers.tools.output import number, span
from workers.tools.xml import parse_xml

# A check of Checkstyle's own, by its class; those of indentation are told of among what is miscellaneous.
_CHECK = re.compile(r"^com\.puppycrawl\.tools\.checkstyle\.checks\.(?:(?P<group>[a-z]+)\.)?(?P<name>\w+?)(?:Check)?$")
_MISCELLANEOUS = (None, "indentation")


def parse(text: str, read: Reader) -> list[Finding]:
    """Raises ToolFailed for what is no checkstyle report."""
    root = parse_xml("the command", text)
    if root.tag != "checkstyle":
        raise ToolFailed(f"the command printed XML, but no checkstyle report: its root is <{root.tag[:80]}>")
    return [
        _finding(file.get("name", ""), error, read)
        for file in root.iter("file")
        for error in file.iter("error")
        if error.get("severity") != "ignore"
    ]


def _finding(path: str, error: Element, read: Reader) -> Finding:
    source = error.get("source") or "checkstyle"
    check, line, lines = _CHECK.match(source), number(error.get("line")), read(path)
    # Checkstyle's own columns count a tab as eight.
    tabbed = check and line and "\t" in "".join(lines[line - 1 : line])
    return Finding(
        tool="checkstyle",
        rule=check["name"] if check else source,
        severity=parse_severity(error.get("severity", "error")),
        message=error.get("message") or "no message",
        path=path,
        url=_page(check) if check else None,
        **span(line, start_column=None if tabbed else error.get("column")),
    )


def _page(check: re.Match[str]) -> str:
    group = "misc" if check["group"] in _MISCELLANEOUS else check["group"]
    return f"https://checkstyle.org/checks/{group}/{check['name'].lower()}.html"
