"""Which files of a tree may use or define certain names, by their text, and which of them have to do with one another.

Nothing here is sure: names are only names. What a file imports tells which of several it means.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, takewhile
from pathlib import Path, PurePosixPath

from workers.agents import tree
from workers.agents.outline.outline import language_of

# What is searched at most: files, bytes of one and of all, seconds; files that are found, words of what one imports.
_FILES, _LARGEST, _BYTES, _SECONDS, _FOUND, _WORDS = 20_000, 300_000, 50_000_000, 3.0, 2_000, 2_000
# Lines that import something, in any of the languages: also the last of several, and one of a block of Go's.
_IMPORT = re.compile(
    r"^[ \t]*(?:(?:export|from|import|use|pub use|using|require(?:_relative|_once)?|include(?:_once)?|#[ \t]*include)\b"
    r"|\}[ \t]*from\b|(?:const|let|var)\b[^\n=]{0,200}=[ \t]*(?:await[ \t]+)?(?:require|import)\b"
    r"|(?:\w+[ \t]+)?\"[^\"\n]+\"[ \t]*$)[^\n]*",
    re.MULTILINE,
)
# What a keyword says to be defined, behind Go's receiver and Ruby's `self`.
_DEFINES = re.compile(
    r"\b(?:def|class|function\*?|func|fn|interface|struct|enum|trait|type|const|static|define)[ \t]+"
    r"(?:\([^)\n]{0,80}\)[ \t]*)?(?:self\.)?(\w+)"
)
_WORD = re.compile(r"[\w-]+")
# One language to those who import.
_FAMILIES = {"typescript": "javascript", "tsx": "javascript", "cpp": "c"}
# Where files of one folder know one another without a word, and where a name by itself is of the file, or imported.
_BY_FOLDER, _BY_IMPORT = frozenset(("go", "java", "c_sharp")), frozenset(("python", "javascript"))
# Files that are named by their folder.
_OF_FOLDER = frozenset(("__init__", "index", "mod", "lib"))


@dataclass(frozen=True)
class Module:
    """A file: the `names` of those that were looked for that stand in it, those that a keyword of it defines, and the
    words by which it imports others."""

    path: str
    names: frozenset[str] = frozenset()
    defined: frozenset[str] = frozenset()
    imported: frozenset[str] = frozenset()

    @cached_property
    def family(self) -> str:
        language = language_of(self.path) or ""
        return _FAMILIES.get(language, language)

    @cached_property
    def folder(self) -> tuple[str, ...]:
        return PurePosixPath(self.path).parent.parts

    @cached_property
    def word(self) -> str:
        """The one by which others import it."""
        path = PurePosixPath(self.path)
        return path.parent.name if path.stem in _OF_FOLDER or self.family == "go" else path.stem

    def knows(self, other: Module) -> bool:
        """Whether it is the other file, is of its package, or imports it, going by its name."""
        if other.path == self.path or (self.family in _BY_FOLDER and other.folder == self.folder):
            return True
        return other.word in self.imported

    @property
    def imports_names(self) -> bool:
        """Whether a name by itself can only be this file's own, or imported."""
        return self.family in _BY_IMPORT

    def steps(self, other: Module) -> int:
        """How many folders lie between them."""
        both = zip(self.folder, other.folder, strict=False)
        shared = sum(1 for _ in takewhile(lambda parts: parts[0] == parts[1], both))
        return len(self.folder) + len(other.folder) - 2 * shared


def module(path: str, text: str, names: Iterable[str] = ()) -> Module:
    """What a file's text tells of it. `names` are those that were looked for and stand there."""
    found = frozenset(names)
    defined = found.intersection(_DEFINES.findall(text))
    words = (word for line in _IMPORT.finditer(text) for word in _WORD.findall(line[0]))
    return Module(path, found, defined, frozenset(islice(words, _WORDS)))


def search(
    names: Collection[str],
    near: Sequence[str],
    root: Path,
    wanted: Callable[[Module], bool],
    skipped: Callable[[str], bool],
) -> list[Module]:
    """The files in which one of these names stands, of those that are `wanted`, those in the folders of `near` first;
    none that is `skipped`, which is not even read."""
    any_of = re.compile(rf"\b(?:{'|'.join(map(re.escape, names))})\b")
    until, size, found = time.monotonic() + _SECONDS, 0, list[Module]()
    for number, path in enumerate(_files(root, near)):
        if number >= _FILES or size >= _BYTES or len(found) >= _FOUND or time.monotonic() > until:
            break
        file = None if skipped(path) else tree.within(root, path)
        if file is None or file.stat().st_size > _LARGEST:
            continue
        text = file.read_bytes().decode("utf-8", "replace")
        size += len(text)
        there = set(any_of.findall(text))
        if there and wanted(one := module(path, text, there)):
            found.append(one)
    return found


def _files(root: Path, near: Sequence[str]) -> Iterator[str]:
    """Files in a known language, by their paths in the tree: those of the folders of `near`, then all others."""
    told = set[str]()
    for folder in dict.fromkeys(str(PurePosixPath(path).parent) for path in near):
        for path in _in(root, folder):
            told.add(path)
            yield path
    for inside, folders, names in os.walk(root):
        folders[:] = sorted(one for one in folders if not one.startswith("."))
        for name in sorted(names):
            if language_of(name) and (path := str((Path(inside) / name).relative_to(root))) not in told:
                yield path


def _in(root: Path, folder: str) -> list[str]:
    try:
        return [path for one in sorted((root / folder).iterdir()) if language_of(path := str(one.relative_to(root)))]
    except OSError:
        return []
