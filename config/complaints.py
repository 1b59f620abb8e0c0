"""What pydantic refused, as problems that name file, line, key and remedy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_args

from pydantic_core import ErrorDetails

from config.document import Mapping, Node, Sequence, Spot
from config.problems import Problem
from config.repository import (
    BUILT_IN,
    CommandConfig,
    ExtensionConfig,
    RepositoryConfig,
    Section,
)
from config.wording import complaint, nearest, printable, shown, unknown

_MAX_KEY = 80
_FLAVOURS: dict[str, type[Section]] = {"<command>": CommandConfig, "<extension>": ExtensionConfig}


def to_problems(errors: Iterable[ErrorDetails], tree: Mapping) -> list[Problem]:
    """One problem an error, at the place in the tree that it is about.

    An agent that is a misspelt built-in one is one problem, not one for each of its keys.
    """
    errors = list(errors)
    misspelt = {name for error in errors if (name := _nameless(error)) and nearest(name, BUILT_IN)}
    return [
        _problem(error, tree) for error in errors if _nameless(error) or not misspelt.intersection(error["loc"][1:2])
    ]


def problem_at(tree: Mapping, loc: tuple[int | str, ...], message: str, *, at_key: bool = False) -> Problem:
    """A problem with the value at `loc`, or with its key."""
    value, key, names = _locate(tree, loc)
    spot = key if at_key else value
    dotted = printable(".".join(names).replace(".[", "["), _MAX_KEY)
    return Problem(file=spot.file, line=spot.line, column=spot.column, key=dotted, message=message)


def _locate(tree: Mapping, loc: tuple[int | str, ...]) -> tuple[Spot, Spot, list[str]]:
    """Where the value and its key stand, and the keys that lead there. Parts of `loc` that are no part of the tree
    (a union's tag, a key that is missing) are passed over."""
    node: Node = tree
    key = tree.spot
    names: list[str] = []
    for part in loc:
        if isinstance(node, Mapping) and isinstance(part, str) and part in node.entries:
            key, node = node.entries[part].spot, node.entries[part].value
            names.append(printable(part))
        elif isinstance(node, Sequence) and isinstance(part, int) and part < len(node.items):
            node = node.items[part]
            key = node.spot
            names.append(f"[{part}]")
    return node.spot, key, names


def _problem(error: ErrorDetails, tree: Mapping) -> Problem:
    loc, kind = error["loc"], error["type"]
    if kind == "extra_forbidden":
        return problem_at(tree, loc, _unknown_key(loc), at_key=True)
    if name := _nameless(error):
        return problem_at(tree, loc[:2], _no_run(name), at_key=True)
    if kind == "missing":
        return problem_at(tree, loc[:-1], f"needs `{loc[-1]}`: {_described(loc)}", at_key=True)
    if loc == ("version",):
        message = (
            f"this version of Assay reads version 1 of the format, not {shown(error['input'])}; write `version: 1`"
        )
        return problem_at(tree, loc, message)
    if loc[-1:] == ("<word>",):
        return problem_at(tree, loc, f"{shown(error['input'])} is not allowed; use auto, or a list such as [ruff]")
    if loc[-1:] == ("fail_on",) and isinstance(error["input"], dict) and "risk" in error["input"]:
        return problem_at(tree, loc, "`risk` is for agents.review only; use a severity, or never")
    # A refused name of an agent: its value's errors carry a tag after the name.
    is_name = len(loc) == 2 and loc[0] == "agents" and loc[1] not in BUILT_IN
    return problem_at(tree, loc, complaint(error), at_key=is_name)


def _nameless(error: ErrorDetails) -> str | None:
    """The name of an agent that says neither `run` nor `uses`, None for any other error."""
    loc = error["loc"]
    lacking = error["type"] == "missing" and len(loc) == 4 and loc[2:] == ("<command>", "run")
    return str(loc[1]) if lacking else None


def _no_run(name: str) -> str:
    near = nearest(name, BUILT_IN)
    hint = f"; did you mean the built-in agent '{near}'?" if near else ""
    return f"needs `run` (a shell command) or `uses` (an installed agent's name){hint}"


def _unknown_key(loc: tuple[int | str, ...]) -> str:
    word = str(loc[-1])
    if len(loc) == 1 and word in BUILT_IN:
        return f"the agent '{word}' belongs under `agents:`"
    return unknown("key", word, list(_section_at(loc[:-1]).model_fields))


def _described(loc: tuple[int | str, ...]) -> str:
    return (_section_at(loc[:-1]).model_fields[str(loc[-1])].description or "").rstrip(".")


def _section_at(loc: tuple[int | str, ...]) -> type[Section]:
    section: type[Section] = RepositoryConfig
    for part in loc:
        if part in _FLAVOURS:
            section = _FLAVOURS[str(part)]
        elif field := section.model_fields.get(str(part)):
            section = _section_in(field.annotation) or section
    return section


def _section_in(annotation: Any) -> type[Section] | None:
    """The section that a field's type is made of, as in `tuple[ReviewRule, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next((found for part in get_args(annotation) if (found := _section_in(part))), None)
