"""A whole Assay against the stand-in GitHub, for flow tests: real Redis, real HTTP, real git, real tools.

The jobs are run by RQ in this process when a test says `settle`, so that a test decides what happens before what.
`tests/flow/test_serve.py` runs the same with real processes.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from redis import Redis

import bot.publishing.check_writer
import bot.store
import bot.wiring
import workers.wiring
from bot.dead import DeadLetters
from bot.deliveries import Admissions, Deliveries
from bot.demo.github import StandInGitHub
from bot.demo.github_state import CheckRun
from bot.domain.run import Run, RunKey
from bot.domain.verdict import Conclusion, verdict
from bot.github.client import App
from bot.github.connection import Around, Options, just_send
from bot.github.pacing import Budget
from bot.jobs import QUEUES
from bot.publishing.records import Records
from bot.publishing.unpublished import Unpublished
from bot.queues import Queues
from bot.store import Store
from bot.sweep import Sweep
from bot.web import create_app
from bot.worker import ControlWorker, make_worker
from config.settings import Settings
from tests.servers import QuickWeb

REPOSITORY = "octo/demo"
CONFIG = ".github/assay.yml"

# Quick agents for tests of the flow, whose findings the repository's files decide.
QUICK = """
agents:
  test: {enabled: false}
  lint: {tools: [ruff]}
  security: {enabled: false}
  review: {enabled: false}
"""
CLEAN = "def double(number):\n    return number * 2\n"
DIRTY = "import os\n\n\ndef double(number):\n    return number * 2\n"


class Clock:
    """Assay's clock, `ahead` of the real one as far as a test wants. `pauses` are those that Assay would have made, in
    seconds: nobody waits in a test."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self.pauses: list[float] = []
        self._stopped: float | None = None

    def stop(self) -> None:
        """From now on it moves only where a test moves it, however long the machine takes."""
        self._stopped = time.time()

    def time(self) -> float:
        return (time.time() if self._stopped is None else self._stopped) + self.ahead

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead


class Assay:
    """The running application, and what GitHub shows of it."""

    def __init__(self, github: StandInGitHub, store: Store, clock: Clock) -> None:
        self.github = github
        self.store = store
        self.redis = store.redis
        self.unpublished = Unpublished(store)
        self.records = Records(store.redis, store.retention)
        self.clock = clock

    def settle(self, *queues: str) -> None:
        """Run jobs, by default of all queues, until none is left."""
        names = queues or QUEUES
        self.store.queues.send_due(self.clock.time())
        while waiting := [name for name in names if Queues(self.redis).waiting(name)]:
            for name in waiting:
                self.work(name)
            self.store.queues.send_due(self.clock.time())

    def work(self, name: str, jobs: int | None = None) -> None:
        """Run the jobs that wait in one queue, at most so many."""
        worker = make_worker(self.redis, name, Queues(self.redis), kind=ControlWorker)
        worker.work(burst=True, max_jobs=jobs, logging_level="WARNING")

    def sweep(self) -> None:
        now = self.clock.time
        dead = DeadLetters(self.store, self.unpublished, Deliveries(self.redis), now)
        Sweep(self.store, self.unpublished, dead, now).once()

    def wait(self, seconds: float) -> None:
        """Let time pass, and send what is due by then."""
        self.clock.ahead += seconds
        self.sweep()

    def run(self, sha: str, repository: str = REPOSITORY) -> Run:
        stored = self.store.load(RunKey(repository=repository, sha=sha))
        assert stored is not None, f"there is no run of {sha}"
        return stored.run

    def has_run(self, sha: str) -> bool:
        return any(run.key.sha == sha for run in self.store.recent())

    def verdict(self, sha: str) -> Conclusion | None:
        """The run's, after checking that GitHub shows the same."""
        conclusion = verdict(self.run(sha)).conclusion
        assert self.check(sha).conclusion == conclusion
        return conclusion

    def check(self, sha: str, name: str = "assay") -> CheckRun:
        return self.github.check(REPOSITORY, sha, name)

    def outcomes(self) -> list[str]:
        """What became of the deliveries, the newest first."""
        return [delivery.outcome for delivery in Deliveries(self.redis).recent()]

    def comment(self, number: int) -> str:
        """The one comment on a pull request."""
        (comment,) = self.github.comments(REPOSITORY, number)
        return comment.body


def _settings(github: StandInGitHub, redis_url: str, folder: Path) -> dict[str, str]:
    return {
        "ASSAY_GITHUB_APP_ID": str(github.app_id),
        "ASSAY_GITHUB_PRIVATE_KEY": github.private_key,
        "ASSAY_GITHUB_WEBHOOK_SECRET": github.webhook_secret,
        "ASSAY_GITHUB_API_URL": github.api_url,
        "ASSAY_GITHUB_URL": github.url,
        "ASSAY_REDIS_URL": redis_url,
        "ASSAY_DATA_DIR": str(folder),
        # Tests write in a second what takes people minutes.
        "ASSAY_GITHUB_WRITES_PER_MINUTE": "0",
        "ASSAY_GITHUB_WRITES_PER_HOUR": "0",
    }


@contextmanager
def running(
    github: StandInGitHub, redis: Redis, redis_url: str, folder: Path, patch: pytest.MonkeyPatch, **extra: str
) -> Iterator[Assay]:
    """Serve the webhook, and make this process a worker by the settings that a real one would have."""
    patch.chdir(folder)
    for name, value in (_settings(github, redis_url, folder) | extra).items():
        patch.setenv(name, value)
    if "OPENAI_API_KEY" not in extra:
        patch.delenv("OPENAI_API_KEY", raising=False)
    ours = (workers.wiring.store, workers.wiring.observer, workers.wiring.bench)
    caches = (bot.wiring.safe, bot.wiring.control, *ours)
    for cached in caches:
        cached.cache_clear()
    clock, apps = Clock(), list[App]()

    def make_app(chosen: Settings, around: Around = just_send, budget: Budget | None = None) -> App:
        app = chosen.require_app()
        key, pauses = app.private_key.get_secret_value(), clock.pauses
        url = chosen.github_api_url
        options = Options(api_url=url, clock=clock.time, sleep=pauses.append, around=around, budget=budget)
        made = App(int(app.app_id), key, options)
        apps.append(made)
        return made

    bench = workers.wiring.bench
    # What a run shows before it has results is what many tests are about.
    for module in (bot.store, bot.publishing.check_writer):
        patch.setattr(module, "ANNOUNCED_AFTER", 0.0)
    patch.setattr(bot.wiring, "make_app", make_app)
    patch.setattr(bot.wiring, "time", clock)
    patch.setattr(workers.wiring, "time", clock)

    def read_token(installation: int, key: RunKey) -> str:
        # Nobody else is there to answer: who asks and who mints are one process here.
        return bot.wiring.control().mint(installation, key.repository)

    patch.setattr(workers.wiring, "bench", lambda: replace(bench(), sleep=clock.pauses.append, read_token=read_token))
    chosen = bot.wiring.settings()
    store = bot.wiring.make_store(chosen)
    queues = Queues(redis)
    secrets = [secret.get_secret_value() for secret in chosen.require_webhook_secrets()]
    app = create_app(redis_url, lambda connection: Admissions(connection, queues, chosen.intake_limit), secrets)
    listener = socket.create_server(("127.0.0.1", 0))
    server = QuickWeb(app)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    github.webhook_url = f"http://127.0.0.1:{listener.getsockname()[1]}/webhook"
    try:
        yield Assay(github, store, clock)
    finally:
        server.stop()
        thread.join(10)
        for made in apps:
            made.close()
        store.redis.close()
        for cached in caches:
            cached.cache_clear()
