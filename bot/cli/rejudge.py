"""Judging a recorded run anew: the same questions to another model, or with another prompt, side by side with what was
said then. Neither GitHub nor the repository is needed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from bot.domain.asked import Asked
from bot.domain.findings import Cost
from bot.domain.markdown import clip, visible
from bot.errors import AssayError, Theirs
from workers.agent import LAST_TRY, Model
from workers.agents.claims import Claim, Review
from workers.agents.verify import Ruling, Rulings

# What `--agent` may name, and the shape of the answers.
AGENTS: dict[str, tuple[str, type[Review] | type[Rulings]]] = {
    "review": ("review", Review),
    "verify": ("review/verifier", Rulings),
}
_TIMEOUT = 600.0
_WIDTH = 44
_NEAR = 3  # lines


@dataclass(frozen=True)
class Point:
    """One thing that was said: what it is about, and what it amounts to."""

    where: str
    line: int
    words: str


@dataclass(frozen=True)
class Session:
    """What was said to one question, and at what cost."""

    points: tuple[Point, ...]
    cost: Cost | None = None
    error: str = ""


def latest(kept: Sequence[Asked]) -> list[Asked]:
    """The questions of the newest attempt among them."""
    newest = max((one.attempt for one in kept), default=0)
    return [one for one in kept if one.attempt == newest]


def recorded(asked: Asked, shape: type[Review] | type[Rulings]) -> Session:
    """What was said then."""
    if asked.error:
        return Session((), asked.cost, asked.error)
    # Another version of Assay may have taken what this one does not.
    return Session(_points(shape.model_validate_json(asked.answer, context={LAST_TRY: True})), asked.cost)


def again(asked: Asked, shape: type[Review] | type[Rulings], model: Model, prompt: str | None) -> Session:
    """What is said now, to the same question."""
    try:
        answer, cost = model.ask(prompt or asked.system, asked.user, shape, timeout=_TIMEOUT)
    except AssayError as error:
        return Session((), None, str(error))
    return Session(_points(answer), cost)


def _points(answer: Review | Rulings) -> tuple[Point, ...]:
    if isinstance(answer, Review):
        return tuple(map(_claim, answer.findings))
    return tuple(map(_ruling, answer.rulings))


def _claim(claim: Claim) -> Point:
    return Point(claim.path, claim.start_line, f"{claim.severity} {claim.title}")


def _ruling(ruling: Ruling) -> Point:
    lower = f" ({ruling.severity})" if ruling.severity else ""
    return Point(f"claim {ruling.claim}", 0, f"{ruling.verdict}{lower}: {ruling.reason}")


def side_by_side(then: Session, now: Session) -> list[str]:
    """A line for each thing that was said then or now: `=` both, `-` only then, `+` only now."""
    left = list(now.points)
    lines = []
    for point in then.points:
        match = next((one for one in left if one.where == point.where and abs(one.line - point.line) <= _NEAR), None)
        if match is not None:
            left.remove(match)
        lines.append(_row("=" if match else "-", point, point.words, match.words if match else ""))
    lines += [_row("+", point, "", point.words) for point in left]
    if then.error or now.error:
        lines.append(
            _cells("!", "", f"no answer: {then.error}" if then.error else "", now.error and f"no answer: {now.error}")
        )
    return lines


def _row(mark: str, point: Point, then: str, now: str) -> str:
    return _cells(mark, f"{point.where}:{point.line}" if point.line else point.where, then, now)


def _cells(mark: str, where: str, then: str, now: str) -> str:
    left, right = (clip(visible(words), _WIDTH) for words in (then, now))
    return f"{mark} {clip(visible(where), 40):<40}  {left:<{_WIDTH}}  {right}".rstrip()


def spent(sessions: Sequence[Session]) -> str:
    """`3 answers, 12,345 tokens, $0.0123`."""
    costs = [one.cost for one in sessions if one.cost]
    tokens = sum(cost.input_tokens + cost.output_tokens for cost in costs)
    known = bool(costs) and all(cost.usd is not None for cost in costs)
    price = f", ${sum(cost.usd or 0 for cost in costs):.4f}" if known else ""
    return f"{len(sessions)} questions, {tokens:,} tokens{price}"


def judge_again(kept: Sequence[Asked], agent: str, model: Model, prompt: str | None) -> list[str]:
    """The whole comparison, as lines."""
    shape = AGENTS[agent][1]
    if not kept:
        raise Theirs(
            "nothing is recorded of what its models were asked: ASSAY_LLM_LOG was off, no model was asked, or it was "
            "too long ago"
        )
    then, now, lines = [], [], [_cells(" ", "where", f"then: {kept[0].model}", f"now: {model.name}")]
    begun = time.monotonic()
    for asked in kept:
        if asked.shape != shape.__name__:
            continue
        then.append(recorded(asked, shape))
        now.append(again(asked, shape, model, prompt))
        lines += side_by_side(then[-1], now[-1])
    same = sum(line.startswith("=") for line in lines)
    only_then, only_now = (sum(line.startswith(mark) for line in lines) for mark in "-+")
    return [
        *lines,
        "",
        f"said then and now {same}, only then {only_then}, only now {only_now}",
        f"then: {spent(then)}",
        f"now:  {spent(now)}, {time.monotonic() - begun:.1f} s",
    ]
