"""markdownlint-cli2: Markdown, as the repository configures it. https://github.com/DavidAnson/markdownlint-cli2

Its configuration may be a program, and so are its own rules: it executes the repository's code.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from bot.domain.findings import Finding, Severity
from bot.errors import ToolFailed
from workers.agent import Output, Reading
from workers.tools.output import check_exit, check_understood, span, words
from workers.tools.web import projects, web_tool

_NAME = "markdownlint-cli2"
_OWN = tuple(f".{_NAME}.{ending}" for ending in ("jsonc", "yaml", "cjs", "mjs"))
_RULES = tuple(f".markdownlint.{ending}" for ending in ("jsonc", "json", "yaml", "yml", "cjs", "mjs"))
_LINE = re.compile(
    r"^(?P<path>.+?):(?P<line>\d+)(?::(?P<column>\d+))? "
    r"(?:error |(?P<warning>warning) )?(?P<rule>[A-Z]\S*) (?P<message>.+)$"
)
# What it says beside problems, of which a configuration may switch off some.
_SAID = re.compile(r"^(markdownlint-cli2 v|Finding: |Linting: |Summary: )", re.MULTILINE)
_SUMMARY = re.compile(r"^Summary: (?P<issues>\d+) ", re.MULTILINE)


def argv(files: Sequence[str], config: str | None) -> list[str]:  # noqa: ARG001 - it looks beside each file
    # A colon marks a name that is no pattern.
    return [_NAME, "--no-globs", "--", *(f":{file}" for file in files)]


def parse(output: Output) -> Reading:
    """A line a problem, on standard error; their number on standard output, where that is not switched off. It does not
    tell which files its configuration leaves out."""
    check_exit(_NAME, output.completed, (0, 1))
    wanted = {file.removeprefix("./") for file in output.files}
    found = [match for line in output.completed.stderr.split("\n") if (match := _LINE.match(line))]
    said = _SUMMARY.search(output.completed.stdout)
    # Formatters of the repository's own may say them in another way.
    if not found and (output.completed.exit_code or (said and said["issues"].strip("0"))):
        raise ToolFailed(f"{_NAME} failed: {words(output.completed)}")
    check_understood(_NAME, output.completed, found or _SAID.search(output.completed.stdout))
    return Reading(findings=[_finding(match) for match in found if match["path"] in wanted])


def _finding(match: re.Match[str]) -> Finding:
    rule, _, _ = match["rule"].partition("/")
    known = re.fullmatch(r"MD\d{3}", rule)
    return Finding(
        tool=_NAME,
        rule=match["rule"],
        severity=Severity.LOW if match["warning"] else Severity.MEDIUM,
        message=match["message"],
        path=match["path"],
        url=f"https://github.com/DavidAnson/markdownlint/blob/main/doc/{rule.lower()}.md" if known else None,
        **span(match["line"], start_column=match["column"]),
    )


TOOL = web_tool(
    name=_NAME,
    applies=lambda path: path.endswith((".md", ".markdown")),
    argv=argv,
    parse=parse,
    version=(_NAME, "--help"),
    languages="Markdown",
    licence="MIT",
    configs={**dict.fromkeys((*_OWN, *_RULES), ""), "package.json": f'"{_NAME}": {{'},
    projects=projects(_NAME, _OWN),
)
