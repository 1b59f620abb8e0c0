"""Where intake reads repositories: `case.Source`, of an App."""

from __future__ import annotations

import logging
from collections.abc import Callable

from bot.errors import Gone, Refused
from bot.github.client import App
from bot.github.contents import Contents
from bot.github.permissions import CONFIG, READ, TEAMS
from bot.github.teams import Teams
from config.reading import CONFIG_FILE

log = logging.getLogger(__name__)

# Seconds for which an organisation's own configuration is not read again.
_SHARED_TTL = 60


class AsApp:
    """Repositories, read as the App. `clock` is a monotonic one, in seconds."""

    def __init__(self, app: App, clock: Callable[[], float]) -> None:
        self._app = app
        self._clock = clock
        self._shared: dict[tuple[int, str], tuple[float, str | None]] = {}

    def contents(self, installation: int, repository: str) -> Contents:
        return Contents(self._app.api(installation, repository, READ), repository)

    def organisation_config(self, installation: int, owner: str) -> str | None:
        known = self._shared.get((installation, owner))
        if known is None or known[0] < self._clock():
            known = self._clock() + _SHARED_TTL, self._read_shared(installation, owner)
            self._shared[installation, owner] = known
        return known[1]

    def in_team(self, installation: int, repository: str, team: str, login: str) -> bool:
        if self._app.info.permissions.get("members") not in ("read", "write"):
            log.warning("%s trusts the team %s, but the App may not see its members", repository, team)
            return False
        teams = Teams(self._app.api(installation, repository, TEAMS), repository.partition("/")[0])
        try:
            return teams.has(team, login)
        except Refused as refusal:
            log.warning("%s trusts the team %s, which cannot be asked: %s", repository, team, refusal)
            return False

    def _read_shared(self, installation: int, owner: str) -> str | None:
        repository = f"{owner}/.github"
        try:
            return Contents(self._app.api(installation, repository, CONFIG), repository).file(CONFIG_FILE, "HEAD")
        except (Gone, Refused):
            # No such repository, or the App is not installed on it.
            return None
