"""The processes of `assay serve`, `web`, `worker` and `sweep`. All run once the App's credentials lie apart."""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from threading import Event, Thread

import uvicorn
from redis.exceptions import AuthenticationError

from bot.deliveries import Admissions
from bot.domain.redact import Redactor
from bot.door import Door
from bot.errors import Misconfigured
from bot.garbage import settle_in
from bot.jobs import AGENT_QUEUES, INTAKE, QUEUES
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
    safe,
    settings,
    start_tracing,
)
from bot.worker import work
from config.redis_url import parse_redis_url
from config.settings import ACTING, LISTENING, Settings
from workers.sandbox.choice import choose_by

log = logging.getLogger(__name__)

# The credentials of the App that a process takes out.
ACTS, LISTENS = ("github_private_key",), ("github_webhook_secret", "github_webhook_secret_previous")
# Seconds that requests of the web process get to end, and that Redis may take to say that it is there.
_GRACE = 30
_LOOK = 2.0
# Seconds after which an embedded Redis that could not be started again is tried again.
_REVIVAL = 5.0
# Connections that may wait for the web process, while it starts again, say.
_BACKLOG = 2048


def run_all() -> None:
    """`assay serve`."""
    chosen = _prepare(*ACTING, *LISTENING)
    listener = _listen(chosen)
    with ExitStack() as stack:
        stack.callback(listener.close)
        redis = stack.enter_context(EmbeddedRedis(redis_folder(chosen))) if chosen.redis_url is None else None
        watch = _greet(chosen)
        _preload()
        check_sandbox(chosen)
        # The supervisor tells of Redis for all of them.
        quiet = Watch(tells=False)
        web = Role("web", partial(_become, LISTENS, partial(_web, listener=listener, watch=quiet)))
        roles = [Role("sweep", partial(_become, ACTS, partial(_sweep, watch=quiet))), *_workers(QUEUES, chosen.workers)]
        # Nobody but the web process may hold the socket: a connection that nobody will answer would wait.
        apart = [replace(role, main=partial(_without, listener, role)) for role in roles]
        log.info("Assay listens on %s/webhook (Ctrl-C drains)", _address(listener))
        keeper = _Keeper(chosen, watch, redis)
        Supervisor(
            [web, *apart],
            drain=chosen.drain,
            tick=keeper.look,
            stopping=listener.close,
            killed=keeper.vouching.hand_back,
        ).run()


def run_web() -> None:
    """`assay web`."""
    chosen = _prepare(*LISTENING)
    listener = _listen(chosen)
    log.info("Assay listens on %s/webhook", _address(listener))
    _become(LISTENS, partial(_web, listener=listener, watch=_greet(chosen)))


def run_workers(queues: tuple[str, ...], count: int | None) -> None:
    """`assay worker`, for these queues, none for all of them, and so many processes each."""
    for name in queues:
        if name not in QUEUES:
            raise Misconfigured(f"there is no queue {name!r}; there are: {', '.join(QUEUES)}")
    wanted = tuple(dict.fromkeys(queues)) or QUEUES
    controls = any(name not in AGENT_QUEUES for name in wanted)
    chosen = _prepare(*(ACTING if controls else ()))
    if not controls and safe().holds("github_private_key"):
        log.warning("Agents need no ASSAY_GITHUB_PRIVATE_KEY: leave it out where only they run")
    _preload(controls=controls)
    check_sandbox(chosen)
    keeper = _Keeper(chosen, _greet(chosen))
    roles = _workers(wanted, count or chosen.workers)
    Supervisor(roles, drain=chosen.drain, tick=keeper.look, killed=keeper.vouching.hand_back).run()


def run_sweep() -> None:
    """`assay sweep`."""
    _become(ACTS, partial(_sweep, watch=_greet(_prepare(*ACTING))))


def _prepare(*needed: str) -> Settings:
    """The settings, without the App's credentials. Raises SettingsError where a field that is needed is not set."""
    safe().require(*needed)
    chosen = settings()
    configure(chosen.log_format, Redactor(chosen.secrets()))
    start_tracing(chosen)
    return chosen


def _become(credentials: tuple[str, ...], main: Callable[[Settings], None]) -> None:
    """Do that in this process from now on, with these of the App's credentials."""
    chosen = safe().unlock(*credentials)
    # A line must not tell what only this process knows.
    configure(chosen.log_format, Redactor(chosen.secrets()))
    main(chosen)


def check_sandbox(chosen: Settings) -> None:
    """Say at the start what nobody may overlook."""
    choice = choose_by(chosen, os.environ.get("PATH", os.defpath))
    if choice.why_not:
        log.warning(
            "There is no sandbox, so nothing of a repository is executed: %s; %s", choice.why_not, choice.remedy
        )
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


def _workers(queues: tuple[str, ...], count: int) -> list[Role]:
    # Control jobs are short; one process each keeps their order, and more would only wait for the same locks.
    counts = {name: count if name in AGENT_QUEUES else 1 for name in queues}
    return [
        # Agents' jobs get their tokens from intake.
        Role(
            f"{name}-{number + 1}",
            partial(_become, () if name in AGENT_QUEUES else ACTS, partial(_work, queue=name)),
            last=name == INTAKE,
        )
        for name, number_of in counts.items()
        for number in range(number_of)
    ]


def _work(chosen: Settings, *, queue: str) -> None:
    import workers.sandbox.orphans
    import workers.wiring

    if queue in AGENT_QUEUES:
        # Perhaps this one replaces one that was killed.
        workers.sandbox.orphans.clear()
    redis = (workers.wiring.store() if queue in AGENT_QUEUES else control().store).redis
    work(redis, queue, make_queues(chosen, redis), my_name())
    tracing.close()


def _preload(*, controls: bool = True) -> None:
    """Load and make what jobs will need before forking, so that it is shared and no job waits for it. No connection is
    opened yet, and nothing made that takes a credential of the App."""
    import workers.llm.client
    import workers.registry
    import workers.wiring

    assert workers.llm.client
    workers.registry.load_extensions()
    workers.wiring.bench()
    if controls:
        # What a client of GitHub loads when it is made.
        import httpcore

        assert httpcore
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


def _web(chosen: Settings, *, listener: socket.socket, watch: Watch) -> None:
    secrets = [secret.get_secret_value() for secret in chosen.require_webhook_secrets()]
    queues = make_queues(chosen, connect(chosen))
    token = chosen.metrics_token.get_secret_value() if chosen.metrics_token else ""
    app = create_app(
        redis_url(chosen), lambda connection: Admissions(connection, queues, chosen.intake_limit), secrets, watch, token
    )
    config = uvicorn.Config(
        app,
        http=Door,
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


def _sweep(chosen: Settings, *, watch: Watch) -> None:
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
