from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from bot.github.text import fit

ANY = st.text(st.characters(exclude_categories=()))


@given(ANY, st.integers(min_value=3, max_value=40))
def test_the_limit_holds_in_bytes_and_characters(text: str, limit: int) -> None:
    fitted = fit(text, limit)
    assert len(fitted) <= len(fitted.encode()) <= limit


@given(ANY)
def test_what_fits_can_be_sent_as_json(text: str) -> None:
    assert json.loads(json.dumps(fit(text, 100), ensure_ascii=False).encode()) == fit(text, 100)
    assert "\0" not in fit(text, 100)


@given(st.text(max_size=20))
def test_short_clean_text_is_left_alone(text: str) -> None:
    assert fit(text, 100) == text.replace("\0", "\N{REPLACEMENT CHARACTER}")


def test_a_cut_shows_and_splits_no_character() -> None:
    assert fit("abcdefgh", 6) == "abc…"
    assert fit("ééééé", 8) == "éé…"
