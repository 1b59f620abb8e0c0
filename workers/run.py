"""An agent's job: an attempt is taken up, its commit fetched, the agent looks, and the run hears what came of it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Protocol

from bot.domain.accounts import Limits
from bot.domain.asked import Asked
from bot.domain.events import AgentFinished, AgentProgressed, AgentStarted, DeadlinePassed, Event
from bot.domain.findings import AgentResult, Outcome, joined
from bot.domain.model import Frozen
from bot.domain.plan import AgentPlan
from bot.domain.redact import Redactor, secrets_in
from bot.domain.run import AgentState, Phase, Run, RunKey, Stored
from bot.errors import AssayError, Gone, NoSpace, Unavailable
from workers.agent import Agent, Kit, Memory, Model, NoMemory, Sandbox, Work
from workers.cache import Cache
from workers.checkout import Checkouts
from workers.kit import KitFor
from workers.look import is_at_work, look, said_so_far
from workers.meter import MeteredModel, Spending, metered
from workers.mirrors import Mirror, Mirrors
from workers.prepared import KeptSetups
from workers.recording import RecordedModel
from workers.registry import only_reads
from workers.results import WORDS_LIMIT
from workers.reuse import LONGEST, Results, digest_of, may_serve_again, take_over
from workers.watch import CalledOff, Watch, watched

log = logging.getLogger(__name__)

# Of a larger change only the beginning is searched for secrets that are to be masked elsewhere; characters.
_PATCH_LIMIT = 4_000_000
# These look at every commit of a change, not only at what they come to.
_HISTORIANS = ("security",)
# Seconds between two looks at what others have said.
_LOOK = 0.5
# Seconds between tries to fetch from a server that is away.
_PAUSES = (1, 5, 15)


class Runs(Protocol):
    """What a job needs of the store."""

    def take_up(self, key: RunKey, agent: str, attempt: int) -> tuple[int, Stored | None]: ...
    def update(
        self, key: RunKey, event: Event, token: int | None = None, known: Stored | None = None
    ) -> Run | None: ...
    def load(self, key: RunKey) -> Stored | None: ...
    def stopped(self, key: RunKey, agent: str, attempt: int) -> bool: ...


@dataclass(frozen=True)
class Bench:
    """What a worker works with. `read_token(installation, run)` may read the contents of that run's repository;
    `kit` makes what an agent is given, `within(image, cancelled)` a sandbox of a repository's own image; `toolbox`
    changes with Assay and its tools (see `workers/toolbox.py`);
    `memory(repository, trusted)` is what agents remember of it; `asked(run, question)` keeps what models are asked,
    None where that is switched off; `spending` is what they have cost, and `operator_limits` are those of
    `bot.domain.accounts.Limits` that the operator set; `secrets(repository)` are the operator's for its commands."""

    runs: Runs
    results: Results
    cache: Cache
    mirrors: Mirrors
    checkouts: Checkouts
    read_token: Callable[[int, RunKey], str | None]
    agent_for: Callable[[AgentPlan], Agent]
    kit: KitFor
    clock: Callable[[], float]
    sleep: Callable[[float], None] = time.sleep
    toolbox: str = ""
    memory: Callable[[str, bool], Memory] = lambda _repository, _trusted: NoMemory()
    asked: Callable[[RunKey, Asked], object] | None = None
    spending: Spending | None = None
    operator_limits: Mapping[str, float | None] = field(default_factory=dict)
    secrets: Callable[[str], Mapping[str, str]] = lambda _repository: {}
    within: Callable[[str, threading.Event], Sandbox] | None = None


@dataclass(frozen=True)
class Attempt:
    """An attempt that was taken up, with the newest token. Where that can be told without the commit's files: `digest`
    is what its result depends on, and `earlier` what was said of the same before."""

    run: Run
    agent: AgentState
    token: int
    digest: str = ""
    earlier: AgentResult | None = None


class Said(Frozen):
    """What came of a look. By `digest` it may serve again; empty where it may not."""

    result: AgentResult
    digest: str = ""


def on_agent(bench: Bench, key: RunKey, name: str, attempt: int) -> AgentResult | None:
    """Handle an agent's job: its result. An attempt that nobody waits for any more is let be, and has none.

    Raises TakenOver when this process was taken for dead and another does the work now.
    """
    begun = begin(bench, key, name, attempt)
    return tell(bench, begun, look_into(bench, begun)) if begun else None


def begin(bench: Bench, key: RunKey, name: str, attempt: int) -> Attempt | None:
    """Take an attempt up; None for one that nobody waits for any more."""
    token, stored = bench.runs.take_up(key, name, attempt)
    run = stored.run if stored else None
    agent = run.agent(name) if run else None
    if run is None or agent is None or agent.attempt != attempt or agent.phase is Phase.DONE:
        log.info("%s: %s attempt %d is no longer wanted", key, name, attempt)
        return None
    if name in run.under_approval and not run.may_execute(bench.clock()):
        log.info("%s: %s: the approval has ended", key, name)
        bench.runs.update(key, DeadlinePassed(at=bench.clock()))
        return None
    bench.runs.update(key, AgentStarted(at=bench.clock(), agent=name, attempt=attempt), token, stored)
    if not _unknown(agent.plan):
        return Attempt(run, agent, token)
    commits = run.base_sha or "", run.key.sha
    digest = digest_of(run, agent.plan, commits, bench.kit(_say_nothing, threading.Event()).model, bench.toolbox)
    return Attempt(run, agent, token, digest, take_over(bench.results, digest, agent))


def may_execute(begun: Attempt, at: float) -> bool:
    """Whether this attempt may execute what the commit holds, at that time."""
    agent = begun.agent
    return agent.plan.executes and not agent.barred and begun.run.may_execute(at)


def _say_nothing(_: str) -> None:
    pass


def look_into(bench: Bench, begun: Attempt) -> Said:
    """Look at the commit of an attempt, for as long as anybody waits for it."""
    run, key, name, attempt = begun.run, begun.run.key, begun.agent.plan.name, begun.agent.attempt
    said = None
    with watched(partial(bench.runs.stopped, key, name, attempt), f"{key} {name}") as watch:

        def progress(message: str) -> None:
            words = kit.redact(message)[:WORDS_LIMIT]
            news = AgentProgressed(at=bench.clock(), agent=name, attempt=attempt, message=words)
            bench.runs.update(key, news, begun.token)

        memory = bench.memory(key.repository, run.trusted)
        kit = bench.kit(progress, watch.called_off)
        if (image := begun.agent.plan.image) and bench.within:
            kit = replace(kit, sandbox=bench.within(image, watch.called_off))
        prepared = KeptSetups(bench.cache, key.repository, kit.sandbox.level, trusted=begun.run.trusted)
        kit = replace(kit, memory=memory, prepared=prepared)
        recorded = _recorded(bench, kit, key, begun.agent)
        kit = replace(kit, model=_metered(bench, recorded, begun.run, begun.agent.plan))
        try:
            said = _look_at_commit(bench, begun, kit, watch)
        except CalledOff:
            log.info("%s: %s was interrupted", key, name)
    if said is None or watch.called_off.is_set():
        # What it has used until then is paid for all the same.
        cost = joined(kit.model.used) if isinstance(kit.model, MeteredModel) else said.result.cost if said else None
        return Said(result=AgentResult(outcome=Outcome.CANCELLED, reason="nobody waits for it any more", cost=cost))
    return said


def _metered(bench: Bench, model: Model | None, run: Run, plan: AgentPlan) -> Model | None:
    if model is None or bench.spending is None:
        return model
    limits = Limits.model_validate({**(plan.settings.get("budget") or {}), **bench.operator_limits})
    return metered(model, bench.spending, run, limits, bench.clock())


def _recorded(bench: Bench, kit: Kit, key: RunKey, agent: AgentState) -> Model | None:
    if kit.model is None or bench.asked is None:
        return kit.model
    note = partial(bench.asked, key)
    return RecordedModel(kit.model, agent.plan.name, agent.attempt, note, kit.redact, bench.clock)


def tell(bench: Bench, begun: Attempt, said: Said) -> AgentResult:
    """Tell the run what came of an attempt. Raises TakenOver when another does the work now."""
    key, name, attempt = begun.run.key, begun.agent.plan.name, begun.agent.attempt
    if said.digest:
        # It counts from when the run has it: one that is called off, or lost on the way, never serves again.
        bench.results.note(said.digest, key, name, attempt, LONGEST)
    news = AgentFinished(at=bench.clock(), agent=name, attempt=attempt, result=said.result)
    bench.runs.update(key, news, begun.token)
    return said.result


def _look_at_commit(bench: Bench, begun: Attempt, kit: Kit, watch: Watch) -> Said:
    run, plan = begun.run, begun.agent.plan
    try:
        with ExitStack() as stack:
            mirror = cache(partial(_fetch, bench, run, stack))
            try:
                with watch.interruptible():
                    if not _unknown(plan):
                        mirror()
            except (AssayError, OSError) as error:
                return Said(result=_not_fetched(error, kit))
            with watch.interruptible():
                return _say(bench, begun, mirror, kit, stack)
    except (AssayError, OSError) as error:
        words = kit.redact(str(error))[:WORDS_LIMIT]
        reason = f"the commit's files could not be written: {words}"
        return Said(result=AgentResult(outcome=Outcome.ERROR, reason=reason))


def _unknown(plan: AgentPlan) -> bool:
    """Whether nobody knows what the agent looks at: other people's need not look at any file."""
    return plan.kind == "extension"


def _not_fetched(error: AssayError | OSError, kit: Kit) -> AgentResult:
    words, remedy = kit.redact(str(error)), ""
    match error:
        case Gone():
            reason = f"the commit is gone: {words}"
        case NoSpace():
            reason = words
        case _:
            reason, remedy = f"the repository could not be fetched: {words}", "run it again when GitHub can be reached"
    return AgentResult(outcome=Outcome.ERROR, reason=reason[:WORDS_LIMIT], remedy=remedy)


def _say(bench: Bench, begun: Attempt, mirror: Callable[[], Mirror], kit: Kit, stack: ExitStack) -> Said:
    """What was said of the same before, or else what the agent says now."""
    run, agent, plan, digest, earlier = begun.run, begun.agent, begun.agent.plan, begun.digest, begun.earlier
    if not digest:
        commits = run.base_sha or "", run.key.sha
        same = commits if plan.kind in _HISTORIANS else mirror().trees(run.base_sha, run.key.sha)
        digest = digest_of(run, plan, same, kit.model, bench.toolbox)
        earlier = take_over(bench.results, digest, agent)
    if earlier is not None:
        log.info("%s: %s is taken over", run.key, plan.name)
        return Said(result=earlier)
    # What was approved is a stranger's all the same: it is executed where it is kept apart, and has no further say.
    granted = may_execute(begun, bench.clock())
    if granted and not run.trusted and not kit.sandbox.isolates and plan.kind in _COMMANDS:
        return Said(result=_NOT_HERE)
    approved = granted and kit.sandbox.isolates
    work = _prepare(bench, run, plan, mirror, stack, approved=approved)
    if not _unknown(plan):
        # What cannot be written is no fault of the agent's.
        assert work.root
    result = look(plan, work, replace(kit, redact=_also_the_changes(work, kit.redact)), bench.agent_for)
    # Whatever an agent says of it: what people are asked to pay is the meter's to say.
    result = kit.model.told(result) if isinstance(kit.model, MeteredModel) else result.model_copy(update={"cap": None})
    return Said(result=result, digest=digest if may_serve_again(plan, result) else "")


# Agents that run commands which the repository names.
_COMMANDS = ("test", "command")
_NOT_HERE = AgentResult(
    outcome=Outcome.NOT_RUN,
    reason="what a stranger wrote is executed in a sandbox only, though it was approved, and here is none",
    remedy="Have Assay's operator set ASSAY_SANDBOX=auto.",
)


def _also_the_changes(work: Work, redact: Callable[[str], str]) -> Callable[[str], str]:
    """Masks the secrets that the change itself brings along, too: a test may print them, in whatever form. They are
    looked for once somebody has something to say."""

    @cache
    def own() -> Redactor | None:
        secrets = secrets_in(work.patch()[:_PATCH_LIMIT])
        return Redactor(secrets) if secrets else None

    def redact_all(text: str) -> str:
        mask = own() if text.strip("\n\0 ") else None
        return redact(mask(text) if mask else text)

    return redact_all


def _prepare(
    bench: Bench, run: Run, plan: AgentPlan, mirror: Callable[[], Mirror], stack: ExitStack, *, approved: bool
) -> Work:
    """The work, on files that are there until the stack is closed."""
    sha, base_sha = run.key.sha, run.base_sha

    def shared(commit: str) -> Path:
        return stack.enter_context(bench.checkouts.shared(mirror(), commit))

    def own(tree: Path) -> Path:
        return stack.enter_context(bench.checkouts.own(tree))

    def checkout() -> Path:
        return shared(sha) if only_reads(plan.kind) else own(shared(sha))

    pull = next((pull for pull in run.pulls if pull.live), None)
    return Work(
        repository=run.key.repository,
        sha=sha,
        checkout=checkout,
        base=lambda: shared(base_sha) if base_sha else None,
        compare=lambda: mirror().diff(base_sha, sha),
        patch=lambda: mirror().patch(base_sha, sha),
        history=lambda: mirror().history(base_sha, sha),
        messages=lambda: mirror().messages(base_sha, sha),
        base_texts=lambda paths: mirror().texts(base_sha, paths) if base_sha else {},
        trees=lambda: mirror().trees(base_sha, sha),
        own=own,
        settings=plan.settings,
        timeout=plan.timeout,
        # A linter that only reads takes no word from a stranger, whatever was approved.
        trusted=run.trusted or (approved and not only_reads(plan.kind)),
        approved=approved,
        # Not for what was only approved: a stranger's code would read them.
        secrets=bench.secrets(run.key.repository) if run.trusted and plan.kind in _COMMANDS else None,
        title=pull.title if pull else "",
        description=pull.body if pull else "",
        others={name: result for name, result in said_so_far(run.agents).items() if name != plan.name},
        overhear=partial(_overhear, bench, run.key),
        about=plan.verifies,
        refutations=asked.refutations if (asked := run.agent(plan.name)) else (),
        look=f"{run.key} {asked.asked_anew}" if asked and asked.fresh else "",
    )


def _overhear(bench: Bench, key: RunKey, seconds: float) -> dict[str, AgentResult]:
    until = time.monotonic() + seconds
    while True:
        stored = bench.runs.load(key)
        agents = stored.run.agents if stored else ()
        if not any(is_at_work(agent) for agent in agents) or time.monotonic() >= until:
            return said_so_far(agents)
        bench.sleep(_LOOK)


def tidy(bench: Bench) -> None:
    """Keep what is on the disk within its limits. For when nobody waits."""
    try:
        if bench.cache.tidy():
            bench.mirrors.tidy()
    except (AssayError, OSError) as error:
        log.warning("the work directory could not be tidied: %s", error)


def _fetch(bench: Bench, run: Run, stack: ExitStack) -> Mirror:
    commits = tuple(sha for sha in (run.key.sha, run.base_sha) if sha)
    for pause in (*_PAUSES, None):
        try:
            token = partial(bench.read_token, run.installation, run.key)
            with bench.checkouts.ahead(bench.mirrors.name(run.key.repository), run.key.sha):
                return stack.enter_context(bench.mirrors.fetch(run.key.repository, commits, token))
        except Unavailable as error:
            if pause is None:
                raise
            log.info("%s: fetching again in %d s: %s", run.key, pause, error)
            bench.sleep(pause)
    raise AssertionError("unreachable")
