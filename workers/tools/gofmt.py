"""gofmt: how Go is written. https://pkg.go.dev/cmd/gofmt"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

from bot.domain.findings import Finding, Severity
from bot.errors import ToolFailed
from workers.agent import Output, Reading, Tool
from workers.tools import reformat
from workers.tools.output import check_exit, check_understood, span, words

_BROKEN = re.compile(r"^(?P<path>.+?):(?P<line>\d+):(?P<column>\d+): (?P<message>.+)$")
# Folders whose files are somebody else's, or are wrong on purpose.
_ENDS = "gofmt would write this in another way; of a line that ends with a carriage return it takes that out, too."
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
    check_understood("gofmt", output.completed, found)
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
    by_name = defaultdict(list)
    for name, edit in reformat.edits_of(output.completed.stdout):
        by_name[name.removesuffix(".orig")].append(edit)
    for path, edits in by_name.items():
        found = reformat.findings("gofmt", path, edits, output.read)
        yield from (one.model_copy(update={"message": _ENDS}) for one in found) if _windows(path, output) else found


def _windows(path: str, output: Output) -> bool:
    return any(line.endswith("\r") for line in output.read(path)[:1])


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
