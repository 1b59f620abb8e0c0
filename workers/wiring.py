"""The composition root of the agents' processes, and the function that their jobs name."""

from __future__ import annotations

import os
import time
from functools import cache

from bot.domain.run import RunKey
from bot.wiring import CLONE, make_app, make_store, settings
from workers.checkout import Mirrors
from workers.kit import make_kit, resolve
from workers.run import Bench
from workers.run import on_agent as _on_agent
from workers.sandbox.process import ProcessSandbox


@cache
def bench() -> Bench:
    """What agents' jobs work with, made once a process."""
    chosen = settings()
    app = make_app(chosen)
    path = os.environ.get("PATH", os.defpath)
    return Bench(
        runs=make_store(chosen),
        mirrors=Mirrors(chosen.work_dir, chosen.github_url),
        work_dir=chosen.work_dir,
        read_token=lambda installation, repository: app.token(installation, repository, CLONE),
        agent_for=resolve,
        kit=make_kit(chosen, lambda cancelled: ProcessSandbox(path, cancelled=cancelled)),
        clock=time.time,
    )


def on_agent(key: str, agent: str, attempt: int) -> None:
    """The job of one agent at one commit."""
    _on_agent(bench(), RunKey.parse(key), agent, attempt)
