"""One agent's look at one commit: the work is prepared, the agent runs, and its findings are put in their place.

The same code serves a job from the queue and `assay check` on somebody's desk.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from bot.domain.events import AgentFinished, AgentProgressed, AgentStarted, Event
from bot.domain.findings import AgentResult, Outcome
from bot.domain.plan import AgentPlan, skipped_by_paths
from bot.domain.run import AgentState, Phase, Run, RunKey
from bot.errors import AssayError, Gone, Unavailable
from workers.agent import Agent, Kit, Work
from workers.checkout import Mirrors, Trees, scratch
from workers.kit import KitFor
from workers.results import WORDS_LIMIT, settle

log = logging.getLogger(__name__)

# Seconds between tries to fetch from a server that is away.
_PAUSES = (1, 5, 15)
# Seconds between two looks whether anybody still waits.
_WATCH = 1.0


def look(plan: AgentPlan, work: Work, kit: Kit, agent_for: Callable[[AgentPlan], Agent]) -> AgentResult:
    """Run the agent of a plan. Never raises: whatever goes wrong is a result."""
    begun = time.monotonic()
    if reason := skipped_by_paths(plan, tuple(work.diff.files)):
        return AgentResult(outcome=Outcome.SKIPPED, reason=reason)
    try:
        result = settle(agent_for(plan).run(work, kit), plan, work.diff, work.root, kit.redact)
    except AssayError as error:
        result = AgentResult(outcome=Outcome.ERROR, reason=kit.redact(str(error))[:WORDS_LIMIT])
    except Exception as error:
        log.exception("agent %s failed", plan.name)
        words = kit.redact(f"{type(error).__name__}: {error}")[:WORDS_LIMIT]
        result = AgentResult(outcome=Outcome.ERROR, reason=f"a fault in the agent: {words}")
    return result.model_copy(update={"seconds": round(time.monotonic() - begun, 3)})


# -- jobs


class Stored(Protocol):
    @property
    def run(self) -> Run: ...


class Runs(Protocol):
    """What a job needs of the store."""

    def load(self, key: RunKey) -> Stored | None: ...
    def update(self, key: RunKey, event: Event) -> Run | None: ...
    def stopped(self, key: RunKey, agent: str, attempt: int) -> bool: ...


@dataclass(frozen=True)
class Bench:
    """What a worker works with. `read_token(installation, repository)` may read that repository's contents;
    `kit` makes what an agent is given."""

    runs: Runs
    mirrors: Mirrors
    work_dir: Path
    read_token: Callable[[int, str], str | None]
    agent_for: Callable[[AgentPlan], Agent]
    kit: KitFor
    clock: Callable[[], float]
    sleep: Callable[[float], None] = time.sleep


def on_agent(bench: Bench, key: RunKey, name: str, attempt: int) -> None:
    """Handle an agent's job. An attempt that nobody waits for any more is let be."""
    stored = bench.runs.load(key)
    run = stored.run if stored else None
    agent = run.agent(name) if run else None
    if run is None or agent is None or agent.attempt != attempt or agent.phase is Phase.DONE:
        log.info("%s: %s attempt %d is no longer wanted", key, name, attempt)
        return
    bench.runs.update(key, AgentStarted(at=bench.clock(), agent=name, attempt=attempt))
    with _watched(bench, key, agent) as cancelled:

        def progress(message: str) -> None:
            said = kit.redact(message)[:WORDS_LIMIT]
            bench.runs.update(key, AgentProgressed(at=bench.clock(), agent=name, attempt=attempt, message=said))

        kit = bench.kit(progress, cancelled)
        result = _look_at_commit(bench, run, agent.plan, kit)
    if cancelled.is_set():
        result = AgentResult(outcome=Outcome.CANCELLED, reason="nobody waits for it any more")
    bench.runs.update(key, AgentFinished(at=bench.clock(), agent=name, attempt=attempt, result=result))


@contextmanager
def _watched(bench: Bench, key: RunKey, agent: AgentState) -> Iterator[threading.Event]:
    """Yields an event that is set as soon as nobody waits for this attempt any more."""
    cancelled, done = threading.Event(), threading.Event()

    def watch() -> None:
        while not done.wait(_WATCH):
            try:
                if bench.runs.stopped(key, agent.plan.name, agent.attempt):
                    cancelled.set()
                    return
            except Exception as error:  # noqa: BLE001 - whatever it is, the next look may go better
                log.warning("%s: cannot tell whether %s is still wanted: %s", key, agent.plan.name, error)

    thread = threading.Thread(target=watch, name=f"watch-{agent.plan.name}", daemon=True)
    thread.start()
    try:
        yield cancelled
    finally:
        done.set()
        thread.join()


def _look_at_commit(bench: Bench, run: Run, plan: AgentPlan, kit: Kit) -> AgentResult:
    try:
        trees = _fetch(bench, run)
    except Gone as error:
        return AgentResult(outcome=Outcome.ERROR, reason=f"the commit is gone: {kit.redact(str(error))}")
    except AssayError as error:
        return AgentResult(
            outcome=Outcome.ERROR,
            reason=f"the repository could not be fetched: {kit.redact(str(error))}",
            remedy="run it again when GitHub can be reached",
        )
    try:
        with scratch(bench.work_dir / "runs") as folder:
            return look(plan, _prepare(trees, run, plan, folder), kit, bench.agent_for)
    except (AssayError, OSError) as error:
        words = kit.redact(str(error))[:WORDS_LIMIT]
        return AgentResult(outcome=Outcome.ERROR, reason=f"the commit's files could not be written: {words}")


def _prepare(trees: Trees, run: Run, plan: AgentPlan, folder: Path) -> Work:
    sha, base_sha = run.key.sha, run.base_sha
    trees.write(sha, folder / "head")
    diff = trees.diff(base_sha, sha)
    pull = next((pull for pull in run.pulls if pull.live), None)
    return Work(
        repository=run.key.repository,
        sha=sha,
        root=folder / "head",
        base=partial(base_files, trees, base_sha, folder / "base"),
        diff=diff,
        patch=partial(trees.patch, base_sha, sha),
        files=diff.paths,
        settings=plan.settings,
        timeout=plan.timeout,
        trusted=run.trusted,
        title=pull.title if pull else "",
        description=pull.body if pull else "",
    )


def base_files(trees: Trees, base: str | None, folder: Path) -> Path | None:
    """The files of the commit that the work is compared with, written at the first call."""
    if base is None:
        return None
    if not folder.exists():
        trees.write(base, folder)
    return folder


def _fetch(bench: Bench, run: Run) -> Trees:
    commits = tuple(sha for sha in (run.key.sha, run.base_sha) if sha)
    for pause in (*_PAUSES, None):
        try:
            token = bench.read_token(run.installation, run.key.repository)
            return bench.mirrors.fetch(run.key.repository, commits, token)
        except Unavailable as error:
            if pause is None:
                raise
            log.info("%s: fetching again in %d s: %s", run.key, pause, error)
            bench.sleep(pause)
    raise AssertionError("unreachable")
