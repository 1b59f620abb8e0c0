from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.markdown import bullets, clip, code, details, exact, fence, fit, link, plain, safe_url, table, visible
from tests.domain.hostile import HOSTILE, live_parts, shown, tokens


@given(HOSTILE)
def test_plain_text_is_inert(text: str) -> None:
    assert live_parts(plain(text)) == []


@given(HOSTILE)
def test_plain_text_is_inert_in_a_list(text: str) -> None:
    listed = bullets([plain(text) or "x", "last"])
    allowed = ("bullet_list_open", "bullet_list_close", "list_item_open", "list_item_close")
    assert live_parts(listed, *allowed) == []
    assert [token.type for token in tokens(listed)].count("list_item_open") == 2


@given(HOSTILE)
def test_code_is_one_code_span(text: str) -> None:
    kinds = [token.type for token in tokens(code(text)) if token.type in ("text", "code_inline") and token.content]
    assert kinds == (["code_inline"] if visible(text) else [])


@given(st.lists(st.tuples(HOSTILE, HOSTILE), min_size=1, max_size=4))
def test_a_table_keeps_its_rows_and_columns(rows: list[tuple[str, str]]) -> None:
    made = table(("a", "b"), [(plain(one), code(other)) for one, other in rows])
    kinds = [token.type for token in tokens(made)]
    assert kinds.count("tr_open") == 1 + len(rows)
    assert kinds.count("td_open") == 2 * len(rows)
    parts = ("table", "thead", "tbody", "tr", "th", "td")
    assert live_parts(made, *(f"{part}_{end}" for part in parts for end in ("open", "close"))) == []


@given(HOSTILE, st.booleans())
def test_a_fence_holds_all_of_its_text(text: str, tail: bool) -> None:
    kinds = [token.type for token in tokens(f"{fence(text, 200, tail=tail)}\n\nafter")]
    assert kinds == ["fence", "paragraph_open", "inline", "text", "paragraph_close"]


@given(HOSTILE)
def test_no_text_forges_a_marker(text: str) -> None:
    assert all("<!--" not in made for made in (plain(text), code(text), fence(text, 500), details("More", plain(text))))


@given(HOSTILE)
def test_visible_text_has_one_line_and_only_visible_characters(text: str) -> None:
    seen = visible(text)
    assert seen == " ".join(seen.split())
    assert not {unicodedata.category(char) for char in seen} & {"Cc", "Cs", "Zl", "Zp"}
    assert not {unicodedata.bidirectional(char) for char in seen} & {"LRE", "RLE", "LRO", "RLO", "LRI", "RLI", "FSI"}
    assert visible(seen) == seen


def test_bidirectional_overrides_are_shown() -> None:
    assert visible("a\u202eb") == "a⟨U+202E⟩b"


def test_a_run_of_unseen_characters_is_counted() -> None:
    assert visible("\0" * 40) == "⟨U+0000 ×40⟩"  # noqa: RUF001


def test_terminal_colours_vanish() -> None:
    assert visible("\x1b[1;31mred\x1b[0m \x1b]0;title\x07end") == "red end"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("`os` imported but unused", "`os` imported but unused"),
        ("Use ``X | Y`` here", "Use `X | Y` here"),
        ("ask @octocat, please", "ask `@octocat`, please"),
        ("(see https://a.example/x).", "(see `https://a.example/x`)."),
        ("snake_case and __init__", "snake_case and \\_\\_init\\_\\_"),
        ("a < b && c", "a &lt; b &amp;&amp; c"),
        ("# no heading", "\\# no heading"),
        ("1. no list", "1\\. no list"),
    ],
)
def test_plain_text_stays_readable(text: str, expected: str) -> None:
    assert plain(text) == expected


@pytest.mark.parametrize("text", ["ordinary words", "a*b*c [d](e) <f> & g", "closes #1 for @octocat", "x | y \\| z"])
def test_a_reader_sees_the_text_as_it_was(text: str) -> None:
    assert shown(plain(text)) == text


def test_long_text_is_cut() -> None:
    assert clip("abcdef", 4) == "abc…"
    assert clip("abcd", 4) == "abcd"
    assert len(shown(plain("x" * 900, 100))) == 100


def test_a_fence_shows_the_end_of_a_log() -> None:
    assert fence("first\nlast", 5, tail=True) == "```\n…last\n```"


def test_exact_refuses_what_cannot_be_seen() -> None:
    assert exact("a = 1", "suggestion") == "```suggestion\na = 1\n```"
    assert exact("", "suggestion") == "```suggestion\n```"
    assert exact("a = '\u202e'", "suggestion") is None
    assert exact("a = 1\r", "suggestion") is None


@pytest.mark.parametrize(
    "url",
    [
        "http://a.example/",
        "javascript:alert(1)",
        "https://user:pass@a.example/",
        "https://a.example/)x",
        "https://a.example/ x",
        "https://a.example/\n",
        "https://github.com/o/n/issues/1",
        "https://a.example/" + "x" * 300,
        "",
        None,
    ],
)
def test_an_unsafe_url_is_no_link(url: str | None) -> None:
    assert safe_url(url) is None
    assert link("`x`", url) == "`x`"


def test_a_safe_url_is_a_link() -> None:
    assert link("`F401`", "https://docs.astral.sh/ruff/rules/unused-import/") == (
        "[`F401`](https://docs.astral.sh/ruff/rules/unused-import/)"
    )


def test_blocks_that_do_not_fit_are_left_out_whole() -> None:
    made = fit(["head", "x" * 50, "y" * 500, "tail"], 200)
    assert len(made) <= 200
    assert made == "head\n\n" + "x" * 50 + "\n\n_Cut: the rest is in the checks._"


def test_empty_blocks_leave_no_gap() -> None:
    assert fit(["a", "", "b"], 100) == "a\n\nb"
