"""`assay check`: the same agents, join and verdict on a repository on this machine, without GitHub or Redis.

Agents run in place, as the developer's own tools would, each in a thread; the events they send are folded in one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from queue import SimpleQueue

from bot.domain.accounts import Limits
from bot.domain.effects import StartAgent
from bot.domain.events import AgentFinished, AgentProgressed, AgentStarted, CommitReceived, Event
from bot.domain.findings import AgentResult
from bot.domain.plan import AgentPlan, Plan
from bot.domain.reduce import reduce
from bot.domain.run import AgentState, Run, RunKey
from bot.domain.triggers import Manual
from workers.agent import Agent, History, Work
from workers.desk import Desk
from workers.kit import KitFor
from workers.look import is_at_work, look, said_so_far
from workers.meter import Purse, metered

# Seconds between two looks at what others have said.
_LOOK = 0.1
# How long an interrupted check waits for its tools to end and its scratch folders to go; seconds.
_PATIENCE = 3.0


def check(
    desk: Desk,
    plan: Plan,
    agent_for: Callable[[AgentPlan], Agent],
    kit: KitFor,
    clock: Callable[[], float],
    watch: Callable[[Run], None],
) -> Run:
    """Run a plan's agents side by side and join what they say. `watch` sees the run after every event.

    When it is interrupted (KeyboardInterrupt, say) the tools that run are ended first.
    """
    return _Check(desk, agent_for, kit, clock, watch).run(plan)


def _limits(plan: AgentPlan) -> Limits:
    """Of the limits those of a run: what a month may cost is counted where the App is."""
    budget = plan.settings.get("budget") or {}
    return Limits(run=budget.get("run"), tokens=budget.get("tokens"))


class _Check:
    def __init__(
        self,
        desk: Desk,
        agent_for: Callable[[AgentPlan], Agent],
        kit: KitFor,
        clock: Callable[[], float],
        watch: Callable[[Run], None],
    ) -> None:
        self._desk = desk
        self._agent_for = agent_for
        self._kit = kit
        self._clock = clock
        self._watch = watch
        self._key = RunKey(repository=f"local/{desk.root.name}", sha=desk.sha)
        # Agents' threads put into it: events, and exceptions that are our fault.
        self._news: SimpleQueue[Event | Exception] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        # The newest state of all, for those in threads who want to know what others said.
        self._agents: tuple[AgentState, ...] = ()
        self._stopped = threading.Event()
        self._base_lock = threading.Lock()
        self._purse = Purse()

    def run(self, plan: Plan) -> Run:
        trigger = Manual(base_sha=self._desk.base.commit)
        try:
            run = self._fold(None, CommitReceived(at=self._clock(), installation=0, trigger=trigger, plan=plan))
            while not run.complete:
                run = self._fold(run, self._next())
        except BaseException:
            self._stop()
            raise
        return run

    def _next(self) -> Event:
        news = self._news.get()
        if isinstance(news, Exception):
            raise news
        return news

    def _fold(self, run: Run | None, event: Event) -> Run:
        step = reduce(run, event, self._key)
        assert step.run is not None
        for effect in step.effects:
            if isinstance(effect, StartAgent):
                # A daemon: a model's answer that is still to come must not hold up an interrupted check.
                thread = threading.Thread(target=self._look, args=(effect, step.run), name=effect.agent, daemon=True)
                self._threads.append(thread)
                thread.start()
        self._agents = step.run.agents
        self._watch(step.run)
        return step.run

    def _look(self, start: StartAgent, run: Run) -> None:
        agent = run.agent(start.agent)
        assert agent is not None
        name, attempt = start.agent, start.attempt
        self._news.put(AgentStarted(at=self._clock(), agent=name, attempt=attempt))

        def progress(message: str) -> None:
            self._news.put(AgentProgressed(at=self._clock(), agent=name, attempt=attempt, message=message))

        try:
            kit = self._kit(progress, self._stopped)
            if kit.model is not None:
                kit = replace(kit, model=metered(kit.model, self._purse, run, _limits(agent.plan), self._clock()))
            result = look(agent.plan, self._work(agent, run), kit, self._agent_for)
            # Nobody waits at a desk for a provider to come back, or asks anybody there.
            result = result.model_copy(update={"retry_after": None, "cap": None})
        except Exception as error:  # noqa: BLE001 - raised again by the thread that joins
            self._news.put(error)
        else:
            self._news.put(AgentFinished(at=self._clock(), agent=name, attempt=attempt, result=result))

    def _work(self, agent: AgentState, run: Run) -> Work:
        desk, plan = self._desk, agent.plan
        return Work(
            repository=self._key.repository,
            sha=desk.sha,
            checkout=lambda: desk.root,
            base=self._base,
            compare=lambda: desk.diff,
            patch=partial(desk.trees.patch, desk.base.commit, desk.head),
            history=self._history,
            messages=self._messages,
            base_texts=lambda paths: desk.trees.texts(desk.base.commit, paths) if desk.base.commit else {},
            trees=partial(desk.trees.trees, desk.base.commit, desk.head),
            settings=plan.settings,
            timeout=plan.timeout,
            others=said_so_far(run.agents),
            overhear=self._overhear,
            about=plan.verifies,
            refutations=agent.refutations,
        )

    def _history(self) -> History:
        """The commits since the base. The working tree comes on top of them."""
        desk = self._desk
        if desk.base.commit is None or desk.base.commit == desk.sha or desk.sha == desk.head:
            return History()
        return desk.trees.history(desk.base.commit, desk.sha)

    def _overhear(self, seconds: float) -> dict[str, AgentResult]:
        until = time.monotonic() + seconds
        while time.monotonic() < until and any(map(is_at_work, self._agents)):
            time.sleep(_LOOK)
        return said_so_far(self._agents)

    def _messages(self) -> tuple[str, ...]:
        desk = self._desk
        return () if desk.base.commit == desk.sha else desk.trees.messages(desk.base.commit, desk.sha)

    def _base(self) -> Path | None:
        """The files of the commit that the work is compared with, written at the first call."""
        base, folder = self._desk.base.commit, self._desk.scratch / "base"
        if base is None:
            return None
        with self._base_lock:
            if not folder.exists():
                self._desk.trees.write(base, folder)
                _lend_packages(self._desk.root, folder)
        return folder

    def _stop(self) -> None:
        """End the tools that run and start no others, so that agents come to an end and clear their scratch away."""
        self._stopped.set()
        give_up = time.monotonic() + _PATIENCE
        for thread in self._threads:
            thread.join(max(0.0, give_up - time.monotonic()))


def _lend_packages(root: Path, base: Path) -> None:
    """Linters that are a repository's own look at the base with the packages that are installed here: else all that
    they find would be new."""
    for package in base.rglob("package.json"):
        installed, lent = root / package.parent.relative_to(base) / "node_modules", package.parent / "node_modules"
        if installed.is_dir() and not lent.exists():
            lent.symlink_to(installed)
