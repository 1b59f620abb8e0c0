"""rustfmt: how Rust is written. https://rust-lang.github.io/rustfmt/

`cargo fmt` would look at every file; this is given the changed ones, and the edition that their package names. It
counts as executing the repository's code: where rustup installed it, a `rust-toolchain.toml` may name another program.
"""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from bot.domain.findings import Finding, Severity
from bot.errors import ToolFailed
from workers.agent import Output, Reader, Reading, Tool
from workers.tools import reformat
from workers.tools.edits import Edit
from workers.tools.output import check_exit, check_understood, excluded_by, mapping, ours, span, switched_off, words

_CONFIGS = {"rustfmt.toml": "", ".rustfmt.toml": ""}
_OFF = re.compile(r"^disable_all_formatting\s*=\s*true\b", re.MULTILINE)
_DIFF = re.compile(r"^Diff in (?P<path>.+?)(?:(?::| at line )(?P<line>\d{1,9})):?$")
_ENDS = re.compile(r"^Incorrect newline style in (?P<path>.+)$", re.MULTILINE)
_BROKEN = re.compile(
    r"^error(?:\[\w+\])?: (?P<message>.+)\n +--> (?P<path>.+?):(?P<line>\d+):(?P<column>\d+)$", re.MULTILINE
)
_SAID = re.compile(r"Diff in |Incorrect newline style in ")
_EDITIONS = ("2015", "2018", "2021", "2024")


def manifest(read: Reader, folder: str = "") -> Mapping[str, Any]:
    """The `Cargo.toml` of a folder; empty where it is none that can be read."""
    try:
        return tomllib.loads("\n".join(read(str(PurePosixPath(folder) / "Cargo.toml"))))
    except (tomllib.TOMLDecodeError, RecursionError):
        return {}


def options(read: Reader, folder: str) -> list[str]:
    edition = mapping(manifest(read, folder).get("package")).get("edition", "2015")
    if mapping(edition).get("workspace"):
        edition = next(filter(None, map(partial(_of_workspace, read), PurePosixPath(folder, "x").parents)), "2021")
    return [f"--edition={edition if edition in _EDITIONS else '2021'}"]


def _of_workspace(read: Reader, folder: PurePosixPath) -> object:
    """The edition that a workspace gives its packages, the folder's own one included."""
    return mapping(mapping(manifest(read, str(folder)).get("workspace")).get("package")).get("edition")


def argv(files: Sequence[str], config: str | None) -> list[str]:  # noqa: ARG001 - it looks for it by itself
    return ["rustfmt", "--check", "--color=never", "--", *files]


def parse(output: Output) -> Reading:
    """Diffs on standard output, of the files and of the modules they name; what is no Rust on standard error."""
    check_exit("rustfmt", output.completed, (0, 1))
    wanted = {file.removeprefix("./") for file in output.files}
    broken = (_syntax(match, output) for match in _BROKEN.finditer(output.completed.stderr))
    ends = (_line_ends(match, output) for match in _ENDS.finditer(output.completed.stdout))
    found = [one for one in dict.fromkeys((*broken, *ends, *_diffs(output))) if one.path in wanted]
    if output.completed.exit_code and not found and not _SAID.match(output.completed.stdout):
        raise ToolFailed(f"rustfmt failed: {words(output.completed)}")
    check_understood("rustfmt", output.completed, _SAID.match(output.completed.stdout))
    off = switched_off(output.files, output.read, [*_CONFIGS], _OFF)
    return Reading(findings=found, excluded=[excluded_by("rustfmt", file) for file in off])


def _syntax(match: re.Match[str], output: Output) -> Finding:
    return Finding(
        tool="rustfmt",
        rule="syntax",
        severity=Severity.HIGH,
        message=match["message"],
        path=ours(match["path"], output),
        **span(match["line"], start_column=match["column"]),
    )


def _line_ends(match: re.Match[str], output: Output) -> Finding:
    return Finding(
        tool="rustfmt",
        rule=reformat.RULE,
        severity=Severity.LOW,
        message="rustfmt would end the lines of this file in another way (its option newline_style).",
        path=ours(match["path"], output),
        **span(1),
    )


def _diffs(output: Output) -> Iterator[Finding]:
    by_path, path, first, hunk = defaultdict[str, dict[Edit, None]](dict), "", 0, list[str]()
    for line in (*output.completed.stdout.split("\n"), "Diff in the end:1:"):
        if match := _DIFF.match(line) or _ENDS.match(line):
            # A module that two files name is told twice.
            by_path[path] |= dict.fromkeys(reformat.edits(first, hunk))
            path, first, hunk = ours(match["path"], output), int(match.groupdict().get("line") or 1), []
        elif path:
            hunk.append(line)
    for name, edits in by_path.items():
        yield from reformat.findings("rustfmt", name, _with_ends(edits, output.read(name)), output.read)


def _with_ends(edits: Iterable[Edit], lines: Sequence[str]) -> list[Edit]:
    """It looks at a file with Windows' line ends, and tells of it, as if it had plain ones; the fix keeps them."""
    if not lines or not lines[0].endswith("\r"):
        return list(edits)
    return [replace(edit, text=edit.text.replace("\n", "\r\n")) for edit in edits]


TOOL = Tool(
    name="rustfmt",
    applies=lambda path: path.endswith(".rs"),
    argv=argv,
    parse=parse,
    version=("rustfmt", "--version"),
    languages="Rust",
    licence="Apache-2.0 or MIT",
    configs=_CONFIGS,
    searches=True,
    executes_code=True,
    optional=True,
    projects={"Cargo.toml": ""},
    options=options,
)
