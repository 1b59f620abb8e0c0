"""Text that strangers would like to have rendered, and the question whether it came out inert."""

from __future__ import annotations

import re

from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

_FRAGMENTS = (
    "@octocat",
    "@org/team",
    "#12",
    "GH-7",
    "owner/name#3",
    "closes #1",
    "https://evil.example/a?b=c",
    "www.evil.example",
    "a@b.example",
    "3f2a9c1d3f2a9c1d3f2a9c1d3f2a9c1d3f2a9c1d",
    ":tada:",
    "[x](https://evil.example)",
    "![x](https://evil.example/p.png)",
    "[x]: https://evil.example",
    "<https://evil.example>",
    "<img src=x onerror=y>",
    "</details>",
    "<!-- assay:pull:1 -->",
    "<!--",
    "-->",
    "&#64;octocat",
    "&lt;b&gt;",
    "|",
    "\\|",
    "\\\\|",
    "| --- |",
    "`",
    "``",
    "```",
    "````sh",
    "~~~",
    "\\`",
    "`a|b`",
    "`@x`",
    "\n",
    "\n\n",
    "\r",
    "# H",
    "===",
    "---",
    "- x",
    "1. x",
    "> x",
    "    code",
    "\t",
    "**b**",
    "__b__",
    "$x$",
    "\u202eevil\u202c",
    "\u200b",
    "\x1b[31mred\x1b[0m",
    "\x00",
    "\u2028",
    "\U000e0041",
    "word",
    " ",
    "(",
    ")",
    "]",
    "!",
)
HOSTILE = st.lists(st.one_of(st.sampled_from(_FRAGMENTS), st.text(max_size=6)), max_size=12).map("".join)

_MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
_INERT = {"text", "code_inline", "paragraph_open", "paragraph_close", "inline", "softbreak"}
# What GitHub looks for in rendered text; code is exempt.
_OUR_HTML = re.compile(
    r"(?:<details><summary>[\w ,]+</summary>|</details>|</?sub>|<!-- assay:(?:pull:12|finding:[0-9a-f]{20}) -->)\s*"
)
_LIVE = re.compile(r"@[a-z0-9]|#\d|\bgh-\d|://|\bwww\.|\b[0-9a-f]{7,40}\b", re.IGNORECASE)


def tokens(markdown: str) -> list[Token]:
    """All tokens, blocks and inline ones."""
    return [token for block in _MARKDOWN.parse(markdown) for token in (block, *(block.children or ()))]


def live_parts(markdown: str, *allowed: str) -> list[str]:
    """What of it would act: tokens but words, code, our own HTML and those `allowed`; words that GitHub links."""
    found = [token for token in tokens(markdown) if not _ours(token)]
    acting = [token.type for token in found if token.type not in _INERT and token.type not in allowed]
    return acting + [token.content for token in found if token.type == "text" and _LIVE.search(token.content)]


def _ours(token: Token) -> bool:
    return token.type in ("html_block", "html_inline") and _OUR_HTML.fullmatch(token.content) is not None


def shown(markdown: str) -> str:
    """The words that a reader sees."""
    return "".join(token.content for token in tokens(markdown) if token.type in ("text", "code_inline", "fence"))
