"""What models have cost, in words. Pure."""

from __future__ import annotations

from bot.domain.findings import Cost


def unknown_price(limit: str, model: str) -> str:
    return (
        f"{limit} cannot be kept, for nobody stated the price of {model}: the operator can, in ASSAY_LLM_PRICES; or "
        "limit tokens instead, by agents.review.budget"
    )


def words(cost: Cost) -> str:
    """`$0.0123 (12,345 tokens)`, or the tokens alone."""
    tokens = f"{_tokens(cost):,} tokens"
    return tokens if cost.usd is None else f"${cost.usd:.4f} ({tokens})"


def _tokens(cost: Cost) -> int:
    return cost.input_tokens + cost.output_tokens
