"""No pattern of ours takes for ever, whatever it is fed with: each is run over long texts made of its own pieces.

A pattern that goes back over what it has read, from everywhere that it may begin, takes the square of a text's length
or more. A file that a stranger wrote may be ten million characters long.
"""

from __future__ import annotations

import ast
import importlib
import itertools
import pkgutil
import re
import signal
import time
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any, NamedTuple

import pytest

LENGTH = 8_000
# Seconds of the processor. What takes its time for the length once needs a thousandth.
SLOWEST = 0.1
# Whose text is an operator's, a word within bounds, or what a program of ours says.
BOUNDED = {
    "config.redis_url._FORM": "an operator's",
    "config.settings._BETWEEN": "an operator's",
    "workers.agents.suites.node._NODE_TEST": "a script is cut at 4,000 characters",
    "bot.domain.glob._CLASS": "a glob is 256 characters at most",
    "bot.domain.glob._SPECIAL": "a glob is 256 characters at most",
}
PROGRAMS = ("workers.sandbox.launch", "workers.sandbox.forward", "workers.agents.outline.inside")
FROM_THE_START = {"match", "fullmatch"}


class Named(NamedTuple):
    """A pattern, where it stands, and whether it is only ever tried at the beginning of a text."""

    name: str
    pattern: re.Pattern[Any]
    at_start: bool


def _modules() -> Iterator[ModuleType]:
    for package in ("bot", "config", "workers"):
        top = importlib.import_module(package)
        for found in pkgutil.walk_packages(top.__path__, f"{package}."):
            if not found.name.startswith(("bot.demo", *PROGRAMS)) and not found.name.endswith("__main__"):
                yield importlib.import_module(found.name)


def _within(value: object, depth: int = 0) -> Iterator[re.Pattern[Any]]:
    if isinstance(value, re.Pattern):
        yield value
    elif depth < 3 and isinstance(value, Mapping):
        for one in value.values():
            yield from _within(one, depth + 1)
    elif depth < 3 and isinstance(value, tuple | list | frozenset):
        for one in value:
            yield from _within(one, depth + 1)


def _uses(module: ModuleType) -> dict[str, set[str]]:
    """Which attributes of each name a module asks for."""
    found: dict[str, set[str]] = {}
    for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text("utf-8"))):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            found.setdefault(node.value.id, set()).add(node.attr)
    return found


@cache
def patterns() -> dict[str, Named]:
    found: dict[str, Named] = {}
    for module in _modules():
        uses = _uses(module)
        for name, value in vars(module).items():
            for number, pattern in enumerate(_within(value)):
                where = f"{module.__name__}.{name}{f'-{number}' if number else ''}"
                used = uses.get(name, set()) if isinstance(value, re.Pattern) else set()
                found[where] = Named(where, pattern, at_start=bool(used) and used <= FROM_THE_START)
    return found


# What stands in a pattern for no character of its own.
_SIGNS = re.compile(r"\\[AbBdDsSwWzZnrt]|\(\?(?:P<\w+>|[:=!>]|<[=!]|[aiLmsux-]+[:)])|\{[\d,]+\}|[\^$*+?|]")


def pieces(pattern: re.Pattern[Any]) -> list[str]:
    """The words and signs that stand in a pattern, each once."""
    text = pattern.pattern.decode("latin-1") if isinstance(pattern.pattern, bytes) else pattern.pattern
    return list(dict.fromkeys(re.findall(r"\w+|[^\w\s\\]", _SIGNS.sub(" ", text))))


def texts(pattern: re.Pattern[Any]) -> Iterator[str]:
    """Long texts: a beginning, one or two pieces again and again, and an end that nothing expects."""
    words = pieces(pattern)[:8]
    repeated = [*words, "\n", " ", "\t", "a", "1", "/", ".", "\\", " \n", "".join(words)]
    repeated += [one + other for one, other in itertools.permutations(words[:3], 2)]
    for again in filter(None, dict.fromkeys(repeated)):
        for begun in dict.fromkeys(("", *words[:6], "".join(words[:2]))):
            yield begun + again * (LENGTH // len(again)) + "\x00"


class TooLong(Exception):
    pass


def slowest(named: Named) -> tuple[float, str]:
    """How long it takes at most, up to what is too long, and over which text."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise TooLong

    worst = (0.0, "")
    before = signal.signal(signal.SIGVTALRM, stop)
    try:
        for text in texts(named.pattern):
            fed: Any = text.encode("utf-8", "replace") if isinstance(named.pattern.pattern, bytes) else text
            signal.setitimer(signal.ITIMER_VIRTUAL, 10 * SLOWEST)
            begun = time.process_time()
            try:
                if named.at_start:
                    named.pattern.match(fed)
                    named.pattern.fullmatch(fed)
                else:
                    for _ in named.pattern.finditer(fed):
                        pass
            except TooLong:
                pass
            finally:
                signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            worst = max(worst, (time.process_time() - begun, text[:80]))
            if worst[0] > SLOWEST:
                break
    finally:
        signal.signal(signal.SIGVTALRM, before)
    return worst


@pytest.mark.parametrize("package", ["bot", "config", "workers.agents", "workers.tools", "workers"])
def test_no_pattern_takes_for_ever(package: str) -> None:
    inner = ("workers.agents.", "workers.tools.") if package == "workers" else ()
    own = [
        one for name, one in patterns().items() if name.startswith(f"{package}.") and not name.startswith(inner or "-")
    ]
    assert own
    slow = {one.name: told for one in own if one.name not in BOUNDED and (told := slowest(one))[0] > SLOWEST}
    assert slow == {}


def test_all_that_are_let_off_are_there() -> None:
    assert BOUNDED.keys() <= patterns().keys()
    assert len(patterns()) > 200


@pytest.mark.parametrize("bad", [r"^\s*def test", r"repo:(\S+).*?\n\s*rev:", r"(a+)+b", r"/[^ ]+?:\d+$", r"(\\*)\|"])
def test_one_that_does_is_found(bad: str) -> None:
    found, _ = slowest(Named("bad", re.compile(bad, re.MULTILINE), at_start=False))
    assert found > SLOWEST
