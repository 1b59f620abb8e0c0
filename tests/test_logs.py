from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from bot.logs import configure


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_text_is_a_line_with_the_time_in_utc(capsys: pytest.CaptureFixture[str]) -> None:
    configure("text")
    logging.getLogger("bot.web").info("delivery %s: %s", "guid", "accepted")
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ INFO    bot\.web: delivery guid: accepted\n", capsys.readouterr().err
    )


def test_json_is_one_object_a_line_traces_included(capsys: pytest.CaptureFixture[str]) -> None:
    configure("json")
    logging.getLogger("bot.web").warning("two\nlines")
    logging.getLogger("bot.web").error("failed", exc_info=ValueError("why"))
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert (first["level"], first["logger"], first["message"]) == ("warning", "bot.web", "two\nlines")
    assert second["error"].endswith("ValueError: why")


@pytest.mark.parametrize("name", ["httpx", "openai._base_client", "githubkit", "rq"])
def test_libraries_speak_of_trouble_only(capsys: pytest.CaptureFixture[str], name: str) -> None:
    configure("text")
    logging.getLogger(name).info("POST https://api.example.com/?token=hidden")
    logging.getLogger(name).warning("trouble")
    assert "trouble" in (err := capsys.readouterr().err)
    assert "hidden" not in err


def test_outage_of_redis_is_not_repeated_by_every_thread(capsys: pytest.CaptureFixture[str]) -> None:
    configure("text")
    worker = logging.getLogger("rq.worker")
    worker.error("Worker %s: could not connect to Redis instance: %s retrying in %d seconds...", "w", "x", 2)
    worker.error("Worker %s: found an unhandled exception, quitting...", "w", exc_info=RedisConnectionError("gone"))
    worker.error("something else")
    assert [line.partition(": ")[2] for line in capsys.readouterr().err.splitlines()] == ["something else"]
