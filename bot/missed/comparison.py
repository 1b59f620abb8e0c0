"""What GitHub shows of a repository beside its runs: what changed of late, and whether its run knows."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from itertools import islice, takewhile
from typing import TypeVar

from bot.domain.run import Run
from bot.domain.triggers import Pull, Push
from bot.errors import Gone, Refused
from bot.github.contents import Contents, PullSeen, PushSeen
from bot.github.installations import InstalledRepository

log = logging.getLogger(__name__)

# Of one repository at a time, the newest.
MOST_PULLS, MOST_PUSHES = 100, 10

Change = PullSeen | PushSeen
_Any = TypeVar("_Any", bound=Change)


def changes(contents: Contents, repository: InstalledRepository, since: float) -> list[Change]:
    """Pull requests that were updated, and pushes to the default branch, since that time; of each the oldest first."""
    pulls = _since(contents.recent_pulls(), since, MOST_PULLS)
    if repository.pushed_at < since:
        return [*pulls]
    try:
        pushes = _since(contents.recent_pushes(repository.default_branch), since, MOST_PUSHES)
    except (Gone, Refused) as error:
        # Older Enterprise Servers have no such list. That is no reason to miss pull requests.
        log.warning("%s: missed pushes cannot be found: %s", repository.full_name, error)
        return [*pulls]
    return [*pulls, *pushes]


def _since(newest_first: Iterable[_Any], since: float, most: int) -> list[_Any]:
    return [*islice(takewhile(lambda change: change.updated_at >= since, newest_first), most)][::-1]


def is_news(run: Run | None, change: Change) -> bool:
    """Whether the run of the commit does not know what GitHub shows. Pure."""
    if isinstance(change, PushSeen):
        return run is None or Push(branch=change.branch).id not in run.requests
    known = next((one for one in run.pulls if one.number == change.number), None) if run else None
    if change.state != "open":
        # That nobody asked for it is how it should be.
        return known is not None and known.live
    return known is None or not known.live or _shown(known) != (change.base_ref, change.draft)


def _shown(pull: Pull) -> tuple[str, bool]:
    return pull.base_ref, pull.draft
