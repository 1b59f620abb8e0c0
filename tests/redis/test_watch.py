"""An outage is said once, by one process of a tree."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from redis.exceptions import ResponseError

from bot.redis.connection import NONE, connect
from bot.redis.watch import Watch
from tests.servers import Server, until


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "bot.redis.watch"]


def test_outage_and_its_end_are_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    watch, quiet = Watch(), Watch(tells=False)
    with Server(tmp_path) as server, connect(server.url, NONE) as client:
        assert watch.look(client.ping)
        assert watch.away_since is None
        server.kill()
        before = time.time()
        for _ in range(5):
            assert not watch.look(client.ping)
            assert not quiet.look(client.ping)
        assert watch.away_since == pytest.approx(before, abs=1)
        server.start()
        for _ in range(2):
            assert watch.look(client.ping)
            assert quiet.look(client.ping)
        assert watch.away_since is None
    gone, back = lines(caplog)
    assert gone.startswith("Redis is away, webhooks are answered with 503 until it is back: Error 111 connecting to")
    assert back.startswith("Redis is back after ")


def test_second_outage_is_said_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    watch = Watch()
    with Server(tmp_path) as server, connect(server.url, NONE) as client:
        for _ in range(2):
            server.kill()
            watch.look(client.ping)
            server.start()
            watch.look(client.ping)
    assert len(lines(caplog)) == 4


def test_refusal_is_said_by_the_quiet_ones_too(caplog: pytest.LogCaptureFixture) -> None:
    def refuse() -> None:
        raise ResponseError("NOPERM this user has no permissions to run the 'evalsha' command")

    watch = Watch(tells=False)
    assert not watch.look(refuse)
    assert not watch.look(refuse)
    (line,) = lines(caplog)
    assert "no permissions" in line


def test_refusal_of_all_writes_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    def refuse() -> None:
        raise ResponseError("MISCONF Errors writing to the AOF file: No space left on device")

    for watch in (Watch(), Watch(tells=False)):
        assert not watch.look(refuse)
    (line,) = lines(caplog)
    assert "No space left" in line


def test_what_is_to_be_done_first_is_done_at_the_first_answer_and_once(tmp_path: Path) -> None:
    done: list[str] = []
    watch = Watch(on_first=lambda: done.append("done"))
    server = Server(tmp_path)
    with connect(server.url, NONE) as client:
        watch.look(client.ping)
        assert done == []
        with server:
            watch.look(client.ping)
            watch.look(client.ping)
    assert done == ["done"]


def test_looking_goes_on_for_as_long_as_it_is_to(tmp_path: Path) -> None:
    watch = Watch(tells=False)
    with Server(tmp_path) as server, connect(server.url, NONE) as client:
        with watch.looking(client.ping):
            server.kill()
            until("the outage to be seen", lambda: watch.away_since is not None)
            server.start()
            until("its end to be seen", lambda: watch.away_since is None)
        server.kill()
        time.sleep(1.2)
        assert watch.away_since is None
