from __future__ import annotations

from collections.abc import Iterator

import pytest

from bot.demo.github import StandInGitHub
from bot.demo.limits import Limits
from tests.demo.client import FILES, REPO, Client, with_token


@pytest.fixture
def github() -> Iterator[StandInGitHub]:
    """With one private repository, where the App is installed."""
    with StandInGitHub() as github:
        github.add_repository(REPO, FILES, collaborators={"alice": "write"})
        yield github


@pytest.fixture(scope="session")
def shared() -> Iterator[Client]:
    """For tests that only see requests refused: they leave nothing behind, so one GitHub serves them all."""
    with StandInGitHub(limits=Limits(writes_a_minute=10_000, writes_an_hour=10_000)) as github:
        github.add_repository(REPO, FILES, collaborators={"alice": "write"})
        yield with_token(github)


@pytest.fixture
def client(github: StandInGitHub) -> Client:
    """Holds everything that the App was granted."""
    return with_token(github)


@pytest.fixture
def pull(github: StandInGitHub) -> int:
    """A pull request that changes lines 10 and 25 of app.py, in two hunks, while main moves on elsewhere."""
    return open_pull(github)


@pytest.fixture(scope="session")
def shared_pull(shared: Client) -> int:
    """The same on the shared GitHub."""
    return open_pull(shared.github)


def open_pull(github: StandInGitHub) -> int:
    lines = FILES["app.py"].splitlines(keepends=True)
    lines[9], lines[24] = "changed 10\n", "changed 25\n"
    github.push(REPO, "topic", {"app.py": "".join(lines)})
    github.push(REPO, "main", {"docs/more.md": "more\n"})
    return github.open_pull(REPO, "topic", title="Change two lines", body="Because.")
