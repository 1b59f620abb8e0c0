"""The stand-in GitHub in a process of its own, as GitHub is: what it takes is not taken from Assay's processes.

`started()` yields a `Remote`, whose methods run in that process. Times are the stand-in's own: when the webhook was
answered, and when it was told of the joined check's completion.
"""

from __future__ import annotations

import itertools
import multiprocessing
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, TypeVar, cast

from bench.processes import credentials
from bot.demo.api import Recorded
from bot.demo.github import StandInGitHub

T = TypeVar("T")

CHECK = "assay"
CONFIG = ".github/assay.yml"
_PATIENCE = 60.0


@dataclass(frozen=True)
class Pushed:
    """One push and what became of it; times in seconds since the epoch."""

    repository: str
    sha: str
    answered_at: float
    completed_at: float
    conclusion: str
    requests: tuple[tuple[str, str, float], ...] = ()
    """Method, path and time of every request about that commit's repository since the push."""

    @property
    def seconds(self) -> float:
        return self.completed_at - self.answered_at


@dataclass(frozen=True)
class _Ready:
    """A commit on its branch of which GitHub has not told yet."""

    repository: str
    sha: str
    sendings: Sequence[tuple[str, dict[str, Any]]]


class Stage:
    """What the other process can be asked to do."""

    def __init__(self, github: StandInGitHub) -> None:
        self._github = github
        self._echo = github.world.announce
        self._done: dict[str, tuple[float, str]] = {}
        self._news = threading.Condition()
        self._ready: deque[_Ready] = deque()
        github.world.announce = self._note

    def _note(self, event: str, payload: dict[str, Any]) -> None:
        if event == "check_run" and payload["action"] == "completed" and payload["check_run"]["name"] == CHECK:
            check = payload["check_run"]
            with self._news:
                self._done[check["head_sha"]] = time.time(), check["conclusion"]
                self._news.notify_all()
        self._echo(event, payload)

    def credentials(self) -> Mapping[str, str]:
        return credentials(self._github)

    def listen_to(self, webhook_url: str) -> None:
        self._github.webhook_url = webhook_url

    def add_repositories(self, count: int, files: Mapping[str, str]) -> Sequence[str]:
        """As many installations as repositories: GitHub's limits of writes are per installation."""
        names = [f"owner-{number}/measured" for number in range(count)]
        for name in names:
            self._github.add_repository(name, dict(files))
        return names

    def push(self, repository: str, files: Mapping[str, str]) -> Pushed:
        """Push a commit, and wait for its verdict. Raises TimeoutError when there is none for a minute."""
        return self._send(self._prepare(repository, files))

    def _prepare(self, repository: str, files: Mapping[str, str]) -> _Ready:
        """A commit and its webhooks. git's work is GitHub's, so it is done before, with what Assay will ask for."""
        sha, sendings = self._github.prepare_push(repository, "main", dict(files))
        self._github.world.repositories[repository].git.entry(sha, CONFIG)
        return _Ready(repository, sha, sendings)

    def _send(self, ready: _Ready) -> Pushed:
        sha, first = ready.sha, len(self._github.api.requests)
        answered = 0.0
        for event, payload in ready.sendings:
            delivery = self._github.deliver(event, payload)
            if event == "push" and delivery is not None:
                answered = delivery.delivered_at
        with self._news:
            if not self._news.wait_for(lambda: sha in self._done, _PATIENCE):
                raise TimeoutError(f"no verdict of {ready.repository}@{sha} in {_PATIENCE:g} s")
            completed, conclusion = self._done.pop(sha)
        asked = self._github.api.requests[first:]
        return Pushed(ready.repository, sha, answered, completed, conclusion, tuple(_named(one) for one in asked))

    def prepare(self, repositories: Sequence[str], count: int) -> None:
        """Have so many pushes ready for `sustain`, in turn over the repositories."""
        names = itertools.islice(itertools.cycle(repositories), count)
        for number, name in enumerate(names):
            self._ready.append(self._prepare(name, {"counter.txt": f"{number} {time.time()}\n"}))

    def sustain(self, together: int, seconds: float) -> Sequence[Pushed]:
        """Send what is prepared for so long, or until there is no more, so many runs under way at any time."""
        end = time.monotonic() + seconds

        def pusher(_: int) -> list[Pushed]:
            done: list[Pushed] = []
            while time.monotonic() < end:
                try:
                    ready = self._ready.popleft()
                except IndexError:
                    break
                done.append(self._send(ready))
            return done

        with ThreadPoolExecutor(together) as pushers:
            done = [one for some in pushers.map(pusher, range(together)) for one in some]
        self._ready.clear()
        return done

    def cpu(self) -> float:
        """Seconds of processor that this process has used."""
        return time.process_time()


def _named(one: Recorded) -> tuple[str, str, float]:
    return one.method, one.path, one.at


class Remote:
    """Calls the stage in the other process."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def call(self, method: Callable[..., T], *args: object) -> T:
        """`method` is one of Stage's. Raises what it raises."""
        self._pipe.send((method.__name__, args))
        result = self._pipe.recv()
        if isinstance(result, BaseException):
            raise result
        return cast("T", result)


@contextmanager
def started() -> Iterator[Remote]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    try:
        yield Remote(ours)
    finally:
        ours.close()
        process.join(10)
        process.kill()


def _serve(pipe: Connection) -> None:
    with StandInGitHub() as github:
        stage = Stage(github)
        while True:
            try:
                name, args = pipe.recv()
            except EOFError:
                return
            try:
                pipe.send(getattr(stage, name)(*args))
            except Exception as error:  # noqa: BLE001 (raised again, in the other process)
                pipe.send(error)
