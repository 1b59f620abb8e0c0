"""The composition root of the control processes, and the functions that their jobs name."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path

from pydantic import TypeAdapter
from redis import Redis
from redis.exceptions import RedisError

from bot import handover
from bot.dead import DeadLetters
from bot.deliveries import Deliveries
from bot.domain.commands import Reply
from bot.domain.run import RunKey
from bot.domain.service import Service
from bot.domain.stored import understood
from bot.errors import Misconfigured
from bot.github.app_hook import AppHook
from bot.github.checks import Checks
from bot.github.client import App
from bot.github.code_scanning import CodeScanning
from bot.github.comments import Comments
from bot.github.connection import Around, Options, just_send
from bot.github.contents import Contents
from bot.github.pacing import Budget, Limit
from bot.github.permissions import CHECK, CLONE, CONFIG, RESOLVE, SCAN, WRITE
from bot.github.reviews import Reviews
from bot.heads import Heads
from bot.intake.allowance import allow
from bot.intake.intake import Intake
from bot.intake.source import AsApp
from bot.jobs import INTAKE
from bot.ledger import Ledger
from bot.locks import lock
from bot.missed.lookout import Lookout
from bot.missed.loose_checks import LooseChecks
from bot.missed.overview import Overview
from bot.missed.reconciliation import Reconciliation
from bot.missed.redelivery import Redelivery
from bot.publishing.publisher import Publisher
from bot.publishing.pull_writer import Desk
from bot.publishing.records import Records
from bot.publishing.replies import Replies
from bot.publishing.unpublished import Unpublished
from bot.publishing.write_budget import WriteBudget
from bot.queues import Queues
from bot.redis.connection import ANSWER, BRIEF, LONG, NONE
from bot.redis.connection import connect as connect_to
from bot.redis.embedded import EmbeddedRedis
from bot.safe import Safe, open_safe
from bot.spending import Spending
from bot.store import Store
from bot.sweep import Sweep
from bot.telemetry import tracing
from bot.telemetry.metrics import RECOVERIES, REFUSED, Tally
from bot.telemetry.observation import Observer
from config.settings import Settings

_REPLY = TypeAdapter(Reply)

# How far back is looked when nothing is remembered: what was pushed while Assay was being set up; seconds.
_FIRST_LOOK = 3600
# How many times as rarely as for failed deliveries all repositories are looked at: those take a request or two each.
_RARER = 6


@cache
def safe() -> Safe:
    """Where this process has its settings from. Raises SettingsError."""
    return open_safe()


def settings() -> Settings:
    """This process's settings, with those of the App's credentials that it took out. Raises SettingsError."""
    return safe().settings


def redis_folder(chosen: Settings) -> Path:
    """Where the embedded Redis lives."""
    return chosen.data_dir / "redis"


def redis_url(chosen: Settings) -> str:
    """Where Redis is: the operator's, else the embedded one's socket."""
    if chosen.redis_url is not None:
        return chosen.redis_url.get_secret_value()
    return EmbeddedRedis(redis_folder(chosen)).url


def connect(chosen: Settings, patience: float = LONG, answer: float = ANSWER) -> Redis:
    """Raises Misconfigured where ASSAY_REDIS_URL names files that cannot be read."""
    return connect_to(redis_url(chosen), patience, answer)


def make_store(chosen: Settings, patience: float = LONG) -> Store:
    redis = connect(chosen, patience)
    return Store(redis, make_queues(chosen, redis), chosen.retention)


def make_queues(chosen: Settings, redis: Redis) -> Queues:
    return Queues(redis, chosen.repository_limit)


def make_sweep(chosen: Settings, tally: Tally | None = None) -> Sweep:
    store = make_store(chosen, BRIEF)
    unpublished = Unpublished(store)
    dead = DeadLetters(store, unpublished, Deliveries(store.redis), time.time)
    return Sweep(store, unpublished, dead, time.time, tally)


def make_app(chosen: Settings, around: Around = just_send, budget: Budget | None = None) -> App:
    """`around` is put around every request, `budget` asked before every write. Raises SettingsError when the App's
    settings are missing."""
    app = chosen.require_app()
    key = app.private_key.get_secret_value()
    return App(int(app.app_id), key, Options(api_url=chosen.github_api_url, around=around, budget=budget))


def make_budget(chosen: Settings, redis: Redis) -> WriteBudget:
    """What each installation may write."""
    limits = (Limit(chosen.github_writes_per_minute, 60.0), Limit(chosen.github_writes_per_hour, 3600.0))
    return WriteBudget(redis, [limit for limit in limits if limit.count], time.time)


def make_service(chosen: Settings) -> Service:
    """Whom the operator lets be served."""
    return Service(
        installations=chosen.serve_installations,
        repositories=chosen.serve_repositories,
        events=chosen.serve_events,
    )


def start_tracing(chosen: Settings) -> None:
    """Have this process and its forks send traces, where the settings say whereto. Raises Misconfigured where
    OpenTelemetry is not installed."""
    endpoint = chosen.otel_exporter_otlp_endpoint
    if endpoint is None:
        return
    try:
        from bot.telemetry.otel import OpenTelemetry
    except ModuleNotFoundError as error:
        raise Misconfigured(
            f"OTEL_EXPORTER_OTLP_ENDPOINT asks for traces, but {error.name} is not installed: "
            "pip install 'assay[tracing]', or unset it"
        ) from None
    tracing.install(OpenTelemetry(endpoint))


@contextmanager
def open_store() -> Iterator[tuple[Store, Deliveries]]:
    """The store, for a command: of the Assay that is running, or of one that is not, for as long as it takes."""
    chosen = settings()
    store = make_store(chosen, NONE)
    if chosen.redis_url is not None or _answers(store.redis):
        yield store, Deliveries(store.redis)
        return
    if not redis_folder(chosen).exists():
        raise Misconfigured(f"there is no data in {chosen.data_dir}: set ASSAY_DATA_DIR or ASSAY_REDIS_URL")
    with EmbeddedRedis(redis_folder(chosen)):
        yield store, Deliveries(store.redis)


def _answers(redis: Redis) -> bool:
    try:
        return bool(redis.ping())
    except RedisError:
        return False


class _CountedHook(AppHook):
    """Counts the webhooks that were asked for once more."""

    def __init__(self, app: App, tally: Tally) -> None:
        super().__init__(app)
        self._tally = tally

    def redeliver(self, delivery_id: int) -> None:
        super().redeliver(delivery_id)
        self._tally.count(RECOVERIES, "delivery")


class _CountedDeliveries(Deliveries):
    """Counts what is put there in place of webhooks that never came."""

    def __init__(self, connection: Redis, tally: Tally) -> None:
        super().__init__(connection)
        self._tally = tally

    def put(self, guid: str, event: str, body: bytes, at: float) -> bool:
        new = super().put(guid, event, body, at)
        self._tally.count(RECOVERIES, "run", amount=new)
        return new


def make_lookout(chosen: Settings, tally: Tally | None = None) -> Lookout:
    """What it counts goes into the tally, which somebody else sends. Raises SettingsError when the App's settings are
    missing."""
    store, tally = make_store(chosen), tally or Tally()
    app = make_app(chosen, Observer(store.redis, tally).github)
    deliveries = _CountedDeliveries(store.redis, tally)

    def has_room() -> bool:
        # What was missed may not take the places of what comes.
        return store.queues.waiting(INTAKE) < chosen.intake_limit / 2

    records = Records(store.redis, store.retention)
    hook = _CountedHook(app, tally)
    redelivery = Redelivery(store.redis, hook, deliveries.has, has_room, chosen.catch_up, _FIRST_LOOK)
    reconciliation = Reconciliation(
        store, records, deliveries, Overview(app, make_service(chosen)), has_room, chosen.catch_up * _RARER, _FIRST_LOOK
    )
    return Lookout(store.redis, {"redelivery": redelivery, "reconciliation": reconciliation}, time.time)


class Control:
    """What the control jobs need, made once a process."""

    def __init__(self, chosen: Settings) -> None:
        self.store = make_store(chosen)
        tally = Tally()
        self.observer = Observer(self.store.redis, tally)
        budget = make_budget(chosen, self.store.redis)
        app = make_app(chosen, self.observer.github, budget)
        deliveries = Deliveries(self.store.redis)
        ledger = Ledger(self.store.redis)
        heads = Heads(self.store.redis, self.store.retention)
        records = Records(self.store.redis, self.store.retention)
        unpublished = Unpublished(self.store)
        self.intake = Intake(
            deliveries,
            self.store,
            unpublished,
            heads,
            self.store.queues.put_off,
            AsApp(app, time.monotonic),
            app.id,
            lambda: app.bot_login,
            time.time,
            ledger,
            partial(allow, self.store.redis),
            make_service(chosen),
            partial(tally.count, REFUSED),
            Spending(self.store.redis).raise_to,
        )

        def desk(installation: int, repository: str) -> Desk:
            api = app.api(installation, repository, WRITE)
            # GitHub lets only those resolve a thread who may write contents; an App need not be given that right.
            may = app.info.permissions.get("contents") == "write"
            reviews = Reviews(api, repository)
            scans = app.info.permissions.get("security_events") == "write"
            return Desk(
                checks=Checks(api, repository),
                comments=Comments(api, repository),
                reviews=reviews,
                threads=Reviews(app.api(installation, repository, RESOLVE), repository) if may else reviews,
                bot_login=app.bot_login,
                web=chosen.github_url,
                code_scanning=CodeScanning(app.api(installation, repository, SCAN), repository) if scans else None,
                branch=Contents(app.api(installation, repository, CONFIG), repository).branch,
            )

        def checks(installation: int, repository: str) -> Checks:
            return Checks(app.api(installation, repository, CHECK), repository)

        def mint(installation: int, repository: str) -> str:
            return app.token(installation, repository, CLONE)

        self.mint = mint
        hold = partial(lock, self.store.redis)
        self.publisher = Publisher(self.store.newer, unpublished, records, heads, hold, desk, budget, time.time, ledger)
        self.replies = Replies(desk, hold, self.store.queues.put_off, time.time)
        self.loose_checks = LooseChecks(
            self.store, unpublished, records, hold, checks, self.store.queues.put_off, time.time
        )


@cache
def control() -> Control:
    return Control(settings())


def on_delivery(guid: str) -> None:
    """The job of an admitted delivery."""
    with control().observer.job():
        control().intake.on_delivery(guid)


def on_publish(key: str) -> None:
    """The job that brings GitHub up to date with a run."""
    with control().observer.job():
        control().publisher.on_publish(RunKey.parse(key))


def on_reply(repository: str, installation: int, reply: str) -> None:
    """The job that answers somebody's order."""
    with control().observer.job():
        answer = understood(_REPLY, reply.encode(), "an answer to an order")
        control().replies.on_reply(repository, installation, answer)


def on_token(key: str, name: str, public: str) -> None:
    """The job that hands a token over to an agent's."""
    with control().observer.job():
        store = control().store
        handover.answer(store.redis, store, control().mint, RunKey.parse(key), name, public)


def on_loose_checks(key: str, installation: int) -> None:
    """The job that ends checks which nobody else would end."""
    with control().observer.job():
        control().loose_checks.on_loose_checks(RunKey.parse(key), installation)
