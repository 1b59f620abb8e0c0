"""Publishing alone: the real one, with its store, against the stand-in GitHub. Agents' part is told, jobs are called
when they are due, and nobody waits: the clock moves instead."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import cast

import httpx

from bot.demo.github import StandInGitHub
from bot.domain.events import AgentFinished, AgentStarted, CommitReceived, Event
from bot.domain.findings import AgentResult, Finding, Outcome, Severity
from bot.domain.run import RunKey
from bot.domain.triggers import Pull, Push, Trigger
from bot.github.checks import Checks
from bot.github.client import App
from bot.github.code_scanning import CodeScanning
from bot.github.comments import Comments
from bot.github.connection import Call, Options
from bot.github.contents import Contents
from bot.github.pacing import Limit
from bot.github.permissions import CONFIG, SCAN, WRITE
from bot.github.reviews import Reviews
from bot.heads import Heads
from bot.jobs import JobSpec
from bot.ledger import Ledger
from bot.locks import lock
from bot.publishing.publisher import Publisher
from bot.publishing.pull_writer import Desk
from bot.publishing.records import Records
from bot.publishing.unpublished import Unpublished
from bot.publishing.write_budget import WriteBudget
from bot.store import Store
from tests.builders import plan_of, pull

LINES = "".join(f"value_{number} = {number}\n" for number in range(60))


@dataclass(frozen=True)
class Answered:
    """A request and its answer; `status` is 0 where there was none. `at` is in seconds since the epoch."""

    call: Call
    status: int
    at: float

    @property
    def is_write(self) -> bool:
        return self.call.writes


class CountingClock:
    """Assay's clock. It moves where a test moves it, and by ten microseconds at each look, so that one thing is after
    the other; not while a slow machine works, which would leave room for writes and make others due. `pauses` are those
    that Assay would have made, in seconds."""

    def __init__(self) -> None:
        self.now = time.time()
        self.pauses: list[float] = []

    def time(self) -> float:
        self.now += 1e-5
        return self.now


class PublishingDesk:
    """Publishing for one repository. `limits` are what its installation may write, `timeout` is how many seconds an
    answer may take, `scanning` whether code scanning is told, too."""

    def __init__(
        self,
        github: StandInGitHub,
        store: Store,
        repository: str,
        limits: tuple[Limit, ...] = (),
        timeout: float = 10.0,
        scanning: bool = False,
    ) -> None:
        self.scanning = scanning
        self.github = github
        self.store = store
        self.repository = repository
        self.clock = CountingClock()
        self.answers: list[Answered] = []
        self.budget = WriteBudget(store.redis, limits, self.clock.time)
        options = Options(
            api_url=github.api_url,
            clock=self.clock.time,
            sleep=self._sleep,
            timeout=httpx.Timeout(timeout),
            around=self._around,
            budget=self.budget,
        )
        self.app = App(github.app_id, github.private_key, options)
        self.unpublished = Unpublished(store)
        self.records = Records(store.redis, store.retention)
        self.publisher = Publisher(
            store.newer,
            self.unpublished,
            self.records,
            Heads(store.redis, store.retention),
            partial(lock, store.redis),
            self._desk,
            self.budget,
            self.clock.time,
            Ledger(store.redis),
        )
        github.add_repository(repository, {"many.py": ""})
        github.buy_code_security(repository)
        self.installation = github.installation(repository.split("/")[0])

    def _sleep(self, seconds: float) -> None:
        self.clock.pauses.append(seconds)
        self.pass_time(seconds)

    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds

    def _around(self, call: Call, exchange: Callable[[], httpx.Response]) -> httpx.Response:
        status = 0
        try:
            response = exchange()
            status = response.status_code
            return response
        finally:
            self.answers.append(Answered(call, status, self.clock.time()))

    def _desk(self, installation: int, repository: str) -> Desk:
        api = self.app.api(installation, repository, WRITE)
        checks, comments, reviews = Checks(api, repository), Comments(api, repository), Reviews(api, repository)
        scans = CodeScanning(self.app.api(installation, repository, SCAN), repository)
        branch = Contents(self.app.api(installation, repository, CONFIG), repository).branch
        return Desk(checks, comments, reviews, reviews, self.app.bot_login, self.github.url, scans, branch)

    # -- what happens

    def open_pull(self, *agents: str, branch: str = "feature") -> RunKey:
        """A pull request whose commit is to be looked at."""
        sha = self.github.commit(self.repository, branch, {"many.py": LINES}, branch)
        number = self.github.open_pull(self.repository, branch)
        return self._receive(sha, self._pull(number), *agents)

    def commit(self, name: str, *agents: str) -> RunKey:
        """A commit on a branch, without a pull request."""
        sha = self.github.commit(self.repository, "main", {f"{name}.py": ""}, name)
        return self._receive(sha, Push(branch="main"), *agents)

    def push(self, number: int, *agents: str) -> RunKey:
        """Another commit for it."""
        sha = self.github.commit(self.repository, "feature", {"other.py": "x = 1\n"})
        return self._receive(sha, self._pull(number), *agents)

    def _pull(self, number: int) -> Pull:
        return pull(number, head_repository=self.repository)

    def _receive(self, sha: str, trigger: Trigger, *agents: str) -> RunKey:
        key, at = RunKey(repository=self.repository, sha=sha), self.clock.time()
        plan = plan_of(*agents or ("lint",), max_comments=2, code_scanning=self.scanning)
        self.tell(key, CommitReceived(at=at, installation=self.installation, trigger=trigger, plan=plan))
        return key

    def start(self, key: RunKey, agent: str = "lint") -> None:
        self.tell(key, AgentStarted(at=self.clock.time(), agent=agent, attempt=1))

    def finish(self, key: RunKey, *findings: Finding, agent: str = "lint") -> None:
        result = AgentResult(outcome=Outcome.FINDINGS if findings else Outcome.CLEAN, findings=findings)
        self.tell(key, AgentFinished(at=self.clock.time(), agent=agent, attempt=1, result=result))

    def tell(self, key: RunKey, event: Event) -> None:
        self.store.update(key, event)

    # -- publishing

    def publish(self, key: RunKey) -> None:
        self.publisher.on_publish(key)

    def settle(self, key: RunKey) -> None:
        """Publish, and again as often as that was put off."""
        self.publish(key)
        for _ in range(200):
            if self.due(key) is None:
                return
            self.publish_next()
        raise AssertionError("it does not come to an end")

    def publish_next(self) -> bool:
        """Publish what is due first, when it is; whether there was anything."""
        due = cast("list[tuple[bytes, float]]", self.store.redis.zpopmin("assay:later"))
        for member, at in due:
            self.pass_time(max(0.0, at - self.clock.time()))
            self.publish(RunKey.parse(str(JobSpec.model_validate_json(member).args[0])))
        return bool(due)

    def due(self, key: RunKey) -> float | None:
        """When the run is to be published again; None where it is not."""
        job = JobSpec.publish(key, self.installation).model_dump_json()
        return self.store.redis.zscore("assay:later", job)

    def is_refused(self, key: RunKey) -> bool:
        """Whether publishing came to its end with a refusal, which is remembered."""
        return bool(self.records.publication(key).refusal)

    # -- what GitHub shows

    def conclusions(self, key: RunKey) -> dict[str, str | None]:
        checks = self.github.checks(self.repository, key.sha)
        assert len({check.name for check in checks}) == len(checks), "a check was created twice"
        return {check.name: check.conclusion for check in checks}

    def noted(self, key: RunKey, name: str = "assay / lint") -> list[int]:
        """The lines with an annotation, in order."""
        return sorted(note["start_line"] for note in self.github.check(self.repository, key.sha, name).annotations)

    def writes(self) -> list[Answered]:
        return [answered for answered in self.answers if answered.is_write]


def sixty() -> list[Finding]:
    """One finding a line."""
    return [
        Finding(
            tool="ruff",
            rule="T1",
            severity=Severity.MEDIUM,
            message=f"trouble {number}",
            path="many.py",
            start_line=number,
            fingerprint=f"{number:020x}",
            sources=("lint/ruff",),
            place="added",
        )
        for number in range(1, 61)
    ]
