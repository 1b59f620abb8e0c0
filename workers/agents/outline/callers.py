"""Who calls what a change changes, elsewhere in the repository. By name: there may be others of that name."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bot.domain.diff import Diff
from workers.agent import Sandbox
from workers.agents import tree
from workers.agents.kinds import is_test
from workers.agents.outline.outline import Outline, language_of, outlines

# What is searched at most: files, bytes of one and of all, seconds; files with a call that are read by a grammar.
_FILES, _LARGEST, _BYTES, _SECONDS, _CANDIDATES = 20_000, 300_000, 50_000_000, 3.0, 40
# Files of a change, and pieces of one, in which names are looked up.
_CHANGED, _SPANS = 40, 100
# Names of a change that are looked for, and callers of one that are told.
_NAMES, _CALLERS = 20, 3
_SHORTEST = 3
_LINE = 160
# Everybody has such, and tells nothing.
_COMMON = frozenset(("main", "init", "new", "get", "set", "run", "setup", "close", "open", "constructor", "toString"))


@dataclass(frozen=True)
class Caller:
    """A call of `name` elsewhere: where, within what (empty for nothing), and the line's text."""

    name: str
    path: str
    line: int
    within: str
    text: str


def changed_names(found: Mapping[str, Outline], diff: Diff) -> dict[str, tuple[str, ...]]:
    """By file, the definitions in which changed lines begin or end, the innermost ones, by their names."""
    names: dict[str, tuple[str, ...]] = {}
    for path, outline in list(found.items())[:_CHANGED]:
        file = diff.files.get(path)
        spans = file.added[:_SPANS] if file else ()
        around = [outline.around(line)[-1:] for span in spans for line in span]
        names[path] = tuple(dict.fromkeys(one.name for ones in around for one in ones if _tells(one.name)))
    return names


def _tells(name: str) -> bool:
    plain = len(name) >= _SHORTEST and re.fullmatch(r"\w+", name) is not None
    return plain and name not in _COMMON and not name.startswith(("__", "test"))


def find_callers(
    names: Iterable[str], root: Path, diff: Diff, sandbox: Sandbox, skipped: Callable[[str], bool]
) -> list[Caller]:
    """The calls of these names that the diff does not show, code before tests; in no file that is `skipped`."""
    wanted = tuple(dict.fromkeys(names))[:_NAMES]
    if not wanted:
        return []
    candidates = sorted(_candidates(wanted, root, skipped), key=lambda path: (is_test(path), path))
    read = tree.reader(root)
    callers: dict[tuple[str, str, str], Caller] = {}
    for path, outline in outlines(candidates, root, sandbox, wanted).items():
        lines = read(path)
        for name, line in outline.calls:
            if 0 < line <= len(lines) and not diff.commentable(path, line, line):
                within = ".".join(one.name for one in outline.around(line))
                caller = Caller(name, path, line, within, lines[line - 1].strip()[:_LINE])
                callers.setdefault((name, path, within), caller)
    return [one for name in wanted for one in [one for one in callers.values() if one.name == name][:_CALLERS]]


def _candidates(names: Sequence[str], root: Path, skipped: Callable[[str], bool]) -> list[str]:
    """Files that may hold a call of one of these."""
    call = re.compile(rb"\b(?:%s)\s*\(" % b"|".join(name.encode() for name in names))
    until, size, found = time.monotonic() + _SECONDS, 0, list[str]()
    for number, path in enumerate(_files(root)):
        if number >= _FILES or size >= _BYTES or len(found) >= _CANDIDATES or time.monotonic() > until:
            break
        file = None if skipped(path) else tree.within(root, path)
        if file is None or file.stat().st_size > _LARGEST:
            continue
        text = file.read_bytes()
        size += len(text)
        if call.search(text):
            found.append(path)
    return found


def _files(root: Path) -> Iterator[str]:
    """Files in a language that is known, by their paths in the tree."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(one for one in folders if not one.startswith("."))
        yield from (str((Path(folder) / name).relative_to(root)) for name in sorted(names) if language_of(name))
