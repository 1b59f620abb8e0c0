"""All transitions of a run: `reduce(run, event) -> Step(run, effects)`.

The rules:
1. Level, not edge. After every event `_advance` asks what the run needs now: agents whose turn has come are started,
   and nothing depends on which event was the last.
2. Of each trigger, and of its end, only the newest word counts: by the trigger's `updated_at`, then by when it was
   heard. So an opening that comes after its closing opens nothing, and an older push never stops a newer one.
3. A commit has one run, and one trigger leads it (`triggers.rank`): it decides the plan, what the commit is compared
   with and whether its author is trusted. When one of these changes, every agent starts anew.
4. When the last trigger lets the commit go, unfinished work is cancelled. When one comes back, what was cancelled
   starts anew; so does what a person asks for, waited for or not, once a delivery.
5. Each new start gives the run's attempt the next number, and the agents that start carry it. Their news counts only
   under that number; anything else is old and changes nothing.
6. A result beats an assumed one (a deadline, a cancellation), and of two results of one attempt the one that is worse
   for the commit counts, so that every order of the same events ends the same way.
7. A verifier judges what its agent said in the end: when that changes, it starts anew. An agent most of whose claims
   are refuted is asked once more.
8. Agents wait for those in their `after`. If they wait for one another in a circle, they start together.
9. What executes the commit is barred while a stranger leads it and no approval holds. The first one counts, whenever
   it is heard, until it ends; then what was barred starts anew. What is still under way when it ends starts anew too,
   barred.
10. A review that stopped at a limit on its cost goes on once that was raised beyond it, whenever that is heard. One
   most of whose claims were refuted every time is `partial` until somebody lets that very attempt count.
11. A question at any of these gates that nobody answers is reminded of once, and ends; a person who has it run again
   asks it anew.
12. An agent whose service is away is parked, and begins anew by itself, ever more rarely, until it has waited for as
   long as its plan says; then its last word counts.
13. An event that changes nothing has no effects, and neither has progress, nor what somebody used who was told to
    stop: writes to GitHub are few.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar, assert_never

from bot.domain.attempt import assume, ended, finished, has_waited, overdue, progressed, started
from bot.domain.effects import Effect, Publish, StartAgent, StopAgent
from bot.domain.events import (
    AgentFinished,
    AgentProgressed,
    AgentStarted,
    ApprovalGranted,
    BudgetRaised,
    CommitReceived,
    DeadlinePassed,
    Event,
    FindingsIgnored,
    OrderRefused,
    RerunRequested,
    ReviewAccepted,
    TriggerEnded,
)
from bot.domain.findings import AgentResult, Cost, Ignored, Outcome, joined
from bot.domain.judging import ROUNDS, dismissed, escalated, judged, refutations, rejected, subject
from bot.domain.plan import AgentPlan
from bot.domain.run import (
    QUEUE_PATIENCE,
    AgentState,
    Phase,
    Question,
    Request,
    Run,
    RunKey,
    raised_to,
)
from bot.domain.triggers import Trigger, rank
from bot.domain.verdict import passed

# What a run remembers at most; many branches and pull requests may have one head.
_TRIGGERS = 20
_CLOSINGS = 500
_RERUNS = 50
_IGNORED = 2_000
_APPROVALS = 10
_ANSWERS = 20
Answer = TypeVar("Answer", BudgetRaised, ReviewAccepted)


# What may be heard of a commit before anybody asks for it.
_FIRST = CommitReceived | TriggerEnded | ApprovalGranted | BudgetRaised | ReviewAccepted | FindingsIgnored


@dataclass(frozen=True)
class Step:
    """The run after an event, and what is to be done about it. `run` is None for news of a run nobody started."""

    run: Run | None
    effects: tuple[Effect, ...] = ()


def reduce(run: Run | None, event: Event, key: RunKey) -> Step:
    """Fold one event into the run of `key`. Pure, total, and idempotent."""
    if run is None:
        if not isinstance(event, _FIRST):
            return Step(None)
        run = Run(key=key, installation=0, created_at=event.at, updated_at=event.at, attempt=0)
    after = _fold(run, event)
    if after == run or isinstance(event, AgentProgressed) or _only_costs(run, event):
        return Step(after)
    return _advance(run, after, event.at)


def _only_costs(run: Run, event: Event) -> bool:
    """Whether all that is new is what an agent has cost that had been let go: nobody waits for that on GitHub."""
    if not isinstance(event, AgentFinished) or event.result.outcome is not Outcome.CANCELLED:
        return False
    agent = run.agent(event.agent)
    return agent is not None and agent.result is not None


def _fold(run: Run, event: Event) -> Run:
    match event:
        case CommitReceived():
            return _settle(run, _requested(run, event), event.at)
        case ApprovalGranted() | BudgetRaised() | ReviewAccepted() | OrderRefused():
            return _answered(run, event)
        case TriggerEnded():
            return _settle(run, _closed(run, event), event.at)
        case RerunRequested():
            return _rerun(run, event)
        case AgentStarted():
            return _on_agent(run, event.agent, event.attempt, lambda agent: started(agent, event.at))
        case AgentProgressed():
            return _on_agent(run, event.agent, event.attempt, lambda agent: progressed(agent, event.message))
        case AgentFinished():
            return _on_agent(run, event.agent, event.attempt, lambda agent: finished(agent, event.result, event.at))
        case FindingsIgnored():
            return _ignored(run, event)
        case DeadlinePassed():
            run = _each(run, lambda agent: overdue(agent, event.at))
            return _waited(_lapsed(_resumed(run, lambda agent: has_waited(agent, event.at)), event.at), event.at)
        case _:
            assert_never(event)


# -- what the run needs now


def _advance(before: Run, run: Run, at: float) -> Step:
    """Start every agent whose turn has come, and say what changed."""
    run = _verify(_go_on(_unbar(run, at)), at)
    ready = _ready(run)

    def start(agent: AgentState) -> AgentState:
        if agent.plan.name not in ready:
            return agent
        barred = agent.plan.executes and not run.may_execute(at)
        return agent.model_copy(update={"phase": Phase.QUEUED, "deadline": at + QUEUE_PATIENCE, "barred": barred})

    run = _each(run, start)
    questions = {gate: run.questions.get(gate) or Question(asked_at=at) for gate in run.lacking}
    changed = {"updated_at": max(run.updated_at, at), "questions": questions, "spent": _spent(before, run)}
    run = run.model_copy(update=changed)
    stops = (StopAgent(agent.plan.name, agent.attempt) for agent in before.agents if _let_go(agent, run))
    starts = (
        StartAgent(agent.plan.name, agent.plan.kind, agent.attempt, agent.plan.timeout)
        for agent in run.agents
        if agent.plan.name in ready
    )
    return Step(run, (*stops, *starts, *([Publish()] if run.triggers else [])))


def _spent(before: Run, run: Run) -> Cost | None:
    """What was spent on results that are gone: their agents left, or began anew."""
    now = {agent.plan.name: agent.cost for agent in run.agents}
    gone = [agent.cost for agent in before.agents if agent.cost and not now.get(agent.plan.name)]
    return joined([*([run.spent] if run.spent else []), *gone])


def _ready(run: Run) -> set[str]:
    pending = {agent.plan.name for agent in run.agents if agent.phase is not Phase.DONE}
    waiting = [agent for agent in run.agents if agent.phase is Phase.WAITING]
    ready = {agent.plan.name for agent in waiting if pending.isdisjoint(agent.plan.after)}
    in_a_circle = not ready and not any(agent.in_flight for agent in run.agents)
    return {agent.plan.name for agent in waiting if not agent.plan.verifies} if in_a_circle else ready


def _let_go(agent: AgentState, run: Run) -> bool:
    now = run.agent(agent.plan.name)
    return agent.in_flight and (now is None or now.attempt != agent.attempt or now.assumed)


# -- gates


def _answered(run: Run, event: ApprovalGranted | BudgetRaised | ReviewAccepted | OrderRefused) -> Run:
    match event:
        case ApprovalGranted():
            return _approved(run, event)
        case BudgetRaised():
            return run.model_copy(update={"raised": _with(run.raised, event)})
        case ReviewAccepted():
            return run.model_copy(update={"accepted": _with(run.accepted, event)})
    newer = run.refused is None or (event.at, event.delivery) > (run.refused.at, run.refused.delivery)
    return run.model_copy(update={"refused": event}) if newer else run


def _approved(run: Run, event: ApprovalGranted) -> Run:
    """Of several the first counts, whichever is heard first, until its end; then the first after that."""
    known = run.approvals or ((run.approval,) if run.approval else ())
    if event in known:
        return run
    heard = sorted((*known, event), key=lambda one: (one.at, one.delivery, one.actor))[-_APPROVALS:]
    counts = heard[0]
    for one in heard[1:]:
        counts = one if one.at >= counts.ends else counts
    return run.model_copy(update={"approval": counts, "approvals": tuple(heard)})


def _with(known: tuple[Answer, ...], answer: Answer) -> tuple[Answer, ...]:
    """Each answer once, in the order in which they were given, and the newest where they are too many."""
    if answer in known:
        return known
    answers = list(known)
    answers.append(answer)
    return tuple(sorted(answers, key=lambda one: (one.at, one.delivery, one.actor))[-_ANSWERS:])


def _go_on(run: Run) -> Run:
    """What stopped at a limit that has been raised begins anew; what it was answered by then costs nothing."""
    if not run.wanted:
        return run
    raised = {
        agent.plan.verifies or agent.plan.name
        for agent in run.capped
        if agent.result and (cap := agent.result.cap) and raised_to(run, cap.name, cap.configured) > cap.limit
    }
    return _resumed(run, lambda agent: agent.plan.name in raised and agent.phase is Phase.DONE)


def _lapsed(run: Run, at: float) -> Run:
    """What is under way by an approval that has ended begins anew, without it."""
    under = () if run.may_execute(at) else run.under_approval
    return _again(run, lambda agent: agent.plan.name in under)


def _waited(run: Run, at: float) -> Run:
    """A question that was not answered is reminded of, once, and ends in the end."""
    patience = run.patience

    def later(question: Question) -> Question:
        if not question.expired and at >= question.asked_at + patience.expire:
            return question.model_copy(update={"expired": True})
        if not question.expired and at >= question.asked_at + patience.remind:
            return question.model_copy(update={"reminded": True})
        return question

    return run.model_copy(update={"questions": {gate: later(question) for gate, question in run.questions.items()}})


def _unbar(run: Run, at: float) -> Run:
    """What had to do without executing anything begins anew once it may."""
    if not run.may_execute(at) or not run.wanted:
        return run
    return _again(run, lambda agent: agent.barred and agent.outcome is not Outcome.CANCELLED)


# -- what agents' words amount to


def _verify(run: Run, at: float) -> Run:
    """Bring every verifier in line with the findings it judges, and all results with what others say of them."""
    for name in [agent.plan.name for agent in run.agents if agent.plan.verifies]:
        verifier = run.agent(name)
        target = run.agent(verifier.plan.verifies) if verifier else None
        if verifier is not None and target is not None and not verifier.plan.skip:
            run = _asked_again(_look_at(run, verifier, target, at), name, target.plan.name)
    ignored = {one.fingerprint: one for one in (*run.ignored, *run.plan.ignored)}
    return _each(run, lambda agent: _amended(run, agent, ignored))


def _amended(run: Run, agent: AgentState, ignored: Mapping[str, Ignored]) -> AgentState:
    """An agent with what its own word amounts to after its verifier's, and after what people decided to ignore."""
    said = agent.said
    if agent.phase is not Phase.DONE or said is None:
        return agent
    result = _judged(run, agent, said)
    if rejected(result) and run.is_contested(agent.model_copy(update={"result": result})):
        result = escalated(result)
    result = dismissed(result, ignored)
    first = said if result is not said else None
    same = (result is agent.result or result == agent.result) and first == agent.first
    return agent if same else agent.model_copy(update={"result": result, "first": first})


def _judged(run: Run, agent: AgentState, said: AgentResult) -> AgentResult:
    verifier = run.verifier(agent.plan.name)
    if verifier is None or verifier.phase is not Phase.DONE or verifier.result is None or not verifier.about:
        return said
    return judged(said, verifier.result)


def _look_at(run: Run, verifier: AgentState, target: AgentState, at: float) -> Run:
    """The verifier waits for its agent, looks at what that one said in the end, and at nothing where there is nothing
    to judge. What it said of anything else is void."""
    said = target.said if target.phase is Phase.DONE else None
    about = subject(said) if said else ""
    if verifier.phase is not Phase.WAITING:
        # One that was cancelled is started again with all that was, not for its own sake.
        stays = said is not None and (verifier.outcome is Outcome.CANCELLED or verifier.about == about)
        if stays:
            return run
        run = run.model_copy(update={"attempt": run.attempt + 1})
        verifier = AgentState(plan=verifier.plan, attempt=run.attempt)
    if said is not None:
        verifier = verifier.model_copy(update={"about": about})
        if not about:
            nothing = AgentResult(outcome=Outcome.SKIPPED, reason="there is nothing to verify")
            verifier = ended(verifier, nothing, at, assumed=False)
    return _put(run, verifier)


def _asked_again(run: Run, name: str, of: str) -> Run:
    """Where most of what an agent said did not hold, it is asked once more, and told why."""
    verifier, target = run.agent(name), run.agent(of)
    if verifier is None or target is None or target.phase is not Phase.DONE or target.said is None:
        return run
    result = _judged(run, target, target.said)
    if not rejected(result) or target.round + 1 >= ROUNDS or not run.wanted:
        return run
    attempt, told = run.attempt + 1, refutations(result.refuted)
    again = AgentState(
        plan=target.plan,
        attempt=attempt,
        fresh=target.fresh,
        look=target.asked_anew,
        round=target.round + 1,
        refutations=told,
    )
    run = run.model_copy(update={"attempt": attempt})
    return _put(_put(run, again), AgentState(plan=verifier.plan, attempt=attempt))


def _put(run: Run, state: AgentState) -> Run:
    return _each(run, lambda agent: state if agent.plan.name == state.plan.name else agent)


# -- commits and their triggers


def _requested(run: Run, event: CommitReceived) -> Run:
    trigger, old = event.trigger, next((t for t in run.triggers if t.id == event.trigger.id), None)
    if old and _age(old, run.requests[old.id].at) >= _age(trigger, event.at):
        return run
    return run.model_copy(
        update={
            "triggers": (*(other for other in run.triggers if other.id != trigger.id), trigger),
            "requests": run.requests | {trigger.id: Request(at=event.at, plan=event.plan)},
            "installation": event.installation,
        }
    )


def _closed(run: Run, event: TriggerEnded) -> Run:
    old = next((closing for closing in run.closings if closing.trigger == event.trigger), None)
    if old and _when(old) >= _when(event):
        return run
    others = (closing for closing in run.closings if closing.trigger != event.trigger)
    closings = sorted((*others, event), key=lambda closing: (_when(closing), closing.trigger))
    return run.model_copy(update={"closings": tuple(closings[-_CLOSINGS:])})


def _age(trigger: Trigger, at: float) -> tuple[float, float]:
    return trigger.updated_at, at


def _when(closing: TriggerEnded) -> tuple[float, float]:
    return closing.updated_at, closing.at


def _settle(before: Run, run: Run, at: float) -> Run:
    """Bring the run in line with what is known of its triggers."""
    run = _with_life(run)
    if run == before or run.leader is None:
        return run
    plan, base = run.requests[run.leader.id].plan, run.leader.base_sha
    changed = (plan, base, run.trusted) != (run.plan, run.base_sha, before.trusted)
    if not before.triggers or (run.wanted and changed):
        run = _lay_out(run.model_copy(update={"plan": plan, "base_sha": base}), at)
    if run.wanted:
        run = run.model_copy(update={"superseded_by": None})
        return run if before.wanted else _again(run, lambda agent: agent.outcome is Outcome.CANCELLED)
    last = run.closings[-1]
    run = run.model_copy(update={"superseded_by": last.moved_to})
    if before.triggers and not before.wanted:
        return run
    return _each(run, lambda agent: assume(agent, Outcome.CANCELLED, last.reason, at))


def _with_life(run: Run) -> Run:
    ends = {closing.trigger: _when(closing) for closing in run.closings}

    def lived(trigger: Trigger) -> Trigger:
        end = ends.get(trigger.id)
        return trigger.model_copy(update={"live": not end or end <= _age(trigger, run.requests[trigger.id].at)})

    kept = sorted(map(lived, run.triggers), key=lambda trigger: (not trigger.live, rank(trigger)))[:_TRIGGERS]
    requests = {trigger.id: run.requests[trigger.id] for trigger in kept}
    return run.model_copy(update={"triggers": tuple(sorted(kept, key=rank)), "requests": requests})


def _lay_out(run: Run, at: float) -> Run:
    """Start anew by the run's plan."""
    attempt = run.attempt + 1

    def state(plan: AgentPlan) -> AgentState:
        if not plan.skip and not plan.hold:
            return AgentState(plan=plan, attempt=attempt)
        result = AgentResult(outcome=Outcome.SKIPPED, reason=plan.skip)
        if not plan.skip:
            remedy = "A person who wants it looked at presses Re-run, or pushes."
            result = AgentResult(outcome=Outcome.NOT_RUN, reason=plan.hold, remedy=remedy)
        return AgentState(plan=plan, attempt=attempt, phase=Phase.DONE, finished_at=at, result=result)

    agents = () if run.plan.problems else tuple(state(plan) for plan in run.plan.agents)
    return run.model_copy(update={"attempt": attempt, "agents": agents})


def _ignored(run: Run, event: FindingsIgnored) -> Run:
    """Of two decisions about one finding either will do; which one is kept does not depend on their order."""
    known = {one.fingerprint: one for one in run.ignored}
    for one in event.ignored:
        known[one.fingerprint] = min(
            one, known.get(one.fingerprint, one), key=lambda ignored: (ignored.by, ignored.reason)
        )
    kept = sorted(known.values(), key=lambda ignored: ignored.fingerprint)[:_IGNORED]
    return run.model_copy(update={"ignored": tuple(kept)})


def _rerun(run: Run, event: RerunRequested) -> Run:
    if event.delivery and event.delivery in run.reruns:
        return run

    def asked_for(agent: AgentState) -> bool:
        if agent.plan.skip or (agent.phase is not Phase.DONE and agent.resumes_at is None):
            return False
        if event.agents and agent.plan.name not in event.agents:
            return False
        return not (event.failed_only and passed(agent))

    # A delivery that found nothing to do is remembered too: repeated later, it must not find something.
    reruns = (*run.reruns, event.delivery)[-_RERUNS:] if event.delivery else run.reruns
    return _again(run, asked_for, fresh=not event.reuse).model_copy(update={"reruns": reruns, "questions": {}})


def _again(run: Run, chosen: Callable[[AgentState], bool], *, fresh: bool = False) -> Run:
    attempt = run.attempt + 1

    def again(agent: AgentState) -> AgentState:
        return AgentState(plan=agent.plan, attempt=attempt, fresh=fresh) if chosen(agent) else agent

    after = _each(run, again)
    return run if after == run else after.model_copy(update={"attempt": attempt})


# -- agents


def _each(run: Run, change: Callable[[AgentState], AgentState]) -> Run:
    return run.model_copy(update={"agents": tuple(change(agent) for agent in run.agents)})


def _on_agent(run: Run, name: str, attempt: int, change: Callable[[AgentState], AgentState]) -> Run:
    return _each(run, lambda agent: change(agent) if (agent.plan.name, agent.attempt) == (name, attempt) else agent)


def _resumed(run: Run, chosen: Callable[[AgentState], bool]) -> Run:
    """Those that are chosen begin anew where they stopped: with what they were told."""
    attempt = run.attempt + 1

    def again(agent: AgentState) -> AgentState:
        if not chosen(agent):
            return agent
        kept = ("plan", "fresh", "round", "refutations", *(("away_since",) if agent.resumes_at else ()))
        same = {name: getattr(agent, name) for name in kept}
        return AgentState(attempt=attempt, look=agent.asked_anew, **same)

    after = _each(run, again)
    return run if after == run else after.model_copy(update={"attempt": attempt})
