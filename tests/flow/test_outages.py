"""Real processes while Redis is killed, started again, or hangs: nothing is lost, and it is said once."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from tests import servers
from tests.flow.test_serve import PATIENCE, REPOSITORY, Serve, command
from tests.flow.test_serve import serve as _serve
from tests.servers import Proxy, Server, free_port, stopped

serve = _serve


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path, "--appendonly", "yes", "--appendfsync", "always") as server:
        yield server


def about_redis(serve: Serve) -> list[str]:
    """What the log says of Redis, without times."""
    return [line.split(" ", 1)[1] for line in serve.log.read_text().splitlines() if "edis" in line]


def get(serve: Serve, page: str) -> tuple[int, dict[str, str]]:
    answer = servers.get(f"http://127.0.0.1:{serve.port}/{page}", timeout=5)
    return answer.status_code, answer.json()


def start(serve: Serve, *arguments: str, redis: str, **extra: str) -> subprocess.Popen[bytes]:
    """One process of Assay's by itself, which logs to the same file."""
    with serve.log.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "bot.cli", *arguments],
            env=serve.environment | {"ASSAY_REDIS_URL": redis} | extra,
            cwd=serve.folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    serve.started.append(process)
    return process


def test_jobs_and_deliveries_survive_a_killed_a_hanging_and_a_full_redis(
    serve: Serve, redis: Server, tmp_path: Path
) -> None:
    serve.start(ASSAY_REDIS_URL=redis.url, ASSAY_SANDBOX="none")
    serve.until("readiness", lambda: serve.status("readyz") == 200)
    assert get(serve, "healthz") == (200, {"status": "ok", "redis": "ok"})

    sha = command(serve, f"echo x >> {tmp_path}/begun; sleep 1")
    serve.until("the job's begin", (tmp_path / "begun").exists)
    redis.kill()
    serve.until("the outage to be seen", lambda: get(serve, "healthz")[1]["redis"] != "ok")
    status, health = get(serve, "healthz")
    assert status == 200
    assert re.fullmatch(r"away since \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", health["redis"])
    assert get(serve, "readyz") == (503, {"status": "unavailable", "redis": health["redis"]})
    serve.push("A = 2\n")
    # The job ends in the middle of it.
    time.sleep(1.5)
    redis.start()
    assert serve.await_verdict(sha) == "success"
    assert (tmp_path / "begun").read_text() == "x\n"

    serve.until("readiness", lambda: serve.status("readyz") == 200)
    # What GitHub tells of the checks would be refused.
    serve.until("the checks' end", lambda: all(one.conclusion for one in serve.github.checks(REPOSITORY, sha)))
    serve.github.hook.settle()
    serve.until("the end to be said", lambda: serve.logged("Redis is back"))
    with stopped(redis):
        serve.until("the outage to be seen", lambda: serve.log.read_text().count("Redis is away") == 2)
        assert get(serve, "readyz")[0] == 503
    assert serve.await_verdict(serve.push("A = 3\n")) == "success"
    assert serve.push_answers()[:2] == [202, 503]

    serve.until("the end to be said", lambda: serve.log.read_text().count("Redis is back") == 2)
    sha = command(serve, f"echo x >> {tmp_path}/again; sleep 1")
    serve.until("the job's begin", (tmp_path / "again").exists)
    with Redis.from_url(redis.url) as client:
        client.config_set("maxmemory", "1")
        serve.until("the outage to be seen", lambda: serve.status("readyz") == 503)
        # The job ends in the middle of it, and those who wait for one ask again.
        for one in client.client_list():
            if "b" in one["flags"]:
                client.client_unblock(one["id"])
        serve.push("A = 4\n")
        time.sleep(1.2)
        client.config_set("maxmemory", "0")
    assert serve.await_verdict(sha) == "success"
    assert (tmp_path / "again").read_text() == "x\n"
    serve.until("the end to be said", lambda: serve.log.read_text().count("deliveries were refused") == 2)
    serve.until("the end to be said", lambda: serve.log.read_text().count("Redis is back") == 3)
    log = serve.log.read_text()
    assert log.count("Redis is away") == 3, about_redis(serve)
    assert log.count("Redis is back after") == 3, about_redis(serve)
    assert log.count("deliveries were refused while Redis was away") == 2
    assert len(about_redis(serve)) == 8, about_redis(serve)
    assert "Traceback" not in log
    assert "starting it again" not in log


def test_what_drains_does_not_wait_for_a_redis_that_is_away(serve: Serve, redis: Server) -> None:
    process = serve.start(ASSAY_REDIS_URL=redis.url)
    serve.until("readiness", lambda: serve.status("readyz") == 200)
    redis.kill()
    serve.until("the outage to be seen", lambda: serve.logged("Redis is away"))
    # So that all have found out.
    time.sleep(1)
    process.terminate()
    assert process.wait(10) == 0
    assert "is killed" not in serve.log.read_text()
    assert "Traceback" not in serve.log.read_text()


def test_processes_on_their_own_come_before_their_redis_and_say_so_once_each(serve: Serve, redis: Server) -> None:
    redis.kill()
    processes = [start(serve, "web", redis=redis.url), start(serve, "sweep", redis=redis.url)]
    processes.append(start(serve, "worker", "intake", "publish", "lint", redis=redis.url))
    serve.until("three to notice", lambda: serve.log.read_text().count("Redis is away") == 3)
    redis.start()
    serve.until("readiness", lambda: serve.status("readyz") == 200)
    assert serve.await_verdict(serve.push("A = 2\n")) == "success"
    serve.until("three to say so", lambda: serve.log.read_text().count("Redis is back") == 3)
    for process in processes:
        process.terminate()
        assert process.wait(PATIENCE) in (0, -signal.SIGTERM)
    assert len(about_redis(serve)) == 6, about_redis(serve)


def test_too_old_redis_is_refused_by_every_process(serve: Serve, redis: Server) -> None:
    with Proxy(redis.port, twist=lambda answer: re.sub(rb"(redis_version:)\d\.\d", rb"\g<1>5.0", answer)) as proxy:
        url = f"redis://127.0.0.1:{proxy.port}"
        commands = [("serve",), ("web",), ("worker", "lint"), ("sweep",)]
        processes = [start(serve, *words, redis=url, ASSAY_PORT=str(free_port())) for words in commands]
        assert [process.wait(PATIENCE) for process in processes] == [2, 2, 2, 2]
    told = r"^assay: Redis 5\.0\.\d+ is too old: install Redis 6\.2 or later$"
    assert len(re.findall(told, serve.log.read_text(), re.MULTILINE)) == 4, serve.log.read_text()


def test_redis_that_loses_things_is_warned_of_loudly(serve: Serve, tmp_path: Path) -> None:
    with Server(tmp_path, "--maxmemory-policy", "allkeys-lru") as lossy:
        serve.start(ASSAY_REDIS_URL=lossy.url)
        serve.until("the warnings", lambda: len(about_redis(serve)) == 2)
        durable, evicts = about_redis(serve)
    assert durable.startswith("WARNING bot.cli.serve: Redis is not durable (appendonly no): set `appendonly yes` and")
    assert evicts.startswith("WARNING bot.cli.serve: Redis evicts keys when memory is short (allkeys-lru): set `maxme")


def test_wrong_password_is_told_without_it(serve: Serve, tmp_path: Path) -> None:
    with Server(tmp_path, password="right") as server:
        ended = serve.run("worker", ASSAY_REDIS_URL=f"redis://:wr0ng@127.0.0.1:{server.port}")
    assert ended.returncode == 2
    assert "Redis does not let Assay in" in ended.stderr
    assert "wr0ng" not in ended.stderr


def test_embedded_redis_that_cannot_be_started_again_ends_nothing(serve: Serve) -> None:
    serve.start()
    serve.until("readiness", lambda: serve.status("readyz") == 200)
    # From Redis 7 on it is a folder of files.
    log = next((serve.data / "redis").rglob("appendonly.aof*.incr.aof"), serve.data / "redis" / "appendonly.aof")
    kept = log.read_bytes()
    (server,) = [child for child in serve.tree() if "redis" in child.name()]
    log.write_bytes(b"not what Redis wrote")
    server.kill()
    serve.until("the failure", lambda: serve.logged("trying again in"))
    assert serve.status("healthz") == 200
    log.write_bytes(kept)
    serve.until("readiness", lambda: serve.status("readyz") == 200)
    assert serve.log.read_text().count("redis-server did not start") == 1
