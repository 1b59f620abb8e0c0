"""Whom an Assay serves: the operator's restriction by installation, repository and event. Pure."""

from __future__ import annotations

from bot.domain.glob import matches_any
from bot.domain.model import Frozen


class Service(Frozen):
    """What is served; an empty list restricts nothing. `installations` are GitHub's numbers of them, `repositories`
    globs over `owner/name` in lower case (GitHub's names have no case), `events` GitHub's names of webhooks."""

    installations: tuple[int, ...] = ()
    repositories: tuple[str, ...] = ()
    events: tuple[str, ...] = ()

    def serves(self, installation: int) -> bool:
        """Whether anything of an installation may be served."""
        return not self.installations or installation in self.installations

    def names(self, repository: str) -> bool:
        """Whether anything of a repository, `owner/name`, may be served, as far as its name goes."""
        return not self.repositories or matches_any(self.repositories, repository.lower())

    def why_not(self, installation: int, repository: str, event: str) -> str:
        """Why such a webhook is refused, by the setting's name; empty where it is served."""
        if not self.serves(installation):
            return f"ASSAY_SERVE_INSTALLATIONS does not name installation {installation}"
        if not self.names(repository):
            return f"ASSAY_SERVE_REPOSITORIES does not name {repository}"
        if self.events and event not in self.events:
            return f"ASSAY_SERVE_EVENTS does not name {event}"
        return ""
