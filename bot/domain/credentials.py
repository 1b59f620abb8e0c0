"""Credentials in a text: known by their shape, or by a telling name and a random look.

Every pattern starts at a fixed word and repeats classes that cannot start it again, or is possessive, so that time is
linear in the text whatever it holds.
"""

from __future__ import annotations

import base64
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

# Where it starts, where it ends, what it is.
Found = tuple[int, int, str]
# What it is, what of that is in a text, and how it is shaped.
Kind = tuple[str, Sequence[str], re.Pattern[str]]

_GAP = r"(?:\n-(?!-)|\\[nr]|[\s\"'+,|>\\])*+"
_PRIVATE_KEY = (
    rf"-----BEGIN [A-Z0-9 ]{{0,40}}PRIVATE KEY(?: BLOCK)?-----"
    rf"(?:{_GAP}(?:[A-Za-z0-9+/=]{{20,}}+|(?:Proc-Type|DEK-Info|Version|Comment):[^\n\\]{{0,100}}))*+"
    rf"(?:(?:{_GAP}[A-Za-z0-9+/=]{{1,19}}+)?{_GAP}-----END [A-Z0-9 ]{{0,40}}PRIVATE KEY(?: BLOCK)?-----)?"
)
_SHAPES: dict[str, str] = {
    "private key": _PRIVATE_KEY,
    "github token": r"gh[pousr]_[A-Za-z0-9_]{20,}+(?:\.[A-Za-z0-9_-]{10,}+){0,2}|github_pat_[A-Za-z0-9_]{20,}+",
    "gitlab token": r"glpat-[A-Za-z0-9_-]{20,}+",
    "jwt": r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}+\.eyJ[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]{8,}+",
    "aws key": r"(?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])",
    "slack token": r"xox[abeoprs]-[A-Za-z0-9-]{10,}+|xapp-\d-[A-Za-z0-9-]{10,}+"
    r"|(?<=hooks\.slack\.com/services/)[A-Za-z0-9/]{20,}+",
    "stripe key": r"[rs]k_(?:live|test)_[A-Za-z0-9]{16,}+|whsec_[A-Za-z0-9+/=]{24,}+",
    "google key": r"AIza[A-Za-z0-9_-]{35}|(?<![A-Za-z0-9])ya29\.[A-Za-z0-9_-]{20,}+",
    "api key": r"(?<![A-Za-z0-9])sk-(?:(?:proj|svcacct|admin|ant|or)-[A-Za-z0-9_-]{20,}+|[A-Za-z0-9]{32,}+)",
    "npm token": r"npm_[A-Za-z0-9]{36,}+",
    "pypi token": r"pypi-[A-Za-z0-9_-]{32,}+",
}
# What each has to contain, of which one at least: it is looked for first, because hardly any text does.
_SIGNS: dict[str, tuple[str, ...]] = {
    "private key": ("PRIVATE KEY",),
    "github token": ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
    "gitlab token": ("glpat-",),
    "jwt": ("eyJ",),
    "aws key": ("AKIA", "ASIA"),
    "slack token": ("xox", "xapp-", "hooks.slack.com"),
    "stripe key": ("k_live_", "k_test_", "whsec_"),
    "google key": ("AIza", "ya29."),
    "api key": ("sk-",),
    "npm token": ("npm_",),
    "pypi token": ("pypi-",),
}
_SHAPED = [(name, _SIGNS[name], re.compile(shape)) for name, shape in _SHAPES.items()]

_URL_PASSWORD = re.compile(r"://[^\s/?#@:\"'`<>\[\]]{0,100}:([^\s/?#\"'`<>\[\]]{1,300})@")
_AWS_SECRET = re.compile(r"(?i:secret_?access_?key|aws_?secret)[\"']?\s{0,3}[:=]\s{0,3}[\"']?([A-Za-z0-9/+]{40})\b")
_TELLING = (
    r"(?:passwo?r?d|passphrase|secret|token|api_?key|access_?key|private_?key|credentials?|authorization)"
    r"(?:_(?:previous|old|new))?\\?[\"']?\s{0,3}(?:=>|:=|[:=])\s{0,3}"
)
_ASSIGNED = re.compile(
    rf"(?:{_TELLING}[\"']?|\b(?:bearer|basic)\s)([A-Za-z0-9+/=_~-]{{16,}}+)(?![(\[.])", re.IGNORECASE
)
# In quotes any character may belong to it, but for those of templates and placeholders.
_QUOTED = re.compile(rf"{_TELLING}\\?[\"']([^\s\"'`<>{{}}\\]{{12,200}}+)", re.IGNORECASE)
_ODD = re.compile(r"[0-9!#$%^&*?+=~@|]")

_NAME = re.compile(r"[A-Za-z_/~-]+\d{0,3}")

NAMES = (*_SHAPES, "password", "secret")


def found_in(text: str) -> Iterator[Found]:
    """The credentials in a text, as they stand there, in base64, or broken over lines. They may overlap."""
    folded, kinds = text.casefold(), _kinds(text)
    shaped = _shaped(text, folded, kinds)
    yield from shaped
    yield from _assigned(text, folded)
    yield from _broken(text, kinds, shaped)
    yield from _encoded(text)


def _kinds(text: str) -> list[Kind]:
    """What may be in a text, with those of its signs that are."""
    kinds = ((name, [sign for sign in signs if sign in text], shape) for name, signs, shape in _SHAPED)
    return [kind for kind in kinds if kind[1]]


def _shaped(text: str, folded: str, kinds: Iterable[Kind]) -> list[Found]:
    found: list[Found] = []
    for name, _, shape in kinds:
        found += ((*match.span(), name) for match in shape.finditer(text))
    found += ((*match.span(1), "password") for match in _URL_PASSWORD.finditer(text))
    if "secret" in folded:
        found += ((*match.span(1), "aws key") for match in _AWS_SECRET.finditer(text))
    return found


# One line's end, as it is or as it is written in a string, and what may begin the next: a diff's or a quotation's mark.
_LINE_END = re.compile(r"[\"'`]?(?:\\?\r?\n|\\n)[ \t+>|]{0,40}[\"'`]?")
# Of a long text only what surrounds a sign is joined: characters.
_AROUND = 400


def _broken(text: str, kinds: Iterable[Kind], shaped: Sequence[Found]) -> Iterator[Found]:
    """Credentials of a known shape that go on in the next line. A sign whose own line has it whole is not looked at:
    what follows it are other words."""
    if "\n" not in text and "\\n" not in text:
        return
    whole = {start for start, _, _ in shaped}
    for name, signs, shape in kinds:
        if name == "private key":  # whose pattern knows lines
            continue
        for sign in signs:
            seen = 0
            for at in occurrences(text, sign):
                if at < seen or at in whole:
                    continue
                seen = at + _AROUND
                begin = max(0, at - 1)
                window = text[begin:seen]
                breaks = [(match.start(), match.end()) for match in _LINE_END.finditer(window)]
                joined = _LINE_END.sub("", window)
                match = shape.search(joined) if breaks else None
                if match and _looks_random(match[0]) and _ODD.search(match[0]):
                    start, end = (_before(spot, breaks) for spot in (match.start(), match.end() - 1))
                    yield begin + start, begin + end + 1, name


def _before(spot: int, breaks: Sequence[tuple[int, int]]) -> int:
    """Where a character of a joined text stood before its breaks were taken out."""
    for start, end in breaks:
        if spot < start:
            break
        spot += end - start
    return spot


_BLOB = re.compile(r"[A-Za-z0-9+/_-]{24,}+={0,2}")
# Base64 of anything as long has letters of both cases and digits.
_MIXED = re.compile(r"(?=[^a-z]*+[a-z])(?=[^A-Z]*+[A-Z])(?=[^0-9]*+[0-9])")
# Of a blob that is longer only the beginning is decoded. Characters, a multiple of four.
_LONGEST_BLOB = 100_000


def _encoded(text: str) -> Iterator[Found]:
    """Credentials of a known shape in base64 (RFC 4648, either alphabet)."""
    for match in _BLOB.finditer(text):
        if not _MIXED.match(match[0]):
            # A path or a name, and cheaper to tell than to decode.
            continue
        blob = match[0].rstrip("=")[:_LONGEST_BLOB].replace("-", "+").replace("_", "/")
        # A last character on its own carries nothing.
        blob = blob[: len(blob) - (len(blob) % 4 == 1)]
        plain = base64.b64decode(blob + "=" * (-len(blob) % 4)).decode("latin-1")
        if found := _shaped(plain, plain.casefold(), _kinds(plain)):
            yield match.start(), match.end(), found[0][2]


_TELLING_SIGNS = ("passw", "passphrase", "secret", "token", "key", "credential", "authorization", "bearer", "basic")


def _assigned(text: str, folded: str) -> Iterator[Found]:
    # Folded, for the patterns ignore the case.
    if not any(sign in folded for sign in _TELLING_SIGNS):
        return
    for match in _ASSIGNED.finditer(text):
        if _looks_random(match[1]):
            yield match.start(1), match.end(1), "secret"
    for match in _QUOTED.finditer(text):
        if _looks_random(match[1]) and _ODD.search(match[1]):
            yield match.start(1), match.end(1), "secret"


def _looks_random(value: str) -> bool:
    """Whether a value is a secret rather than a name or a path: letters and digits mixed, and more than 3.5 bits a
    character."""
    if _NAME.fullmatch(value) or not any(char.isalpha() for char in value):
        return False
    counts = Counter(value).values()
    return -sum(count / len(value) * math.log2(count / len(value)) for count in counts) > 3.5


def occurrences(text: str, literal: str) -> Iterator[int]:
    """Where a literal stands in a text, overlapping ones included."""
    at = text.find(literal)
    while at >= 0:
        yield at
        at = text.find(literal, at + 1)
