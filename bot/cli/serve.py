"""`assay serve`, `web`, `worker`, `sweep`: the processes."""

from __future__ import annotations

import logging
import signal
import socket
import time
from contextlib import ExitStack
from functools import partial

import click
import uvicorn
from redis import Redis
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

# Seconds that jobs in hand get to end, and requests of the web process.
_DRAIN = 60
_GRACE = 30
# Connections that may wait for the web process, while it starts again, say.
_BACKLOG = 2048


@click.command()
def serve() -> None:
    """Run everything: web, workers, sweep and, unless ASSAY_REDIS_URL is set, a Redis of its own.

    A process that dies is started again. Ctrl-C or SIGTERM drains: no new work is taken, and jobs in hand get a minute
    to end. A second Ctrl-C ends them at once; they are done again after the next start.

    `assay doctor` says whether everything is in place for it.
    """
    chosen = _prepare()
    listener = _listen(chosen)
    with ExitStack() as stack:
        stack.callback(listener.close)
        redis = stack.enter_context(EmbeddedRedis(redis_folder(chosen))) if chosen.redis_url is None else None
        _preload()
        roles = [Role("web", partial(_web, chosen, listener)), Role("sweep", partial(_sweep, chosen))]
        roles += _workers(chosen, QUEUES, chosen.workers)
        # Nobody but the web process may hold the socket: a connection that nobody will answer would wait.
        apart = [role if role.name == "web" else Role(role.name, partial(_without, listener, role)) for role in roles]
        click.echo(f"Assay listens on {_address(listener)}/webhook (Ctrl-C drains)", err=True)
        watch = _Watch(connect(chosen), redis)
        Supervisor(apart, drain=_DRAIN, tick=watch.look, stopping=listener.close).run()


@click.command()
def web() -> None:
    """Run the web process alone. Needs ASSAY_REDIS_URL, or the embedded Redis of a running `assay serve`."""
    chosen = _prepare()
    listener = _listen(chosen)
    click.echo(f"Assay listens on {_address(listener)}/webhook", err=True)
    _web(chosen, listener)


@click.command()
@click.argument("queues", nargs=-1, metavar="[QUEUE]...")
@click.option(
    "--count", default=None, type=click.IntRange(1, 64), help="Processes for each queue.  [default: ASSAY_WORKERS]"
)
def worker(queues: tuple[str, ...], count: int | None) -> None:
    """Run workers for some queues, by default for all of them.

    \b
    The queues:
      intake, publish                     one process each
      test, lint, security, review,       one for each kind of agent
      command, extension
    """
    for name in queues:
        if name not in QUEUES:
            raise Misconfigured(f"there is no queue {name!r}; there are: {', '.join(QUEUES)}")
    chosen = _prepare()
    _preload()
    roles = _workers(chosen, tuple(dict.fromkeys(queues)) or QUEUES, count or chosen.workers)
    Supervisor(roles, drain=_DRAIN, tick=_Watch(connect(chosen)).look).run()


@click.command()
def sweep() -> None:
    """Run the sweep alone: deadlines, retries, what was lost. Several may run; one works at a time."""
    chosen = settings()
    configure(chosen.log_format)
    _sweep(chosen)


def _prepare() -> Settings:
    chosen = settings()
    chosen.require_app()
    configure(chosen.log_format)
    return chosen


def _listen(chosen: Settings) -> socket.socket:
    """The socket of the web process, opened before anything is started, and kept while the web process is replaced."""
    family = socket.AF_INET6 if ":" in chosen.host else socket.AF_INET
    # With the protocol named, asyncio turns Nagle's algorithm off, which would hold answers back for 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((chosen.host, chosen.port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise Misconfigured(
            f"cannot listen on {chosen.host}, port {chosen.port}: {error.strerror}. "
            "Is another Assay running? If not, choose others by ASSAY_HOST and ASSAY_PORT"
        ) from None
    return listener


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _without(listener: socket.socket, role: Role) -> None:
    listener.close()
    role.main()


def _workers(chosen: Settings, queues: tuple[str, ...], count: int) -> list[Role]:
    # Control jobs are short; one process each keeps their order, and more would only wait for the same locks.
    counts = {name: count if name in AGENT_QUEUES else 1 for name in queues}
    return [
        Role(f"{name}-{number + 1}", partial(_work, chosen, name))
        for name, number_of in counts.items()
        for number in range(number_of)
    ]


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


class _Watch:
    """Looks whether Redis is there, says once when it goes and once when it comes back, and starts the embedded one
    again."""

    def __init__(self, client: Redis, embedded: EmbeddedRedis | None = None) -> None:
        self._client = client
        self._embedded = embedded
        self._away = False

    def look(self) -> None:
        if self._embedded is not None and not self._embedded.alive():
            log.error("the embedded Redis died, starting it again")
            self._embedded.start()
        try:
            self._client.ping()
        except RedisError as error:
            if not self._away:
                log.error("Redis is away, webhooks are answered with 503 until it is back: %s", error)
            self._away = True
        else:
            if self._away:
                log.info("Redis is back")
            self._away = False


def _web(chosen: Settings, listener: socket.socket) -> None:
    secrets = [secret.get_secret_value() for secret in chosen.require_app().webhook_secrets]
    queues = Queues(connect(chosen))
    app = create_app(redis_url(chosen), lambda connection: Admissions(connection, queues, chosen.intake_limit), secrets)
    config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=_GRACE)
    uvicorn.Server(config).run(sockets=[listener])


def _sweep(chosen: Settings) -> None:
    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    sweeper, away = Sweep(make_store(chosen), time.time), False
    while not stopping:
        try:
            sweeper.once()
        except RedisError as error:
            if not away:
                log.warning("the sweep waits: Redis is away (%s)", type(error).__name__)
            away = True
        else:
            away = False
        pause = time.monotonic() + INTERVAL
        while not stopping and time.monotonic() < pause:
            time.sleep(0.1)
