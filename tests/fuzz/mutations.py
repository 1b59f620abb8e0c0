"""Texts that a parser may meet: real ones, bent a little or a lot, and now and then pure noise.

Everything is drawn from hypothesis, so a text that breaks a parser is made small before it is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hypothesis import strategies as st

# What has broken parsers before: numbers at the edges, what closes and opens, what is no text, what grows.
TOKENS = (
    *(
        "0",
        "-1",
        "1e999",
        "NaN",
        "9" * 30,
        "null",
        "true",
        "{}",
        "[]",
        '""',
        "{",
        "[",
        "}",
        "]",
        '"',
        "'",
        "<",
        ">",
        "&",
    ),
    *(
        "\0",
        "\ufeff",
        "\u202e",
        "\ud800",
        "\x85",
        "\u2028",
        "\r",
        "\n",
        "\r\n",
        "\t",
        "\\",
        "\\u0000",
        "%00",
        "%s",
        "{0}",
    ),
    *(
        "../",
        "/etc/passwd",
        "./--config=x",
        "-",
        "--",
        "@@ -1 +1 @@",
        "diff --git a/x b/x",
        "+++ b/x",
        "--- a/x",
        "~",
        ":",
    ),
    *("<!DOCTYPE a [<!ENTITY b 'c'>]>", "&b;", "<![CDATA[", "]]>", "*a", "&a", "!!python/object:x", "<<: ", "| ", "> "),
    *("@octocat", "`", "```", "<!--", "-->", "a" * 5_000, "[" * 500, "<a>" * 500, '{"a":' * 500, "(" * 500),
)

Mutation = Callable[[str], str]


def _at(text: str, share: float) -> int:
    return int(share * len(text))


def _insert(share: float, token: str) -> Mutation:
    return lambda text: text[: _at(text, share)] + token + text[_at(text, share) :]


def _delete(share: float, length: int) -> Mutation:
    return lambda text: text[: _at(text, share)] + text[_at(text, share) + length :]


def _repeat(share: float, length: int, times: int) -> Mutation:
    def repeated(text: str) -> str:
        at = _at(text, share)
        return text[:at] + text[at : at + length] * times + text[at + length :]

    return repeated


def _cut(share: float) -> Mutation:
    return lambda text: text[: _at(text, share)]


_SHARE = st.floats(0, 1, exclude_max=True)
MUTATION: st.SearchStrategy[Mutation] = st.one_of(
    st.builds(_insert, _SHARE, st.sampled_from(TOKENS) | st.text(max_size=3)),
    st.builds(_delete, _SHARE, st.integers(1, 40)),
    st.builds(_repeat, _SHARE, st.integers(1, 60), st.integers(2, 20)),
    st.builds(_cut, _SHARE),
)


def texts(seeds: Sequence[str]) -> st.SearchStrategy[str]:
    """Texts like the seeds, no longer than a parser's own bounds let them be."""
    real = st.sampled_from([*seeds, ""])
    bent = st.builds(_bend, real, st.lists(MUTATION, min_size=1, max_size=6))
    noise = st.lists(st.sampled_from(TOKENS) | st.text(max_size=8), max_size=12).map("".join)
    return bent | noise


def _bend(text: str, mutations: Sequence[Mutation]) -> str:
    for mutation in mutations:
        text = mutation(text)[:200_000]
    return text
