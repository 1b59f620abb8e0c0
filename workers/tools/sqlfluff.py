"""sqlfluff: SQL, where the repository says which dialect it writes. https://docs.sqlfluff.com/

Its configuration may name Python modules of the repository as libraries for templates, which it imports: it counts as
executing the repository's code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bot.domain.findings import Finding, Severity
from workers.agent import Output, Reading, Tool
from workers.tools.edits import Edit, with_fix
from workers.tools.output import check_exit, excluded_by, load_json, mappings, number, span, string

# What it cannot read: templates, tokens, grammar.
_BROKEN = ("TMP", "LXR", "PRS")
_PLACES = ("start_line_no", "start_line_pos", "end_line_no", "end_line_pos")


def argv(files: Sequence[str], config: str | None) -> list[str]:  # noqa: ARG001 - it looks beside each file
    return ["sqlfluff", "lint", "--format=json", "--disable-progress-bar", "--nocolor", "--", *files]


def parse(output: Output) -> Reading:
    """What it says of each file that it has read; of those that a `.sqlfluffignore` leaves out it says nothing."""
    check_exit("sqlfluff", output.completed, (0, 1))
    files = list(mappings(load_json("sqlfluff", output.completed.stdout)))
    read = {string(file.get("filepath")).removeprefix("./") for file in files}
    return Reading(
        findings=[
            _finding(string(file.get("filepath")), one, output)
            for file in files
            for one in mappings(file.get("violations"))
        ],
        excluded=[excluded_by("sqlfluff", file) for file in output.files if file.removeprefix("./") not in read],
    )


def _finding(path: str, violation: Mapping[str, Any], output: Output) -> Finding:
    code = string(violation.get("code"))
    warning = Severity.LOW if violation.get("warning") else Severity.MEDIUM
    finding = Finding(
        tool="sqlfluff",
        rule=code,
        severity=Severity.HIGH if code in _BROKEN else warning,
        message=string(violation.get("description")),
        path=path,
        url=None if code in _BROKEN else "https://docs.sqlfluff.com/en/stable/reference/rules.html",
        **span(*(violation.get(key) for key in ("start_line_no", "end_line_no", "start_line_pos", "end_line_pos"))),
    )
    return with_fix(finding, [_edit(fix) for fix in mappings(violation.get("fixes"))], output.read(path))


def _edit(fix: Mapping[str, Any]) -> Edit:
    line, column, end_line, end_column = (number(fix.get(key)) or 0 for key in _PLACES)
    return Edit(line, column, end_line, end_column, string(fix.get("edit")))


TOOL = Tool(
    name="sqlfluff",
    applies=lambda path: path.endswith(".sql"),
    argv=argv,
    parse=parse,
    version=("sqlfluff", "--version"),
    languages="SQL",
    licence="MIT",
    configs={".sqlfluff": "", "pyproject.toml": "[tool.sqlfluff", "setup.cfg": "[sqlfluff", "tox.ini": "[sqlfluff"},
    searches=True,
    executes_code=True,
    taste=True,
)
