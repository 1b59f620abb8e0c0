"""The composition root of the control processes, and the functions that their jobs name."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from bot.deliveries import Deliveries
from bot.domain.run import RunKey
from bot.embedded import EmbeddedRedis
from bot.errors import Gone, Misconfigured, Refused
from bot.github.checks import Checks
from bot.github.client import App
from bot.github.comments import Comments
from bot.github.contents import Contents
from bot.github.reviews import Reviews
from bot.intake import Intake
from bot.publish import Publisher
from bot.pull_writer import Desk
from bot.queues import Queues, is_last_try
from bot.store import Store
from config.reading import CONFIG_FILE
from config.settings import Settings, load

# The least that each job can do with.
READ = {"contents": "read", "pull_requests": "read"}
CLONE = {"contents": "read"}
WRITE = {"checks": "write", "pull_requests": "write"}
RESOLVE = {"contents": "write", "pull_requests": "write"}
CONFIG = {"contents": "read"}

_ORGANISATION_TTL = 60


@cache
def settings() -> Settings:
    """This process's settings. Raises SettingsError."""
    return load(os.environ, Path(".env"))


def redis_folder(chosen: Settings) -> Path:
    """Where the embedded Redis lives."""
    return chosen.data_dir / "redis"


def redis_url(chosen: Settings) -> str:
    """Where Redis is: the operator's, else the embedded one's socket."""
    if chosen.redis_url is not None:
        return chosen.redis_url.get_secret_value()
    return EmbeddedRedis(redis_folder(chosen)).url


def connect(chosen: Settings) -> Redis:
    return Redis.from_url(redis_url(chosen))


def make_store(chosen: Settings) -> Store:
    redis = connect(chosen)
    return Store(redis, Queues(redis), chosen.retention)


def make_app(chosen: Settings) -> App:
    """Raises SettingsError when the App's settings are missing."""
    app = chosen.require_app()
    return App(int(app.app_id), app.private_key.get_secret_value(), api_url=chosen.github_api_url)


@contextmanager
def open_store() -> Iterator[tuple[Store, Deliveries]]:
    """The store, for a command: of the Assay that is running, or of one that is not, for as long as it takes."""
    chosen = settings()
    store = make_store(chosen)
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


class _Source:
    """Repositories, read as the App."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._shared: dict[tuple[int, str], tuple[float, str | None]] = {}

    def contents(self, installation: int, repository: str) -> Contents:
        return Contents(self._app.api(installation, repository, READ), repository)

    def organisation_config(self, installation: int, owner: str) -> str | None:
        known = self._shared.get((installation, owner))
        if known is None or known[0] < time.monotonic():
            known = time.monotonic() + _ORGANISATION_TTL, self._read_shared(installation, owner)
            self._shared[installation, owner] = known
        return known[1]

    def _read_shared(self, installation: int, owner: str) -> str | None:
        repository = f"{owner}/.github"
        try:
            return Contents(self._app.api(installation, repository, CONFIG), repository).file(CONFIG_FILE, "HEAD")
        except (Gone, Refused):
            # No such repository, or the App is not installed on it.
            return None


class Control:
    """What the control jobs need, made once a process."""

    def __init__(self, chosen: Settings) -> None:
        self.store = make_store(chosen)
        app = make_app(chosen)
        deliveries = Deliveries(self.store.redis)
        self.intake = Intake(deliveries, self.store, _Source(app), app.id, lambda: app.bot_login, time.time)

        def desk(installation: int, repository: str) -> Desk:
            api = app.api(installation, repository, WRITE)
            # GitHub lets only those resolve a thread who may write contents; an App need not be given that right.
            may = app.info.permissions.get("contents") == "write"
            threads = app.api(installation, repository, RESOLVE if may else WRITE)
            return Desk(
                checks=Checks(api, repository),
                comments=Comments(api, repository),
                reviews=Reviews(api, repository),
                threads=Reviews(threads, repository),
                bot_login=app.bot_login,
                web=chosen.github_url,
            )

        self.publisher = Publisher(self.store, self.store.lock, desk, time.time)


@cache
def control() -> Control:
    return Control(settings())


def on_delivery(guid: str) -> None:
    """The job of an admitted delivery."""
    intake = control().intake
    with _stated_end(partial(intake.give_up, guid)):
        intake.on_delivery(guid)


def on_publish(key: str) -> None:
    """The job that brings GitHub up to date with a run."""
    publisher, run = control().publisher, RunKey.parse(key)
    with _stated_end(partial(publisher.give_up, run)):
        publisher.on_publish(run)


@contextmanager
def _stated_end(give_up: Callable[[Exception], None]) -> Iterator[None]:
    """A bug fails the job, which is then tried again; after the last try it is also told of."""
    try:
        yield
    except Exception as error:
        if is_last_try():
            give_up(error)
        raise
