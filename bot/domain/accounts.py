"""What limits the cost of models: by pull request, by repository and month, by installation and month. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

from bot.domain.model import Frozen
from bot.domain.run import Run

# Seconds. A month's account outlives the month, a pull request's its last review.
_MONTH, _PULL = 62 * 86_400, 180 * 86_400
# Shares of a limit, in percent, that people are told of once.
LEVELS = (50, 75, 90, 100)


class Account(Frozen):
    """Something that has a limit, in US dollars. `words` names it for people, `remedy` says who may raise it."""

    key: str
    limit: float
    words: str
    remedy: str
    kept: int


def accounts(
    run: Run, pull: float | None, month: float | None, installation: float | None, now: float
) -> list[Account]:
    """The accounts that a run is charged to, of those that have a limit. `now` is in seconds since the epoch."""
    when = datetime.fromtimestamp(now, UTC).strftime("%Y-%m")
    repository, number = run.key.repository, next((one.number for one in run.pulls if one.live), None)
    found = []
    if pull is not None and number is not None:
        words, remedy = f"this pull request's ${pull:.2f}", "raise agents.review.budget.pull"
        found.append(Account(key=f"{repository}#{number}", limit=pull, words=words, remedy=remedy, kept=_PULL))
    if month is not None:
        words, remedy = f"the repository's ${month:.2f} a month", "raise agents.review.budget.month"
        found.append(Account(key=f"{repository}:{when}", limit=month, words=words, remedy=remedy, kept=_MONTH))
    if installation is not None:
        words, remedy = f"the installation's ${installation:.2f} a month", "ask the operator: ASSAY_LLM_BUDGET_MONTH"
        key = f"installation {run.installation}:{when}"
        found.append(Account(key=key, limit=installation, words=words, remedy=remedy, kept=_MONTH))
    return found
