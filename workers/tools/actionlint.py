"""actionlint: GitHub Actions workflows, and by ShellCheck the scripts in them. https://github.com/rhysd/actionlint

What is unsafe about a workflow is zizmor's business; this tells what does not work. It sees no repository around a
workflow, so that what a workflow says of others, or of the repository's own actions, is not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from bot.domain.findings import Finding, Severity
from bot.errors import ToolFailed
from workers.agent import Output, Reading, Tool
from workers.tools.output import check_exit, load_json, mappings, number, span, string, words

_WORKFLOW = re.compile(r"^\.github/workflows/[^/]+\.ya?ml$")
# GitHub does not start such a workflow, or a secret stands in it.
_BROKEN = ("syntax-check", "events", "job-needs", "credentials")
# A label of the repository's own runners is not known, unless it is configured.
_LABEL = "runner-label"
_SCRIPT = re.compile(
    r"^shellcheck reported issue in this script: (?P<rule>SC\d+):(?P<level>\w+):(?P<line>\d+):\d+: (?P<message>.+)$",
    re.DOTALL,
)
# What it enumerates: the properties that there are, the labels that it knows.
_LISTS = re.compile(r" in object type \{.*\}|available labels are (?:\"[^\"]*\"(?:, |\. ))+", re.DOTALL)
_LEVELS = {"error": Severity.HIGH, "warning": Severity.MEDIUM, "info": Severity.LOW, "style": Severity.INFO}
# A script that keeps its lines; `>` folds them.
_BLOCK = re.compile(r":\s*\|[-+\d]*\s*(#.*)?$")
_CONFIGS = (".github/actionlint.yaml", ".github/actionlint.yml")


def argv(files: Sequence[str], config: str | None) -> list[str]:
    own = [f"-config-file={config}"] if config else []
    return ["actionlint", "-no-color", "-format={{json .}}", *own, "--", *files]


def parse(output: Output) -> Reading:
    check_exit("actionlint", output.completed, (0, 1))
    found = load_json("actionlint", output.completed.stdout)
    if output.completed.exit_code and not found:
        raise ToolFailed(f"actionlint failed: {words(output.completed)}")
    return Reading(findings=list(dict.fromkeys(_finding(one, output) for one in mappings(found))))


def _finding(one: Mapping[str, Any], output: Output) -> Finding:
    kind, path, line = string(one.get("kind")) or "actionlint", string(one.get("filepath")), number(one.get("line"))
    if script := _SCRIPT.match(string(one.get("message"))):
        return Finding(
            tool="actionlint",
            rule=script["rule"],
            severity=_LEVELS.get(script["level"], Severity.MEDIUM),
            message=script["message"],
            path=path,
            url=f"https://www.shellcheck.net/wiki/{script['rule']}",
            **span(_line_of(script["line"], line, output.read(path))),
        )
    last = number(one.get("end_column"))
    return Finding(
        tool="actionlint",
        rule=kind,
        severity=_severity(kind, output.config),
        message=_LISTS.sub("", string(one.get("message"))),
        path=path,
        url="https://github.com/rhysd/actionlint/blob/main/docs/checks.md",
        **span(line, line, one.get("column"), last + 1 if last else None),
    )


def _severity(kind: str, config: str | None) -> Severity:
    if kind in _BROKEN:
        return Severity.HIGH
    return Severity.LOW if kind == _LABEL and config is None else Severity.MEDIUM


def _line_of(within: str, line: int | None, lines: Sequence[str]) -> int | None:
    """The line that a script's line is in the workflow: it begins below its key, or beside it."""
    if line is None or line > len(lines) or not _BLOCK.search(lines[line - 1]):
        return line
    return min(line + int(within[:7]), len(lines))


TOOL = Tool(
    name="actionlint",
    applies=lambda path: _WORKFLOW.search(path) is not None,
    argv=argv,
    parse=parse,
    version=("actionlint", "-version"),
    languages="GitHub Actions",
    licence="MIT",
    configs=dict.fromkeys(_CONFIGS, ""),
    optional=True,
)
