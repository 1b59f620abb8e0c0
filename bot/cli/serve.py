"""`assay serve`, `web`, `worker`, `sweep`: the processes."""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from threading import Event, Thread

import click
import uvicorn
from redis.exceptions import AuthenticationError

from bot.deliveries import Admissions
from bot.domain.redact import Redactor
from bot.errors import Misconfigured
from bot.garbage import settle_in
from bot.queues import AGENT_QUEUES, INTAKE, QUEUES
from bot.recovery import Vouching
from bot.redis import soundness
from bot.redis.connection import NONE
from bot.redis.embedded import EmbeddedRedis
from bot.redis.watch import Watch
from bot.supervise import Role, Supervisor, my_name
from bot.sweep import INTERVAL
from bot.telemetry import tracing
from bot.telemetry.logs import configure
from bot.telemetry.metrics import Tally
from bot.web import create_app
from bot.wiring import (
    connect,
    control,
    make_lookout,
    make_queues,
    make_sweep,
    redis_folder,
    redis_url,
    settings,
    start_tracing,
)
from bot.worker import work
from config.redis_url import parse_redis_url
from config.settings import Settings
from workers.sandbox.choice import choose, remedy

log = logging.getLogger(__name__)

# Seconds that requests of the web process get to end, and that Redis may take to say that it is there.
_GRACE = 30
_LOOK = 2.0
# Seconds after which an embedded Redis that could not be started again is tried again.
_REVIVAL = 5.0
# Connections that may wait for the web process, while it starts again, say.
_BACKLOG = 2048


@click.command()
def serve() -> None:
    """Run everything: web, workers, sweep and, unless ASSAY_REDIS_URL is set, a Redis of its own.

    A process that dies is started again. Ctrl-C or SIGTERM drains: no new work is taken, and jobs in hand get a minute
    (ASSAY_DRAIN) to end. A second Ctrl-C ends them at once. What did not end is done again by others, or after the next
    start.

    `assay doctor` says whether everything is in place for it.
    """
    chosen = _prepare()
    listener = _listen(chosen)
    with ExitStack() as stack:
        stack.callback(listener.close)
        redis = stack.enter_context(EmbeddedRedis(redis_folder(chosen))) if chosen.redis_url is None else None
        watch = _greet(chosen)
        _preload()
        _check_sandbox(chosen)
        # The supervisor tells of Redis for all of them.
        quiet = Watch(tells=False)
        roles = [Role("web", partial(_web, chosen, listener, quiet)), Role("sweep", partial(_sweep, chosen, quiet))]
        roles += _workers(chosen, QUEUES, chosen.workers)
        # Nobody but the web process may hold the socket: a connection that nobody will answer would wait.
        apart = [
            role if role.name == "web" else replace(role, main=partial(_without, listener, role)) for role in roles
        ]
        click.echo(f"Assay listens on {_address(listener)}/webhook (Ctrl-C drains)", err=True)
        keeper = _Keeper(chosen, watch, redis)
        Supervisor(
            apart, drain=chosen.drain, tick=keeper.look, stopping=listener.close, killed=keeper.vouching.hand_back
        ).run()


@click.command()
def web() -> None:
    """Run the web process alone. Needs ASSAY_REDIS_URL, or the embedded Redis of a running `assay serve`."""
    chosen = _prepare()
    listener = _listen(chosen)
    click.echo(f"Assay listens on {_address(listener)}/webhook", err=True)
    _web(chosen, listener, _greet(chosen))


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
    wanted = tuple(dict.fromkeys(queues)) or QUEUES
    controls = any(name not in AGENT_QUEUES for name in wanted)
    chosen = _prepare(as_app=controls)
    if not controls and chosen.github_private_key is not None:
        log.warning("Agents need no ASSAY_GITHUB_PRIVATE_KEY: leave it out where only they run")
    _preload(controls=controls)
    _check_sandbox(chosen)
    roles = _workers(chosen, wanted, count or chosen.workers)
    keeper = _Keeper(chosen, _greet(chosen))
    Supervisor(roles, drain=chosen.drain, tick=keeper.look, killed=keeper.vouching.hand_back).run()


@click.command()
def sweep() -> None:
    """Run the sweep alone: deadlines, retries, what was lost. Several may run; one works at a time."""
    chosen = settings()
    configure(chosen.log_format, Redactor(chosen.secrets()))
    _sweep(chosen, _greet(chosen))


def _prepare(*, as_app: bool = True) -> Settings:
    """`as_app`: what is prepared acts as the GitHub App, and so needs its key."""
    chosen = settings()
    if as_app:
        chosen.require_app()
    configure(chosen.log_format, Redactor(chosen.secrets()))
    start_tracing(chosen)
    return chosen


def _check_sandbox(chosen: Settings) -> None:
    """Say at the start what nobody may overlook."""
    choice = choose(chosen.sandbox, os.environ.get("PATH", os.defpath))
    if choice.why_not:
        log.warning("There is no sandbox, so nothing of a repository is executed: %s; %s", choice.why_not, remedy())
    elif not choice.isolates:
        log.warning(
            "ASSAY_SANDBOX=none: what repositories run sees the App's key, the network and all that this user may read"
        )


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
        # Agents' jobs get their tokens from intake.
        Role(f"{name}-{number + 1}", partial(_work, chosen, name), last=name == INTAKE)
        for name, number_of in counts.items()
        for number in range(number_of)
    ]


def _work(chosen: Settings, queue: str) -> None:
    import workers.wiring

    redis = (workers.wiring.store() if queue in AGENT_QUEUES else control().store).redis
    work(redis, queue, make_queues(chosen, redis), my_name())
    tracing.close()


def _preload(*, controls: bool = True) -> None:
    """Load and make what jobs will need before forking, so that it is shared and no job waits for it. No connection is
    opened yet."""
    import workers.llm.client
    import workers.registry
    import workers.wiring

    assert workers.llm.client
    workers.registry.load_extensions()
    workers.wiring.bench()
    if controls:
        control()
    settle_in()


def _greet(chosen: Settings) -> Watch:
    """A watch that tells, after its first look: what is to be said of an operator's Redis is said before anything is
    started, or as soon as it is there. Raises Misconfigured for one that Assay cannot work with."""
    redis = connect(chosen, NONE, _LOOK)

    def examine() -> None:
        if chosen.redis_url is None:
            return
        for remark in soundness.examine(redis, parse_redis_url(redis_url(chosen))):
            match remark.state:
                case "fail":
                    raise Misconfigured(f"Redis {remark.what}: {remark.remedy}")
                case "warn":
                    log.warning("Redis %s: %s", remark.what, remark.remedy)

    def ping() -> None:
        try:
            redis.ping()
        except AuthenticationError as error:
            raise Misconfigured(f"Redis does not let Assay in ({error}): correct ASSAY_REDIS_URL") from None

    watch = Watch(on_first=examine)
    watch.look(ping)
    return watch


class _Keeper:
    """What the supervisor does every second: it starts the embedded Redis again, and tells Redis which workers live."""

    def __init__(self, chosen: Settings, watch: Watch, embedded: EmbeddedRedis | None = None) -> None:
        self._watch = watch
        self._embedded = embedded
        self._revival = 0.0
        self.vouching = Vouching(connect(chosen, NONE, _LOOK))

    def look(self, living: Sequence[str]) -> None:
        if self._embedded is not None and not self._embedded.alive() and time.monotonic() >= self._revival:
            self._revive(self._embedded)
        self._watch.look(partial(self.vouching.vouch, living))

    def _revive(self, embedded: EmbeddedRedis) -> None:
        log.error("the embedded Redis died, starting it again")
        try:
            embedded.start()
        except Misconfigured as error:
            # A full disk, say: the others wait, and somebody may make room.
            log.error("%s; trying again in %g s", error, _REVIVAL)
            self._revival = time.monotonic() + _REVIVAL


def _web(chosen: Settings, listener: socket.socket, watch: Watch) -> None:
    secrets = [secret.get_secret_value() for secret in chosen.require_app().webhook_secrets]
    queues = make_queues(chosen, connect(chosen))
    token = chosen.metrics_token.get_secret_value() if chosen.metrics_token else ""
    app = create_app(
        redis_url(chosen), lambda connection: Admissions(connection, queues, chosen.intake_limit), secrets, watch, token
    )
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        # Nobody asks who sent a request or what answers it, and every request would pay.
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE,
    )
    config.load()
    settle_in()
    uvicorn.Server(config).run(sockets=[listener])


def _sweep(chosen: Settings, watch: Watch) -> None:
    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    tally = Tally()
    sweeper = make_sweep(chosen, tally)
    # The lookout waits for GitHub, which the sweep must not. What it does may be cut off anywhere.
    ended = Event()
    Thread(target=make_lookout(chosen, tally).run, args=(ended,), name="lookout", daemon=True).start()
    while not stopping:
        watch.look(sweeper.once)
        pause = time.monotonic() + INTERVAL
        while not stopping and time.monotonic() < pause:
            time.sleep(0.1)
    ended.set()
