"""The composition root of the agents' processes, and the function that their jobs name."""

from __future__ import annotations

import os
import time
from functools import cache, partial

from pydantic_core import from_json, to_json

from bot.dialogue import Dialogue
from bot.domain.run import RunKey
from bot.handover import ask
from bot.spending import Spending
from bot.store import Store
from bot.telemetry import tracing
from bot.telemetry.observation import Observer
from bot.wiring import make_store, settings
from config.env_secrets import env_secrets_of
from workers import run
from workers.cache import Cache, Limits
from workers.checkout import Checkouts
from workers.kit import make_kit, resolve
from workers.memory import RedisMemory
from workers.mirrors import Mirrors
from workers.reusable import Reusable
from workers.run import Attempt, Bench, Said, tidy
from workers.sandbox.choice import choose_by, for_files
from workers.sandbox.views import Views, why_no_views
from workers.toolbox import toolbox

# Bytes of a result that a fork tells of itself, so that the worker does not grow by it.
_MUCH = 1_000_000


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
    sandbox = choose_by(chosen, _path())
    return Bench(
        runs=store(),
        results=Reusable(store().redis, store()),
        cache=kept,
        mirrors=Mirrors(kept, chosen.github_url),
        checkouts=Checkouts(
            kept, for_files(sandbox, _path()), Views() if sandbox.own_mounts and not why_no_views(kept.folder) else None
        ),
        read_token=partial(ask, store().redis, store().queues.enqueue),
        agent_for=resolve,
        kit=make_kit(chosen, sandbox.make),
        within=sandbox.within,
        clock=time.time,
        toolbox=f"{tools()}{chosen.sandbox_image or ''}",
        memory=lambda repository, trusted: RedisMemory(store().redis, repository, trusted=trusted),
        asked=Dialogue(store().redis, chosen.retention).note if chosen.llm_log else None,
        spending=Spending(store().redis),
        operator_limits={
            "installation": chosen.llm_budget_month,
            "installation_tokens": chosen.llm_tokens_month,
        },
        secrets=partial(env_secrets_of, chosen.env_secrets_table()),
    )


def tools() -> str:
    """What agents work with, by its digest: the same for as long as this process and those forked from it live."""
    return toolbox(_path())


class _OnAgent:
    """The job of one agent at one commit, as `bot.jobs.InParts`."""

    def __call__(self, key: str, agent: str, attempt: int) -> None:
        begun = self.begin(key, agent, attempt)
        if begun is not None:
            self.end(begun, self.carry_out(begun))

    def begin(self, key: str, agent: str, attempt: int) -> Attempt | None:
        begun = run.begin(bench(), RunKey.parse(key), agent, attempt)
        if begun is None:
            with observer().job() as report:
                report.result(None)
        return begun

    def carry_out(self, begun: Attempt) -> bytes:
        """What was counted meanwhile, and what was said; all of that is told already where it is much."""
        bench().checkouts.in_own_process()
        # What the worker has not been able to send is not counted once more.
        kept = observer().hand_over()
        try:
            with observer().job(sends=False) as report:
                said = run.look_into(bench(), begun)
                report.result(said.result)
            tidy(bench())
            counted, words = to_json(observer().hand_over()), said.model_dump_json().encode()
            observer().keep(kept)
            if len(words) > _MUCH:
                run.tell(bench(), begun, said)
                words = b""
            return counted + b"\n" + words
        finally:
            # A fork has done what it was forked for.
            tracing.close()

    def end(self, begun: Attempt, said: bytes) -> None:
        counted, _, words = said.partition(b"\n")
        if words:
            run.tell(bench(), begun, Said.model_validate_json(words))
        observer().take_in(from_json(counted))


on_agent = _OnAgent()


def _path() -> str:
    return os.environ.get("PATH", os.defpath)
