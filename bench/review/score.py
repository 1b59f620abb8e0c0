"""Candidates against golden comments: what Code Review Bench's evaluations hold, and their sum. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bench.review.cases import Golden
from bot.domain.findings import Finding

TOOL = "assay"

# Whether a candidate and a golden comment mean the same fault.
Judge = Callable[[Finding, Golden], bool]
# Lines by which the two may be apart.
_NEAR = 2


@dataclass(frozen=True)
class Reviewed:
    """What came of one review: what people would be shown, how it ended, its cost and time."""

    candidates: tuple[Finding, ...]
    outcome: str
    why: str = ""
    usd: float | None = None
    tokens: int = 0
    seconds: float = 0.0


def by_place(candidate: Finding, golden: Golden) -> bool:
    """The judge of planted faults: the same file, and nearly the same line."""
    first = candidate.start_line or 0
    last = candidate.last_line or first
    return candidate.path == golden.path and first - _NEAR <= golden.line <= last + _NEAR


def evaluate(url: str, reviewed: Reviewed, golden: Sequence[Golden], judge: Judge) -> dict[str, Any]:
    """One pull request's evaluation. Each golden comment is found once at most, each candidate finds one at most."""
    left = list(golden)
    hits, misses = [], []
    for candidate in reviewed.candidates:
        match = next((one for one in left if judge(candidate, one)), None)
        if match is None:
            misses.append({"candidate": candidate.message})
            continue
        left.remove(match)
        hits.append(
            {"golden_comment": match.comment, "severity": match.severity, "matched_candidate": candidate.message}
        )
    tp, fp, fn = len(hits), len(misses), len(left)
    failed = reviewed.outcome not in ("clean", "findings")
    return {
        "skipped": False,
        "true_positives": hits,
        "false_positives": misses,
        "false_negatives": [{"golden_comment": one.comment, "severity": one.severity} for one in left],
        "errors": [f"{reviewed.outcome}: {reviewed.why}"] if failed else [],
        "total_candidates": tp + fp,
        "total_golden": tp + fn,
        "tp": tp,
        "fp": fp,
        "fn": fn,
        "errors_count": int(failed),
        "precision": tp / (tp + fp) if tp + fp else 0.0,
        "recall": tp / (tp + fn) if tp + fn else 0.0,
        "tool": TOOL,
        "repo_name": url.rpartition("/")[0],
        "pr_url": url,
        "seconds": round(reviewed.seconds, 3),
        "tokens": reviewed.tokens,
        "usd": reviewed.usd,
    }


@dataclass(frozen=True)
class Total:
    """All pull requests together. `usd` None: the provider states no price."""

    pulls: int
    tp: int
    fp: int
    fn: int
    errors: int
    usd: float | None
    tokens: int
    seconds: float

    @property
    def precision(self) -> float:
        return self.tp / (self.tp + self.fp) if self.tp + self.fp else 0.0

    @property
    def recall(self) -> float:
        return self.tp / (self.tp + self.fn) if self.tp + self.fn else 0.0

    @property
    def f1(self) -> float:
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0

    @property
    def comments(self) -> float:
        """A pull request."""
        return (self.tp + self.fp) / self.pulls if self.pulls else 0.0


def total(evaluations: Sequence[dict[str, Any]]) -> Total:
    prices = [one["usd"] for one in evaluations]
    return Total(
        pulls=len(evaluations),
        tp=sum(one["tp"] for one in evaluations),
        fp=sum(one["fp"] for one in evaluations),
        fn=sum(one["fn"] for one in evaluations),
        errors=sum(one["errors_count"] for one in evaluations),
        usd=None if None in prices or not prices else sum(prices),
        tokens=sum(one["tokens"] for one in evaluations),
        seconds=sum(one["seconds"] for one in evaluations),
    )


def summary(score: Total) -> str:
    """For people, in a few lines."""
    price = "price unknown" if score.usd is None else f"${score.usd:.4f}"
    each = score.pulls or 1
    return (
        f"{score.pulls} pull requests, {score.tp + score.fn} known faults, "
        f"{score.errors} reviews that did not end well\n"
        f"precision {score.precision:.0%}   recall {score.recall:.0%}   F1 {score.f1:.2f}\n"
        f"{score.comments:.2f} comments, {score.tokens / each:,.0f} tokens and {score.seconds / each:.1f} s a pull "
        f"request; {price} in all"
    )
