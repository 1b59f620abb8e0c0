"""The table of prices, and what is made of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.errors import Misconfigured
from config.settings import Settings
from workers.llm.prices import CONTEXT, Price, estimate, load_prices, price_of, room_of


def test_model_that_is_the_default_has_a_price() -> None:
    assert price_of(load_prices(None), Settings.model_fields["llm_model"].default)


@pytest.mark.parametrize(
    ("model", "output"),
    [("m", 1.0), ("m-2026-03-05", 1.0), ("m-20260305", 1.0), ("m-pro", None), ("n/x", 3.0), ("n/y/z", 4.0), ("", None)],
)
def test_name_dated_snapshot_and_longest_beginning_find_the_price(model: str, output: float | None) -> None:
    table = {"m": 1.0, "n/*": 3.0, "n/y/*": 4.0}
    price = price_of({name: Price(input=0.0, output=value) for name, value in table.items()}, model)
    assert (price.output if price else None) == output


def test_operator_s_prices_go_before_and_the_others_stay(tmp_path: Path) -> None:
    own = tmp_path / "prices.toml"
    own.write_text('"gpt-5" = {input = 7.0, output = 9.0}\n"local/*" = {input = 0, output = 0}\n')
    prices = load_prices(own)
    assert prices["gpt-5"] == Price(input=7.0, output=9.0)
    assert prices["gpt-5-mini"] == load_prices(None)["gpt-5-mini"]
    assert price_of(prices, "local/llama") == Price(input=0.0, output=0.0)


@pytest.mark.parametrize(
    "text", [None, "no table", "m = 1", "m = {input = -1.0, output = 1.0}", "m = {input = inf, output = 1.0}"]
)
def test_bad_table_is_the_operator_s_to_mend(tmp_path: Path, text: str | None) -> None:
    own = tmp_path / "prices.toml"
    if text is not None:
        own.write_text(text)
    with pytest.raises(Misconfigured, match="ASSAY_LLM_PRICES"):
        load_prices(own)


def test_estimate_grows_with_what_is_sent_and_knows_no_price_by_itself() -> None:
    price = Price(input=3.0, output=0.0)
    less, more = estimate("m", price, "x" * 300), estimate("m", price, "x" * 30_000, "y" * 30_000)
    assert more.input_tokens - less.input_tokens == (60_000 - 300) / 3
    assert more.usd == pytest.approx(more.input_tokens * 3 / 1_000_000)
    assert estimate("m", None, "x").usd is None


def test_context_is_the_operator_s_to_state_and_leaves_room_for_the_answer(tmp_path: Path) -> None:
    own = tmp_path / "prices.toml"
    own.write_text('"local/*" = {input = 0, output = 0, context = 8192}\n"m" = {input = 1, output = 1}\n')
    prices = load_prices(own)
    assert [price.context for price in (price_of(prices, "local/llama"), price_of(prices, "m")) if price] == [
        8192,
        CONTEXT,
    ]
    assert 8_000 < room_of(8_192) < 3 * 8_192
    assert room_of(CONTEXT) > 3 * (CONTEXT - 8_000)
    assert room_of(500) == 0
