"""Lines as Vim's `errorformat` describes them, https://vimhelp.org/quickfix.txt.html#error-file-format, as far as most
people write it; like reviewdog's (https://github.com/reviewdog/errorformat) it knows no regular expressions of Vim's.

Patterns are tried in their order, and the first that fits all of a line counts. They hold `%f` (path), `%l` and `%e`
(first and last line), `%c` and `%k` (first and last column), `%m` (message), `%n` (the error's number), `%t` (a letter,
its kind), `%r` (the rest), `%p` (blanks up to a pointer), `%%`, and `%.%#` (anything). In front may stand `%E`, `%W`,
`%I`, `%N` or `%A` (a message begins, and its kind), `%C` (it goes on), `%Z` (it ends); `%-` in front of such a letter,
or of `%G`, leaves the line out. A line that no pattern fits ends a message.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bot.domain.findings import Finding, Severity, parse_severity
from bot.errors import Theirs
from workers.tools.output import number, span

# No message of a linter is longer; characters.
_LONGEST = 4_000
# Those that take as much as there is, up to what comes after them.
_OPEN = ("f", "m", "r", "p", ".%#")
_FIELDS = {
    "f": r".+?",
    "l": r"\d{1,9}",
    "e": r"\d{1,9}",
    "c": r"\d{1,9}",
    "k": r"\d{1,9}",
    "n": r"\d{1,9}",
    "t": r"[A-Za-z]",
    "m": r".+?",
    "r": r".*?",
    "p": r"[- \t.]*",
}
_PREFIX = re.compile(r"^%(?P<out>-)?(?P<letter>[EWINACZG])")
_KINDS = {"e": "error", "w": "warning", "i": "info", "n": "note"}


@dataclass(frozen=True)
class Pattern:
    """`letter` is what stands in front, empty for a message of one line; such a line is `left_out`."""

    letter: str
    left_out: bool
    line: re.Pattern[str]


def _compile(text: str) -> Pattern:
    prefix = _PREFIX.match(text)
    rest = text[prefix.end() :] if prefix else text
    groups = [""]
    seen: set[str] = set()
    for piece in re.findall(r"%\.%#|%.?|[^%]+", rest, re.DOTALL):
        if piece[1:] in _OPEN:
            groups.append("")
        groups[-1] += _expression(piece, seen, text)
    # What one conversion took is not reconsidered for the sake of a later one: a line is read in time by its length.
    whole = "".join(f"(?>{group})" for group in groups[:-1]) + groups[-1]
    return Pattern(prefix["letter"] if prefix else "", bool(prefix and prefix["out"]), re.compile(whole))


def _expression(piece: str, seen: set[str], text: str) -> str:
    if not piece.startswith("%"):
        return re.escape(piece)
    name = piece[1:]
    if name in (".%#", "%"):
        return ".*?" if name == ".%#" else "%"
    if name not in _FIELDS or name in seen:
        raise Theirs(f"errorformat: {piece!r} is not known, or stands twice, in {text[:200]!r}")
    seen.add(name)
    return f"(?P<{name}>{_FIELDS[name]})"


def parse(text: str, formats: Sequence[str]) -> list[Finding]:
    """The messages in a tool's output. Lines that no pattern fits are no messages.

    Raises Theirs for a pattern that holds what is not known here.
    """
    patterns = [_compile(one) for one in formats]
    found = (
        {name: text.strip() if name in "mf" else text for name, text in one.items()}
        for one in _messages(text, patterns)
    )
    return [_finding(one) for one in found if one.get("m") or one.get("f")]


def _messages(text: str, patterns: Sequence[Pattern]) -> Iterator[Mapping[str, str]]:
    """What stands in each message, by the letters of the conversions; `kind` by the letter in front."""
    current: dict[str, str] | None = None
    for line in text.splitlines():
        pattern, said = _fitting(line[:_LONGEST], patterns)
        if pattern is not None and pattern.left_out:
            continue
        goes_on = pattern is not None and pattern.letter in ("C", "Z")
        if current is not None and goes_on:
            _add(current, said)
        elif current is not None:
            yield current
            current = None
        if pattern is None or pattern.letter == "G":
            continue
        if pattern.letter == "Z" and current is not None:
            yield current
            current = None
        elif not pattern.letter:
            yield said
        elif not goes_on:
            current = {"kind": pattern.letter.lower(), **said}
    if current is not None:
        yield current


def _fitting(line: str, patterns: Sequence[Pattern]) -> tuple[Pattern | None, dict[str, str]]:
    for pattern in patterns:
        if match := pattern.line.fullmatch(line):
            return pattern, {name: text for name, text in match.groupdict().items() if text is not None}
    return None, {}


def _add(message: dict[str, str], said: Mapping[str, str]) -> None:
    """A line that goes on: its words are added, and it may say what was not said before."""
    for name, text in said.items():
        message[name] = f"{message[name]}\n{text}" if name == "m" and name in message else message.get(name, text)


def _finding(said: Mapping[str, str]) -> Finding:
    kind = _KINDS.get(said.get("t", said.get("kind", "")).lower())
    column = number(said.get("c")) or (len(said["p"]) + 1 if "p" in said else None)
    return Finding(
        tool="errorformat",
        rule=said.get("n", "errorformat"),
        severity=parse_severity(kind) if kind else Severity.MEDIUM,
        message=said.get("m") or "no message",
        path=said.get("f", ""),
        **span(said.get("l"), said.get("e"), column, said.get("k")),
    )
