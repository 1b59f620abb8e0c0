"""Building GitHub Markdown out of text that nobody may trust.

What a tool, a model or a stranger wrote reaches people through `plain`, `code` or `fence` only. These keep the words
and take away their powers: no link, image, HTML, heading or table of their own, no @mention, no reference to an issue
or a commit, no unseen characters. What could act is shown as code, because GitHub neither links nor notifies from
there; a backslash does not stop a mention, since those are looked for after the Markdown is rendered.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

_ANSI = re.compile(r"\x1b\[[0-9;:?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[@-Z\\^_]")
# Controls, bidirectional overrides, zero-width and filler characters, tags, variation selectors (all but the one of
# emoji), surrogates: what an eye does not see, or sees elsewhere than it is.
_UNSEEN = re.compile(
    "([\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0e\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff\ud800-\udfff])\\1*"
)


def visible(text: str, lines: bool = False) -> str:
    """The text without terminal colours, and with every unseen character shown as `⟨U+202E⟩`.

    White space is folded into one line, unless `lines` keeps line breaks and indentation.
    """
    text = _ANSI.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    text = _UNSEEN.sub(_show, text)
    return text if lines else " ".join(text.split())


def _show(match: re.Match[str]) -> str:
    times = len(match[0])
    return f"⟨U+{ord(match[1]):04X}{f' ×{times}' if times > 1 else ''}⟩"  # noqa: RUF001 - a multiplication sign


def clip(text: str, limit: int) -> str:
    """At most `limit` characters; where something was cut off, the last is `…`."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


_CODE = re.compile(r"(`{1,2})([^`]+)\1(?!`)")
# What GitHub makes a link or an emoji of: mentions and addresses, issues, URLs, commits, `:tada:`.
_ACTIVE = re.compile(r"@\w|#\d|\bgh-\d|://|\bwww\.|\b[0-9a-f]{7,64}\b|:[+-]?[a-z][\w+-]*:", re.IGNORECASE)
_OPENING = "([{<\"'*,"
_CLOSING = ")]}>\"'*.,;:!?"
_SPECIAL = re.compile(r"[\\`*\[\]~<>&$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;", "$": "&#36;"}
_BLOCK_START = re.compile(r"^(\d{1,9})?([-+=#:.)])")


def plain(text: str, limit: int = 500) -> str:
    """One line of inert Markdown that reads as the text; what stood in backticks is still code."""
    text = clip(visible(text), limit)
    parts: list[str] = []
    at = 0
    for match in _CODE.finditer(text):
        parts += _words(text[at : match.start()])
        parts.append(code(match[2], limit) or " ")
        at = match.end()
    parts += _words(text[at:])
    line = ""
    for part in parts:
        # Two code spans that touch would be one of another shape.
        line += f" {part}" if line.endswith("`") and part.startswith("`") else part
    return _BLOCK_START.sub(r"\1\\\2", line.strip())


def _words(text: str) -> list[str]:
    return [part for word in re.split(r"( )", text) for part in _word(word)]


def _word(word: str) -> list[str]:
    if not _ACTIVE.search(word):
        return [_escape(word)]
    core = word.lstrip(_OPENING)
    before, core = word[: len(word) - len(core)], core.rstrip(_CLOSING)
    after = word[len(before) + len(core) :]
    if not _ACTIVE.search(core):
        return [code(word, len(word))]
    return [_escape(before), code(core, len(core)), _escape(after)]


def _escape(text: str) -> str:
    return _SPECIAL.sub(lambda match: _ENTITIES.get(match[0], "\\" + match[0]), text)


def code(text: str, limit: int = 200) -> str:
    """A code span; empty for a text that shows nothing."""
    text = _no_markers(clip(visible(text), limit))
    if not text:
        return ""
    ticks = "`" * (_longest_run(text) + 1)
    pad = " " if text[0] == "`" or text[-1] == "`" else ""
    return f"{ticks}{pad}{text}{pad}{ticks}"


def fence(text: str, limit: int, info: str = "", tail: bool = False) -> str:
    """A code block of at most `limit` characters of text: the first ones, or with `tail` the last."""
    text = _no_markers(visible(text.strip("\n"), lines=True))
    if len(text) > limit:
        text = "…" + text[-limit + 1 :] if tail else text[: limit - 1] + "…"
    return _fenced(text, info)


def exact(text: str, info: str) -> str | None:
    """A code block of the text as it is; None where it holds what cannot be seen."""
    return _fenced(text, info) if visible(text, lines=True) == text else None


def _fenced(text: str, info: str) -> str:
    ticks = "`" * max(3, _longest_run(text) + 1)
    return f"{ticks}{info}\n{text}\n{ticks}" if text else f"{ticks}{info}\n{ticks}"


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall(r"`+", text)), default=0)


def _no_markers(text: str) -> str:
    """Code is shown as it is, so a marker of ours could be forged in it for those who read the comment's source."""
    return text.replace("<!--", "<!- -")


_PIPE = re.compile(r"(?<!\\)(\\*)\|")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are Markdown already."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    # A table is cut at its pipes before anything else is read, code spans too; the number of backslashes before a pipe
    # has to be odd.
    return _PIPE.sub(lambda match: match[1] + "\\" * (1 + len(match[1]) % 2) + "|", text.replace("\n", " "))


def bullets(items: Iterable[str]) -> str:
    """A list of lines that are Markdown already."""
    return "\n".join(f"- {item}" for item in items)


def details(summary: str, body: str) -> str:
    """A part that is folded away; `summary` is words of ours (GitHub still links mentions in it), `body` Markdown."""
    return f"<details><summary>{html.escape(summary)}</summary>\n\n{body}\n\n</details>"


_SAFE_URL = re.compile(r"https://[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*(?::\d{1,5})?(?:/[A-Za-z0-9._~%/+=&?#:,-]*)?")
# A link to one of these leaves a trace in a stranger's issue.
_REFERENCE = re.compile(r"/(?:issues|pull|discussions|commit)/", re.IGNORECASE)


def safe_url(url: str | None) -> str | None:
    """The URL when a link to it is harmless: https, no credentials, ordinary characters, no issue or commit."""
    if url is None or len(url) > 300 or not _SAFE_URL.fullmatch(url) or _REFERENCE.search(url):
        return None
    return url


def link(text: str, url: str | None) -> str:
    """Markdown `text`, as a link where `url` is a safe one."""
    return f"[{text}]({url})" if text and safe_url(url) else text


def fit(blocks: Iterable[str], limit: int) -> str:
    """As many whole blocks as have room in `limit` characters, the first ones first, and a word about the rest."""
    note = "_Cut: the rest is in the checks._"
    kept: list[str] = []
    room = limit - len(note) - 2
    for block in blocks:
        if not block:
            continue
        if len(block) + 2 > room:
            return "\n\n".join((*kept, note))
        kept.append(block)
        room -= len(block) + 2
    return "\n\n".join(kept)
