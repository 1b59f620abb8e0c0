"""ESLint: JavaScript, TypeScript and what its plugins read, as the repository configures it. https://eslint.org/

Its configuration is a program, and so are its plugins: it executes the repository's code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from bot.domain.findings import Finding, NotCovered, Severity
from workers.agent import Output, Reading
from workers.tools.edits import with_fix
from workers.tools.offsets import Offsets, in_units
from workers.tools.output import check_exit, load_json, mapping, mappings, span, string
from workers.tools.web import SCRIPTS, json_line, projects, web_tool

_FLAT = tuple(f"eslint.config.{ending}" for ending in ("js", "mjs", "cjs", "ts", "mts", "cts"))
_OLD = (".eslintrc", *(f".eslintrc.{ending}" for ending in ("js", "cjs", "yaml", "yml", "json")))
_SEVERITY = {1: Severity.LOW, 2: Severity.MEDIUM}
_IGNORED = "File ignored"
# Where the rules of a plugin are explained.
_PAGES = {
    "": "https://eslint.org/docs/latest/rules/{}",
    "@typescript-eslint": "https://typescript-eslint.io/rules/{}",
    "security": "https://github.com/eslint-community/eslint-plugin-security/blob/main/docs/rules/{}.md",
}
# What the rules of eslint-plugin-security are about.
_WEAKNESS = {
    "security/detect-buffer-noassert": 119,
    "security/detect-child-process": 78,
    "security/detect-disable-mustache-escape": 79,
    "security/detect-eval-with-expression": 95,
    "security/detect-new-buffer": 908,
    "security/detect-no-csrf-before-method-override": 352,
    "security/detect-non-literal-fs-filename": 22,
    "security/detect-non-literal-regexp": 1333,
    "security/detect-non-literal-require": 829,
    "security/detect-object-injection": 1321,
    "security/detect-possible-timing-attacks": 208,
    "security/detect-pseudoRandomBytes": 338,
    "security/detect-unsafe-regex": 1333,
}
_NAME = re.compile(r"[\w-]+")


def argv(files: Sequence[str], config: str | None) -> list[str]:  # noqa: ARG001 - it looks for it by itself
    return ["eslint", "--format=json", "--", *files]


def parse(output: Output) -> Reading:
    """A result a file, on one line. It says which files its configuration leaves out."""
    check_exit("eslint", output.completed, (0, 1))
    findings, excluded = [], []
    for result in mappings(load_json("eslint", json_line("eslint", output.completed, "["))):
        path = string(result.get("filePath"))
        offsets = Offsets(output.read(path), in_units)
        for message in mappings(result.get("messages")):
            if why := _why_excluded(path, message, output):
                excluded.append(NotCovered(what=path, why=f"eslint: {why}"))
            else:
                findings.append(_finding(path, message, output, offsets))
    return Reading(findings=findings, excluded=excluded)


def _why_excluded(path: str, message: Mapping[str, Any], output: Output) -> str:
    said = string(message.get("message"))
    if message.get("ruleId") is None and said.startswith(_IGNORED):
        return said[:200]
    # By an .eslintrc what is named is read whether it is configured for it or not.
    old = not PurePosixPath(output.config or _FLAT[0]).name.startswith("eslint.config.")
    return said[:200] if old and message.get("fatal") and not path.endswith((".js", ".mjs", ".cjs")) else ""


def _finding(path: str, message: Mapping[str, Any], output: Output, offsets: Offsets) -> Finding:
    rule = string(message.get("ruleId"))
    severity = _SEVERITY.get(message.get("severity", 2), Severity.MEDIUM)
    finding = Finding(
        tool="eslint",
        rule=rule or ("syntax" if message.get("fatal") else "eslint"),
        severity=Severity.HIGH if message.get("fatal") else severity,
        message=string(message.get("message")),
        path=path,
        url=_url(rule),
        cwe=_WEAKNESS.get(rule),
        **span(*(message.get(key) for key in ("line", "endLine", "column", "endColumn"))),
    )
    fix, lines = mapping(message.get("fix")), output.read(path)
    place = fix.get("range")
    # It does not count a byte order mark.
    if not isinstance(place, list) or len(place) != 2 or (lines and lines[0].startswith("\ufeff")):
        return finding
    edit = offsets.edit(place[0], place[1], string(fix.get("text")))
    return with_fix(finding, [edit] if edit else [], lines)


def _url(rule: str) -> str | None:
    plugin, _, name = rule.rpartition("/")
    return _PAGES[plugin].format(name) if plugin in _PAGES and _NAME.fullmatch(name) else None


TOOL = web_tool(
    name="eslint",
    applies=lambda path: path.endswith((*SCRIPTS, ".vue", ".svelte", ".astro")),
    argv=argv,
    parse=parse,
    version=("eslint", "--version"),
    languages="JavaScript, TypeScript, Vue, Svelte, Astro",
    licence="MIT",
    configs={**dict.fromkeys((*_FLAT, *_OLD), ""), "package.json": '"eslintConfig"'},
    projects=projects("eslint", _FLAT),
)
