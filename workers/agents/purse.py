"""What a run may still spend on models: the reviewer and its verifier have one purse. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ConfigDict

from bot.domain.findings import Cost
from bot.domain.model import Frozen


class Budget(Frozen):
    """See `config.repository.Budget`. `run` is in US dollars, `tokens` counts what goes in and what comes out."""

    model_config = ConfigDict(extra="ignore")

    run: float | None = None
    tokens: int | None = None

    def why_not(self, spent: Sequence[Cost], next_one: Cost) -> str:
        """Why what is estimated to cost `next_one` is not to be asked after what was `spent`; empty if it may be.

        Where a price is not known, a limit in dollars allows nothing: it could not be kept."""
        if self.tokens is not None:
            used, wanted = sum(map(_tokens, spent)), _tokens(next_one)
            if used + wanted > self.tokens:
                return (
                    f"the run's budget of {self.tokens:,} tokens is used up: {used:,} spent, and the next request is "
                    f"estimated at {wanted:,}"
                )
        if self.run is None:
            return ""
        blind = next((one.model for one in (*spent, next_one) if one.usd is None), None)
        if blind is not None:
            return unknown_price(f"the run's budget of ${self.run:.2f}", blind)
        paid, price = total(spent), next_one.usd or 0.0
        if paid + price > self.run:
            return (
                f"the run's budget of ${self.run:.2f} is used up: ${paid:.4f} spent, and the next request is estimated "
                f"at ${price:.4f}"
            )
        return ""


def unknown_price(limit: str, model: str) -> str:
    return (
        f"{limit} cannot be kept, for nobody stated the price of {model}: the operator can, in ASSAY_LLM_PRICES; or "
        "limit agents.review.budget.tokens instead"
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
