"""yamllint: YAML. https://yamllint.readthedocs.io/

Without a configuration of the repository only two rules are more than advice: what is no YAML, and keys that stand
twice. Of the rest, yamllint's `relaxed` set is kept without the rules on which good files differ: the length of lines
and how lists are indented. `document-start`, `truthy` (`on:` in workflows) and `comments` are not in it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from bot.domain.findings import Finding, Severity
from bot.errors import ToolFailed
from workers.agent import Listing, Output, Reading, Tool
from workers.tools.output import check_exit, span, words

_DEFAULT = (
    "{extends: relaxed, rules: {line-length: disable, indentation: disable, trailing-spaces: {level: warning}, "
    "new-line-at-end-of-file: {level: warning}, new-lines: {level: warning}}}"
)
_LINE = re.compile(
    r"^(?P<path>.+?):(?P<line>\d+):(?P<column>\d+): \[(?P<level>\w+)\] (?P<message>.*?)(?: \((?P<rule>[\w-]+)\))?$"
)
_BROKEN = {"syntax", "key-duplicates"}


def applies(path: str) -> bool:
    # Helm's templates look like YAML and become so only when they are rendered.
    return path.endswith((".yml", ".yaml")) and "templates" not in path.split("/")[:-1]


def argv(files: Sequence[str], config: str | None) -> list[str]:
    own = ["-c", config] if config else ["-d", _DEFAULT]
    return ["yamllint", "--format=parsable", *own, "--", *files]


def listing(program: str, files: Sequence[str], config: str) -> list[str]:
    return [program, "--list-files", "-c", config, "--", *files]


def listed(output: Output) -> list[str]:
    """A file a line: those that the configuration does not ignore."""
    check_exit("yamllint", output.completed, (0,))
    return output.completed.stdout.splitlines()


def parse(output: Output) -> Reading:
    """One line a problem: `path:line:column: [level] message (rule)`."""
    check_exit("yamllint", output.completed, (0, 1))
    # A crash of its interpreter ends with 1 too, after the problems of the files before.
    if "Traceback (most recent call last)" in output.completed.stderr:
        raise ToolFailed(f"yamllint crashed: {words(output.completed)}")
    findings = []
    for line in output.completed.stdout.splitlines():
        match = _LINE.match(line)
        if match is None:
            raise ToolFailed(f"yamllint printed what is no problem of a file: {words(output.completed)}")
        findings.append(_finding(match))
    if output.completed.exit_code and not findings:
        raise ToolFailed(f"yamllint failed: {words(output.completed)}")
    return Reading(findings=findings)


def _finding(match: re.Match[str]) -> Finding:
    rule = match["rule"] or "syntax"
    usual = Severity.MEDIUM if match["level"] == "error" else Severity.LOW
    return Finding(
        tool="yamllint",
        rule=rule,
        severity=Severity.HIGH if rule in _BROKEN else usual,
        message=match["message"],
        path=match["path"],
        **span(match["line"], start_column=match["column"]),
    )


TOOL = Tool(
    name="yamllint",
    applies=applies,
    argv=argv,
    parse=parse,
    version=("yamllint", "--version"),
    languages="YAML",
    licence="GPL-3.0",
    configs={".yamllint": "", ".yamllint.yaml": "", ".yamllint.yml": ""},
    listing=Listing(listing, listed),
)
