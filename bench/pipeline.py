"""From a webhook to its verdict, with real processes, and how many runs a second they bear."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from redis import Redis

from bench.measure import Figure, Scale, at_least, at_most, percentile
from bench.processes import ASSAY, cpu, environment, free_port, running
from bench.stand_in import Pushed, Remote, Stage, started
from bot.domain.events import AgentFinished, AgentStarted, CommitReceived
from bot.domain.run import RunKey
from bot.queues import Queues
from bot.redis.embedded import EmbeddedRedis
from bot.store import Store

# Agents as a package of somebody's would bring them: one that finds nothing, one that says when it began, and one that
# finds what a linter may find in a usual change: nothing mostly, a dozen now and then, three on average.
_MODULE = """
import pathlib
import random
import time

from bot.domain.findings import AgentResult, Finding, Outcome, Severity


class NoOp:
    def run(self, work, kit):
        return AgentResult(outcome=Outcome.CLEAN)


class Clock:
    def run(self, work, kit):
        now = time.time()
        pathlib.Path(work.settings["file"]).write_text(repr(now))
        return AgentResult(outcome=Outcome.CLEAN)


class Linter:
    def run(self, work, kit):
        chance = random.Random(work.sha + repr(sorted(work.settings.items())))
        count = chance.choice((0, 0, 0, 1, 2, 3, 12))
        findings = tuple(
            Finding(
                tool="linter",
                rule=f"E{chance.randrange(100, 999)}",
                severity=Severity.LOW,
                message=f"`{chance.randbytes(8).hex()}` is assigned to and never used; remove it, or use it below",
                path=f"src/package/module_{chance.randrange(50)}.py",
                start_line=line + 1,
                end_line=line + 1,
                url="https://docs.example.com/linter/rules/unused-variable",
            )
            for line in range(count)
        )
        covered = tuple(f"src/package/module_{number}.py" for number in range(10))
        outcome = Outcome.FINDINGS if findings else Outcome.CLEAN
        tools = {"linter": "1.2.3"}
        return AgentResult(outcome=outcome, findings=findings, covered=covered, tools=tools, summary="10 files")
"""
_ENTRY_POINTS = "[assay.agents]\nnoop = bench_agents:NoOp\nclock = bench_agents:Clock\nlinter = bench_agents:Linter\n"
_METADATA = "Metadata-Version: 2.1\nName: bench-agents\nVersion: 1\n"
_BUILT_IN = ("test", "lint", "security", "review")


def files(agent: str) -> dict[str, str]:
    """A repository with four of those agents and no others."""
    lines = ["version: 1", "agents:", *(f"  {name}: {{enabled: false}}" for name in _BUILT_IN)]
    lines += [
        f"  {name}: {{uses: {agent}, required: true, report: all, number: {name}}}"
        for name in ("one", "two", "three", "four")
    ]
    return {".github/assay.yml": "\n".join(lines), "README.md": "Measured\n"}


_INSTALLATIONS = 160
# Runs under way at once where as many are wanted as can be had.
_TOGETHER = 20
# Pushes that are prepared for each second of that: more than can be had.
_READY = 25


@dataclass(frozen=True)
class Assay:
    """A whole Assay that serves the stand-in GitHub: web, sweep, intake and publish twice, four workers for agents."""

    github: Remote
    redis: Redis
    store: Store
    processes: Sequence[psutil.Process]


@contextmanager
def assay(installations: int, agent: str = "noop") -> Iterator[tuple[Assay, Sequence[str]]]:
    """It, and its repositories, with mirrors, tokens and connections as in one that has run for a while."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        memory = Path("/dev/shm")
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None)))
        server = stack.enter_context(EmbeddedRedis(folder / "redis"))
        github = stack.enter_context(started())
        repositories = github.call(Stage.add_repositories, installations, files(agent))
        port = free_port()
        env = environment(github.call(Stage.credentials), folder) | {
            "ASSAY_REDIS_URL": server.url,
            "ASSAY_WORK_DIR": str(work),
            "ASSAY_PORT": str(port),
        }
        env["PYTHONPATH"] += f":{install_agents(folder)}"
        commands = (
            ("web",),
            ("sweep",),
            ("worker", "intake", "publish", "--count", "2"),
            ("worker", "extension", "--count", "4"),
        )
        processes = [stack.enter_context(running((*ASSAY, *words), port, folder, env)) for words in commands]
        github.call(Stage.listen_to, f"http://127.0.0.1:{port}/webhook")
        redis = Redis.from_url(server.url)
        stack.callback(redis.close)
        redis_server = psutil.Process(server.pid)
        application = Assay(github, redis, Store(redis, Queues(redis), 86400), [*processes, redis_server])
        for name in repositories:
            push(application, name)
        yield application, repositories


def install_agents(folder: Path) -> Path:
    """Where they are from now on, for PYTHONPATH."""
    site = folder / "site"
    info = site / "bench_agents-1.dist-info"
    info.mkdir(parents=True)
    (site / "bench_agents.py").write_text(_MODULE)
    (info / "entry_points.txt").write_text(_ENTRY_POINTS)
    (info / "METADATA").write_text(_METADATA)
    return site


def run(scale: Scale) -> Iterator[Figure]:
    """Four no-op agents and the join, over the stand-in GitHub."""
    with assay(_INSTALLATIONS) as (application, repositories):
        pushes = [push(application, name) for name in repositories[: scale.pick(60, 15)]]
        yield from _latency(pushes)
        yield from _stages(application.store, pushes)
        yield from _sustained(application, repositories, scale.pick(20.0, 5.0))


def push(application: Assay, repository: str) -> Pushed:
    """One commit, and its verdict. Raises RuntimeError where that is no success."""
    done = application.github.call(Stage.push, repository, {"counter.txt": f"{time.time()}\n"})
    return _successful(done)


def _successful(done: Pushed) -> Pushed:
    if done.conclusion != "success":
        raise RuntimeError(f"the verdict of {done.repository}@{done.sha} is {done.conclusion}")
    return done


def _latency(pushes: Sequence[Pushed]) -> Iterator[Figure]:
    times = [done.seconds * 1000 for done in pushes]
    note = f"{len(times)} runs, p90 {percentile(times, 0.9):.0f} ms"
    yield Figure(
        "from the webhook's answer to the published verdict, idle, median",
        statistics.median(times),
        "ms",
        at_most(100),
        note,
    )


def _stages(store: Store, pushes: Sequence[Pushed]) -> Iterator[Figure]:
    """Where the time goes, each stage's median."""
    stages: dict[str, list[float]] = {}
    for done in pushes:
        before = done.answered_at
        for name, at in _milestones(store, done).items():
            stages.setdefault(name, []).append((at - before) * 1000)
            before = at
    for name, times in stages.items():
        yield Figure(f"of that: {name}", statistics.median(times), "ms")


def _milestones(store: Store, done: Pushed) -> Mapping[str, float]:
    events = store.log(RunKey(repository=done.repository, sha=done.sha))
    received = next(event.at for event in events if isinstance(event, CommitReceived))
    starts = [event.at for event in events if isinstance(event, AgentStarted)]
    ends = [event.at for event in events if isinstance(event, AgentFinished)]
    return {
        "the delivery is read, the run planned": received,
        "the first agent starts": min(starts),
        "the last agent starts": max(starts),
        "the last agent ends": max(ends),
        "the verdict is on GitHub": done.completed_at,
    }


@dataclass(frozen=True)
class Sustained:
    """Runs a second, and seconds of processor that one took of Assay and of the stand-in."""

    rate: float
    cpu: float
    elsewhere: float


def sustain(application: Assay, repositories: Sequence[str], seconds: float) -> Sustained:
    """As many runs as can be had, for so long."""
    github, processes = application.github, application.processes
    github.call(Stage.prepare, repositories, int(seconds * _READY))
    ours, theirs = cpu(processes), github.call(Stage.cpu)
    done = [_successful(one) for one in github.call(Stage.sustain, _TOGETHER, seconds)]
    took = max(one.completed_at for one in done) - min(one.answered_at for one in done)
    spent, elsewhere = cpu(processes) - ours, github.call(Stage.cpu) - theirs
    return Sustained(len(done) / took, spent / len(done), elsewhere / len(done))


def _sustained(application: Assay, repositories: Sequence[str], seconds: float) -> Iterator[Figure]:
    found = sustain(application, repositories, seconds)
    spent = f"{found.cpu * 1000:.0f} ms, the stand-in's {found.elsewhere * 1000:.0f} ms"
    note = f"{_TOGETHER} under way, intake and publish twice; processor time of a run: {spent}"
    yield Figure("sustained", found.rate, "runs/s", at_least(10), note)
