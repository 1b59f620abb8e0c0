"""cppcheck: mistakes in C and C++. https://cppcheck.sourceforge.io/

It needs no build: what it does not know of headers it takes for granted. It knows no `--`; `./-x.c` is no option.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element

from bot.domain.findings import Finding, NotCovered, Severity
from bot.errors import ToolFailed
from workers.agent import Output, Reading, Tool
from workers.tools.output import check_exit, number, ours, span, words
from workers.tools.xml import parse_xml

_SEVERITY = {"error": Severity.HIGH, "warning": Severity.MEDIUM}
_ENDINGS = (".c", ".cc", ".cpp", ".cxx", ".h", ".hh", ".hpp", ".hxx")
# What it could not look into, which is no matter of the file.
_BESIDE_THE_POINT = ("missingInclude", "missingIncludeSystem", "toomanyconfigs", "preprocessorErrorDirective")
# Where it comes upon one it leaves the rest of the file unread.
_UNREAD = "unknownMacro"


def is_c(path: str) -> bool:
    return path.lower().endswith(_ENDINGS)


def argv(files: Sequence[str], config: str | None) -> list[str]:  # noqa: ARG001 - it looks for none
    return ["cppcheck", "--quiet", "--xml", "--inline-suppr", "--enable=warning,portability", *files]


def parse(output: Output) -> Reading:
    """XML on standard error, https://cppcheck.sourceforge.io/manual.html#xml-output."""
    check_exit("cppcheck", output.completed, (0,))
    if not output.completed.stderr.lstrip().startswith("<?xml"):
        raise ToolFailed(f"cppcheck printed no report: {words(output.completed)}")
    root = parse_xml("cppcheck", output.completed.stderr)
    wanted = {file.removeprefix("./") for file in output.files}
    errors = [error for error in root.iter("error") if error.get("id") not in _BESIDE_THE_POINT]
    found = [_finding(error, output) for error in errors if error.get("id") != _UNREAD]
    gaps = (_gap(error, output) for error in errors if error.get("id") == _UNREAD)
    return Reading(findings=[one for one in found if one.path in wanted], excluded=list(dict.fromkeys(gaps)))


def _gap(error: Element, output: Output) -> NotCovered:
    path = ours(error.get("file0", ""), output)
    return NotCovered(what=path, why=f"cppcheck: {error.get('msg', '')[:200]}")


def _finding(error: Element, output: Output) -> Finding:
    """Where several places are named, the first is where it happens."""
    place = error.find("location")
    return Finding(
        tool="cppcheck",
        rule=error.get("id", "cppcheck"),
        severity=_SEVERITY.get(error.get("severity", ""), Severity.LOW),
        message=error.get("msg", "no message"),
        path="" if place is None else ours(place.get("file", ""), output),
        cwe=number(error.get("cwe")),
        **({} if place is None else span(place.get("line"), start_column=place.get("column"))),
    )


TOOL = Tool(
    name="cppcheck",
    applies=is_c,
    argv=argv,
    parse=parse,
    version=("cppcheck", "--version"),
    languages="C, C++",
    licence="GPL-3.0",
    optional=True,
    alone=False,
)
