"""go vet: mistakes in Go that compile. https://pkg.go.dev/cmd/vet

It looks at packages, and needs the modules they import. It compiles what it looks at, C by cgo and the repository's
flags for it included, so that it counts as executing the repository's code.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from bot.domain.findings import Finding, NotCovered, Severity
from bot.errors import ToolFailed
from workers.agent import Output, Reading, Tool
from workers.tools import gofmt
from workers.tools.output import check_exit, mapping, mappings, ours, span, string, words

_PLACE = re.compile(r"^(?P<path>.+?):(?P<line>\d+)(?::(?P<column>\d+))?$")
_ERROR = re.compile(r"^(?P<compiler>vet: )?(?P<place>\S.*?\.go:\d+(?::\d+)?): (?P<message>.+)$")
# Beside objects, each line of its standard output is empty, names a package or tells an error.
_KNOWN = re.compile(r"^(\s*$|# \S|\S.*?\.go:\d+)|^vet: ")
# It names each package that it looks at.
_BEGUN = re.compile(r"^# \S", re.MULTILINE)
# What is missing here, and no mistake of the file that asks for it.
_MISSING = re.compile(r"could not import|no required module|cannot find|missing go\.sum|is not in (GOROOT|std)")


def argv(files: Sequence[str], config: str | None) -> list[str]:  # noqa: ARG001 - there is nothing to configure
    folders = sorted({str(PurePosixPath(file).parent) for file in files})
    return ["go", "vet", "-json", "--", *(folder if folder == "." else f"./{folder}" for folder in folders)]


def parse(output: Output) -> Reading:
    """A JSON object a package, by standard error or, in newer versions, standard output; errors in lines between."""
    check_exit("go vet", output.completed, (0, 1, 2))
    findings: dict[Finding, None] = {}
    unread = []
    for text in (output.completed.stdout, output.completed.stderr):
        reports, lines = _split(text)
        if strange := [line for line in lines if text is output.completed.stdout and not _KNOWN.match(line)]:
            raise ToolFailed(f"go vet printed what cannot be read: {strange[0][:200]}")
        for report in reports:
            findings |= dict.fromkeys(_of_report(report, output))
        for match in filter(None, map(_ERROR.match, lines)):
            finding = _finding("compile", match["place"], match["message"], Severity.HIGH, output)
            if match["compiler"] and not _MISSING.search(match["message"]):
                findings[finding] = None
            else:
                unread.append(NotCovered(what=finding.path, why=f"go vet: {match['message'][:200]}"))
    if output.completed.exit_code and not findings and not unread:
        raise ToolFailed(f"go vet failed: {words(output.completed)}")
    wanted = {file.removeprefix("./") for file in output.files}
    unread += _not_begun(output, unread)
    return Reading(findings=[one for one in findings if one.path in wanted], unread=unread)


def _not_begun(output: Output, unread: Sequence[NotCovered]) -> Iterator[NotCovered]:
    """Where one package cannot be loaded, it looks at none: nothing says which ones these are."""
    said = f"{output.completed.stdout}\n{output.completed.stderr}"
    if not unread or _BEGUN.search(said):
        return
    known = {gap.what for gap in unread}
    first = next(line for line in said.splitlines() if _ERROR.match(line))
    for file in output.files:
        if (path := file.removeprefix("./")) not in known:
            yield NotCovered(what=path, why=f"go vet looked at no package: {first[:200]}")


def _split(text: str) -> tuple[list[object], list[str]]:
    """The JSON objects, each of which begins and ends with a line of one brace, and the other lines."""
    reports: list[object] = []
    rest, lines = list[str](), iter(text.splitlines())
    for line in lines:
        if line != "{":
            rest.append("" if line == "{}" else line)
            continue
        whole = [line, *_until_brace(lines)]
        try:
            reports.append(json.loads("\n".join(whole)))
        except (ValueError, RecursionError):
            raise ToolFailed(f"go vet printed no JSON: {whole[:3]}") from None
    return reports, rest


def _until_brace(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        yield line
        if line == "}":
            return


def _of_report(report: object, output: Output) -> Iterator[Finding]:
    for analyzers in mapping(report).values():
        for analyzer, found in mapping(analyzers).items():
            for one in mappings(found):
                yield _finding(analyzer, string(one.get("posn")), string(one.get("message")), Severity.MEDIUM, output)


def _finding(rule: str, place: str, message: str, severity: Severity, output: Output) -> Finding:
    match = _PLACE.match(place)
    return Finding(
        tool="govet",
        rule=rule,
        severity=severity,
        message=message,
        path=ours((match["path"] if match else place), output),
        url="https://pkg.go.dev/cmd/vet",
        **(span(match["line"], start_column=match["column"]) if match else {}),
    )


TOOL = Tool(
    name="govet",
    applies=gofmt.applies,
    argv=argv,
    parse=parse,
    version=("go", "version"),
    languages="Go",
    licence="BSD-3-Clause",
    executes_code=True,
    optional=True,
    projects={"go.mod": ""},
    alone=False,
    setup="go test",
)
