"""ruff: Python. https://docs.astral.sh/ruff/"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from bot.domain.findings import Finding, Severity
from workers.agent import Output, Reading, Tool
from workers.tools.edits import Edit, with_fix
from workers.tools.output import check_exit, load_json, mapping, mappings, number, span, string

# What is broken, not merely unwise: syntax and file errors, names that do not exist, code that raises when it runs.
_BROKEN = re.compile(r"^(invalid-syntax|E9\d\d|F(50|52|62|63|70|82)\d|PLE\d+)$")
# What counts in a repository that never chose ruff: mistakes. The rest of ruff's defaults is taste there.
_MISTAKE = re.compile(r"^[EFB]\d+$")


def argv(files: Sequence[str], config: str | None) -> list[str]:
    # Excluded files stay excluded though they are named; without the repository's configuration nobody's is read.
    own = ["--force-exclude"] if config else ["--isolated"]
    return ["ruff", "check", "--no-cache", "--quiet", "--output-format=json", *own, "--", *files]


def parse(output: Output) -> Reading:
    check_exit("ruff", output.completed, (0, 1))
    results = mappings(load_json("ruff", output.completed.stdout or "[]"))
    return Reading(findings=[_finding(result, output) for result in results])


def _finding(result: Mapping[str, Any], output: Output) -> Finding:
    path = string(result.get("filename"))
    rule = string(result.get("code")) or "invalid-syntax"
    start, end = mapping(result.get("location")), mapping(result.get("end_location"))
    finding = Finding(
        tool="ruff",
        rule=rule,
        severity=_severity(rule, chosen=output.config is not None),
        message=string(result.get("message")),
        path=path,
        url=string(result.get("url")) or None,
        **span(start.get("row"), end.get("row"), start.get("column"), end.get("column")),
    )
    fix = mapping(result.get("fix"))
    if fix.get("applicability") != "safe" or result.get("cell") is not None:
        return finding
    return with_fix(finding, _edits(fix), output.read(path))


def _severity(rule: str, *, chosen: bool) -> Severity:
    if _BROKEN.match(rule):
        return Severity.HIGH
    return Severity.MEDIUM if chosen or _MISTAKE.match(rule) else Severity.LOW


def _edits(fix: Mapping[str, Any]) -> list[Edit]:
    edits = []
    for edit in mappings(fix.get("edits")):
        start, end = mapping(edit.get("location")), mapping(edit.get("end_location"))
        numbers = [number(n) for n in (start.get("row"), start.get("column"), end.get("row"), end.get("column"))]
        line, column, end_line, end_column = (n or 0 for n in numbers)
        edits.append(Edit(line, column, end_line, end_column, string(edit.get("content"))))
    return edits


TOOL = Tool(
    name="ruff",
    applies=lambda path: path.endswith((".py", ".pyi")),
    argv=argv,
    parse=parse,
    version=("ruff", "--version"),
    languages="Python",
    licence="MIT",
    configs={"ruff.toml": "", ".ruff.toml": "", "pyproject.toml": "[tool.ruff"},
    searches=True,
)
