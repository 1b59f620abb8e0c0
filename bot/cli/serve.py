"""`assay serve`, `web`, `worker`, `sweep`: the processes."""

from __future__ import annotations

import logging
import signal
import time
from contextlib import ExitStack
from functools import partial

import click
import uvicorn
from redis.exceptions import RedisError

from bot.deliveries import Admissions
from bot.embedded import EmbeddedRedis
from bot.errors import Misconfigured
from bot.logs import configure
from bot.queues import AGENT_QUEUES, INTAKE, PUBLISH, QUEUES, Queues
from bot.supervise import Role, Supervisor
from bot.sweep import INTERVAL, Sweep
from bot.web import create_app
from bot.wiring import connect, control, make_store, redis_folder, redis_url, settings
from bot.worker import work
from config.settings import Settings

log = logging.getLogger(__name__)

_DRAIN = 60


@click.command()
def serve() -> None:
    """Run everything: web, workers, sweep and, unless ASSAY_REDIS_URL is set, a Redis of its own.

    A process that dies is started again. Ctrl-C or SIGTERM drains: no new work is taken, jobs in hand are finished.
    """
    chosen = settings()
    chosen.require_app()
    configure(chosen.log_format)
    with ExitStack() as stack:
        redis = None
        if chosen.redis_url is None:
            redis = stack.enter_context(EmbeddedRedis(redis_folder(chosen)))
        _preload()
        click.echo(f"Assay listens on http://{chosen.host}:{chosen.port}/webhook (Ctrl-C drains)", err=True)
        roles = [Role("web", partial(_web, chosen)), Role("sweep", partial(_sweep, chosen))]
        roles += _workers(chosen, QUEUES, chosen.workers)
        Supervisor(roles, drain=_DRAIN, tick=partial(_keep, redis) if redis else lambda: None).run()


@click.command()
def web() -> None:
    """Run the web process alone. Needs ASSAY_REDIS_URL, or the embedded Redis of a running `assay serve`."""
    chosen = settings()
    chosen.require_app()
    configure(chosen.log_format)
    _web(chosen)


@click.command()
@click.argument("queues", nargs=-1, metavar="[QUEUE]...")
@click.option(
    "--count", default=None, type=click.IntRange(1, 64), help="Processes for each queue.  [default: ASSAY_WORKERS]"
)
def worker(queues: tuple[str, ...], count: int | None) -> None:
    """Run workers for some queues, by default for all of them.

    The queues: intake, publish, and one for each kind of agent: test, lint, security, review, command, extension.
    """
    for name in queues:
        if name not in QUEUES:
            raise Misconfigured(f"there is no queue {name!r}; there are: {', '.join(QUEUES)}")
    chosen = settings()
    chosen.require_app()
    configure(chosen.log_format)
    _preload()
    Supervisor(_workers(chosen, queues or QUEUES, count or chosen.workers), drain=_DRAIN).run()


@click.command()
def sweep() -> None:
    """Run the sweep alone: deadlines, retries, what was lost. Several may run; one works at a time."""
    chosen = settings()
    configure(chosen.log_format)
    _sweep(chosen)


def _workers(chosen: Settings, queues: tuple[str, ...], count: int) -> list[Role]:
    roles = []
    for name in queues:
        # Control jobs are short; one process each keeps their order, and more would only wait for the same locks.
        for number in range(count if name in AGENT_QUEUES else 1):
            roles.append(Role(f"{name}-{number + 1}", partial(_work, chosen, name)))
    return roles


def _work(chosen: Settings, queue: str) -> None:
    if queue in (INTAKE, PUBLISH):
        control()
    work(connect(chosen), queue)


def _preload() -> None:
    """Load what jobs will need before forking, so that it is shared and no job waits for it."""
    import workers.llm.client
    import workers.wiring

    assert workers.wiring
    assert workers.llm.client


def _keep(redis: EmbeddedRedis) -> None:
    if not redis.alive():
        log.error("the embedded Redis died, starting it again")
        redis.start()


def _web(chosen: Settings) -> None:
    secrets = [secret.get_secret_value() for secret in chosen.require_app().webhook_secrets]
    queues = Queues(connect(chosen))
    app = create_app(redis_url(chosen), lambda connection: Admissions(connection, queues, chosen.intake_limit), secrets)
    uvicorn.run(
        app, host=chosen.host, port=chosen.port, log_config=None, access_log=False, timeout_graceful_shutdown=30
    )


def _sweep(chosen: Settings) -> None:
    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    sweeper = Sweep(make_store(chosen), time.time)
    while not stopping:
        try:
            sweeper.once()
        except RedisError as error:
            log.warning("the sweep waits: Redis is away (%s)", type(error).__name__)
        time.sleep(INTERVAL)
