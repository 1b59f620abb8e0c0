"""tsc: the types of TypeScript, by the project that a file is of. https://www.typescriptlang.org/

It looks at whole projects, and needs the packages they import. It executes nothing of what it reads, but is itself one
of the repository's packages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from bot.domain.findings import Finding, NotCovered, Severity
from bot.errors import ToolFailed
from workers.agent import Output, Reader, Reading
from workers.tools.output import check_exit, check_understood, ours, span, words
from workers.tools.web import web_tool

_PLACED = re.compile(r"^(?P<path>[^\s(][^(]*(?:\([^(]*)*?)\((?P<line>\d+),(?P<column>\d+)\): error (?P<rest>.+)$")
_UNPLACED = re.compile(r"^error (?P<rest>.+)$")
_RULE = re.compile(r"^(?P<rule>TS\d+): (?P<message>.*)$")
# What is not used is no mistake of the program.
_UNUSED = {"TS6133", "TS6138", "TS6192", "TS6196", "TS6198", "TS6199", "TS6205", "TS7027", "TS7028"}
_TYPED = re.compile(r"^TS(?:[247]\d{3}|18\d{3}|61(?:33|38|9\d))$")
_NO_FILES = "TS18003"
_NO_MODULE = re.compile(r"(?:Cannot find module|Could not find a declaration file for module) '(?P<name>[^'.][^']*)'")


@dataclass(frozen=True)
class _Error:
    rule: str
    message: str
    path: str = ""
    line: str = ""
    column: str = ""

    @property
    def is_typed(self) -> bool:
        """Whether it is of the types, which are looked at only when everything is well formed."""
        return bool(self.path) and bool(_TYPED.match(self.rule))


def argv(files: Sequence[str], config: str | None) -> list[str]:  # noqa: ARG001 - it looks at projects
    return ["tsc", "--pretty", "false", "--listFiles", "--noEmit"]


def options(read: Reader, folder: str) -> Sequence[str]:
    """A project that refers to others has these looked at, too, whatever was looked at before."""
    config = "\n".join(read(str(PurePosixPath(folder) / "tsconfig.json")))
    return ["--build", "--force"] if '"references"' in config else ["--project", "."]


def parse(output: Output) -> Reading:
    """A line an error, further words indented below it; then the files that the project is made of."""
    check_exit("tsc", output.completed, (0, 1, 2))
    errors = list(dict.fromkeys(_errors(output.completed.stdout)))
    if output.completed.exit_code and not errors:
        raise ToolFailed(f"tsc failed: {words(output.completed)}")
    lines = output.completed.stdout.split("\n")
    wanted = [file.removeprefix("./") for file in output.files]
    listed = [line for line in lines if line.startswith("/") and "/node_modules/" not in line]
    check_understood("tsc", output.completed, listed or errors)
    looked_at = set(wanted) & {ours(line, output) for line in listed}
    broken = [one for one in errors if one.rule != _NO_FILES and (not one.path or one.path.endswith(".json"))]
    if not listed and broken:
        raise ToolFailed(f"tsc failed: {broken[0].path} {broken[0].rule}: {broken[0].message}")
    found = [one for one in errors if one.path in looked_at]
    missing = [one for one in found if _is_missing(one, output.read)]
    unread = [NotCovered(what=one.path, why=f"tsc: {one.message[:200]}") for one in missing]
    if errors and not any(one.is_typed for one in errors):
        where = f"{errors[0].path} ({errors[0].message[:200]})".strip()
        told = {one.path for one in found}
        unread += [NotCovered(what=path, why=f"tsc: its types wait for {where}") for path in looked_at - told]
    left = [NotCovered(what=path, why="tsc: no project has it") for path in wanted if path not in looked_at]
    return Reading(findings=[_finding(one) for one in found if one not in missing], unread=unread, excluded=left)


def _errors(text: str) -> Iterator[_Error]:
    said: list[str] = []
    for line in (*text.split("\n"), "/"):
        if said and line.startswith("  "):
            said.append(line.strip())
            continue
        if said:
            yield _error(" ".join(said))
        said = [line] if _PLACED.match(line) or _UNPLACED.match(line) else []


def _error(text: str) -> _Error:
    placed = _PLACED.match(text)
    rule = _RULE.match(placed["rest"] if placed else text.removeprefix("error "))
    name, message = (rule["rule"], rule["message"]) if rule else ("tsc", text)
    return _Error(name, message, placed["path"], placed["line"], placed["column"]) if placed else _Error(name, message)


def _is_missing(error: _Error, read: Reader) -> bool:
    """Whether it asks for a package that the project names: then it is not installed, and nothing is wrong with it."""
    match = _NO_MODULE.match(error.message)
    if match is None:
        return False
    name = "/".join(match["name"].split("/")[: 2 if match["name"].startswith("@") else 1])
    return f'"{name}"' in "\n".join(read("package.json"))


def _finding(error: _Error) -> Finding:
    return Finding(
        tool="tsc",
        rule=error.rule,
        severity=Severity.MEDIUM if error.rule in _UNUSED else Severity.HIGH,
        message=error.message,
        path=error.path,
        **span(error.line, start_column=error.column),
    )


TOOL = web_tool(
    name="tsc",
    applies=lambda path: path.endswith((".ts", ".tsx", ".mts", ".cts")),
    argv=argv,
    parse=parse,
    version=("tsc", "--version"),
    languages="TypeScript",
    licence="Apache-2.0",
    configs={"tsconfig.json": ""},
    projects={"tsconfig.json": ""},
    options=options,
    known_as=("typescript",),
)
