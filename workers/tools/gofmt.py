"""gofmt: how Go is written. https://pkg.go.dev/cmd/gofmt"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from bot.domain.findings import Finding, Severity
from bot.errors import ToolFailed
from workers.agent import Output, Reading, Tool
from workers.tools import reformat
from workers.tools.output import check_exit, span, words

_HUNK = re.compile(r"^@@ -(\d{1,9})(?:,(\d{1,9}))? \+\d+(?:,\d+)? @@")
_BROKEN = re.compile(r"^(?P<path>.+?):(?P<line>\d+):(?P<column>\d+): (?P<message>.+)$")
# Folders whose files are somebody else's, or are wrong on purpose.
_NOT_OURS = {"vendor", "testdata"}


def applies(path: str) -> bool:
    return path.endswith(".go") and _NOT_OURS.isdisjoint(path.split("/"))


def argv(files: Sequence[str], config: str | None) -> list[str]:  # noqa: ARG001 - there is nothing to configure
    return ["gofmt", "-d", "--", *files]


def parse(output: Output) -> Reading:
    """Diffs on standard output (newer versions end with 1 for them); on standard error what is no Go."""
    check_exit("gofmt", output.completed, (0, 1, 2))
    broken = [match for line in output.completed.stderr.splitlines() if (match := _BROKEN.match(line))]
    found = [*(_syntax(match) for match in broken), *_diffs(output)]
    if output.completed.exit_code and not found:
        raise ToolFailed(f"gofmt failed: {words(output.completed)}")
    return Reading(findings=found)


def _syntax(match: re.Match[str]) -> Finding:
    return Finding(
        tool="gofmt",
        rule="syntax",
        severity=Severity.HIGH,
        message=match["message"],
        path=match["path"],
        **span(match["line"], start_column=match["column"]),
    )


def _diffs(output: Output) -> Iterator[Finding]:
    path, first, hunk = "", 0, list[str]()
    for line in (*output.completed.stdout.split("\n"), "diff "):
        if hunk and not line.startswith((" ", "-", "+", "\\")):
            yield from reformat.findings("gofmt", path, first, hunk, output.read)
            hunk = []
        if match := _HUNK.match(line):
            # An empty range is named by the line before it.
            first = int(match[1]) + (match[2] == "0")
            continue
        if line.startswith("--- ") and not hunk and not first:
            path = line[4:].partition("\t")[0].removesuffix(".orig")
        elif line.startswith("diff "):
            first = 0
        elif first and line.startswith((" ", "-", "+")):
            hunk.append(line)


TOOL = Tool(
    name="gofmt",
    applies=applies,
    argv=argv,
    parse=parse,
    version=("go", "version"),
    languages="Go",
    licence="BSD-3-Clause",
    optional=True,
)
