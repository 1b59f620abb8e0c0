"""clang-format: how C and C++ are written, where the repository says how. https://clang.llvm.org/docs/ClangFormat.html"""

from __future__ import annotations

import re
from collections.abc import Sequence

from bot.domain.findings import Finding, Severity
from bot.errors import ToolFailed
from workers.agent import Output, Reading, Tool
from workers.tools import reformat
from workers.tools.cppcheck import is_c
from workers.tools.output import check_exit, check_understood, excluded_by, span, switched_off, words

_LINE = re.compile(r"^(?P<path>.+?):(?P<line>\d+):(?P<column>\d+): warning: code should be clang-formatted")

_CONFIGS = {".clang-format": "", "_clang-format": ""}
_OFF = re.compile(r"^DisableFormat:\s*[Tt]rue\b", re.MULTILINE)


def argv(files: Sequence[str], config: str | None) -> list[str]:  # noqa: ARG001 - it looks beside each file
    return ["clang-format", "--dry-run", "--style=file", "--fallback-style=none", "--", *files]


def parse(output: Output) -> Reading:
    """A warning on standard error for each place that it would change."""
    check_exit("clang-format", output.completed, (0, 1))
    if output.completed.exit_code:
        raise ToolFailed(f"clang-format failed: {words(output.completed)}")
    check_understood("clang-format", output.completed, understood=False)
    places = {(m["path"], m["line"]): m for line in output.completed.stderr.splitlines() if (m := _LINE.match(line))}
    return Reading(
        findings=[_finding(match) for match in places.values()],
        excluded=[
            excluded_by("clang-format", file) for file in switched_off(output.files, output.read, [*_CONFIGS], _OFF)
        ],
    )


def _finding(match: re.Match[str]) -> Finding:
    return Finding(
        tool="clang-format",
        rule=reformat.RULE,
        severity=Severity.LOW,
        message="clang-format would write this in another way.",
        path=match["path"],
        **span(match["line"]),
    )


TOOL = Tool(
    name="clang-format",
    applies=is_c,
    argv=argv,
    parse=parse,
    version=("clang-format", "--version"),
    languages="C, C++",
    licence="Apache-2.0 with LLVM exception",
    configs=_CONFIGS,
    searches=True,
    taste=True,
    mending=reformat.mending("clang-format", '"$0" --style=file --fallback-style=none -- "$file"'),
)
