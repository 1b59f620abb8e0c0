"""Taking secrets out of text before anyone sees it.

Three kinds are known: the operator's own secrets, given literally (also as base64, URL-encoded or JSON, and broken over
lines); credentials of well-known services by their shape; and values that are assigned to a telling name and look
random. What is masked reads `[redacted: github token]`.

Every pattern starts at a fixed word and repeats classes that cannot start it again, or is possessive, so that time is
linear in the text whatever it holds.
"""

from __future__ import annotations

import base64
import json
import math
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

# A shorter literal would mask ordinary words.
SHORTEST_SECRET = 6
# Masking changes what stands at the edges of the rest; rarely does that show another secret, hardly ever a third.
_ROUNDS = 4

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
    r"\\?[\"']?\s{0,3}(?:=>|:=|[:=])\s{0,3}"
)
_ASSIGNED = re.compile(
    rf"(?:{_TELLING}[\"']?|\b(?:bearer|basic)\s)([A-Za-z0-9+/=_~-]{{16,}}+)(?![(\[.])", re.IGNORECASE
)
# In quotes any character may belong to it, but for those of templates and placeholders.
_QUOTED = re.compile(rf"{_TELLING}\\?[\"']([^\s\"'`<>{{}}\\]{{12,200}}+)", re.IGNORECASE)
_ODD = re.compile(r"[0-9!#$%^&*?+=~@|]")

_NAME = re.compile(r"[A-Za-z_/~-]+\d{0,3}")

_NAMES = (*_SHAPES, "password", "secret")
_PLACEHOLDER = re.compile(r"(\[redacted: (?:" + "|".join(_NAMES) + r")\])")

_Found = tuple[int, int, str]


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """The text with secrets masked. Idempotent; see `Redactor`, which is to be kept where many texts are redacted."""
    return Redactor(secrets)(text)


class Redactor:
    """Masks secrets: the literal `secrets` of at least `SHORTEST_SECRET` characters, and what looks like one."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets for form in _forms(secret.strip())}
        # Each with its squeezed form, which is looked for too where it is long enough.
        self._literals = tuple((form, _BREAK.sub("", form)) for form in sorted(forms) if len(form) >= SHORTEST_SECRET)

    def __repr__(self) -> str:
        return f"Redactor({len(self._literals)} literals)"

    def __call__(self, text: str) -> str:
        for _ in range(_ROUNDS):
            # What was masked is left alone, so that a secret that reads like a placeholder does not mask it again.
            parts = _PLACEHOLDER.split(text)
            masked = "".join(part if index % 2 else self._mask(part) for index, part in enumerate(parts))
            if masked == text:
                break
            text = masked
        return text

    def _mask(self, text: str) -> str:
        out, at = [], 0
        for start, end, name in _joined(sorted((*self._known(text), *_shaped(text), *_assigned(text)))):
            out += [text[at:start], f"[redacted: {name}]"]
            at = end
        return "".join((*out, text[at:]))

    def _known(self, text: str) -> Iterator[_Found]:
        if not self._literals:
            return
        squeezed = _Squeezed(text)
        for literal, squeezed_literal in self._literals:
            yield from ((at, at + len(literal), "secret") for at in _occurrences(text, literal))
            if len(squeezed_literal) >= SHORTEST_SECRET:
                yield from ((*squeezed.span(at, squeezed_literal), "secret") for at in squeezed.find(squeezed_literal))


def _forms(secret: str) -> Iterator[str]:
    """How a secret may be written. Base64 depends on what stands before it, so the three alignments' unchanging middle
    parts are looked for."""
    raw = secret.encode("utf-8", "surrogatepass")
    yield from (secret, json.dumps(secret)[1:-1], quote(raw, safe=""), quote_plus(raw))
    yield re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), quote(raw, safe=""))
    lines = secret.splitlines()
    if len(lines) > 1:
        yield from (line for line in lines if len(line) >= 16 and not line.startswith("-----"))
    for shift in range(3):
        encoded = base64.b64encode(bytes(shift) + raw).decode()
        first, last = (0, 2, 3)[shift], (len(raw) + shift) * 8 // 6
        middle = encoded[first:last]
        if len(middle) >= 8:
            yield from (middle, middle.replace("+", "-").replace("/", "_"))


# Line breaks and white space, also as a shell or JSON writes them.
_BREAK = re.compile(r"(?:\\[nrt]|\\?\s)+")


class _Squeezed:
    """A text without white space and line breaks, that knows where each of its characters came from."""

    def __init__(self, text: str) -> None:
        self._whole = text
        self._text = _BREAK.sub("", text) if "\\" in text else "".join(text.split())
        self._starts: list[int] = []
        self._pieces: list[int] = []

    def _take_apart(self) -> None:
        at = length = 0
        for match in (*_BREAK.finditer(self._whole), None):
            end = match.start() if match else len(self._whole)
            self._starts.append(length)
            self._pieces.append(at)
            length += end - at
            at = match.end() if match else end

    def find(self, literal: str) -> Iterator[int]:
        return _occurrences(self._text, literal)

    def span(self, at: int, literal: str) -> tuple[int, int]:
        # Late, for hardly any text has a secret in it.
        if not self._starts:
            self._take_apart()
        return self._origin(at), self._origin(at + len(literal) - 1) + 1

    def _origin(self, at: int) -> int:
        piece = bisect_right(self._starts, at) - 1
        return self._pieces[piece] + at - self._starts[piece]


def _occurrences(text: str, literal: str) -> Iterator[int]:
    at = text.find(literal)
    while at >= 0:
        yield at
        at = text.find(literal, at + 1)


def _shaped(text: str) -> Iterator[_Found]:
    for name, signs, shape in _SHAPED:
        if any(sign in text for sign in signs):
            yield from ((*match.span(), name) for match in shape.finditer(text))
    for match in _URL_PASSWORD.finditer(text):
        yield match.start(1), match.end(1), "password"
    for match in _AWS_SECRET.finditer(text):
        yield match.start(1), match.end(1), "aws key"


_TELLING_SIGNS = ("passw", "passphrase", "secret", "token", "key", "credential", "authorization", "bearer", "basic")


def _assigned(text: str) -> Iterator[_Found]:
    # Folded, for the patterns ignore the case.
    folded = text.casefold()
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


def _joined(found: Iterable[_Found]) -> list[_Found]:
    """Overlapping spans become one, under the name of the first."""
    joined: list[_Found] = []
    for start, end, name in found:
        if joined and start < joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]), joined[-1][2])
        else:
            joined.append((start, end, name))
    return joined
