"""One agent's look at one commit: the work is prepared, the agent runs, and its findings are put in their place.

The same code serves a job from the queue and `assay check` on somebody's desk.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from bot.domain.diff import Diff
from bot.domain.events import AgentFinished, AgentProgressed, AgentStarted, Event
from bot.domain.findings import AgentResult, Finding, Outcome, Place, with_fingerprints
from bot.domain.plan import AgentPlan, skipped_by_paths
from bot.domain.run import Phase, Run, RunKey
from bot.errors import AssayError, Gone, Unavailable
from config.repository import Report
from workers.agent import Agent, Kit, Work
from workers.checkout import Mirrors, Trees, scratch

log = logging.getLogger(__name__)

_MESSAGE_LIMIT = 4_000
_FINDINGS_LIMIT = 100_000
# Seconds between tries to fetch from a server that is away.
_PAUSES = (1, 5, 15)
_PLACES: dict[Report, tuple[Place, ...]] = {
    "added": ("added",),
    "context": ("added", "context"),
    "file": ("added", "context", "file"),
    "all": ("added", "context", "file", "elsewhere"),
}


def look(plan: AgentPlan, work: Work, kit: Kit, agent_for: Callable[[AgentPlan], Agent]) -> AgentResult:
    """Run the agent of a plan. Never raises: whatever goes wrong is a result."""
    begun = time.monotonic()
    if reason := skipped_by_paths(plan, tuple(work.diff.files)):
        return AgentResult(outcome=Outcome.SKIPPED, reason=reason)
    try:
        result = agent_for(plan).run(work, kit)
    except AssayError as error:
        result = AgentResult(outcome=Outcome.ERROR, reason=kit.redact(str(error))[:_MESSAGE_LIMIT])
    except Exception as error:
        log.exception("agent %s failed", plan.name)
        words = kit.redact(f"{type(error).__name__}: {error}")[:_MESSAGE_LIMIT]
        result = AgentResult(outcome=Outcome.ERROR, reason=f"a fault in the agent: {words}")
    settled = settle(result, plan, work.diff, work.root)
    return settled.model_copy(update={"seconds": round(time.monotonic() - begun, 3)})


def settle(result: AgentResult, plan: AgentPlan, diff: Diff, root: Path) -> AgentResult:
    """Place each finding in the diff, drop those that `report` leaves out, and give the rest their identity.

    `clean` and `findings` follow from what is left; the other outcomes stand.
    """
    kept = _PLACES[plan.report]
    placed = [_placed(finding, plan.name, diff) for finding in result.findings[:_FINDINGS_LIMIT]]
    lines = _Lines(root)
    findings = with_fingerprints((f for f in placed if f.place in kept or not f.path), lines.line)
    outcome = result.outcome
    if outcome in (Outcome.CLEAN, Outcome.FINDINGS):
        outcome = Outcome.FINDINGS if any(finding.new for finding in findings) else Outcome.CLEAN
    return result.model_copy(update={"findings": findings, "outcome": outcome})


def _placed(finding: Finding, agent: str, diff: Diff) -> Finding:
    update: dict[str, object] = {
        "place": diff.place(finding.path, finding.start_line, finding.last_line),
        "sources": (f"{agent}/{finding.tool}",),
        "message": finding.message[:_MESSAGE_LIMIT],
        "evidence": finding.evidence[: 4 * _MESSAGE_LIMIT],
    }
    first, last = finding.start_line, finding.last_line
    if finding.replacement is not None and not (first and last and diff.commentable(finding.path, first, last)):
        update["replacement"] = None
    return finding.model_copy(update=update)


class _Lines:
    """The text of single lines, each file read once."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._files: dict[str, list[str]] = {}

    def line(self, path: str, number: int) -> str:
        if path not in self._files:
            self._files[path] = self.lines(path)
        lines = self._files[path]
        return lines[number - 1] if 0 < number <= len(lines) else ""

    def lines(self, path: str) -> list[str]:
        file = (self._root / path).resolve()
        if not file.is_relative_to(self._root) or not file.is_file():
            return []
        return file.read_text("utf-8", "replace").split("\n")


# -- jobs


class Stored(Protocol):
    @property
    def run(self) -> Run: ...


class Runs(Protocol):
    """What a job needs of the store."""

    def load(self, key: RunKey) -> Stored | None: ...
    def update(self, key: RunKey, event: Event) -> Run | None: ...


@dataclass(frozen=True)
class Bench:
    """What a worker works with. `read_token(installation, repository)` may read that repository's contents;
    `kit(progress)` makes an agent's tools."""

    runs: Runs
    mirrors: Mirrors
    work_dir: Path
    read_token: Callable[[int, str], str | None]
    agent_for: Callable[[AgentPlan], Agent]
    kit: Callable[[Callable[[str], None]], Kit]
    clock: Callable[[], float]


def on_agent(bench: Bench, key: RunKey, name: str, attempt: int) -> None:
    """Handle an agent's job. An attempt that nobody waits for any more is let be."""
    stored = bench.runs.load(key)
    run = stored.run if stored else None
    agent = run.agent(name) if run else None
    if run is None or agent is None or agent.attempt != attempt or agent.phase is Phase.DONE:
        log.info("%s: %s attempt %d is no longer wanted", key, name, attempt)
        return
    bench.runs.update(key, AgentStarted(at=bench.clock(), agent=name, attempt=attempt))

    def progress(message: str) -> None:
        bench.runs.update(key, AgentProgressed(at=bench.clock(), agent=name, attempt=attempt, message=message))

    result = _look_at_commit(bench, run, agent.plan, bench.kit(progress))
    bench.runs.update(key, AgentFinished(at=bench.clock(), agent=name, attempt=attempt, result=result))


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
    sha, base_sha = run.key.sha, run.base_sha
    with scratch(bench.work_dir / "runs") as folder:
        root = folder / "head"
        trees.write(sha, root)
        diff = trees.diff(base_sha, sha)
        pull = next((pull for pull in run.pulls if pull.live), None)
        work = Work(
            repository=run.key.repository,
            sha=sha,
            root=root,
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
        return look(plan, work, kit, bench.agent_for)


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
            time.sleep(pause)
    raise AssertionError("unreachable")
