"""Connecting, with real servers: every kind of URL, and Redis being away for a while or somewhere else."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import redis.asyncio
from redis import Redis, SSLConnection
from redis.exceptions import AuthenticationError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.sentinel import MasterNotFoundError, SentinelConnectionPool
from rq import Queue, SimpleWorker

from bot.errors import Misconfigured
from bot.redis.connection import NONE, connect, connect_async, hurry
from bot.redis.embedded import EmbeddedRedis
from bot.redis.retrying import refuses_writing
from tests.servers import Authority, Proxy, Server, back_after, free_port, stopped, until


def said(client: redis.asyncio.Redis) -> bool:
    """Whether the asyncio client gets through."""

    async def ask() -> bool:
        try:
            return bool(await client.ping())
        finally:
            await client.aclose()

    return asyncio.run(ask())


# -- kinds of URL


def test_tcp_with_password_and_database(tmp_path: Path) -> None:
    with Server(tmp_path, password="p@ss/w:rd") as server:
        url = f"redis://:p%40ss%2Fw%3Ard@127.0.0.1:{server.port}/3"
        with connect(url, NONE) as client:
            client.set("a", "1")
            assert client.connection_pool.connection_kwargs["db"] == 3
        with connect(f"redis://127.0.0.1:{server.port}/3?password=p%40ss%2Fw%3Ard", NONE) as client:
            assert client.get("a") == b"1"
        assert said(connect_async(url))


def test_wrong_password_is_not_tried_again(tmp_path: Path) -> None:
    with Server(tmp_path, password="right") as server, connect(f"redis://:wrong@127.0.0.1:{server.port}") as client:
        with pytest.raises(AuthenticationError) as caught:
            client.ping()
        assert "wrong@" not in str(caught.value)


def test_unix_socket(redis_server: EmbeddedRedis) -> None:
    with connect(f"{redis_server.url}?db=2", NONE) as client:
        assert client.ping()
    assert said(connect_async(redis_server.url))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


def test_tls(server: Server, authority: Authority) -> None:
    with Proxy(server.port, authority.context("127.0.0.1")) as proxy:
        url = f"rediss://127.0.0.1:{proxy.port}/0"
        with connect(f"{url}?ssl_ca_certs={authority.file}", NONE) as client:
            assert client.ping()
        assert said(connect_async(f"{url}?ssl_ca_certs={authority.file}"))
        with connect(f"{url}?ssl_cert_reqs=none", NONE) as client:
            assert client.ping()
        with connect(url, NONE) as client, pytest.raises(RedisConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
            client.ping()


def test_tls_for_another_host_is_refused_unless_allowed(server: Server, authority: Authority) -> None:
    with Proxy(server.port, authority.context("redis.example.com")) as proxy:
        url = f"rediss://127.0.0.1:{proxy.port}/0?ssl_ca_certs={authority.file}"
        with connect(url, NONE) as client, pytest.raises(RedisConnectionError, match="127.0.0.1"):
            client.ping()
        with connect(f"{url}&ssl_check_hostname=false", NONE) as client:
            assert client.ping()


def test_tls_with_a_certificate_of_ours(server: Server, authority: Authority) -> None:
    with Proxy(server.port, authority.context("127.0.0.1", clients=True)) as proxy:
        url = f"rediss://127.0.0.1:{proxy.port}/0?ssl_ca_certs={authority.file}"
        with connect(url, NONE) as client, pytest.raises(RedisConnectionError):
            client.ping()
        cert, key = authority.issue("assay")
        url += f"&ssl_certfile={cert}&ssl_keyfile={key}"
        with connect(url, NONE) as client:
            assert client.ping()
        assert said(connect_async(url))


def test_certificate_that_is_not_there_is_told() -> None:
    with pytest.raises(Misconfigured, match="ASSAY_REDIS_URL: ssl_ca_certs does not name a file that this user can"):
        connect("rediss://h?ssl_ca_certs=/nowhere/ca.pem")


# -- away for a while


def test_command_waits_for_a_redis_that_is_killed_and_started_again(tmp_path: Path) -> None:
    server = Server(tmp_path, "--appendonly", "yes", "--appendfsync", "always")
    with server, connect(server.url, 10) as client:
        client.set("a", "1")
        server.kill()
        with back_after(0.5, server):
            assert client.get("a") == b"1"


def test_asyncio_command_waits_as_well(tmp_path: Path) -> None:
    server = Server(tmp_path)

    async def across_a_restart() -> bool:
        client = connect_async(server.url, 10)
        await client.ping()
        server.kill()
        with back_after(0.3, server):
            answer = bool(await client.ping())
        await client.aclose()
        return answer

    with server:
        assert asyncio.run(across_a_restart())


def test_command_waits_for_a_redis_that_hangs(server: Server) -> None:
    with connect(server.url, patience=10, answer=0.2) as client:
        client.ping()
        server.send(signal.SIGSTOP)
        threading.Timer(0.8, server.send, [signal.SIGCONT]).start()
        assert client.set("a", "1")


@pytest.mark.parametrize(
    ("refuse", "take"),
    [
        (("config", "set", "maxmemory", "1"), ("config", "set", "maxmemory", "0")),
        (("config", "set", "min-replicas-to-write", "1"), ("config", "set", "min-replicas-to-write", "0")),
        (("replicaof", "127.0.0.1", "1"), ("replicaof", "no", "one")),
    ],
    ids=["full", "too few replicas", "a replica"],
)
def test_command_waits_for_a_redis_that_takes_no_writes(
    server: Server, refuse: tuple[str, ...], take: tuple[str, ...]
) -> None:
    def each_way(client: Redis) -> Iterator[Callable[[], object]]:
        yield partial(client.set, "a", "1")
        yield client.register_script("return redis.call('set', 'a', '1')")
        yield partial(both, client)

    def both(client: Redis) -> None:
        with client.pipeline(transaction=True) as pipe:
            pipe.set("a", "1")
            pipe.expire("a", 9)
            pipe.execute()

    with connect(server.url, 10) as client, connect(server.url, NONE) as hasty:
        client.execute_command(*refuse)
        for write in each_way(hasty):
            with pytest.raises(ResponseError) as caught:
                write()
            assert refuses_writing(caught.value)
        for write in each_way(client):
            client.execute_command(*refuse)
            threading.Timer(0.2, hasty.execute_command, take).start()
            write()
    assert not refuses_writing(ResponseError("WRONGTYPE Operation against a key"))


def test_patience_ends(server: Server) -> None:
    with connect(server.url, patience=0.5) as client:
        client.ping()
        server.kill()
        began = time.monotonic()
        with pytest.raises(RedisConnectionError, match="Connection refused"):
            client.ping()
        assert 0.4 < time.monotonic() - began < 1.2
        server.start()


def test_patience_ends_for_asyncio() -> None:
    began = time.monotonic()
    with pytest.raises(RedisConnectionError):
        said(connect_async(f"redis://127.0.0.1:{free_port()}", patience=0.5))
    assert 0.4 < time.monotonic() - began < 1.2


def test_without_patience_a_hanging_redis_is_told_after_one_answers_time(server: Server) -> None:
    with connect(server.url, NONE, answer=0.3) as client, stopped(server):
        began = time.monotonic()
        with pytest.raises(RedisTimeoutError):
            client.ping()
        assert time.monotonic() - began < 1


def test_who_hurries_waits_no_longer() -> None:
    with connect(f"redis://127.0.0.1:{free_port()}", patience=60) as client:
        threading.Timer(0.3, hurry, [client]).start()
        began = time.monotonic()
        with pytest.raises(RedisConnectionError):
            client.ping()
        assert time.monotonic() - began < 3


def test_worker_waits_longer_for_a_job_than_for_an_answer(server: Server) -> None:
    with connect(server.url, patience=5, answer=0.2) as client:
        queue = Queue("q", connection=client)
        worker = SimpleWorker([queue], connection=client, worker_ttl=18)
        threading.Timer(0.8, queue.enqueue, [time.time]).start()
        found = worker.dequeue_job_and_maintain_ttl(3)
        assert found is not None


def test_blocked_worker_gets_its_job_after_an_outage(server: Server) -> None:
    with connect(server.url, patience=20) as client, connect(server.url, patience=20) as sender:
        answers: list[object] = []
        waiting = threading.Thread(target=lambda: answers.append(client.blmove("from", "to", 10)))
        waiting.start()
        until("the wait", lambda: sender.info("clients")["blocked_clients"])
        server.kill()
        server.start()
        sender.rpush("from", "job")
        waiting.join(10)
        assert answers == [b"job"]


# -- another master


@pytest.fixture
def masters(tmp_path: Path) -> Iterator[tuple[Server, Server, Server]]:
    """A master, its replica, and a Sentinel that watches over them."""
    # Redis 7 waits five seconds for more replicas before it sends the first one anything.
    master = Server(tmp_path, "--repl-diskless-sync-delay", "0")
    replica = Server(tmp_path, "--replicaof", "127.0.0.1", str(master.port))
    watched = (
        f"sentinel monitor main 127.0.0.1 {master.port} 1\n"
        "sentinel down-after-milliseconds main 300\nsentinel failover-timeout main 2000"
    )
    sentinel = Server(tmp_path, "--sentinel", config=watched)
    with master, replica, sentinel:
        with Redis(port=sentinel.port) as client:
            until("the replica's discovery", lambda: _replicas(client))
        yield master, replica, sentinel


def _replicas(sentinel: Redis) -> bool:
    return bool(sentinel.sentinel_slaves("main"))


def test_killed_master_is_followed_by_its_replica(masters: tuple[Server, Server, Server]) -> None:
    master, replica, sentinel = masters
    # The first Sentinel is not there; the second is asked.
    url = f"redis+sentinel://127.0.0.1:{free_port()},127.0.0.1:{sentinel.port}/main/0"
    with connect(url, patience=20) as client, connect(url, patience=20) as blocked:
        client.set("before", "1")
        assert client.wait(1, 5000) == 1
        answers: list[object] = []
        waiting = threading.Thread(target=lambda: answers.append(blocked.blmove("from", "to", 15)))
        waiting.start()
        until("the wait", lambda: client.info("clients")["blocked_clients"])
        master.kill()
        assert client.get("before") == b"1"
        client.rpush("from", "job")
        waiting.join(15)
        assert answers == [b"job"]
        assert client.connection_pool.master_address == ("127.0.0.1", replica.port)
    assert said(connect_async(url, patience=5))
    master.start()


def test_asyncio_follows_to_the_new_master_too(masters: tuple[Server, Server, Server]) -> None:
    master, _, sentinel = masters

    async def across_a_failover() -> object:
        client = connect_async(f"redis+sentinel://127.0.0.1:{sentinel.port}/main", patience=20)
        await client.set("before", "1")
        assert await client.wait(1, 5000) == 1
        master.kill()
        try:
            return await client.get("before")
        finally:
            await client.aclose()

    assert asyncio.run(across_a_failover()) == b"1"
    master.start()


def test_sentinels_behind_tls_and_a_password_of_their_own(tmp_path: Path, authority: Authority) -> None:
    master = Server(tmp_path)
    watched = f"sentinel monitor main 127.0.0.1 {master.port} 1"
    with (
        master,
        Server(tmp_path, "--sentinel", password="s3ntinel", config=watched) as sentinel,
        Proxy(sentinel.port, authority.context("127.0.0.1")) as proxy,
    ):
        end = f"127.0.0.1:{proxy.port}/main?ssl_ca_certs={authority.file}&sentinel_password"
        with connect(f"rediss+sentinel://{end}=s3ntinel", NONE) as client:
            pool = client.connection_pool
            assert isinstance(pool, SentinelConnectionPool)
            # This master speaks no TLS, so it is not spoken to.
            found = pool.get_master_address()  # type: ignore[no-untyped-call]  # redis-py has no types here
            assert found == ("127.0.0.1", master.port)
            assert issubclass(pool.connection_class, SSLConnection)
        with connect(f"rediss+sentinel://{end}=wrong", NONE) as client, pytest.raises(MasterNotFoundError):
            client.ping()
