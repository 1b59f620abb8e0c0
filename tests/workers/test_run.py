"""An agent's job: what is kept of what it says, and what becomes of an attempt that goes wrong or is called off."""

from __future__ import annotations

import base64
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

import psutil
import pytest
from pydantic import BaseModel

import workers.watch
from bot.demo.github import StandInGitHub
from bot.demo.model import KEY, MODEL, ScriptedModel
from bot.demo.model_wire import Reply
from bot.domain.accounts import Limits as CostLimits
from bot.domain.accounts import accounts
from bot.domain.events import AgentFinished, AgentProgressed, CommitReceived, RerunRequested, TriggerEnded
from bot.domain.findings import AgentResult, Cost, Outcome, Severity
from bot.domain.plan import AgentPlan, Plan
from bot.domain.redact import Redactor
from bot.domain.run import Run, RunKey
from bot.domain.triggers import Manual, Pull
from bot.domain.wording import cost_words
from bot.errors import ToolFailed, Unavailable
from bot.spending import Spending
from bot.store import Store
from tests.workers.plumbing import sandbox
from tests.workers.stage import does, raises, says
from workers.agent import Agent, Answer, Command, Completed, Kit, Model, Sandbox, Work
from workers.agents.review import ReviewAgent
from workers.cache import Cache, Limits
from workers.checkout import Checkouts
from workers.llm.client import OpenAIModel
from workers.llm.prices import Price
from workers.mirrors import Mirrors
from workers.reusable import Reusable
from workers.run import Bench, begin, on_agent, tidy
from workers.sandbox.choice import AbsentSandbox
from workers.sandbox.process import ProcessSandbox

SECRET = "never-to-be-shown"
PLAN = AgentPlan(name="own", kind="command", required=True, fail_on=Severity.MEDIUM, report="added", timeout=60)


@dataclass
class Shop:
    """A bench, and a run of one commit of a repository with one agent, `own`."""

    github: StandInGitHub
    store: Store
    bench: Bench
    key: RunKey
    pauses: list[float]

    @property
    def run(self) -> Run:
        stored = self.store.load(self.key)
        assert stored is not None
        return stored.run

    def work(self, agent: Callable[[AgentPlan], Agent], attempt: int = 1) -> AgentResult:
        on_agent(replace(self.bench, agent_for=agent), self.key, "own", attempt)
        state = self.run.agent("own")
        assert state is not None
        assert state.result is not None
        return state.result


@pytest.fixture
def shop(tmp_path: Path, store: Store) -> Iterator[Shop]:
    with StandInGitHub() as github:
        base = github.add_repository("octo/demo", {"a.py": "x = 1\n"}, private=False)
        sha = github.commit("octo/demo", "feature", {"a.py": "x = 1\ny = 2\n"})
        key = RunKey(repository="octo/demo", sha=sha)
        trigger = Pull(number=1, base_ref="main", base_sha=base, title="A title", body="Words", updated_at=1.0)
        plan = Plan(agents=(PLAN,))
        store.update(key, CommitReceived(at=time.time(), installation=1, trigger=trigger, plan=plan))

        def kit(progress: Callable[[str], None], cancelled: threading.Event) -> Kit:
            sandbox = ProcessSandbox("/usr/bin:/bin", cancelled=cancelled)
            return Kit(sandbox=sandbox, model=None, progress=progress, redact=Redactor([SECRET]))

        pauses: list[float] = []
        cache = Cache(tmp_path, Limits(10**9, 3600))
        bench = Bench(
            runs=store,
            results=Reusable(store.redis, store),
            cache=cache,
            mirrors=Mirrors(cache, github.url),
            checkouts=Checkouts(cache, sandbox()),
            read_token=lambda _installation, _repository: None,
            agent_for=raises(AssertionError()),
            kit=kit,
            clock=time.time,
            sleep=pauses.append,
        )
        yield Shop(github, store, bench, key, pauses)
    assert not (tmp_path / "runs").exists() or list((tmp_path / "runs").iterdir()) == []


def test_agent_gets_the_commit_and_what_it_is_compared_with(shop: Shop) -> None:
    def look_around(work: Work, _kit: Kit) -> AgentResult:
        base = work.base()
        assert base is not None
        assert work.base() == base
        assert (work.root / "a.py").read_text() == "x = 1\ny = 2\n"
        assert (base / "a.py").read_text() == "x = 1\n"
        assert work.diff.place("a.py", 2) == "added"
        assert "+y = 2" in work.patch()
        assert (work.title, work.description, work.files, work.trusted) == ("A title", "Words", ("a.py",), True)
        return AgentResult(outcome=Outcome.CLEAN, summary="seen")

    assert shop.work(does(look_around)).summary == "seen"


def test_what_commits_say_and_what_stood_in_the_base(shop: Shop) -> None:
    def look_around(work: Work, _kit: Kit) -> AgentResult:
        assert work.messages() == ("Change",)
        assert work.base_texts(("a.py", "b.py")) == {"a.py": "x = 1\n"}
        return AgentResult(outcome=Outcome.CLEAN, summary="seen")

    assert shop.work(does(look_around)).summary == "seen"


def test_commands_run_in_the_repositorys_image_and_in_no_other(shop: Shop) -> None:
    asked: list[str] = []

    def within(image: str, _: threading.Event) -> Sandbox:
        asked.append(image)
        return AbsentSandbox(f"there is no image {image}", "name another")

    def run(work: Work, kit: Kit) -> AgentResult:
        kit.sandbox.run(Command(["true"], work.root, 60))
        raise AssertionError("it ran")

    shop.bench = replace(shop.bench, within=within)
    own = PLAN.model_copy(update={"image": "acme/node"})
    key = shop.key = RunKey(repository="octo/demo", sha=shop.github.commit("octo/demo", "main", {"a.py": "x = 3\n"}))
    shop.store.update(key, CommitReceived(at=time.time(), installation=1, trigger=Manual(), plan=Plan(agents=(own,))))
    result = shop.work(does(run))
    assert asked == ["acme/node"]
    assert (result.outcome, result.remedy) == (Outcome.NOT_RUN, "name another")
    assert "there is no image acme/node" in result.reason


@pytest.mark.parametrize(
    ("begun", "seconds", "waited", "heard"),
    [(True, 5.0, 1, ["lint"]), (True, 0.0, 0, []), (False, 5.0, 0, [])],
    ids=["at work", "no time to wait", "not begun"],
)
def test_overhearing_waits_for_linters_that_are_at_work_and_for_no_others(
    shop: Shop, begun: bool, seconds: float, waited: int, heard: list[str]
) -> None:
    kinds = ("lint", "test", "review")
    plans = tuple(PLAN.model_copy(update={"name": kind, "kind": kind}) for kind in kinds)
    key = RunKey(repository="octo/demo", sha=shop.github.commit("octo/demo", "main", {"a.py": "x = 2\n"}))
    shop.store.update(key, CommitReceived(at=time.time(), installation=1, trigger=Manual(), plan=Plan(agents=plans)))
    for name in kinds[: 2 if begun else 0]:
        begin(shop.bench, key, name, 1)
    told: dict[str, AgentResult] = {}

    def sleep(pause: float) -> None:
        shop.pauses.append(pause)
        clean = AgentResult(outcome=Outcome.CLEAN)
        shop.store.update(key, AgentFinished(at=time.time(), agent="lint", attempt=1, result=clean))

    def look_around(work: Work, _kit: Kit) -> AgentResult:
        told.update(work.overhear(seconds))
        return AgentResult(outcome=Outcome.CLEAN)

    on_agent(replace(shop.bench, agent_for=does(look_around), sleep=sleep), key, "review", 1)
    assert (list(told), len(shop.pauses)) == (heard, waited)


def test_agents_that_only_read_share_the_files_and_others_do_not(shop: Shop) -> None:
    kinds = ("lint", "security", "review", "test", "command", "extension")
    plans = tuple(PLAN.model_copy(update={"name": kind, "kind": kind}) for kind in kinds)
    key = RunKey(repository="octo/demo", sha=shop.github.commit("octo/demo", "main", {"a.py": "x = 2\n"}))
    shop.store.update(key, CommitReceived(at=time.time(), installation=1, trigger=Manual(), plan=Plan(agents=plans)))
    places: list[Path] = []

    def look_around(work: Work, _kit: Kit) -> AgentResult:
        assert (work.root / "a.py").read_text() == "x = 2\n"
        places.append(work.root)
        return AgentResult(outcome=Outcome.CLEAN)

    for kind in kinds:
        on_agent(replace(shop.bench, agent_for=does(look_around)), key, kind, 1)
    assert len(set(places)) == 4
    assert len(set(places[:3])) == 1
    assert places[0].exists()
    assert not any(place.exists() for place in places[3:])


def test_tidying_removes_what_is_old(shop: Shop) -> None:
    shop.work(says(AgentResult(outcome=Outcome.CLEAN)))
    folder = shop.bench.cache.folder
    used = list(folder.glob("*/*/use"))
    assert len(used) == 2
    for use in used:
        os.utime(use, (0, 0))
    tidy(shop.bench)
    assert list(folder.glob("*/*/use")) == []


def test_tidying_that_goes_wrong_harms_nobody(shop: Shop) -> None:
    shop.work(says(AgentResult(outcome=Outcome.CLEAN)))
    (shop.bench.cache.folder / "tidied").mkdir()
    tidy(shop.bench)
    (shop.bench.cache.folder / "tidied").rmdir()


def test_progress_is_told_without_secrets(shop: Shop) -> None:
    def tell(_work: Work, kit: Kit) -> AgentResult:
        kit.progress(f"at {SECRET}")
        return AgentResult(outcome=Outcome.CLEAN)

    shop.work(does(tell))
    told = [event for event in shop.store.log(shop.key) if isinstance(event, AgentProgressed)]
    assert [event.message for event in told] == ["at [redacted: secret]"]


def test_attempt_that_nobody_wants_any_more_is_not_begun(shop: Shop) -> None:
    closed = TriggerEnded(at=time.time(), trigger="pull:1", updated_at=2.0, reason="closed")
    shop.store.update(shop.key, closed)
    before = shop.store.log(shop.key)
    assert shop.work(raises(AssertionError())).outcome is Outcome.CANCELLED
    assert shop.work(raises(AssertionError()), attempt=7).outcome is Outcome.CANCELLED
    assert shop.store.log(shop.key) == before


def test_commit_that_is_gone_is_an_error_that_says_so(shop: Shop) -> None:
    key = shop.key.model_copy(update={"sha": "f" * 40})
    event = CommitReceived(at=time.time(), installation=1, trigger=Manual(), plan=Plan(agents=(PLAN,)))
    shop.store.update(key, event)
    shop.key = key
    result = shop.work(raises(AssertionError()))
    assert (result.outcome, "the commit is gone" in result.reason) == (Outcome.ERROR, True)
    assert shop.pauses == []


def test_server_that_is_away_is_asked_again_and_then_given_up(shop: Shop) -> None:
    shop.github.fail(path=".git/", status=503, times=100)
    result = shop.work(raises(AssertionError()))
    assert (result.outcome, "could not be fetched" in result.reason) == (Outcome.ERROR, True)
    assert shop.pauses == [1, 5, 15]


def test_server_that_comes_back_is_no_trouble(shop: Shop) -> None:
    shop.github.fail(path=".git/", status=503, times=2)
    assert shop.work(says(AgentResult(outcome=Outcome.CLEAN))).outcome is Outcome.CLEAN
    assert shop.pauses == [1, 5]


def test_server_that_refuses_is_not_asked_again(shop: Shop) -> None:
    shop.github.fail(path=".git/", status=403, times=100)
    result = shop.work(raises(AssertionError()))
    assert (result.outcome, "403" in result.reason) == (Outcome.ERROR, True)
    assert shop.pauses == []


def test_token_that_cannot_be_had_is_an_error(shop: Shop) -> None:
    def away(_installation: int, _run: RunKey) -> str | None:
        raise Unavailable(f"no answer for {SECRET}")

    shop.bench = replace(shop.bench, read_token=away)
    result = shop.work(raises(AssertionError()))
    assert result.reason == "the repository could not be fetched: no answer for [redacted: secret]"


def test_full_disk_is_an_error_that_says_so(shop: Shop) -> None:
    (shop.bench.cache.folder / "runs").write_text("not a folder")
    result = shop.work(raises(AssertionError()))
    assert (result.outcome, "could not be written" in result.reason) == (Outcome.ERROR, True)
    (shop.bench.cache.folder / "runs").unlink()


# -- what was said before


def another(shop: Shop, plan: AgentPlan = PLAN, **commit: str) -> None:
    """Have the shop work for another commit of the same files, compared with the same."""
    first = shop.run
    sha = shop.github.commit("octo/demo", "again", {}, "Nothing new", parent=shop.key.sha, **commit)
    shop.key = shop.key.model_copy(update={"sha": sha})
    trigger = Pull(number=2, base_ref="main", base_sha=first.base_sha, title="Another title", updated_at=1.0)
    event = CommitReceived(at=time.time(), installation=1, trigger=trigger, plan=Plan(agents=(plan,)))
    shop.store.update(shop.key, event)


def test_commit_of_the_same_files_is_not_looked_at_again(shop: Shop) -> None:
    said = AgentResult(outcome=Outcome.CLEAN, summary="seen")
    first = shop.key.sha
    assert shop.work(says(said)).origin is None
    for _ in range(2):
        another(shop)
        taken = shop.work(raises(AssertionError()))
        assert taken.origin is not None
        assert (taken.summary, taken.origin.sha) == ("seen", first)


def test_other_files_are_looked_at(shop: Shop) -> None:
    shop.work(says(AgentResult(outcome=Outcome.CLEAN)))
    first = shop.key.sha
    sha = shop.github.commit("octo/demo", "other", {"b.py": "y = 1\n"}, parent=first)
    shop.key = shop.key.model_copy(update={"sha": sha})
    trigger = Pull(number=3, base_ref="main", base_sha=first, updated_at=1.0)
    shop.store.update(
        shop.key, CommitReceived(at=time.time(), installation=1, trigger=trigger, plan=Plan(agents=(PLAN,)))
    )
    assert shop.work(says(AgentResult(outcome=Outcome.CLEAN, summary="new"))).summary == "new"


def test_person_who_asks_again_gets_a_new_look_which_serves_from_then_on(shop: Shop) -> None:
    shop.work(says(AgentResult(outcome=Outcome.CLEAN, summary="old")))
    shop.store.update(shop.key, RerunRequested(at=time.time(), delivery="d1"))
    new = AgentResult(outcome=Outcome.CLEAN, summary="new")
    assert shop.work(says(new), attempt=2).summary == "new"
    another(shop)
    assert shop.work(raises(AssertionError())).summary == "new"


def test_result_of_an_attempt_that_was_called_off_does_not_serve(shop: Shop) -> None:
    def close(_work: Work, _kit: Kit) -> AgentResult:
        closed = TriggerEnded(at=time.time(), trigger="pull:1", updated_at=2.0, reason="closed")
        shop.store.update(shop.key, closed)
        time.sleep(0.7)
        return AgentResult(outcome=Outcome.CLEAN, summary="half of it")

    assert shop.work(does(close)).outcome is Outcome.CANCELLED
    another(shop)
    assert shop.work(says(AgentResult(outcome=Outcome.CLEAN, summary="all of it"))).summary == "all of it"


# -- attempts that are called off

STUBBORN = """
trap '' TERM INT HUP
setsid sh -c 'trap "" TERM INT HUP; echo $$ >> ../pids; while :; do sleep 1; done' &
echo $$ >> ../pids
while :; do sleep 1; done
"""


class Closing(threading.Thread):
    """Closes the pull request as soon as `ready` says so, and measures how long `gone` takes from then on."""

    def __init__(self, shop: Shop, ready: Callable[[], bool], gone: Callable[[], object] = lambda: True) -> None:
        super().__init__()
        self._shop, self._ready, self._gone = shop, ready, gone
        self.closed = self.seconds = 0.0

    def run(self) -> None:
        _until(self._ready)
        closed = TriggerEnded(at=time.time(), trigger="pull:1", updated_at=2.0, reason="closed")
        self._shop.store.update(self._shop.key, closed)
        self.closed = time.monotonic()
        _until(self._gone)
        self.seconds = time.monotonic() - self.closed

    def call_off(self, agent: Callable[[AgentPlan], Agent]) -> float:
        """Do the job; how long it took to end, in seconds."""
        self.start()
        assert self._shop.work(agent).outcome is Outcome.CANCELLED
        ended = time.monotonic()
        self.join()
        assert not any(thread.name.startswith("watch-") for thread in threading.enumerate())
        assert not any(isinstance(event, AgentFinished) for event in self._shop.store.log(self._shop.key))
        return ended - self.closed


def _until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.01)


def test_processes_of_an_attempt_that_is_called_off_are_gone_within_two_seconds(shop: Shop) -> None:
    ended: list[Completed] = []

    def run(work: Work, kit: Kit) -> AgentResult:
        notes.append(work.root.parent / "pids")
        ended.append(kit.sandbox.run(Command(["sh", "-c", STUBBORN], work.root, 60)))
        with pytest.raises(ToolFailed, match="called off"):
            kit.sandbox.run(Command(["true"], work.root, 60))
        return AgentResult(outcome=Outcome.CLEAN)

    notes: list[Path] = []
    seen: list[int] = []

    def ready() -> bool:
        seen[:] = [int(line) for note in notes if note.exists() for line in note.read_text().split()]
        return len(seen) == 2

    closing = Closing(shop, ready, lambda: not any(map(psutil.pid_exists, seen)))
    assert closing.call_off(does(run)) < 2
    assert closing.seconds < 2
    assert [one.exit_code for one in ended] == [None]


def test_attempt_that_computes_is_interrupted_within_two_seconds(shop: Shop) -> None:
    begun = threading.Event()

    def compute(_work: Work, _kit: Kit) -> AgentResult:
        begun.set()
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            sum(range(1000))
        return AgentResult(outcome=Outcome.CLEAN)

    assert Closing(shop, begun.is_set).call_off(does(compute)) < 2


def test_attempt_that_asks_a_silent_model_is_interrupted_within_two_seconds(shop: Shop) -> None:
    asked, answer = threading.Event(), threading.Event()

    class Silent:
        name = "silent"
        room = 1_000_000

        def named(self, _model: str) -> Model:
            return self

        def estimate(self, _system: str, _user: str) -> Cost:
            return Cost(model=self.name)

        def ask(self, *_: object, **__: object) -> NoReturn:
            asked.set()
            answer.wait(10)
            raise Unavailable("it never answered")

    inner = shop.bench.kit
    shop.bench = replace(shop.bench, kit=lambda *given: replace(inner(*given), model=Silent()))
    begun = time.monotonic()
    closing = Closing(shop, asked.is_set)
    closing.start()
    assert shop.work(lambda _plan: ReviewAgent("Review it.")).outcome is Outcome.CANCELLED
    assert time.monotonic() - max(closing.closed, begun) < 2
    answer.set()
    closing.join()


def test_review_that_is_called_off_hangs_up_within_two_seconds_and_is_charged_with_what_it_used(shop: Shop) -> None:
    long = Reply(json.dumps({"summary": "words " * 20_000, "findings": []}), pause=0.02)
    price = Price(input=1.0, output=10.0)
    plan = PLAN.model_copy(update={"kind": "review", "settings": {"budget": {"month": 1.0}}})
    shop.key = RunKey(repository="octo/demo", sha=shop.github.commit("octo/demo", "review", {"a.py": "x = 3\n"}))
    trigger = Pull(number=1, base_ref="main", base_sha=shop.github.head("octo/demo", "main"), updated_at=1.0)
    received = CommitReceived(at=time.time(), installation=1, trigger=trigger, plan=Plan(agents=(plan,)))
    shop.store.update(shop.key, received)
    inner = shop.bench.kit
    with ScriptedModel([long]) as server:
        model = OpenAIModel(KEY, server.base_url, MODEL, 60, {MODEL: price})

        def kit(progress: Callable[[str], None], cancelled: threading.Event) -> Kit:
            return replace(inner(progress, cancelled), model=model.until(cancelled))

        spending = Spending(shop.store.redis)
        shop.bench = replace(shop.bench, kit=kit, spending=spending)
        begun = time.monotonic()
        closing = Closing(shop, lambda: time.monotonic() > begun + 1 and bool(server.requests), lambda: server.hung_up)
        closing.start()
        result = shop.work(lambda _plan: ReviewAgent("Review it."))
        ended = time.monotonic()
        closing.join()
        assert result.outcome is Outcome.CANCELLED
        assert ended - closing.closed < 2
        assert closing.seconds < 2
        asked = server.requests[0].body["messages"]
        whole = model.estimate(asked[0]["content"], asked[1]["content"])
        (used,) = spending.spent(accounts(shop.run, CostLimits(month=1.0), time.time()))
        assert whole.usd
        assert price.of(whole.input_tokens, 0, 10) < used < whole.usd
        assert result.cost
        assert result.cost.usd == pytest.approx(used), "the run says so, too"
        assert cost_words(shop.run)


def test_agent_that_is_interrupted_tells_what_its_questions_have_cost(shop: Shop) -> None:
    asked = threading.Event()

    class Nothing(BaseModel):
        pass

    class Priced:
        name = "priced"
        room = 1_000_000

        def named(self, _model: str) -> Model:
            return self

        def estimate(self, _system: str, _user: str) -> Cost:
            return Cost(model=self.name, usd=0.5)

        def ask(self, _system: str, _user: str, answer: type[Answer], *, timeout: float) -> tuple[Answer, Cost]:
            return answer(), Cost(model=self.name, usd=0.2)

    class Endless:
        def run(self, _work: Work, kit: Kit) -> AgentResult:
            assert kit.model
            kit.model.ask("", "", Nothing, timeout=1)
            asked.set()
            while True:
                time.sleep(0.05)

    inner = shop.bench.kit
    spending = Spending(shop.store.redis)
    shop.bench = replace(shop.bench, kit=lambda *given: replace(inner(*given), model=Priced()), spending=spending)
    closing = Closing(shop, asked.is_set)
    closing.start()
    result = shop.work(lambda _plan: Endless())
    closing.join()
    assert result.outcome is Outcome.CANCELLED
    assert result.cost
    assert result.cost.usd == 0.2


def test_fetch_that_takes_long_is_interrupted_within_two_seconds(shop: Shop) -> None:
    shop.github.fail("slow", path=".git/", seconds=3.0)
    # The fetch is under way as soon as there is a mirror to fetch into.
    under_way = Closing(shop, lambda: any(shop.bench.cache.folder.glob("mirrors/**/HEAD")), lambda: _gits() == [])
    assert under_way.call_off(raises(AssertionError())) < 2
    assert under_way.seconds < 2


def _gits() -> list[psutil.Process]:
    return [child for child in psutil.Process().children(recursive=True) if child.name().startswith("git")]


def test_redis_that_hiccups_does_not_call_an_attempt_off(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*_: object) -> bool:
        raise ConnectionError("away")

    monkeypatch.setattr(Store, "stopped", breaks)
    monkeypatch.setattr(workers.watch, "_LOOK", 0.01)

    def wait(_work: Work, _kit: Kit) -> AgentResult:
        time.sleep(0.05)
        return AgentResult(outcome=Outcome.CLEAN)

    assert shop.work(does(wait)).outcome is Outcome.CLEAN


def test_a_secret_of_the_change_is_masked_in_what_an_agent_says_in_whatever_form(shop: Shop) -> None:
    secret = "k3Jd82hsK2mQp0Zx7Yb4Wc9Ve1Tu5Rn6"
    sha = shop.github.commit("octo/demo", "leaky", {"settings.py": f"password = '{secret}'\n"})
    key = RunKey(repository="octo/demo", sha=sha)
    trigger = Manual(base_sha=shop.run.base_sha)
    shop.store.update(key, CommitReceived(at=time.time(), installation=1, trigger=trigger, plan=Plan(agents=(PLAN,))))
    encoded = base64.b64encode(f"it is {secret}".encode()).decode()
    said = AgentResult(outcome=Outcome.CLEAN, summary=f"saw {secret[:9]}\n{secret[9:]}", log=f"{secret} or {encoded}")
    on_agent(replace(shop.bench, agent_for=does(lambda _work, _kit: said)), key, "own", 1)
    stored = shop.store.load(key)
    assert stored is not None
    told = stored.run.model_dump_json()
    assert secret not in told
    assert secret[9:] not in told
    assert encoded[16:40] not in told
