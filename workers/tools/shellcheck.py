"""ShellCheck: sh and bash scripts. https://www.shellcheck.net/

Scripts are known by their ending, or by their first line where they have none. Without a `.shellcheckrc` some warnings
count as no more than advice: that a variable is never used or never set cannot be known of files that are sourced, a
file without a shebang is most often one of those, and `local x="$(…)"`, `IFS= read` and `a=($(…))` are what most
scripts do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bot.domain.findings import Finding, NotCovered, Severity
from workers.agent import Output, Reading, Tool
from workers.tools.edits import Edit, with_fix
from workers.tools.output import check_exit, load_json, mapping, mappings, number, span, string

_SEVERITY = {"error": Severity.HIGH, "warning": Severity.MEDIUM, "info": Severity.LOW, "style": Severity.INFO}

_ADVICE = ("SC1007", "SC2034", "SC2148", "SC2154", "SC2155", "SC2206", "SC2207")

# A sourced file that was not given to it says nothing about the script.
_BESIDE_THE_POINT = "SC1090,SC1091"
# Another shell's script, of which it reads no more than the first line.
_NOT_READ = 1071


def argv(files: Sequence[str], config: str | None) -> list[str]:
    own = [] if config else ["--norc"]
    return ["shellcheck", "--format=json1", "--color=never", f"--exclude={_BESIDE_THE_POINT}", *own, "--", *files]


def parse(output: Output) -> Reading:
    check_exit("shellcheck", output.completed, (0, 1))
    report = mapping(load_json("shellcheck", output.completed.stdout))
    comments = list(mappings(report.get("comments")))
    return Reading(
        findings=[_finding(comment, output) for comment in comments if comment.get("code") != _NOT_READ],
        excluded=[_gap(comment) for comment in comments if comment.get("code") == _NOT_READ],
    )


def _gap(comment: Mapping[str, Any]) -> NotCovered:
    return NotCovered(what=string(comment.get("file")), why=f"shellcheck: {string(comment.get('message'))[:200]}")


def _finding(comment: Mapping[str, Any], output: Output) -> Finding:
    path, code = string(comment.get("file")), f"SC{comment.get('code')}"
    advice = code in _ADVICE and output.config is None
    finding = Finding(
        tool="shellcheck",
        rule=code,
        severity=Severity.LOW if advice else _SEVERITY.get(string(comment.get("level")), Severity.MEDIUM),
        message=string(comment.get("message")),
        path=path,
        url=f"https://www.shellcheck.net/wiki/{code}",
        **span(comment.get("line"), comment.get("endLine"), comment.get("column"), comment.get("endColumn")),
    )
    fixes = mapping(comment.get("fix")).get("replacements")
    lines = output.read(path)
    # Columns count a tab as eight.
    if any("\t" in line for line in lines[(finding.start_line or 1) - 1 : finding.last_line]):
        return finding
    return with_fix(finding, [_edit(fix) for fix in mappings(fixes)], lines)


def _edit(fix: Mapping[str, Any]) -> Edit:
    line, column, end_line, end_column = (
        number(fix.get(key)) or 0 for key in ("line", "column", "endLine", "endColumn")
    )
    return Edit(line, column, end_line, end_column, string(fix.get("replacement")))


TOOL = Tool(
    name="shellcheck",
    applies=lambda path: path.endswith((".sh", ".bash", ".ksh", ".bats")),
    argv=argv,
    parse=parse,
    version=("shellcheck", "--version"),
    languages="sh, bash, ksh",
    licence="GPL-3.0",
    configs={".shellcheckrc": "", "shellcheckrc": ""},
    searches=True,
    interpreters=dict.fromkeys(("sh", "bash", "dash", "ash", "ksh", "bats"), True)
    | dict.fromkeys(("zsh", "fish", "csh", "tcsh", "elvish", "nu", "pwsh", "python", "perl", "ruby", "node"), False),
)
