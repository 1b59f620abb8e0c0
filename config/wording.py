"""The words of a message about bad input: what was seen, what is allowed, and the nearest right word.

Input is a stranger's: whatever of it is repeated here is cut short and made printable.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

from pydantic_core import ErrorDetails

ECHO = 40  # characters of input that a message repeats at most

_KINDS = {
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a number",
    "tuple_type": "a list",
    "dict_type": "a section of `key: value` lines",
    "model_type": "a section of `key: value` lines",
    "model_attributes_type": "a section of `key: value` lines",
}
_YES_NO = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}


def printable(text: str, limit: int = ECHO) -> str:
    """The text in one line of at most `limit` printable characters."""
    cut = text[: limit - 1] + "…" if len(text) > limit else text
    return "".join(char if char.isprintable() else "?" for char in cut)


def shown(value: object) -> str:
    """A value as a message repeats it: a list or a section only by its kind."""
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case str():
            return f"'{printable(value)}'"
        case list() | tuple():
            return "a list"
        case dict():
            return "a section"
        case _:
            return printable(str(value))


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """The choice that looks most like the word, None when none comes near."""
    close = difflib.get_close_matches(word[:80].lower().replace("-", "_"), list(choices), n=1, cutoff=0.6)
    return close[0] if close else None


def unknown(kind: str, word: str, choices: Sequence[str]) -> str:
    """`unknown key 'trigers'; did you mean 'triggers'?`, or all the choices when none comes near."""
    near = nearest(word, choices)
    rest = f"did you mean '{near}'?" if near else f"use one of {', '.join(choices)}"
    return f"unknown {kind} {shown(word)}; {rest}"


def complaint(error: ErrorDetails) -> str:
    """What is wrong with a value that pydantic refused, in words that name what is allowed."""
    value, context, kind = error["input"], error.get("ctx", {}), error["type"]
    if kind in _KINDS:
        return _wrong_kind(_KINDS[kind], value)
    match kind:
        case "literal_error":
            return _not_allowed(value, re.findall(r"'([^']*)'", context["expected"]) or [context["expected"]])
        case "greater_than_equal":
            return f"{shown(value)} is too small; the least is {context['ge']}"
        case "less_than_equal":
            return f"{shown(value)} is too large; the most is {context['le']}"
        case "string_too_short":
            return "must not be empty"
        case "string_too_long":
            return f"is too long; at most {context['max_length']} characters"
        case "too_long":
            return f"is too long; at most {context['max_length']} entries"
        case "value_error":
            return printable(str(context["error"]), 300)
    return printable(error["msg"], 300)


def _wrong_kind(wanted: str, value: object) -> str:
    text = f"must be {wanted}, not {shown(value)}"
    if wanted == "true or false" and isinstance(value, str) and value.lower() in _YES_NO:
        return f"{text}. Did you mean {_YES_NO[value.lower()]}?"
    if wanted == "text" and isinstance(value, bool | int | float):
        return f"{text}; put quotes around it"
    return text


def _not_allowed(value: object, choices: Sequence[str]) -> str:
    use = f"use one of {', '.join(choices)}" if len(choices) > 1 else f"use {choices[0]}"
    near = nearest(value, choices) if isinstance(value, str) else None
    return f"{shown(value)} is not allowed; {use}." + (f" Did you mean '{near}'?" if near else "")
