"""The composition root of the agents' processes, and the function that their jobs name."""

from __future__ import annotations

import os
import time
from functools import cache

from bot.dialogue import Dialogue
from bot.domain.run import RunKey
from bot.store import Store
from bot.telemetry import tracing
from bot.telemetry.observation import Observer
from bot.wiring import CLONE, make_app, make_store, settings
from workers.cache import Cache, Limits
from workers.checkout import Checkouts
from workers.kit import make_kit, resolve
from workers.memory import RedisMemory
from workers.mirrors import Mirrors
from workers.run import Bench, tidy
from workers.run import on_agent as _on_agent
from workers.sandbox.choice import choose
from workers.toolbox import toolbox


@cache
def store() -> Store:
    return make_store(settings())


@cache
def observer() -> Observer:
    return Observer(store().redis)


@cache
def bench() -> Bench:
    """What agents' jobs work with, made once a process."""
    chosen = settings()
    kept = Cache(chosen.work_dir, Limits(chosen.cache_size, chosen.cache_age))
    app = make_app(chosen, observer().github)
    path = _path()
    return Bench(
        runs=store(),
        cache=kept,
        mirrors=Mirrors(kept, chosen.github_url),
        checkouts=Checkouts(kept),
        read_token=lambda installation, repository: app.token(installation, repository, CLONE),
        agent_for=resolve,
        kit=make_kit(chosen, choose(chosen.sandbox, path, chosen.registries).make),
        clock=time.time,
        toolbox=tools(),
        memory=lambda repository, trusted: RedisMemory(store().redis, repository, trusted=trusted),
        asked=Dialogue(store().redis, chosen.retention).note if chosen.llm_log else None,
    )


def tools() -> str:
    """What agents work with, by its digest: the same for as long as this process and those forked from it live."""
    return toolbox(_path())


def on_agent(key: str, agent: str, attempt: int) -> None:
    """The job of one agent at one commit."""
    try:
        with observer().job() as report:
            report.result(_on_agent(bench(), RunKey.parse(key), agent, attempt))
        tidy(bench())
    finally:
        # This process has done what it was forked for.
        tracing.close()


def _path() -> str:
    return os.environ.get("PATH", os.defpath)
