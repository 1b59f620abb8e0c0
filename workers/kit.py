"""What agents are given, made of the settings: for jobs and for `assay check` alike."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event, Lock
from typing import TYPE_CHECKING

from bot.domain.plan import AgentPlan
from bot.domain.redact import Redactor
from config.settings import Settings, load
from workers.agent import Advisories, Agent, Kit, Registry, Sandbox
from workers.file_memory import FileMemory
from workers.llm.prices import tokens_of
from workers.osv.database import OsvDatabase
from workers.registry import agent_for
from workers.sandbox.process import ProcessSandbox

if TYPE_CHECKING:
    from workers.llm.providers import Providers

# Makes the kit of one agent, given what hears its progress and what is set once nobody waits for it any more.
KitFor = Callable[[Callable[[str], None], Event], Kit]


def resolve(plan: AgentPlan) -> Agent:
    """The agent that a plan asks for. Raises Misconfigured for an extension that is not installed."""
    return agent_for(plan.kind, plan.settings)


def make_model(chosen: Settings) -> Providers | None:
    """The language model at all its providers, None where there are none."""
    if chosen.openai_api_key is None and not chosen.fallbacks():
        return None
    # Late: it takes as long to load as all the rest of `assay check`.
    from workers.llm.providers import make_providers

    return make_providers(chosen)


def make_advisories(chosen: Settings) -> Advisories | None:
    """The database of known vulnerabilities, None where the operator named none."""
    if chosen.osv_url is not None:
        # Late, as above.
        from workers.osv.api import OsvApi

        return OsvApi(chosen.osv_url)
    return None if chosen.osv_database is None else OsvDatabase(chosen.osv_database, chosen.work_dir)


def make_registry(chosen: Settings) -> Registry | None:
    """What tells of packages, None where the operator named nobody."""
    if chosen.deps_dev_url is None:
        return None
    # Late, as above.
    from workers.osv.registry import DepsDev

    return DepsDev(chosen.deps_dev_url)


def make_kit(chosen: Settings, sandbox: Callable[[Event], Sandbox]) -> KitFor:
    """Makes the kits of agents; `sandbox` makes one that starts nothing any more, and ends what runs, once its event is
    set. Neither is the model asked any more then."""
    model, redactor = make_model(chosen), Redactor(chosen.secrets())
    if model and chosen.llm_models:
        own = (one for one in (chosen.llm_model, chosen.llm_verify_model) if one)
        model = model.within(tuple(dict.fromkeys((*chosen.llm_models, *own))))
    advisories, registry = make_advisories(chosen), make_registry(chosen)

    def make(progress: Callable[[str], None], cancelled: Event) -> Kit:
        written = _Written()
        return Kit(
            sandbox(cancelled),
            model and model.until(cancelled).heard_by(written.add),
            progress,
            redactor,
            advisories=advisories,
            registry=registry,
            never_send=chosen.llm_never_send,
            verify_model=chosen.llm_verify_model or "",
            written=written.tokens,
        )

    return make


class _Written:
    """What models have written for one agent. Safe to share between threads."""

    def __init__(self) -> None:
        self._characters = 0
        self._lock = Lock()

    def add(self, characters: int) -> None:
        with self._lock:
            self._characters += characters

    def tokens(self) -> int:
        return tokens_of(self._characters)


def local_kit(root: Path) -> KitFor:
    """For `assay check`: the developer's own environment, on the developer's own repository in `root`."""
    # Tools run in place, and the developer shall find nothing changed: no bytecode, no refreshed index.
    environ = {"PYTHONDONTWRITEBYTECODE": "1", "GIT_OPTIONAL_LOCKS": "0", **os.environ}
    kit = make_kit(load(os.environ, None), lambda cancelled: ProcessSandbox(environ=environ, cancelled=cancelled))
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    memory = FileMemory(caches / "assay" / "memory.sqlite", str(root.resolve()))
    return lambda progress, cancelled: replace(kit(progress, cancelled), memory=memory)
