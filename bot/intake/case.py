"""A delivery in hand: what it says, when it was looked into, and what GitHub says about it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from bot.context import found
from bot.domain.run import RunKey
from bot.errors import Theirs
from bot.github.contents import Contents
from bot.github.received import FromRepository
from bot.intake.ahead import Ahead
from config.problems import Problem
from config.reading import CONFIG_FILE, Layer, Reading, read
from config.repository import RepositoryConfig


class Source(Protocol):
    """Where repositories are read."""

    def contents(self, installation: int, repository: str) -> Contents: ...

    def organisation_config(self, installation: int, owner: str) -> str | None:
        """The text of the organisation's own configuration file, None where there is none."""

    def in_team(self, installation: int, repository: str, team: str, login: str) -> bool:
        """Whether somebody is in a team of the repository's owner, as far as Assay may know."""


@dataclass(frozen=True)
class Case:
    """`at`, in seconds since the epoch, is from before GitHub was asked anything, so that of two cases the later one
    knows the newer state. `age` is the delivery's, in seconds. GitHub is asked through `ahead`."""

    received: FromRepository
    guid: str
    at: float
    age: float
    source: Source
    contents: Contents
    ahead: Ahead

    def key(self, sha: str) -> RunKey:
        return RunKey(repository=self.received.repository, sha=sha)

    def about(self, sha: str) -> RunKey:
        """The run that the delivery is about; the log says so from now on."""
        key = self.key(sha)
        found(str(key))
        return key

    def expect_configuration(self, ref: str) -> None:
        self.ahead.expect(self.source.organisation_config, self.received.installation, self._owner)
        self.ahead.expect(self.contents.file, CONFIG_FILE, ref)

    def configuration(self, ref: str) -> Reading:
        """The organisation's and, at this ref, the repository's own."""
        self.expect_configuration(ref)
        shared = Layer(name=f"organisation {self._owner}", file=f"{self._owner}/.github:{CONFIG_FILE}", text=None)
        own = Layer(name=f"{CONFIG_FILE} at {_short(ref)}", file=CONFIG_FILE, text=None)
        asked = self.source.organisation_config, self.received.installation, self._owner
        layers = (
            _filled(shared, lambda: self.ahead.ask(*asked)),
            _filled(own, lambda: self.ahead.ask(self.contents.file, CONFIG_FILE, ref)),
        )
        problems = tuple(layer for layer in layers if isinstance(layer, Problem))
        if problems:
            return Reading(RepositoryConfig(), own.name, problems)
        return read([layer for layer in layers if isinstance(layer, Layer)])

    @property
    def _owner(self) -> str:
        return self.received.repository.partition("/")[0]


def _filled(layer: Layer, text: Callable[[], str | None]) -> Layer | Problem:
    """The layer with its text; or, for a file that is not even read, what is wrong with it."""
    try:
        return replace(layer, text=text())
    except Theirs as error:
        return Problem(file=layer.file, line=1, column=1, key="", message=str(error))


def _short(ref: str) -> str:
    return ref[:7] if _SHA.fullmatch(ref) else ref


_SHA = re.compile(r"[0-9a-f]{40,64}")
