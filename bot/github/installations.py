"""Where the App is installed, and on which repositories.

Source: docs.github.com, "REST API endpoints for GitHub App installations".
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import AwareDatetime

from bot.domain.model import Frozen
from bot.github.answers import Seen, read
from bot.github.client import PAGE, Api, App, items_of

# At most 3,000 installations.
_MAX_PAGES = 30

_INSTALLATIONS = "/app/installations"


class InstallationSeen(Frozen):
    """Times are in seconds since the epoch."""

    id: int
    created_at: float
    suspended: bool


class InstalledRepository(Frozen):
    """A repository of an installation. `pushed_at`, in seconds since the epoch, is when any of its branches moved last;
    `asleep`: archived or disabled, so that nothing can happen in it."""

    id: int
    full_name: str
    default_branch: str
    pushed_at: float
    asleep: bool


class _Installation(Seen):
    id: int
    created_at: AwareDatetime
    suspended_at: AwareDatetime | None = None


class _Repository(Seen):
    id: int
    full_name: str
    default_branch: str
    pushed_at: AwareDatetime | None = None
    archived: bool = False
    disabled: bool = False


def installations(app: App) -> Iterator[InstallationSeen]:
    """Where the App is installed."""
    for number in range(1, _MAX_PAGES + 1):
        answer = app.get(_INSTALLATIONS, {"per_page": PAGE, "page": number})
        for item in items_of(_INSTALLATIONS, answer):
            found = read(_Installation, item)
            yield InstallationSeen(
                id=found.id, created_at=found.created_at.timestamp(), suspended=found.suspended_at is not None
            )
        if answer.next_url is None:
            return


def repositories(api: Api, page: int) -> tuple[tuple[InstalledRepository, ...], bool]:
    """A page, from 1 on, of the repositories that the token of `api` reaches, and whether there is another."""
    params = {"per_page": PAGE, "page": page}
    items, more = api.page("/installation/repositories", params, key="repositories")
    return tuple(_to_seen(read(_Repository, item)) for item in items), more


def _to_seen(repository: _Repository) -> InstalledRepository:
    return InstalledRepository(
        id=repository.id,
        full_name=repository.full_name,
        default_branch=repository.default_branch,
        pushed_at=repository.pushed_at.timestamp() if repository.pushed_at else 0.0,
        asleep=repository.archived or repository.disabled,
    )
