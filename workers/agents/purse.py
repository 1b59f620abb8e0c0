"""What models have cost, added up and in words. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from bot.domain.findings import Cost


def unknown_price(limit: str, model: str) -> str:
    return (
        f"{limit} cannot be kept, for nobody stated the price of {model}: the operator can, in ASSAY_LLM_PRICES; or "
        "limit tokens instead, by agents.review.budget"
    )


def total(costs: Sequence[Cost]) -> float:
    return sum(one.usd or 0.0 for one in costs)


def joined(costs: Sequence[Cost]) -> Cost | None:
    """What they cost together, with the models' names; no price where that of one is not known. None for none."""
    if not costs:
        return None
    return Cost(
        model=", ".join(dict.fromkeys(name for one in costs for name in one.model.split(", "))),
        input_tokens=sum(one.input_tokens for one in costs),
        output_tokens=sum(one.output_tokens for one in costs),
        usd=None if any(one.usd is None for one in costs) else total(costs),
        fallback=next((one.fallback for one in costs if one.fallback), ""),
    )


def words(cost: Cost) -> str:
    """`$0.0123 (12,345 tokens)`, or the tokens alone."""
    tokens = f"{_tokens(cost):,} tokens"
    return tokens if cost.usd is None else f"${cost.usd:.4f} ({tokens})"


def _tokens(cost: Cost) -> int:
    return cost.input_tokens + cost.output_tokens
