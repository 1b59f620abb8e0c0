"""What is defined where in the files of a tree, and who uses what, as far as it can be told.

Grammars of tree-sitter read what a stranger wrote, so they run where tools run, in a program of their own
(`inside.py`). What it says is a stranger's word, too: it tells of lines, and nothing else is made of it. Where nothing
can be run, or a file ends the program, less is known.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pydantic import TypeAdapter, ValidationError

from bot.errors import NoSandbox, ToolFailed
from workers.agent import Command, Sandbox

_PROGRAM = Path(__file__).with_name("inside.py")
# Seconds for all files and for one, files that are read, and files that may end the program.
TIMEOUT, _A_FILE, MOST_FILES, _PATIENCE = 10.0, 2.0, 100, 3
# By a file's ending; the names are those of the program's grammars.
LANGUAGES = {
    **dict.fromkeys((".py", ".pyi"), "python"),
    **dict.fromkeys((".js", ".jsx", ".mjs", ".cjs"), "javascript"),
    **dict.fromkeys((".ts", ".mts", ".cts"), "typescript"),
    ".tsx": "tsx",
    ".go": "go",
    ".java": "java",
    ".rs": "rust",
    **dict.fromkeys((".c", ".h"), "c"),
    **dict.fromkeys((".cc", ".cpp", ".cxx", ".hpp", ".hh"), "cpp"),
    ".cs": "c_sharp",
    ".rb": "ruby",
    ".php": "php",
}
# What parses or does not, and defines nothing.
_DATA = {".json": "json", ".toml": "toml", ".yml": "yaml", ".yaml": "yaml"}


Told = tuple[str, list[tuple[str, int, int, int]], list[tuple[str, int, bool]], int | None]
_TOLD: TypeAdapter[Told] = TypeAdapter(Told)


@dataclass(frozen=True)
class Definition:
    """A function, type or constant: its lines, and the last one of its head."""

    name: str
    first: int
    last: int
    head: int


@dataclass(frozen=True)
class Use:
    """Where a name is used, on a line. `alone`: as a name by itself, not as a member of something."""

    name: str
    line: int
    alone: bool = True


@dataclass(frozen=True)
class Outline:
    """What one file defines, the uses in it of what was asked for, and how many places in it do not parse, None where
    that is not known."""

    definitions: tuple[Definition, ...] = ()
    uses: tuple[Use, ...] = ()
    errors: int | None = None

    def around(self, line: int) -> tuple[Definition, ...]:
        """The definitions that a line lies in, the outermost first."""
        found = (one for one in self.definitions if one.first <= line <= one.last)
        return tuple(sorted(found, key=lambda one: (one.first, -one.last)))


def language_of(path: str) -> str | None:
    return LANGUAGES.get(PurePosixPath(path).suffix.lower())


def syntax_of(path: str) -> str | None:
    """The language by which it is told whether the file parses, None for one that nothing here reads."""
    return language_of(path) or _DATA.get(PurePosixPath(path).suffix.lower())


def outlines(paths: Sequence[str], root: Path, sandbox: Sandbox, uses: Iterable[str] = ()) -> dict[str, Outline]:
    """The outlines of files of a tree, of those that could be read. Never raises."""
    files = [(path, language) for path in paths if (language := language_of(path))]
    return _told(files, root, sandbox, {"uses": sorted(uses), "strict": False})


def errors_in(paths: Sequence[str], root: Path, sandbox: Sandbox) -> dict[str, int]:
    """How many places do not parse in files of a tree, of those of which that is known. Never raises."""
    files = [(path, language) for path in paths if (language := syntax_of(path))]
    found = _told(files, root, sandbox, {"uses": [], "strict": True})
    return {path: outline.errors for path, outline in found.items() if outline.errors is not None}


def _told(
    files: Sequence[tuple[str, str]], root: Path, sandbox: Sandbox, wanted: Mapping[str, object]
) -> dict[str, Outline]:
    left = files[:MOST_FILES]
    found: dict[str, Outline] = {}
    for _ in range(_PATIENCE):
        if not left:
            break
        order = {"files": left, "seconds": _A_FILE, **wanted}
        argv = [sys.executable, "-I", str(_PROGRAM)]
        try:
            done = sandbox.run(Command(argv, root, TIMEOUT, stdin=json.dumps(order), reads=(_PROGRAM,)))
        except (NoSandbox, ToolFailed):
            break
        told = parse(done.stdout, [path for path, _ in left])
        found |= told
        if done.timed_out:
            break
        # The first of which it said nothing is what ended it.
        left = left[len(told) + 1 :]
    return found


def parse(text: str, paths: Sequence[str]) -> Mapping[str, Outline]:
    """The outlines of these files, in their order, up to the first that is not as it should be."""
    found: dict[str, Outline] = {}
    for line, path in zip(text.split("\n"), paths, strict=False):
        try:
            name, definitions, uses, errors = _TOLD.validate_json(line)
        except ValidationError:
            break
        if name != path:
            break
        found[path] = Outline(tuple(Definition(*one) for one in definitions), tuple(Use(*one) for one in uses), errors)
    return found
