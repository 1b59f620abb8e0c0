"""The stand-in GitHub in a process of its own, as GitHub is: what it takes is not taken from Assay's processes.

`started()` yields a `Remote`, whose methods run in that process. Times are the stand-in's own: when the webhook was
answered, and when it was told of the joined check's completion.
"""

from __future__ import annotations

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


class Stage:
    """What the other process can be asked to do."""

    def __init__(self, github: StandInGitHub) -> None:
        self._github = github
        self._echo = github.world.announce
        self._done: dict[str, tuple[float, str]] = {}
        self._news = threading.Condition()
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
        first, before = len(self._github.api.requests), time.time()
        sha = self._github.push(repository, "main", dict(files))
        answered = next(
            one.delivered_at
            for one in reversed(self._github.hook.log)
            if one.event == "push" and one.payload["after"] == sha
        )
        with self._news:
            if not self._news.wait_for(lambda: sha in self._done, _PATIENCE):
                raise TimeoutError(f"no verdict of {repository}@{sha} in {_PATIENCE:g} s")
            completed, conclusion = self._done.pop(sha)
        assert before <= answered
        asked = self._github.api.requests[first:]
        return Pushed(repository, sha, answered, completed, conclusion, tuple(_named(one) for one in asked))

    def sustain(self, repositories: Sequence[str], together: int, seconds: float) -> Sequence[Pushed]:
        """Push to one repository after the other for so long, so many runs under way at any time."""
        idle, end = deque(repositories), time.monotonic() + seconds

        def pusher(number: int) -> list[Pushed]:
            done: list[Pushed] = []
            while time.monotonic() < end:
                repository = idle.popleft()
                done.append(self.push(repository, {"counter.txt": f"{number} {len(done)} {time.time()}\n"}))
                idle.append(repository)
            return done

        with ThreadPoolExecutor(together) as pushers:
            return [one for done in pushers.map(pusher, range(together)) for one in done]

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
