"""What agents remember between commits, in Redis and in a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis

from workers.agent import LONGEST_NOTE, Memory, NoMemory
from workers.file_memory import FileMemory
from workers.memory import RedisMemory

Make = Callable[[str], Memory]


@pytest.fixture(params=["redis", "file"])
def make(request: pytest.FixtureRequest, redis: Redis, tmp_path: Path) -> Make:
    if request.param == "redis":
        return lambda repository: RedisMemory(redis, repository, trusted=True)
    return lambda repository: FileMemory(tmp_path / "cache" / "memory.sqlite", repository)


def test_what_was_noted_is_recalled_in_the_order_asked_for(make: Make) -> None:
    memory = make("octo/shop")
    assert memory.recall([]) == []
    assert memory.recall(["a"]) == [None]
    memory.note({"a": "one", "b": "x" * 5_000, "empty": "", "mark": "x\n\u2192"}, 60)
    assert memory.recall(["b", "nothing", "a", "empty", "mark"]) == ["x" * 5_000, None, "one", "", "x\n\u2192"]
    memory.note({"a": "two"}, 60)
    assert memory.recall(["a"]) == ["two"]


def test_repositories_do_not_share(make: Make) -> None:
    make("octo/shop").note({"a": "one"}, 60)
    assert make("octo/shops").recall(["a"]) == [None]


def test_what_is_too_long_is_not_noted(make: Make) -> None:
    memory = make("octo/shop")
    memory.note({"long": "x" * (LONGEST_NOTE + 1), "short": "y"}, 60)
    assert memory.recall(["long", "short"]) == [None, "y"]


def test_what_a_strangers_commit_left_never_serves_a_trusted_one(redis: Redis) -> None:
    trusted, stranger = (RedisMemory(redis, "octo/shop", trusted=trust) for trust in (True, False))
    stranger.note({"a": "poison", "b": "theirs"}, 60)
    assert trusted.recall(["a", "b"]) == [None, None]
    trusted.note({"b": "ours", "c": "ours"}, 60)
    assert stranger.recall(["a", "b", "c"]) == ["poison", "theirs", "ours"]


def test_notes_in_redis_expire(redis: Redis) -> None:
    RedisMemory(redis, "octo/shop", trusted=True).note({"a": "one"}, 60)
    (key,) = redis.keys("assay:memory:*")
    assert 0 < redis.ttl(key) <= 60


def test_notes_in_a_file_expire(tmp_path: Path) -> None:
    memory = FileMemory(tmp_path / "memory.sqlite", "octo/shop")
    memory.note({"old": "one"}, -1)
    assert memory.recall(["old"]) == [None]


@pytest.mark.parametrize("broken", ["damaged", "a folder"])
def test_a_file_that_is_no_memory_is_no_failure(tmp_path: Path, broken: str) -> None:
    file = tmp_path / "memory.sqlite"
    if broken == "damaged":
        file.write_text("this is no database, but long enough to be read as one. " * 50)
    else:
        file.mkdir()
    memory = FileMemory(file, "octo/shop")
    memory.note({"a": "one"}, 60)
    assert memory.recall(["a", "b"]) == [None, None]


def test_nobody_has_to_remember() -> None:
    memory = NoMemory()
    memory.note({"a": "one"}, 60)
    assert memory.recall(["a", "b"]) == [None, None]
