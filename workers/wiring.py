"""The composition root of the agents' processes, and the function that their jobs name."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import cache, partial

from bot.domain.plan import AgentPlan
from bot.domain.redact import Redactor
from bot.domain.run import RunKey
from bot.wiring import CLONE, make_app, make_store, settings
from config.settings import Settings, load
from workers.agent import Agent, Kit, Model
from workers.checkout import Mirrors
from workers.registry import agent_for
from workers.run import Bench
from workers.run import on_agent as _on_agent
from workers.sandbox.process import ProcessSandbox


def resolve(plan: AgentPlan) -> Agent:
    """The agent that a plan asks for. Raises Misconfigured for an extension that is not installed."""
    return agent_for(plan.kind, plan.settings)


def make_model(chosen: Settings) -> Model | None:
    """The language model, None without a key."""
    if chosen.openai_api_key is None:
        return None
    from workers.llm.client import OpenAIModel

    return OpenAIModel(
        chosen.openai_api_key.get_secret_value(), chosen.openai_base_url, chosen.llm_model, chosen.llm_timeout
    )


def make_redactor(chosen: Settings) -> Redactor:
    """Knows the operator's own secrets."""
    values = (getattr(chosen, name) for name in type(chosen).model_fields)
    return Redactor([value.get_secret_value() for value in values if hasattr(value, "get_secret_value")])


def local_kit() -> Callable[[Callable[[str], None]], Kit]:
    """Tools for `assay check`: the developer's own environment, on the developer's own repository."""
    chosen = load(os.environ, None)
    sandbox = ProcessSandbox(environ=os.environ)
    return partial(_kit, sandbox, make_model(chosen), make_redactor(chosen))


def _kit(sandbox: ProcessSandbox, model: Model | None, redactor: Redactor, progress: Callable[[str], None]) -> Kit:
    return Kit(sandbox=sandbox, model=model, progress=progress, redact=redactor)


@cache
def bench() -> Bench:
    """What agents' jobs work with, made once a process."""
    chosen = settings()
    app = make_app(chosen)
    return Bench(
        runs=make_store(chosen),
        mirrors=Mirrors(chosen.work_dir, chosen.github_url),
        work_dir=chosen.work_dir,
        read_token=lambda installation, repository: app.token(installation, repository, CLONE),
        agent_for=resolve,
        kit=partial(
            _kit, ProcessSandbox(os.environ.get("PATH", os.defpath)), make_model(chosen), make_redactor(chosen)
        ),
        clock=time.time,
    )


def on_agent(key: str, agent: str, attempt: int) -> None:
    """The job of one agent at one commit."""
    _on_agent(bench(), RunKey.parse(key), agent, attempt)
