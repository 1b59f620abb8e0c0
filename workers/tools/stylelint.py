"""stylelint: CSS and what is like it, as the repository configures it. https://stylelint.io/

Its configuration may be a program, and so are its plugins: it executes the repository's code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from bot.domain.findings import Finding, NotCovered, Severity
from bot.errors import ToolFailed
from workers.agent import Output, Reader, Reading
from workers.tools.edits import with_fix
from workers.tools.offsets import Offsets, in_units
from workers.tools.output import check_exit, load_json, mapping, mappings, ours, span, string
from workers.tools.web import json_line, projects, web_tool

_CONFIGS = (
    *(f"stylelint.config.{ending}" for ending in ("js", "mjs", "cjs", "ts", "mts", "cts")),
    *(f".stylelintrc{ending}" for ending in ("", ".json", ".yaml", ".yml", ".js", ".mjs", ".cjs", ".ts")),
)
# A package that names a version from 17 on, or a range that begins there.
_NEW = re.compile(r'"stylelint"\s*:\s*"[\^~>=v]*\s*(?:1[7-9]|[2-9]\d)\.')
_NAME = re.compile(r"[a-z-]+")
_SYNTAX = "CssSyntaxError"


def argv(files: Sequence[str], config: str | None) -> list[str]:  # noqa: ARG001 - it looks beside each file
    return ["stylelint", "--formatter=json", "--allow-empty-input", "--no-color", "--", *files]


def options(read: Reader, folder: str) -> Sequence[str]:
    """It tells its fixes from some 16 on, and refuses an option that it does not know."""
    packages = ("\n".join(read(str(top / "package.json"))) for top in PurePosixPath(folder, "x").parents)
    return ["--compute-edit-info"] if any(map(_NEW.search, packages)) else []


def parse(output: Output) -> Reading:
    """A result a file, on one line: on standard error, before version 16 on standard output."""
    check_exit("stylelint", output.completed, (0, 2))
    results = list(mappings(load_json("stylelint", json_line("stylelint", output.completed, "["))))
    findings, excluded = [], []
    for result in results:
        for fault in mappings(result.get("invalidOptionWarnings")):
            raise ToolFailed(f"stylelint: {string(fault.get('text'))[:500]}")
        path = ours(string(result.get("source")), output)
        for warning in mappings(result.get("warnings")):
            text = string(warning.get("text"))
            # Only plain CSS is read without being configured.
            if warning.get("rule") == _SYNTAX and not path.endswith(".css"):
                excluded.append(NotCovered(what=path, why=f"stylelint: {text[:200]}"))
            else:
                findings.append(_finding(path, warning, output))
    seen = {ours(string(result.get("source")), output) for result in results if not result.get("ignored")}
    left = (path for file in output.files if (path := file.removeprefix("./")) not in seen)
    excluded += [NotCovered(what=path, why="stylelint: ignored") for path in left]
    return Reading(findings=findings, excluded=excluded)


def _finding(path: str, warning: Mapping[str, Any], output: Output) -> Finding:
    rule = string(warning.get("rule"))
    usual = Severity.LOW if warning.get("severity") == "warning" else Severity.MEDIUM
    finding = Finding(
        tool="stylelint",
        rule=rule or "stylelint",
        severity=Severity.HIGH if rule == _SYNTAX else usual,
        message=string(warning.get("text")).removesuffix(f" ({rule})"),
        path=path,
        url=f"https://stylelint.io/user-guide/rules/{rule}" if _NAME.fullmatch(rule) else None,
        **span(*(warning.get(key) for key in ("line", "endLine", "column", "endColumn"))),
    )
    fix, lines = mapping(warning.get("fix")), output.read(path)
    place = fix.get("range")
    if not isinstance(place, list) or len(place) != 2:
        return finding
    edit = Offsets(lines, in_units).edit(place[0], place[1], string(fix.get("text")))
    return with_fix(finding, [edit] if edit else [], lines)


TOOL = web_tool(
    name="stylelint",
    applies=lambda path: path.endswith((".css", ".scss", ".sass", ".less", ".pcss")),
    argv=argv,
    parse=parse,
    version=("stylelint", "--version"),
    languages="CSS, SCSS, Sass, Less",
    licence="MIT",
    configs={**dict.fromkeys(_CONFIGS, ""), "package.json": '"stylelint": {'},
    projects=projects("stylelint", _CONFIGS),
    options=options,
)
