"""Whatever is pushed, approved, forgotten and run again, in whatever order: nothing of a stranger's is executed without
an approval of that very commit that still holds, by somebody who might give it and did not write it; or, where the base
branch's policy says so, of a commit of theirs from which it differs in harmless files only.

Intake, the reducer and what a worker does before it looks at a commit are the real ones; only GitHub is made up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.domain.effects import StartAgent
from bot.domain.events import DeadlinePassed, Event, RerunRequested
from bot.domain.reduce import reduce
from bot.domain.run import Run, RunKey, Stored
from bot.github.contents import PullSeen
from bot.github.received import GateAnswered, PullReceived
from bot.heads import Head, Heads
from bot.intake.case import Case
from bot.intake.people import People
from bot.intake.pulls import Pulls
from bot.intake.start import Starts
from bot.intake.succession import Succession
from config.reading import Reading
from config.repository import RepositoryConfig
from tests.builders import finished
from workers.run import Bench, begin, may_execute

REPOSITORY, DAY = "octo/demo", 86_400.0
EXPIRE = 14 * DAY
HARMLESS = {"src.py", "test_src.py"}
ROLES = {"alice": "write", "bob": "admin", "rita": "none", "mallory": "write"}


@dataclass
class Runs:
    """What intake and workers need of the store, in memory."""

    kept: dict[RunKey, Run] = field(default_factory=dict)
    jobs: list[tuple[RunKey, StartAgent]] = field(default_factory=list)

    def load(self, key: RunKey) -> Stored | None:
        return Stored(run=self.kept[key], version="") if key in self.kept else None

    def update(self, key: RunKey, event: Event, *_: object) -> Run | None:
        step = reduce(self.kept.get(key), event, key)
        if step.run is not None:
            self.kept[key] = step.run
        self.jobs += [(key, effect) for effect in step.effects if isinstance(effect, StartAgent)]
        return step.run

    def take_up(self, key: RunKey, _agent: str, _attempt: int) -> tuple[int, Stored | None]:
        return 1, self.load(key)


class OnePullsHeads(Heads):
    """The heads of one pull request, in memory."""

    def __init__(self) -> None:
        self._known: list[Head] = []

    def of(self, *_: object) -> list[Head]:
        return sorted(self._known, key=lambda head: head.when, reverse=True)

    def move(self, _repository: str, _trigger: str, head: Head) -> list[Head]:
        self._known = [other for other in self._known if other.sha != head.sha] + [head]
        return self.of()

    def let_go(self, _repository: str, _trigger: str, head: Head) -> None:
        self._known.remove(head)


@dataclass(frozen=True)
class FakeCase(Case):
    reading: Reading = field(default_factory=lambda: Reading(RepositoryConfig(), "main"))

    def configuration(self, ref: str) -> Reading:
        assert ref == "main"
        return self.reading


class Nobody:
    """Bots have pushed nothing, and nobody is in a team."""

    def rounds(self, *_: object) -> int:
        return 0

    def in_team(self, *_: object) -> bool:
        return False


@dataclass
class World:
    """A pull request of mallory's, and what is true of it. `grants` are all orders that count: commit, who, until
    when."""

    runs: Runs = field(default_factory=Runs)
    heads: Heads = field(default_factory=OnePullsHeads)
    roles: dict[str, str] = field(default_factory=ROLES.copy)
    trees: dict[str, dict[str, int]] = field(default_factory=dict)
    head: str = ""
    now: float = 1_000_000.0
    carry_over: str = "never"
    grants: list[tuple[str, str, float]] = field(default_factory=list)
    executed: list[str] = field(default_factory=list)
    count: int = 0

    # What GitHub says

    def role(self, login: str) -> str:
        # Mallory had no right when the commits were pushed, and has one by the time that they want to approve them.
        return self.roles[login]

    def merge_base(self, *_: str) -> str:
        return "b" * 40

    def differing(self, one: str, other: str) -> tuple[set[str], bool]:
        before, after = self.trees[one], self.trees[other]
        return {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}, True

    # What befalls it

    def case(self, received: Any) -> Case:
        text: dict[str, Any] = {
            "agents": {name: {"enabled": False} for name in ("test", "lint", "security", "review")}
            | {"shell": {"run": "true", "required": True}},
            "approvals": {"carry_over": self.carry_over},
        }
        reading = Reading(RepositoryConfig.model_validate(text), "main")
        self.count += 1
        ahead = Direct()
        return FakeCase(
            received, f"d{self.count}", self.now, 0.0, cast(Any, Nobody()), cast(Any, self), cast(Any, ahead), reading
        )

    def origin(self, sender: str) -> dict[str, Any]:
        return {"installation": 1, "repository": REPOSITORY, "default_branch": "main", "sender": sender}

    def push(self, sha: str) -> None:
        before, self.head = self.head, sha
        if self.carry_over == "sources":
            for approved, by, until in tuple(self.grants):
                if self.roles[by] in ("write", "admin") and self.differing(approved, sha)[0] <= HARMLESS:
                    self.grants.append((sha, by, until))
        received = PullReceived(
            **self.origin("mallory"), action="synchronize", number=1, head_sha=sha, before=before or None,
            base_changed=False, base_ref="main", base_sha="b" * 40, fork=True, draft=False, closed=False, merged=False,
            updated_at=self.now,
        )  # fmt: skip
        seen = PullSeen(
            number=1, title="", body="", author="mallory", state="open", draft=False, merged=False, base_ref="main",
            base_sha="b" * 40, head_ref="x", head_sha=sha, head_repository="mallory/demo", fork=True,
            updated_at=self.now,
        )  # fmt: skip
        self.roles["mallory"] = "none"
        nobody: Any = Nobody()
        succession = Succession(self.runs, self.heads)
        starts = Starts(self.runs, succession, lambda _: ())
        Pulls(self.runs, succession, starts, nobody).on_seen(self.case(received), seen)
        self.roles["mallory"] = "write"

    def approve(self, who: str, sha: str) -> None:
        if self.roles[who] in ("write", "admin") and who != "mallory":
            self.grants.append((sha, who, self.now + EXPIRE))
        asked = GateAnswered(**self.origin(who), sha=sha)
        People(self.runs, lambda *_: True, lambda *_: None, lambda *_: None).on_answer(self.case(asked), asked)

    def commit(self, path: str) -> None:
        number = len(self.trees) + 1
        sha = f"{number:040x}"
        self.trees[sha] = self.trees.get(self.head, {}) | {path: number}
        self.push(sha)

    def do(self, kind: str, what: Any) -> None:
        shas = list(self.trees)
        steps: dict[str, Callable[[], object]] = {
            "push": lambda: self.commit(what),
            "back": lambda: self.push(shas[what % len(shas)]),
            "approve": lambda: self.approve(what, self.head),
            "approve old": lambda: self.approve("bob", shas[what % len(shas)]),
            "role": lambda: self.roles.update([what]),
            "wait": lambda: setattr(self, "now", self.now + what),
            "sweep": self.sweep,
            "rerun": lambda: self.rerun(self.head),
            "work": lambda: self.work(what),
            "policy": lambda: setattr(self, "carry_over", what),
        }
        steps[kind]()

    def sweep(self) -> None:
        for key in tuple(self.runs.kept):
            self.runs.update(key, DeadlinePassed(at=self.now))

    def rerun(self, sha: str) -> None:
        self.count += 1
        self.runs.update(RunKey(repository=REPOSITORY, sha=sha), RerunRequested(at=self.now, delivery=f"d{self.count}"))

    def work(self, which: int) -> None:
        """A worker takes a job up, however late; sometimes the same one twice."""
        if not self.runs.jobs:
            return
        key, job = self.runs.jobs[which % len(self.runs.jobs)]
        none: Any = None
        bench = Bench(cast(Any, self.runs), none, none, none, none, none, none, none, lambda: self.now)
        begun = begin(bench, key, job.agent, job.attempt)
        if begun is None:
            return
        if may_execute(begun, self.now) or begun.run.trusted:
            self.executed.append(key.sha)
            assert any(sha == key.sha and self.now < until for sha, _, until in self.grants), "nobody approved that"
        self.runs.update(key, finished(job.agent, attempt=job.attempt, at=self.now))


class Direct:
    def ask(self, call: Any, *args: Any) -> Any:
        return call(*args)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("push"), st.sampled_from(["src.py", "test_src.py", "tox.ini"])),
        st.tuples(st.just("push"), st.sampled_from(["src.py", "test_src.py", "tox.ini"])),
        st.tuples(st.just("back"), st.integers(0, 5)),
        st.tuples(st.just("approve"), st.sampled_from(["alice", "bob", "rita", "mallory"])),
        st.tuples(st.just("approve"), st.sampled_from(["alice", "bob"])),
        st.tuples(st.just("approve old"), st.integers(0, 5)),
        st.tuples(st.just("role"), st.sampled_from([("alice", "none"), ("alice", "write"), ("rita", "write")])),
        st.tuples(st.just("wait"), st.sampled_from([0.5 * DAY, 4 * DAY, 15 * DAY])),
        st.tuples(st.just("sweep"), st.none()),
        st.tuples(st.just("rerun"), st.none()),
        st.tuples(st.just("work"), st.integers(0, 9)),
        st.tuples(st.just("work"), st.integers(0, 9)),
        st.tuples(st.just("policy"), st.sampled_from(["never", "sources"])),
    ),
    min_size=5,
    max_size=40,
)


def play(todo: list[tuple[str, Any]]) -> World:
    world = World()
    world.commit("src.py")
    for kind, what in todo:
        world.now += 1
        world.do(kind, what)
    return world


@settings(max_examples=200)
@given(steps)
def test_nothing_is_executed_without_an_approval_that_holds(todo: list[tuple[str, Any]]) -> None:
    play(todo)


def test_what_is_approved_is_executed_until_the_approval_ends() -> None:
    """The property above is no empty one."""
    done = play([("approve", "alice"), ("work", 1), ("policy", "sources"), ("push", "test_src.py"), ("work", 2)])
    assert done.executed == ["0" * 39 + "1", "0" * 39 + "2"]
    done = play([("approve", "alice"), ("wait", 15 * DAY), ("work", 1), ("rerun", None), ("work", 2), ("work", 3)])
    assert done.executed == []


@pytest.mark.parametrize(
    ("broken", "todo"),
    [
        ("bot.domain.run.Run.may_execute", [("work", 0)]),
        ("bot.intake.people.not_an_approver", [("approve", "rita"), ("work", 1)]),
        ("bot.intake.people.not_an_approver", [("approve", "mallory"), ("work", 1)]),
        (
            "bot.intake.pulls.carries_over",
            [("policy", "sources"), ("approve", "bob"), ("push", "tox.ini"), ("work", 2)],
        ),
    ],
    ids=["the bar", "who may", "not one's own", "what carries over"],
)
def test_it_fails_where_a_protection_is_switched_off(
    monkeypatch: pytest.MonkeyPatch, broken: str, todo: list[tuple[str, Any]]
) -> None:
    monkeypatch.setattr(broken, lambda *_: "" if "approver" in broken else True)
    with pytest.raises(AssertionError, match="nobody approved that"):
        play(todo)
