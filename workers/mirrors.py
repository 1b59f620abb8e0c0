"""One bare mirror a repository, into which just the commits needed are fetched, without their history.

The server is told which commits are there, and sends only what is new. A commit has a reference here, which git writes
last: what has one is whole, whoever was killed. The reference's time is the commit's last use.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

from bot.errors import Gone, ToolFailed
from workers.agent import History
from workers.cache import Cache
from workers.entry import Entry
from workers.git import Git
from workers.history import read_history, read_messages
from workers.trees import Trees

log = logging.getLogger(__name__)

_MIRRORS = "mirrors"
_COMMITS = "refs/assay/commits"
_EVERY_HEAD = ("+refs/heads/*:refs/assay/heads/*", "+refs/pull/*/head:refs/assay/pull/*")
_FETCH = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance")
# What git leaves behind when it is killed. A pack is kept only until something refers to it.
_LEFTOVERS = ("*.lock", "shallow_*", f"{_COMMITS}/*.lock", "objects/pack/tmp_*", "objects/pack/*.keep")
_SHA = re.compile(r"[0-9a-f]{40}")
# Every fetch makes a pack. A mirror of more than this is packed anew, and of the commits in it only the last used stay.
_PACKS = 50
_KEPT_COMMITS = 100

Token = Callable[[], str | None]


class Mirror(Trees):
    """The trees of one repository. `name` tells it from others."""

    def __init__(self, name: str, git: Git, deepen: Callable[[Sequence[str], int], None]) -> None:
        super().__init__(git)
        self.name = name
        self._deepen = deepen

    def history(self, base: str | None, head: str) -> History:
        """What each commit between the two added; their history is fetched as far as it takes."""
        return read_history(self._git, base, head, lambda depth: self._deepen((head, base or head), depth))

    def messages(self, base: str | None, head: str) -> tuple[str, ...]:
        """See `Trees.messages`; the commits' history is fetched, but not far."""
        return read_messages(self._git, base, head, lambda depth: self._deepen((head, base or head), depth))


class Mirrors:
    """The bare mirrors of repositories of one server."""

    def __init__(self, cache: Cache, git_url: str) -> None:
        self._cache = cache
        self._git_url = git_url.rstrip("/")

    @contextmanager
    def fetch(self, repository: str, commits: tuple[str, ...], token: Token) -> Iterator[Mirror]:
        """Make sure that the commits are there, without their history; in the context they stay there.
        `token` gives what may read the repository, None where anybody may; it is asked only when something is missing.

        Raises Gone for a commit or repository that does not exist, Unavailable when the server is away, NoSpace.
        """
        name, url = self.name(repository), f"{self._git_url}/{repository}.git"
        entry = self._cache.entry(_MIRRORS, name)
        with ExitStack() as stack:
            self._cache.with_room(lambda: stack.enter_context(entry.used()))
            self._cache.with_room(partial(_ensure, entry, url, commits, token))
            try:
                yield Mirror(name, Git(entry.kept), partial(_deepen, entry, url, token))
            except ToolFailed:
                # Perhaps something of them is damaged: the next one fetches them again.
                for sha in commits:
                    (entry.kept / _COMMITS / sha).unlink(missing_ok=True)
                raise

    def name(self, repository: str) -> str:
        """What its mirror is called: with the server, for another one may have the same repository."""
        return f"{self._git_url.partition('://')[2]}/{repository}".replace("/", ",")

    def tidy(self) -> None:
        """Pack those anew that have come to many packs. Leaves alone what another process changes just now."""
        for entry in self._cache.entries(_MIRRORS):
            if len(list(entry.kept.glob("objects/pack/*.pack"))) > _PACKS:
                with suppress(BlockingIOError), entry.unused():
                    _drop_commits(entry.kept)
                with entry.used(), suppress(BlockingIOError), entry.changed(wait=False) as lock:
                    _clear_up(entry.kept)
                    Git(entry.kept).run("gc", "--quiet", "--prune=now", lock=lock)


def _ensure(entry: Entry, url: str, commits: tuple[str, ...], token: Token) -> None:
    if not all(_SHA.fullmatch(sha) for sha in commits):
        raise Gone(f"{', '.join(commits)}: not the names of commits")
    if all(_touch(entry.kept, sha) for sha in commits):
        return

    def make(folder: Path, lock: int) -> None:
        folder.mkdir()
        folder.chmod(0o755)
        Git(folder).run("init", "--quiet", "--bare", "--template=")
        _fetch(Git(folder, token=token()), url, commits, lock)

    with entry.changed() as lock:
        missing = [sha for sha in commits if not _touch(entry.kept, sha)]
        if not entry.kept.exists():
            entry.make(make, lock)
        elif missing:
            try:
                _fetch(Git(entry.kept, token=token()), url, missing, lock)
            except ToolFailed as error:
                # What is there may be damaged. If that is not it, the next fails too, and this one stays.
                log.warning("%s: the mirror is made anew: %s", url, error)
                entry.make(make, lock)


def _deepen(entry: Entry, url: str, token: Token, commits: Sequence[str], depth: int) -> None:
    """Fetch the commits' history, so many commits deep. What is there already is not sent again."""
    with entry.changed() as lock:
        _fetch(Git(entry.kept, token=token()), url, tuple(dict.fromkeys(commits)), lock, depth)


def _touch(mirror: Path, sha: str) -> bool:
    """Note that the commit was used just now; false when it is not there."""
    try:
        os.utime(mirror / _COMMITS / sha)
    except FileNotFoundError:
        return False
    return True


def _fetch(git: Git, url: str, commits: Sequence[str], lock: int, depth: int = 1) -> None:
    _clear_up(git.git_dir)
    refspecs = (f"{sha}:{_COMMITS}/{sha}" for sha in commits)
    try:
        git.run(*_FETCH, f"--depth={depth}", "--end-of-options", url, *refspecs, lock=lock)
    except Gone as error:
        if "unadvertised" not in str(error):
            raise
        # A server that gives commits only by the names of branches and pull requests: GitHub is none.
        git.run(*_FETCH, "--end-of-options", url, *_EVERY_HEAD, lock=lock)
        _name_commits(git, commits)
    except BaseException:
        _clear_up(git.git_dir)
        raise


def _name_commits(git: Git, commits: Sequence[str]) -> None:
    for sha in commits:
        try:
            git.run("update-ref", f"{_COMMITS}/{sha}", f"{sha}^{{commit}}")
        except ToolFailed as error:
            raise Gone(f"no branch and no pull request has {sha}: {error}") from error


def _clear_up(mirror: Path) -> None:
    """For the one who holds the lock: git processes hold it too, so whoever made these is dead."""
    for pattern in _LEFTOVERS:
        for path in mirror.glob(pattern):
            path.unlink(missing_ok=True)


def _drop_commits(mirror: Path) -> None:
    """Forget all but the last used commits."""
    references = sorted((mirror / _COMMITS).glob("*"), key=lambda path: path.stat().st_mtime, reverse=True)
    for reference in references[_KEPT_COMMITS:]:
        reference.unlink()
