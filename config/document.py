"""A YAML text as a tree that remembers where each part of it stands.

The tree is built from ruamel.yaml's events, not from its objects: so depth and size are bounded while reading, anchors,
aliases and tags are refused before they mean anything, and plain words are resolved by the core schema of YAML 1.2
(https://yaml.org/spec/1.2.2/#103-core-schema) and nothing else. `on`, `yes` and dates are therefore text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)
from ruamel.yaml.reader import ReaderError

from config.problems import Problem
from config.wording import printable, shown

MAX_BYTES = 256 * 1024
MAX_DEPTH = 20
MAX_NODES = 20_000
# Characters of a text whose tree is kept for the next time.
_SHORT = 8192


@dataclass(frozen=True)
class Spot:
    """A place in a file, 1-based."""

    file: str
    line: int = 1
    column: int = 1


@dataclass(frozen=True)
class Scalar:
    spot: Spot
    value: str | int | float | bool | None


@dataclass(frozen=True)
class Sequence:
    spot: Spot
    items: tuple[Node, ...]


@dataclass(frozen=True)
class Entry:
    """One `key: value` of a mapping; `spot` is the key's."""

    spot: Spot
    value: Node


@dataclass(frozen=True)
class Mapping:
    spot: Spot
    entries: dict[str, Entry]


Node = Scalar | Sequence | Mapping


class _Unreadable(Exception):
    def __init__(self, problem: Problem) -> None:
        self.problem = problem


def parse(file: str, text: str) -> tuple[Mapping | None, tuple[Problem, ...]]:
    """The tree of a text whose top is a mapping (an empty text is an empty one), and what is wrong with its YAML.

    Without a tree the text could not be read at all; with problems and a tree the rest of it can still be checked.
    Never raises.
    """
    # The same file is read at every push, and reading it takes longer than all the rest of planning a run.
    return _remembered(file, text) if len(text) <= _SHORT else _parse(file, text)


def _parse(file: str, text: str) -> tuple[Mapping | None, tuple[Problem, ...]]:
    if len(text.encode(errors="surrogatepass")) > MAX_BYTES:
        message = f"the file is larger than {MAX_BYTES // 1024} KB; shorten it"
        return None, (_problem(Spot(file), message),)
    builder = _Builder(file, text)
    try:
        return builder.document(), tuple(builder.problems)
    except _Unreadable as unreadable:
        return None, (*builder.problems, unreadable.problem)


_remembered = lru_cache(maxsize=32)(_parse)


def to_python(node: Node) -> Any:
    """The tree as plain dicts, lists and scalars."""
    match node:
        case Scalar():
            return node.value
        case Sequence():
            return [to_python(item) for item in node.items]
        case Mapping():
            return {key: to_python(entry.value) for key, entry in node.entries.items()}


class _Builder:
    """Reads one document. Mistakes that leave the rest readable gather in `problems`; others raise `_Unreadable`."""

    def __init__(self, file: str, text: str) -> None:
        self._file = file
        self._text = text
        # `pure`, because only the Python parser is lazy: the depth limit has to stop it early.
        self._events: Iterator[Any] = YAML(typ="safe", pure=True).parse(text)
        self._nodes = 0
        self.problems: list[Problem] = []

    def document(self) -> Mapping:
        self._next()  # the start of the stream
        if isinstance(self._next(), StreamEndEvent):
            return Mapping(Spot(self._file), {})
        top = self._node(self._next(), 0)
        self._next()  # the end of the document
        after = self._next()
        if isinstance(after, DocumentStartEvent):
            self._note(self._spot(after), "a second document starts here; put all settings into one, without `---`")
        if isinstance(top, Mapping):
            return top
        if isinstance(top, Scalar) and top.value is None:
            return Mapping(top.spot, {})
        raise _Unreadable(_problem(top.spot, "the file must be a section of `key: value` lines, such as `version: 1`"))

    def _next(self) -> Any:
        try:
            return next(self._events)
        except YAMLError as error:
            raise _Unreadable(self._syntax(error)) from None
        except Exception:  # noqa: BLE001 - the parser has bugs of its own (\UFFFFFFFF, say), and the text is hostile
            raise _Unreadable(_problem(Spot(self._file), "this is not readable as YAML")) from None

    def _node(self, event: Any, depth: int) -> Node:
        spot = self._spot(event)
        self._nodes += 1
        if depth > MAX_DEPTH:
            raise _Unreadable(_problem(spot, f"nested more than {MAX_DEPTH} levels deep; flatten it"))
        if self._nodes > MAX_NODES:
            raise _Unreadable(_problem(spot, f"more than {MAX_NODES} values; shorten the file"))
        if isinstance(event, AliasEvent):
            self._note(spot, _ALIAS)
            return Scalar(spot, None)
        self._check_plain(event, spot)
        match event:
            case MappingStartEvent():
                return self._mapping(spot, depth)
            case SequenceStartEvent():
                return self._sequence(spot, depth)
            case _:
                return self._scalar(event, spot)

    def _mapping(self, spot: Spot, depth: int) -> Mapping:
        entries: dict[str, Entry] = {}
        while not isinstance(event := self._next(), MappingEndEvent):
            key_spot = self._spot(event)
            # A key is its text, whatever it looks like: `1:` and `true:` too.
            key = event.value if isinstance(event, ScalarEvent) else None
            self._node(event, depth + 1)
            value = self._node(self._next(), depth + 1)
            if key is None:
                self._note(key_spot, "a key must be a word")
            elif key in entries:
                first = entries[key].spot.line
                self._note(key_spot, f"the key {shown(key)} is already set in line {first}; keep one of the two")
            else:
                entries[key] = Entry(key_spot, value)
        return Mapping(spot, entries)

    def _sequence(self, spot: Spot, depth: int) -> Sequence:
        items = []
        while not isinstance(event := self._next(), SequenceEndEvent):
            items.append(self._node(event, depth + 1))
        return Sequence(spot, tuple(items))

    def _scalar(self, event: Any, spot: Spot) -> Scalar:
        if _CONTROL.search(event.value):
            self._note(spot, "the text holds control characters; remove them")
            return Scalar(spot, None)
        if event.ctag is not None:
            return Scalar(spot, None)
        plain = event.implicit[0] and not event.style
        return Scalar(spot, _resolve(event.value) if plain else event.value)

    def _check_plain(self, event: Any, spot: Spot) -> None:
        if event.anchor is not None:
            self._note(spot, _ANCHOR)
        if event.ctag is not None:
            self._note(spot, _TAG)

    def _spot(self, event: Any) -> Spot:
        return Spot(self._file, event.start_mark.line + 1, event.start_mark.column + 1)

    def _note(self, spot: Spot, message: str) -> None:
        self.problems.append(_problem(spot, message))

    def _syntax(self, error: YAMLError) -> Problem:
        if isinstance(error, ReaderError):
            before = self._text[: error.position]
            line, column = before.count("\n") + 1, error.position - (before.rfind("\n") + 1) + 1
            return _problem(Spot(self._file, line, column), "a control character stands here; remove it")
        if not isinstance(error, MarkedYAMLError):
            return _problem(Spot(self._file), "this is not readable as YAML")
        mark = error.problem_mark or error.context_mark
        spot = Spot(self._file, mark.line + 1, mark.column + 1) if mark else Spot(self._file)
        said = f"{error.context or ''} {error.problem or ''}"
        remedy = next((remedy for words, remedy in _REMEDIES if words in said), "check the indentation and the quotes")
        return _problem(spot, f"not valid YAML ({printable(str(error.problem), 60)}): {remedy}")


_ALIAS = "aliases (`*name`) are not allowed; put quotes around a text that starts with *, such as a glob"
_ANCHOR = "anchors (`&name`) are not allowed; put quotes around a text that starts with &"
_TAG = "tags (`!name`) are not allowed; put quotes around a text that starts with !"
_REMEDIES = (
    ("scanning an alias", "put quotes around a text that starts with *, such as a glob"),
    ("scanning an anchor", "put quotes around a text that starts with &"),
    ("tag", "put quotes around a text that starts with !"),
    ("'\\t'", "indent with spaces, not tabs"),
    ("mapping values are not allowed", "put quotes around a text that holds `: `, and check the indentation"),
    ("while parsing a flow", "close the brackets, and inside of them put quotes around a text that holds [ ] { } or ,"),
    ("cannot start any token", "put quotes around the text"),
    ("quoted scalar", "close the quotes, and write \\\\ for a backslash between double ones"),
)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_NULL = re.compile(r"~|null|Null|NULL|")
_TRUE = re.compile(r"true|True|TRUE")
_FALSE = re.compile(r"false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]{1,18}")
_BASED = re.compile(r"0o[0-7]{1,18}|0x[0-9a-fA-F]{1,15}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]{1,18}|[0-9]{1,18}(\.[0-9]{0,18})?)([eE][-+]?[0-9]{1,3})?")
_ODD_FLOAT = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


def _resolve(text: str) -> str | int | float | bool | None:
    if _NULL.fullmatch(text):
        return None
    if _TRUE.fullmatch(text):
        return True
    if _FALSE.fullmatch(text):
        return False
    if _INT.fullmatch(text):
        return int(text)
    if _BASED.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _ODD_FLOAT.fullmatch(text):
        return float(text.replace(".", "", 1))
    return text


def _problem(spot: Spot, message: str) -> Problem:
    return Problem(file=spot.file, line=spot.line, column=spot.column, key="", message=message)
