"""Webhooks taken in, against a bare handler, RQ's own enqueue, and Probot."""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

from redis import Redis

from bench.load import Load, Request, load
from bench.measure import Figure, Limit, Scale, at_least, at_most, interleave, percentile, ratio
from bench.payloads import pull_request, requests
from bench.processes import ASSAY, credentials, environment, free_port, running
from bench.rivals import __file__ as rivals
from bot.demo.github import StandInGitHub
from bot.redis.embedded import EmbeddedRedis

_CONNECTIONS = (16, 64)
_ACCEPTED = {"bare": 202, "everysec": 202, "always": 202, "rq": 202, "probot": 200}
# Seconds of a round, and how many are run where others run one. A machine that is shared slows down for some 50 ms now
# and then, and one such phase in a round is its p99; so rounds are short and many, and most of them have none.
_ROUND, _ROUNDS_FOR_ONE = 0.5, 4
_PROBOT = Path(__file__).parent / "probot"


@dataclass
class _Loads:
    """The loads of one rival, at one number of connections."""

    all: list[Load]

    @property
    def tail(self) -> float:
        """p99 as a multiple of p50, the rounds' median."""
        return statistics.median(percentile(one.latencies, 0.99) / percentile(one.latencies, 0.5) for one in self.all)

    @property
    def note(self) -> str:
        p50, p99 = (
            statistics.median(percentile(one.latencies, share) for one in self.all) * 1000 for share in (0.5, 0.99)
        )
        return f"p50 {p50:.1f} ms, p99 {p99:.1f} ms"


class _Track:
    """Where the rivals run. Each takes the load of so many connections for so long, on an empty Redis."""

    def __init__(self, redis: Redis, request: Request, seconds: float) -> None:
        self._redis = redis
        self._request = request
        self._seconds = seconds
        self.loads: dict[tuple[str, int], _Loads] = {}

    def rival(self, name: str, port: int, connections: int, fsync: str) -> Callable[[], float]:
        return partial(self._run, name, port, connections, fsync)

    def _run(self, name: str, port: int, connections: int, fsync: str) -> float:
        self._empty(fsync)
        done = load(port, connections, self._seconds, self._request)
        if set(done.statuses) != {_ACCEPTED[name]}:
            raise RuntimeError(f"{name} answered {done.statuses}, and not {_ACCEPTED[name]} alone")
        self.loads.setdefault((name, connections), _Loads([])).all.append(done)
        return done.rate

    def _empty(self, fsync: str) -> None:
        """Begin each round with a file of its own, and no rewriting of the last one's under way."""
        self._redis.flushall()
        self._redis.config_set("appendfsync", fsync)
        # Redis begins one by itself when the file has grown.
        self._await_rewriting()
        self._redis.bgrewriteaof()
        self._await_rewriting()
        # Nor does anything of theirs that is yet to be written hold up what is measured.
        os.sync()

    def _await_rewriting(self) -> None:
        while cast("Mapping[str, int]", self._redis.info("persistence"))["aof_rewrite_in_progress"]:
            time.sleep(0.02)


def run(scale: Scale) -> Iterator[Figure]:
    """Webhook admission: verified, deduplicated, bounded and durable; payloads of 20 to 30 kB."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        server = stack.enter_context(EmbeddedRedis(folder / "redis"))
        redis = Redis.from_url(server.url)
        stack.callback(redis.close)
        # It is gone before anything is measured: it lives in the load generator's process.
        with StandInGitHub() as github:
            env = credentials(github)
            request = requests(pull_request(github), github.webhook_secret)
        ports = _start(stack, folder, env, server.url)
        for port in ports.values():
            load(port, 16, 1.0, request)
        track = _Track(redis, request, _ROUND)
        for connections in _CONNECTIONS:
            yield from _compare(track, ports, connections, _ROUNDS_FOR_ONE * scale.rounds)


def _start(stack: ExitStack, folder: Path, github: Mapping[str, str], redis_url: str) -> dict[str, int]:
    """Every rival's port."""
    names = [
        "assay",
        "bare",
        "rq",
        *(["probot"] if (_PROBOT / "node_modules").is_dir() and shutil.which("node") else []),
    ]
    ports = {name: free_port() for name in names}
    env = environment(
        github,
        folder,
        ASSAY_REDIS_URL=redis_url,
        ASSAY_INTAKE_LIMIT="1000000",
        ASSAY_PORT=str(ports["assay"]),
        BENCH_SECRET=github["ASSAY_GITHUB_WEBHOOK_SECRET"],
        BENCH_REDIS=redis_url,
        APP_ID=github["ASSAY_GITHUB_APP_ID"],
        PRIVATE_KEY=github["ASSAY_GITHUB_PRIVATE_KEY"],
        WEBHOOK_SECRET=github["ASSAY_GITHUB_WEBHOOK_SECRET"],
        NODE_ENV="production",
    )
    commands: dict[str, Sequence[str]] = {
        "assay": (*ASSAY, "web"),
        "bare": (ASSAY[0], rivals, "bare", str(ports["bare"])),
        "rq": (ASSAY[0], rivals, "rq", str(ports["rq"])),
        "probot": ("node", str(_PROBOT / "noop.js"), str(ports.get("probot"))),
    }
    for name in names:
        stack.enter_context(running(commands[name], ports[name], folder, env))
    return ports


def _compare(track: _Track, ports: Mapping[str, int], connections: int, rounds: int) -> Iterator[Figure]:
    rivals = {
        "bare": track.rival("bare", ports["bare"], connections, "everysec"),
        "everysec": track.rival("everysec", ports["assay"], connections, "everysec"),
        "always": track.rival("always", ports["assay"], connections, "always"),
        "rq": track.rival("rq", ports["rq"], connections, "everysec"),
    }
    if "probot" in ports:
        rivals["probot"] = track.rival("probot", ports["probot"], connections, "everysec")
    rates = interleave(rounds, **rivals)

    def against(fsync: str, what: str, rival: str, limit: Limit) -> Figure:
        return ratio(f"{connections} connections, {fsync}, {what}", rates[fsync], rates[rival], "requests/s", limit)

    yield against("everysec", "of a bare FastAPI handler that only verifies", "bare", at_least(0.85))
    yield against("always", "of a bare FastAPI handler that only verifies", "bare", at_least(0.5))
    yield against("everysec", "of RQ's enqueue from a thread pool", "rq", at_least(8))
    if "probot" in ports:
        yield against("everysec", "of Probot's no-op handler", "probot", at_least(1))
    for name, limit in {"everysec": at_most(3), "always": at_most(3), "bare": None}.items():
        loads = track.loads[name, connections]
        yield Figure(f"{connections} connections, {name}, p99 as a multiple of p50", loads.tail, "", limit, loads.note)
    mine = track.loads["everysec", connections].all
    spent = statistics.median(one.cpu / len(one.latencies) for one in mine) * 1e6
    yield Figure(
        f"{connections} connections, what the load generator itself takes",
        spent,
        "us a request",
        note=f"of {1e6 / statistics.median(one.rate for one in mine):.0f}, on the other core",
    )
