"""Taking secrets out of text before anyone sees it.

Three kinds are known: secrets given literally, the operator's own and those a change brings along (also as base64,
URL-encoded or JSON, and broken over lines); credentials of well-known services by their shape (also as base64, and
broken over lines); and values that are assigned to a telling name and look random (`bot/domain/credentials.py`). What
is masked reads `[redacted: github token]`.
"""

from __future__ import annotations

import base64
import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

from bot.domain.credentials import NAMES, Found, found_in, occurrences

# A shorter literal would mask ordinary words.
SHORTEST_SECRET = 6
_SHORTEST_FOUND = 12
# Masking changes what stands at the edges of the rest; rarely does that show another secret, hardly ever a third.
_ROUNDS = 4

_PLACEHOLDER = re.compile(r"(\[redacted: (?:" + "|".join(NAMES) + r")\])")


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """The text with secrets masked. Idempotent; see `Redactor`, which is to be kept where many texts are redacted."""
    return Redactor(secrets)(text)


def secrets_in(patch: str) -> frozenset[str]:
    """The secrets that the added lines of a patch bring along: what `redact` would mask in them. They are to be masked
    wherever else they turn up, in whatever form."""
    added = "\n".join(line[1:] for line in patch.split("\n") if line.startswith("+") and not line.startswith("+++ "))
    found = (added[start:end] for start, end, _ in found_in(added))
    return frozenset(value for value in found if len(value) >= _SHORTEST_FOUND)


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
        for start, end, name in _joined(sorted((*self._known(text), *found_in(text)))):
            out += [text[at:start], f"[redacted: {name}]"]
            at = end
        return "".join((*out, text[at:]))

    def _known(self, text: str) -> Iterator[Found]:
        if not self._literals:
            return
        squeezed = _Squeezed(text)
        for literal, squeezed_literal in self._literals:
            yield from ((at, at + len(literal), "secret") for at in occurrences(text, literal))
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
        return occurrences(self._text, literal)

    def span(self, at: int, literal: str) -> tuple[int, int]:
        # Late, for hardly any text has a secret in it.
        if not self._starts:
            self._take_apart()
        return self._origin(at), self._origin(at + len(literal) - 1) + 1

    def _origin(self, at: int) -> int:
        piece = bisect_right(self._starts, at) - 1
        return self._pieces[piece] + at - self._starts[piece]


def _joined(found: Iterable[Found]) -> list[Found]:
    """Overlapping spans become one, under the name of the first."""
    joined: list[Found] = []
    for start, end, name in found:
        if joined and start < joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]), joined[-1][2])
        else:
            joined.append((start, end, name))
    return joined
