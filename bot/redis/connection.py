"""How every process reaches Redis: one place for the kinds of URL (`config/redis_url.py`), for timeouts, and for what
happens while Redis is away.

A command whose connection fails is tried again, ever more slowly, until its client's patience ends; then the error is
raised. So a command may be carried out twice: by a Redis whose answer was lost, and again. What Assay sends bears that:
`Store.update` watches what it has read and folds an event in once, jobs and deliveries have ids of their own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import redis.asyncio as aio
from redis import ConnectionPool, Redis, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry as AsyncRetry
from redis.asyncio.sentinel import Sentinel as AsyncSentinel
from redis.asyncio.sentinel import SentinelConnectionPool as AsyncManagedPool
from redis.asyncio.sentinel import SentinelManagedConnection as AsyncManaged
from redis.asyncio.sentinel import SentinelManagedSSLConnection as AsyncManagedSSL
from redis.backoff import NoBackoff
from redis.connection import Connection
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelManagedConnection, SentinelManagedSSLConnection

from bot.errors import Misconfigured
from bot.redis.quick import QuickRedis
from bot.redis.retrying import Patience, PatientAsyncRetry, PatientRetry
from config.redis_url import Login, RedisAddress, Tls, parse_redis_url

# Seconds that a command is tried for. A job in hand waits for a Redis that is restarted or moved, and RQ's own timeout
# ends a job that waits for too long; what a person or GitHub waits for is told soon; who looks again anyway need not
# wait.
LONG = 600.0
BRIEF = 2.0
NONE = 0.0
# Seconds for an answer. RQ raises it for its workers to more than their blocking commands take.
ANSWER = 10.0
_CONNECT = 5.0
_SENTINEL_ANSWER = 2.0
# Seconds: a connection that nobody has used for so long is tried before it is used. (TCP keepalive is redis-py's
# default: after 30 s three probes, 5 s apart.)
_IDLE = 30


def connect(url: str, patience: float = LONG, answer: float = ANSWER) -> Redis:
    """A client, for threads and over forks. It connects when it is first used.

    `patience` and `answer` are seconds: how long a command is tried for, and how long an answer may take. Raises
    ValueError for a bad URL, Misconfigured where that names files that cannot be read.
    """
    address = parse_redis_url(url)
    options = _options(address, answer) | {"retry": PatientRetry(Patience(patience))}
    if address.service:
        about = _sentinel_options(address) | {"retry": Retry(NoBackoff(), 0)}
        sentinel = cast("Any", Sentinel)(address.hosts, sentinel_kwargs=about, **options)  # it comes without types
        return cast("Redis", sentinel.master_for(address.service, QuickRedis, connection_class=_kind(address)))
    return QuickRedis.from_pool(ConnectionPool(_kind(address), **options))


def connect_async(url: str, patience: float = BRIEF, answer: float = ANSWER) -> aio.Redis:
    """The same for asyncio."""
    address = parse_redis_url(url)
    options = _options(address, answer) | {"retry": PatientAsyncRetry(Patience(patience))}
    if address.service:
        about = _sentinel_options(address) | {"retry": AsyncRetry(NoBackoff(), 0)}
        sentinel = cast("Any", AsyncSentinel)(address.hosts, sentinel_kwargs=about, **options)
        kinds = {"connection_pool_class": _AsyncMasters, "connection_class": _async_kind(address)}
        return cast("aio.Redis", sentinel.master_for(address.service, **kinds))
    return aio.Redis.from_pool(aio.ConnectionPool(_async_kind(address), **options))


def hurry(client: Redis) -> None:
    """Have no command of a client of `connect` wait for Redis any more, not even one that does so now: its process is
    about to end. May be called from a signal handler."""
    retry = client.connection_pool.connection_kwargs.get("retry")
    if isinstance(retry, PatientRetry):
        retry.patience.seconds = NONE


# -- options


def _options(address: RedisAddress, answer: float) -> dict[str, Any]:
    place: dict[str, Any] = {"path": address.path} if address.path else {}
    if address.hosts and not address.service:
        place = dict(zip(("host", "port"), address.hosts[0], strict=True))
    return {
        **place,
        **_login(address.login),
        **_tls(address.tls),
        "db": address.db,
        "socket_timeout": answer,
        "socket_connect_timeout": _CONNECT,
        "health_check_interval": _IDLE,
        # To tell its version redis-py would look through the installed packages, at every connection.
        "driver_info": None,
    }


def _sentinel_options(address: RedisAddress) -> dict[str, Any]:
    """Sentinels are asked one after the other, so each is asked once and not for long."""
    return {
        **_login(address.sentinel_login),
        **_tls(address.tls),
        "ssl": address.tls is not None,
        "socket_timeout": _SENTINEL_ANSWER,
        "socket_connect_timeout": _SENTINEL_ANSWER,
    }


def _login(login: Login) -> dict[str, Any]:
    return {"username": login.username, "password": login.password}


def _tls(tls: Tls | None) -> dict[str, Any]:
    if tls is None:
        return {}
    for name, path in (("ssl_ca_certs", tls.ca_file), ("ssl_certfile", tls.cert_file), ("ssl_keyfile", tls.key_file)):
        if path is not None and not _is_readable(path):
            raise Misconfigured(f"ASSAY_REDIS_URL: {name} does not name a file that this user can read")
    return {
        "ssl_ca_certs": tls.ca_file,
        "ssl_ca_path": tls.ca_folder,
        "ssl_certfile": tls.cert_file,
        "ssl_keyfile": tls.key_file,
        "ssl_password": tls.key_password,
        "ssl_cert_reqs": "required" if tls.verify else "none",
        "ssl_check_hostname": tls.verify and tls.check_hostname,
    }


def _is_readable(path: str) -> bool:
    try:
        Path(path).read_bytes()
    except OSError:
        return False
    return True


# -- kinds of connection


def _kind(address: RedisAddress) -> type[Connection] | type[UnixDomainSocketConnection]:
    if address.path:
        return UnixDomainSocketConnection
    if address.service:
        return _MasterSSL if address.tls else _Master
    return SSLConnection if address.tls else Connection


def _async_kind(address: RedisAddress) -> type[aio.connection.AbstractConnection]:
    if address.path:
        return aio.UnixDomainSocketConnection
    if address.service:
        return _AsyncMasterSSL if address.tls else _AsyncMaster
    return aio.SSLConnection if address.tls else aio.Connection


# redis-py asks the Sentinels where to connect when it takes a connection from the pool. One that is lost while it is in
# use, as it is in every try but the first, would go back to the master that was.


class _Master(SentinelManagedConnection):
    def _connect(self) -> Any:
        self.host, self.port = self.connection_pool.get_master_address()
        return super()._connect()  # type: ignore[no-untyped-call]  # redis-py has no types here


class _MasterSSL(_Master, SentinelManagedSSLConnection):
    pass


class _AsyncMaster(AsyncManaged):
    async def _connect(self) -> None:
        self.host, self.port = await self.connection_pool.get_master_address()
        await super()._connect()  # type: ignore[no-untyped-call]  # as above


class _AsyncMasterSSL(_AsyncMaster, AsyncManagedSSL):
    pass


class _AsyncMasters(AsyncManagedPool):
    async def aclose(self) -> None:
        """Leaves no connection to a Sentinel behind, as redis-py does."""
        await super().aclose()
        await self.sentinel_manager.aclose()
