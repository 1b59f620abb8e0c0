"""A commit that is new to a cached repository, from the server to files on disk, against git's own shortest way.

The server is the stand-in GitHub with the real `git http-backend`; everything lies on a tmpfs.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any, Self

from bench.measure import Figure, Scale, at_most, interleave, ratio, seconds
from bot.demo.github import StandInGitHub
from workers.agent import Sandbox
from workers.cache import Cache, Limits
from workers.checkout import Checkouts
from workers.git import Git
from workers.mirrors import Mirrors
from workers.sandbox.choice import choose, for_files
from workers.sandbox.views import Views, why_no_views

_REPO = "octo/large"
_TMPFS = Path("/dev/shm")
_WORDS = ("self", "value", "return", "for", "line", "result", "=", "(", ")", "not", "None", "path", "if", "name", "in")


@dataclass(frozen=True)
class _Worker:
    """What the agents of a machine have."""

    folder: Path
    url: str
    sandbox: Sandbox
    views: bool

    def prepare(self, sha: str) -> None:
        with self._shared(sha):
            pass

    def own(self, sha: str) -> None:
        """In a process that ends with it."""
        with self._shared(sha) as (checkouts, files):
            checkouts.in_own_process()
            with checkouts.own(files):
                pass

    @contextmanager
    def _shared(self, sha: str) -> Iterator[tuple[Checkouts, Path]]:
        cache = Cache(self.folder, Limits(10**12, 10**9))
        mirrors, checkouts = Mirrors(cache, self.url), Checkouts(cache, self.sandbox, Views() if self.views else None)
        with ExitStack() as stack:
            with checkouts.ahead(mirrors.name(_REPO), sha):
                mirror = stack.enter_context(mirrors.fetch(_REPO, (sha,), lambda: None))
            yield checkouts, stack.enter_context(checkouts.shared(mirror, sha))


def run(scale: Scale) -> Iterator[Figure]:
    """Checkout of a new commit of a cached repository, against a depth-1 fetch of that commit."""
    files = scale.pick(5000, 500)
    with tempfile.TemporaryDirectory(dir=_TMPFS if _TMPFS.is_dir() else None) as scratch, StandInGitHub() as github:
        folder, commits = Path(scratch), _commits(github, files)
        why_not = why_no_views(folder)
        sandbox = for_files(choose("auto", os.environ["PATH"]), os.environ["PATH"])
        worker = _Worker(folder / "work", github.url, sandbox, views=not why_not)
        worker.prepare(next(commits))
        times = interleave(
            scale.rounds,
            git=lambda: _fetch_anew(folder, github.url, next(commits)),
            one=lambda: _at_once(1, worker.prepare, next(commits)),
            four=lambda: _at_once(4, worker.prepare, next(commits)),
            own=lambda: _at_once(1, worker.own, next(commits)),
        )
        what = f"{files:,} files, 5 of them changed"
        yield ratio(f"fetch and files of one agent ({what})", times["one"], times["git"], "ms", at_most(0.5), 1000)
        yield ratio("the same for four agents, against one", times["four"], times["one"], "ms", at_most(1.2), 1000)
        kind = "a copy" if why_not else "a view"
        yield ratio(f"an agent with files of its own, {kind}", times["own"], times["git"], "ms", None, 1000)
        yield _bytes(folder, github, sandbox, commits)


def _commits(github: StandInGitHub, files: int) -> Iterator[str]:
    """Commits of one repository, each of which changes five files of the one before."""
    chance = random.Random(1)
    texts = {f"package{n % 50}/part{n % 7}/module{n}.py": _text(chance) for n in range(files)}
    github.add_repository(_REPO, texts, private=False)
    for number in count():
        changed = chance.sample(sorted(texts), 5)
        for path in changed:
            texts[path] += f"# change {number}\n"
        yield github.commit(_REPO, "main", {path: texts[path] for path in changed})


def _text(chance: random.Random) -> str:
    lines = (f"    {' '.join(chance.choices(_WORDS, k=6))}  # {chance.getrandbits(32):x}" for _ in range(100))
    return "\n".join(lines) + "\n"


def _fetch_anew(folder: Path, url: str, sha: str) -> float:
    bare = folder / "anew.git"
    shutil.rmtree(bare, ignore_errors=True)
    bare.mkdir()
    git = Git(bare)
    git.run("init", "--quiet", "--bare", "--template=")
    return seconds(git.run, "fetch", "--quiet", "--no-tags", "--depth=1", f"{url}/{_REPO}.git", sha)


# -- agents, each in a process of its own


def _at_once(agents: int, prepare: Callable[[str], None], sha: str) -> float:
    """Seconds until the last of them has the files, from when they start together."""
    fork = multiprocessing.get_context("fork")
    barrier, spans = fork.Barrier(agents), fork.SimpleQueue()
    processes = [fork.Process(target=_agent, args=(barrier, spans, prepare, sha)) for _ in range(agents)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    begun, ended = zip(*(spans.get() for _ in range(agents)), strict=True)
    return float(max(ended) - min(begun))


def _agent(barrier: Barrier, spans: SimpleQueue[Any], prepare: Callable[[str], None], sha: str) -> None:
    barrier.wait()
    begun = time.monotonic()
    prepare(sha)
    spans.put((begun, time.monotonic()))


# -- bytes


def _bytes(folder: Path, github: StandInGitHub, sandbox: Sandbox, commits: Iterator[str]) -> Figure:
    """What goes over the wire, both ways, once the cache knows the commit before."""
    with _Counter(github.url) as counter:
        worker = _Worker(folder / "counted", counter.url, sandbox, views=False)
        worker.prepare(next(commits))
        sha = next(commits)
        ours = counter.during(lambda: worker.prepare(sha))
        theirs = counter.during(lambda: _fetch_anew(folder, counter.url, sha))
    return Figure("bytes on the wire", ours / theirs, "", at_most(0.01), f"{ours:,} of {theirs:,}")


class _Counter:
    """Passes on what goes to and comes from a server, and counts it."""

    def __init__(self, url: str) -> None:
        host, _, port = url.removeprefix("http://").partition(":")
        self._server = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._passed = list[int]()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def during(self, act: Callable[[], object]) -> int:
        before = sum(self._passed)
        act()
        return sum(self._passed) - before

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._server)
                for source, target in ((client, server), (server, client)):
                    threading.Thread(target=self._pass_on, args=(source, target), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                self._passed.append(len(data))
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)
