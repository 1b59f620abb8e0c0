"""What reconciliation reads of GitHub: `reconciliation.GitHub`, of an App and whom it may serve."""

from __future__ import annotations

from collections.abc import Iterator

from bot.domain.service import Service
from bot.github.checks import Checks
from bot.github.client import App
from bot.github.contents import Contents
from bot.github.installations import InstallationSeen, InstalledRepository, installations, repositories
from bot.github.permissions import OVERVIEW


class Overview:
    """All that the App is installed on and may serve, read only."""

    def __init__(self, app: App, service: Service) -> None:
        self._app = app
        self._service = service

    def installations(self) -> Iterator[InstallationSeen]:
        return (one for one in installations(self._app) if self._service.serves(one.id))

    def repositories(self, installation: int, page: int) -> tuple[tuple[InstalledRepository, ...], bool]:
        found, more = repositories(self._app.installation_api(installation, OVERVIEW), page)
        return tuple(one for one in found if self._service.names(one.full_name)), more

    def contents(self, installation: int, repository: str) -> Contents:
        return Contents(self._app.installation_api(installation, OVERVIEW), repository)

    def checks(self, installation: int, repository: str) -> Checks:
        return Checks(self._app.installation_api(installation, OVERVIEW), repository)
