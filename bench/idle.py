"""What Assay takes while nothing happens, and what a start takes."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.request import urlopen

import psutil
from redis import Redis

from bench.measure import Figure, Scale, at_most, percentile, spend
from bench.pipeline import install_agents
from bench.processes import ASSAY, cpu, environment, free_port, pss, running, tree
from bench.stand_in import Stage, started
from bot.domain.events import AgentFinished, CommitReceived
from bot.domain.findings import Outcome
from bot.domain.plan import AgentPlan, Plan
from bot.domain.run import RunKey
from bot.domain.triggers import Push
from bot.queues import Queues
from bot.redis.embedded import EmbeddedRedis
from bot.store import Store

_SETTLES = 15.0
_JOB_PATIENCE = 20.0


def run(scale: Scale) -> Iterator[Figure]:
    """An idle `assay serve`, and starts."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        github = stack.enter_context(started())
        env = environment(github.call(Stage.credentials), folder)
        yield from _idle(folder, env, scale)
        yield _help(env, scale)
        yield from _job(folder, env, scale)


def _idle(folder: Path, env: dict[str, str], scale: Scale) -> Iterator[Figure]:
    port = free_port()
    with running((*ASSAY, "serve"), port, folder, env | {"ASSAY_PORT": str(port)}) as serve:
        # It listens before it has forked what answers.
        urlopen(f"http://127.0.0.1:{port}/healthz", timeout=60).close()
        time.sleep(scale.pick(_SETTLES, 5.0))
        processes = tree(serve)
        watched = scale.pick(60.0, 10.0)
        before = cpu([serve])
        time.sleep(watched)
        busy = (cpu([serve]) - before) / watched * 100
        memory = sum(map(pss, processes))
        note = f"{len(processes)} processes, Redis among them"
        yield Figure("memory of all processes (PSS)", memory, "MB", at_most(300), note)
        yield Figure("processor time of all processes", busy, "% of a core", at_most(2), f"over {watched:.0f} s")


def _help(env: dict[str, str], scale: Scale) -> Figure:
    times = [spend((*ASSAY, "--help"), env).seconds * 1000 for _ in range(scale.pick(20, 5))]
    return Figure("`assay --help`, median", statistics.median(times), "ms", at_most(200))


def _job(folder: Path, env: dict[str, str], scale: Scale) -> Iterator[Figure]:
    """From the moment an agent's job is sent to the agent's own first line, in the process that was forked for it."""
    with EmbeddedRedis(folder / "redis") as server, Redis.from_url(server.url) as redis:
        store, port = Store(redis, Queues(redis), 86400), free_port()
        path = f"{env['PYTHONPATH']}:{install_agents(folder)}"
        more = {"ASSAY_REDIS_URL": server.url, "ASSAY_PORT": str(port), "PYTHONPATH": path}
        web = running((*ASSAY, "web"), port, folder, env | more)
        worker = running((*ASSAY, "worker", "extension", "--count", "1"), port, folder, env | more)
        with web, worker as process:
            _await_worker(process)
            times = [_start(store, number, folder / "began") * 1000 for number in range(scale.pick(60, 15))][5:]
    tails = f"p10 {percentile(times, 0.1):.1f} ms, p90 {percentile(times, 0.9):.1f} ms"
    note = f"{tails}; what Redis needs to make it durable included"
    yield Figure("start of an agent's job on a worker, median", statistics.median(times), "ms", at_most(15), note)


def _await_worker(process: psutil.Process) -> None:
    while not process.children():
        time.sleep(0.05)


def _start(store: Store, number: int, file: Path) -> float:
    key = RunKey(repository="octo/measured", sha=f"{number:040x}")
    agent = AgentPlan(
        name="clock",
        kind="extension",
        required=True,
        fail_on=None,
        report="all",
        timeout=60,
        settings={"uses": "clock", "file": str(file)},
    )
    sent = time.time()
    store.update(
        key, CommitReceived(at=sent, installation=number + 1, trigger=Push(branch="main"), plan=Plan(agents=(agent,)))
    )
    give_up = sent + _JOB_PATIENCE
    while time.time() < give_up:
        for event in store.log(key):
            if isinstance(event, AgentFinished):
                if event.result.outcome is not Outcome.CLEAN:
                    raise RuntimeError(f"the agent of {key} ended: {event.result.outcome}, {event.result.reason}")
                return float(file.read_text()) - sent
        time.sleep(0.01)
    raise TimeoutError(f"no worker took {key} up in {_JOB_PATIENCE:g} s")
