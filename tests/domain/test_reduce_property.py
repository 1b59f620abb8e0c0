"""Any order, any duplicates, any crash point: one outcome.

A world is what is true: who asks for the commit and when, which agents that means, and what each would find. A schedule
is what befalls it: the order in which the news arrive, what arrives twice, which workers die. The outcome must follow
from the world alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from bot.domain.effects import Effect, StartAgent, StopAgent
from bot.domain.events import (
    EVENT,
    AgentFinished,
    AgentProgressed,
    AgentStarted,
    ApprovalGranted,
    BudgetRaised,
    CommitReceived,
    DeadlinePassed,
    Event,
    FindingsIgnored,
    RerunRequested,
    TriggerEnded,
)
from bot.domain.findings import AgentResult, Cap, Cost, Ignored, Judgement, Outcome, Severity
from bot.domain.plan import AgentPlan, Plan
from bot.domain.reduce import reduce
from bot.domain.run import AgentState, Phase, Run, raised_to
from bot.domain.triggers import MergeGroup, Push
from bot.domain.verdict import findings, verdict
from config.problems import Problem
from tests.builders import agent_plan, commit_received, finding, pull, pull_changed, result, run_key, trigger_ended

KEY = run_key()
NAMES = ("a", "b", "c")
PROBLEM = Problem(file=".github/assay.yml", line=1, column=1, key="agents", message="no such key")


@dataclass(frozen=True)
class World:
    """`news` come from GitHub. An agent of `lost` kills its worker, or its job vanishes: it never says anything. One of
    `dear` stops at a limit on its cost until that is raised."""

    news: tuple[Event, ...]
    results: dict[str, AgentResult]
    lost: frozenset[str]
    dear: frozenset[str] = frozenset()

    def result(self, agent: str, run: Run | None) -> AgentResult:
        """What an agent says that begins while the run stands so."""
        said, limit = self.results[agent], raised_to(run, "run", 1.0) if run else 1.0
        if agent not in self.dear or limit > 1.0:
            return said
        return said.model_copy(update={"cap": CAP, "outcome": Outcome.PARTIAL})


CAP = Cap(name="run", unit="usd", account="run", configured=1.0, limit=1.0, proposed=2.0, most=10.0)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    def agent(name: str) -> AgentPlan:
        return agent_plan(
            name,
            required=draw(st.booleans()),
            after=tuple(draw(st.lists(st.sampled_from(NAMES), max_size=2, unique=True))),
            skip=draw(st.sampled_from(["", "", "", "not its business"])),
            away=draw(st.sampled_from([None, 0, 300])),
        )

    names = draw(st.lists(st.sampled_from(NAMES), unique=True))
    problems = draw(st.sampled_from([(), (), (), (PROBLEM,)]))
    agents = tuple(agent(name) for name in names)
    if "a" in names and draw(st.booleans()):
        agents = (*agents, agent_plan("v", required=False, fail_on=None, after=("a",), verifies="a"))
    return Plan(agents=agents, problems=problems)


bases = st.sampled_from(["1" * 40, "2" * 40])


@st.composite
def pull_news(draw: st.DrawFn, number: int, clock: Callable[[], float]) -> list[Event]:
    """A pull request's life: opened, edited, closed, opened again, some of it within one second."""
    fork, second = draw(st.booleans()), 0.0
    news: list[Event] = []
    for kind in draw(st.lists(st.sampled_from(["open", "open", "closed", "moved"]), min_size=1, max_size=4)):
        second += draw(st.sampled_from([0.0, 1.0]))
        if kind == "open":
            trigger = pull(number, updated_at=second, base_sha=draw(bases), fork=fork)
            news.append(commit_received(trigger=trigger, plan=draw(plans()), at=clock()))
        else:
            moved_to = "d" * 40 if kind == "moved" else None
            news.append(pull_changed(number, updated_at=second, moved_to=moved_to, at=clock()))
    return news


@st.composite
def branch_news(draw: st.DrawFn, name: str, clock: Callable[[], float]) -> list[Event]:
    """A branch's life, each time it was looked at: it held the commit, or had moved on from it. Whoever looks notes the
    time before, and may be overtaken before he tells."""
    news: list[Event] = []
    for kind in draw(st.lists(st.sampled_from(["holds", "holds", "moved"]), min_size=1, max_size=4)):
        seen = clock()
        if kind == "holds":
            trigger = Push(branch=name, base_sha=draw(bases), updated_at=seen)
            news.append(commit_received(trigger=trigger, plan=draw(plans()), at=seen))
        else:
            news.append(trigger_ended(f"push:{name}", updated_at=seen, moved_to=draw(bases), at=seen))
    return news


results = st.sampled_from(
    [
        *(result(outcome) for outcome in (Outcome.CLEAN, Outcome.NOT_RUN, Outcome.ERROR)),
        result(Outcome.ERROR, retry_after=1.0),
        *(
            result(outcome, *(finding(severity=severity, fingerprint=name) for name in ("f1", "f2")))
            for outcome in (Outcome.FINDINGS, Outcome.PARTIAL)
            for severity in (Severity.LOW, Severity.HIGH)
        ),
    ]
)


JUDGEMENTS = tuple(
    Judgement(fingerprint=name, ruling=ruling, reason="so it is", severity=Severity.INFO)
    for name in ("f1", "f2")
    for ruling in ("confirmed", "lowered", "refuted")
)
second_looks = st.one_of(
    st.sampled_from([result(Outcome.ERROR), result(Outcome.TIMED_OUT), result(Outcome.ERROR, retry_after=1.0)]),
    st.lists(st.sampled_from(JUDGEMENTS), max_size=3).map(lambda said: result(judgements=tuple(said))),
)


@st.composite
def answers(draw: st.DrawFn, clock: Callable[[], float]) -> list[Event]:
    """What people say at the gates."""
    news: list[Event] = [
        ApprovalGranted(at=clock(), delivery=delivery, actor=f"who sent {delivery}")
        for delivery in draw(st.lists(st.sampled_from(["p1", "p2"]), unique=True))
    ]
    for delivery in draw(st.lists(st.sampled_from(["r1", "r2"]), unique=True)):
        limit = draw(st.sampled_from([2.0, 4.0]))
        news.append(BudgetRaised(at=clock(), delivery=delivery, name="run", configured=1.0, limit=limit))
    return news


@st.composite
def worlds(draw: st.DrawFn) -> World:
    ticks = iter(range(1000, 2000))
    news: list[Event] = []

    def clock() -> float:
        return float(next(ticks))

    for number in draw(st.lists(st.sampled_from([1, 2]), max_size=2, unique=True)):
        news += draw(pull_news(number, clock))
    if draw(st.booleans()):
        news.append(commit_received(trigger=Push(branch="main", base_sha=draw(bases)), plan=draw(plans()), at=clock()))
    for name in draw(st.lists(st.sampled_from(["next", "stable"]), max_size=2, unique=True)):
        news += draw(branch_news(name, clock))
    if draw(st.booleans()):
        at = clock()
        group = MergeGroup(head_ref="queue/1", base_sha=draw(bases), updated_at=at)
        news.append(commit_received(trigger=group, plan=draw(plans()), at=at))
        if draw(st.booleans()):
            at = clock()
            news.append(trigger_ended(group.id, updated_at=at, at=at))
    for delivery in draw(st.lists(st.sampled_from(["d1", "d2"]), unique=True)):
        agents, failed_only = draw(st.sampled_from([(), ("a",)])), draw(st.booleans())
        news.append(RerunRequested(at=clock(), delivery=delivery, agents=agents, failed_only=failed_only))
    for by in draw(st.lists(st.sampled_from(["ada", "bob"]), unique=True)):
        wanted = draw(st.sampled_from(["f1", "f2"]))
        news.append(FindingsIgnored(at=clock(), ignored=(Ignored(fingerprint=wanted, by=by),)))
    news += draw(answers(clock))
    return World(
        news=tuple(news),
        results={name: draw(results) for name in NAMES} | {"v": draw(second_looks)},
        lost=frozenset(draw(st.lists(st.sampled_from((*NAMES, "v")), max_size=1))),
        dear=frozenset(draw(st.lists(st.sampled_from(("a", "v")), unique=True))),
    )


@dataclass
class Simulation:
    """One schedule. `choices` decide all that may happen; when they run out, everything goes in order."""

    world: World
    choices: list[int]
    run: Run | None = None
    now: float = 3000.0
    log: list[Event] = field(default_factory=list)
    waiting: list[Event | StartAgent] = field(default_factory=list)
    started: set[tuple[str, int]] = field(default_factory=set)
    stopped: set[tuple[str, int]] = field(default_factory=set)
    attempts: dict[str, int] = field(default_factory=dict)

    def play(self) -> Run | None:
        """To the end: nothing is under way any more, and the sweep has nothing to do."""
        self.waiting = list(self.world.news)
        while True:
            while self.waiting:
                self.step(self.waiting.pop(self.pick(len(self.waiting))))
            if self.run is None or self.run.complete:
                return self.run
            assert self.run.deadline is not None, "it waits for ever"
            self.now = max(self.now, self.run.deadline)
            self.fold(DeadlinePassed(at=self.now))

    def pick(self, number: int) -> int:
        return self.choices.pop() % number if self.choices else 0

    def step(self, what: Event | StartAgent) -> None:
        if isinstance(what, StartAgent):
            self.work(what)
            return
        if self.pick(5) == 4:
            self.waiting.append(what)
        if self.pick(10) == 9:
            self.fold(DeadlinePassed(at=0.0))
        self.fold(what)

    def work(self, job: StartAgent) -> None:
        """A worker takes up a job: it may die before or after it said so, and then another one takes it up."""
        if job.agent in self.world.lost:
            return
        told_to_stop = (job.agent, job.attempt) in self.stopped
        fate = self.pick(6)
        if fate == 5 and self.choices:
            self.waiting.append(job)
            return
        self.waiting.append(AgentStarted(at=self.tick(), agent=job.agent, attempt=job.attempt))
        if fate == 4 and self.choices:
            self.waiting.append(job)
            return
        self.waiting.append(AgentProgressed(at=self.tick(), agent=job.agent, attempt=job.attempt, message=f"{fate}"))
        used = Cost(model="m", input_tokens=job.attempt * 10 + len(self.waiting), usd=0.1)
        said = self.world.result(job.agent, self.run)
        outcome = result(Outcome.CANCELLED, cost=used) if told_to_stop and fate == 3 else said
        self.waiting.append(AgentFinished(at=self.tick(), agent=job.agent, attempt=job.attempt, result=outcome))

    def tick(self) -> float:
        self.now += 1
        return self.now

    def fold(self, event: Event) -> None:
        before = self.run
        step = reduce(before, event, KEY)
        self.run = step.run
        if step.run is None:
            assert step.effects == ()
            return
        self.log.append(event)
        self.check(before, step.run, step.effects)
        assert reduce(step.run, event, KEY).run == step.run, "not idempotent"
        assert reduce(step.run, event, KEY).effects == (), "not idempotent"
        self.waiting += [effect for effect in step.effects if isinstance(effect, StartAgent)]

    def check(self, before: Run | None, run: Run, effects: tuple[Effect, ...]) -> None:
        """What holds after every single event."""
        assert Run.model_validate_json(run.model_dump_json()) == run
        assert before is None or run.attempt >= before.attempt
        assert run != before or effects == ()
        states = {(agent.plan.name, agent.attempt): agent for agent in run.agents}
        for name, attempt in states:
            assert attempt >= self.attempts.get(name, 0)
            self.attempts[name] = attempt
        for effect in effects:
            if isinstance(effect, StartAgent):
                order = (effect.agent, effect.attempt)
                assert states[order].phase is Phase.QUEUED
                assert order not in self.started
                self.started.add(order)
            elif isinstance(effect, StopAgent):
                order = (effect.agent, effect.attempt)
                assert order not in states or not states[order].in_flight
                self.stopped.add(order)
        assert self.started >= {order for order, agent in states.items() if agent.in_flight}
        assert run.plan.problems == () or run.agents == ()


def outcome_of(run: Run | None, world: World) -> object:
    """What must be the same in every schedule. Of a commit that nobody waits for, that is less: how much was done
    before it was let go is up to the schedule."""
    if run is None:
        return None
    triggers = {trigger.id: trigger for trigger in run.triggers}
    if not run.wanted:
        return triggers, run.superseded_by, run.approval, None
    joined = verdict(run)
    assert joined.conclusion is not None
    agents = {agent.plan.name: _result(agent.plan, agent.said, world, run) for agent in run.agents}
    second = {agent.plan.name: (agent.outcome, agent.round, agent.refutations) for agent in run.agents}
    for agent in run.agents:
        _assert_judged(run, agent)
    return (
        triggers,
        run.superseded_by,
        run.approval,
        {agent.plan.name for agent in run.agents if agent.barred},
        (run.plan, run.base_sha, run.trusted, joined.conclusion, findings(run), agents, second),
    )


def _result(plan: AgentPlan, given_result: AgentResult | None, world: World, run: Run) -> object:
    assert given_result is not None
    if plan.skip or (plan.verifies and given_result.outcome is Outcome.SKIPPED):
        assert given_result.outcome is Outcome.SKIPPED
    elif plan.name in world.lost:
        assert given_result.outcome in (Outcome.ERROR, Outcome.TIMED_OUT)
    else:
        assert given_result == world.result(plan.name, run)
    return plan.name


def _assert_judged(run: Run, agent: AgentState) -> None:
    """Nothing passes as verified that the verifier did not say so of, and nothing leaves that it did not refute."""
    verifier = run.verifier(agent.plan.name)
    if agent.said is None or agent.result is None or verifier is None or verifier.result is None:
        return
    ruled = {(one.fingerprint, one.ruling) for one in verifier.result.judgements}
    for one in agent.result.findings:
        assert one.verification in ("unverified", "") or (one.fingerprint, one.verification) in ruled
    for gone in agent.result.refuted:
        assert (gone.finding.fingerprint, "refuted") in ruled
    assert len(agent.result.findings) + len(agent.result.refuted) == len(agent.said.findings)
    if verifier.outcome in (Outcome.ERROR, Outcome.TIMED_OUT):
        assert all(one.verification == "unverified" for one in agent.result.findings)


def assert_wanted_agrees(run: Run | None, world: World) -> None:
    """An oracle of its own for who still waits: the last word of each trigger."""
    last = {}
    for event in world.news:
        if isinstance(event, CommitReceived):
            last[event.trigger.id] = True
        elif isinstance(event, TriggerEnded) and event.trigger in last:
            last[event.trigger] = False
    assert (run is not None and run.wanted) == any(last.values())


# Each of the two schedules: which waiting thing comes next, what arrives twice, who dies.
schedules = st.lists(st.integers(0, 59), min_size=60, max_size=150)


@settings(max_examples=150)
@given(worlds(), schedules)
def test_every_schedule_ends_the_same_way(world: World, schedule: list[int]) -> None:
    in_order, shuffled = Simulation(world, []), Simulation(world, schedule)
    expected = outcome_of(in_order.play(), world)
    assert outcome_of(shuffled.play(), world) == expected
    assert_wanted_agrees(shuffled.run, world)


@settings(max_examples=75)
@given(worlds(), schedules, st.randoms(use_true_random=False))
def test_after_the_end_everything_old_is_without_effect(world: World, schedule: list[int], chance: Random) -> None:
    simulation = Simulation(world, schedule)
    end = simulation.play()
    old = list(simulation.log)
    chance.shuffle(old)
    for event in old:
        step = reduce(end, event, KEY)
        assert (step.run, step.effects) == (end, ())


@settings(max_examples=75)
@given(worlds(), schedules)
def test_folding_the_log_again_gives_the_same_run(world: World, schedule: list[int]) -> None:
    simulation = Simulation(world, schedule)
    end = simulation.play()
    run: Run | None = None
    for event in simulation.log:
        run = reduce(run, EVENT.validate_json(EVENT.dump_json(event)), KEY).run
    assert run == end
