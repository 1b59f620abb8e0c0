"""What models cost: a table of prices, and what a request costs by it, before and after. Pure but for reading."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from pydantic import Field, TypeAdapter, ValidationError

from bot.domain.findings import Cost
from bot.domain.model import Frozen
from bot.errors import Misconfigured

_MILLION = 1_000_000
# Of code fewer bytes make a token than of prose, of which it is four.
_BYTES_A_TOKEN = 3
# Tokens of an answer and of what a model thinks before it, as an estimate takes them, and of the answer's schema.
_ANSWER, _SCHEMA = 4_000, 1_000
# What any hosted model takes by now, in tokens.
CONTEXT = 128_000
_SNAPSHOT = re.compile(r"-20\d\d-?\d\d-?\d\d\Z")


class Price(Frozen):
    """US dollars for a million tokens. `cached` is for those of the input that the provider had read before, None where
    they cost as much as any. `context` is how many tokens a question and its answer may have together."""

    input: float = Field(ge=0, allow_inf_nan=False)
    output: float = Field(ge=0, allow_inf_nan=False)
    cached: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    context: int = Field(default=CONTEXT, ge=1)

    def of(self, read: int, cached: int, written: int) -> float:
        """US dollars for so many tokens; `cached` are among those that were `read`."""
        again = self.input if self.cached is None else self.cached
        known = min(cached, read)
        return ((read - known) * self.input + known * again + written * self.output) / _MILLION


Prices = Mapping[str, Price]
_TABLE = TypeAdapter(dict[str, Price])


def load_prices(own: Path | None) -> Prices:
    """Assay's own table, and before it what stands in the operator's file.

    Raises Misconfigured for a file that cannot be read or is no such table.
    """
    prices = _parse((files("config") / "prices.toml").read_text(encoding="utf-8"))
    if own is None:
        return prices
    try:
        return prices | _parse(own.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, ValidationError) as error:
        raise Misconfigured(
            f"ASSAY_LLM_PRICES: {own} is not a table of prices ({type(error).__name__}). To mend it: a line a model, "
            '"NAME" = {input = 1.0, cached = 0.1, output = 4.0}, in US dollars for a million tokens'
        ) from None


def _parse(text: str) -> dict[str, Price]:
    return _TABLE.validate_python(tomllib.loads(text))


def price_of(prices: Prices, model: str) -> Price | None:
    """The price of a model, None where nobody stated it."""
    exact = prices.get(model) or prices.get(_SNAPSHOT.sub("", model))
    if exact:
        return exact
    fitting = [name for name in prices if name.endswith("*") and model.startswith(name[:-1])]
    return prices[max(fitting, key=len)] if fitting else None


def room_of(context: int) -> int:
    """Characters of a question that fit into so many tokens, beside its schema and the answer."""
    return max(0, context - _SCHEMA - min(_ANSWER, context // 4)) * _BYTES_A_TOKEN


def tokens_of(characters: int) -> int:
    """About how many tokens so many characters of an answer are."""
    return characters // _BYTES_A_TOKEN


def estimate(model: str, price: Price | None, *texts: str, written: int | None = None) -> Cost:
    """What it will about cost to send these texts and have them answered, or, where so many characters were `written`,
    what it has cost."""
    read = sum(len(text.encode("utf-8", "replace")) for text in texts) // _BYTES_A_TOKEN + _SCHEMA
    answer = _ANSWER if written is None else tokens_of(written)
    usd = None if price is None else price.of(read, 0, answer)
    return Cost(model=model, input_tokens=read, output_tokens=answer, usd=usd)
