from __future__ import annotations

import json
import logging
import os
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from bot.context import Subject, bound, found, taken_up
from bot.domain.redact import Redactor
from bot.telemetry.logs import configure

SECRET = "correct-horse-battery"
SUBJECT = Subject(run="octo/demo@abc123", agent="lint", attempt=2, delivery="guid-1", job="job-1")

Lines = Callable[[], list[str]]
Fields = Callable[[], list[dict[str, object]]]


@pytest.fixture
def text(tmp_path: Path) -> Iterator[Lines]:
    with _logging(tmp_path / "log", "text") as lines:
        yield lines


@pytest.fixture
def fields(tmp_path: Path) -> Iterator[Fields]:
    with _logging(tmp_path / "log", "json") as lines:
        yield lambda: [json.loads(line) for line in lines()]


@contextmanager
def _logging(file: Path, form: Literal["text", "json"]) -> Iterator[Lines]:
    """What is logged goes to a file: pytest's standard error is another one in a fixture and in a test."""
    root = logging.getLogger()
    handlers, level, hook = root.handlers[:], root.level, threading.excepthook
    # A worker that another test had quiet.
    logging.getLogger("rq.worker").setLevel(logging.NOTSET)
    configure(form, Redactor([SECRET]))
    with file.open("w", buffering=1) as stream:
        (handler,) = root.handlers
        assert isinstance(handler, logging.StreamHandler)
        handler.setStream(stream)
        yield lambda: file.read_text().splitlines()
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)
    threading.excepthook = hook


def test_text_is_a_line_with_the_time_in_utc(text: Lines) -> None:
    logging.getLogger("bot.web").info("delivery %s: %s", "guid", "accepted")
    (line,) = text()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ INFO    bot\.web: delivery guid: accepted", line)


def test_text_says_what_it_is_about(text: Lines) -> None:
    with bound(SUBJECT):
        logging.getLogger("urllib3.anything").warning("trouble")
    (line,) = text()
    assert line.endswith("trouble [run=octo/demo@abc123 agent=lint attempt=2 delivery=guid-1 job=job-1]")


def test_json_is_one_object_a_line_traces_included(fields: Fields) -> None:
    logging.getLogger("bot.web").warning("two\nlines")
    logging.getLogger("bot.web").error("failed", exc_info=ValueError("why"))
    first, second = fields()
    assert (first["level"], first["logger"], first["message"]) == ("warning", "bot.web", "two\nlines")
    assert str(second["error"]).endswith("ValueError: why")


def test_json_has_every_field_in_every_line(fields: Fields) -> None:
    logging.getLogger("bot.run").info("nothing in hand")
    with bound(SUBJECT):
        logging.getLogger("bot.run").info("a job in hand")
    idle, busy = fields()
    assert (
        busy
        | {
            "run": "octo/demo@abc123",
            "repository": "octo/demo",
            "sha": "abc123",
            "agent": "lint",
            "attempt": 2,
            "delivery": "guid-1",
            "job": "job-1",
        }
        == busy
    )
    assert idle.keys() == busy.keys()
    assert (idle["run"], idle["attempt"]) == ("", 0)


def test_other_threads_and_forks_speak_of_the_job_in_hand(fields: Fields) -> None:
    with taken_up(SUBJECT):
        thread = threading.Thread(target=logging.getLogger("rq.worker").warning, args=("from a thread",))
        thread.start()
        thread.join()
        if (child := os.fork()) == 0:
            logging.getLogger("bot.run").info("from a fork")
            os._exit(0)
        os.waitpid(child, 0)
    logging.getLogger("bot.run").info("afterwards")
    assert [line["run"] for line in fields()] == ["octo/demo@abc123", "octo/demo@abc123", ""]


def test_run_that_a_job_turns_out_to_be_about_is_told_from_then_on(fields: Fields) -> None:
    with taken_up(Subject(delivery="guid-1")):
        logging.getLogger("bot.intake.intake").info("reading")
        found("octo/demo@abc123")
        logging.getLogger("bot.intake.intake").info("read")
    assert [(line["run"], line["delivery"]) for line in fields()] == [("", "guid-1"), ("octo/demo@abc123", "guid-1")]


def test_thread_that_a_bug_ends_says_so_in_a_line_without_secrets(fields: Fields) -> None:
    def fail() -> None:
        raise LookupError(f"the key is {SECRET}")

    thread = threading.Thread(target=fail, name="lookout")
    thread.start()
    thread.join()
    (line,) = fields()
    assert "the thread lookout" in str(line["message"])
    assert "LookupError: the key is" in str(line["error"])
    assert SECRET not in str(line)


def test_stranger_cannot_forge_a_line(text: Lines) -> None:
    forged = "x\n2026-01-01T00:00:00Z INFO    bot.publishing.publisher: all is well\r\x1b[2J\u2028\u202e"
    with bound(Subject(run=f"octo/{forged}@abc", agent=forged)):
        logging.getLogger("bot.run").error("%s", forged, exc_info=ValueError(forged))
    lines = text()
    assert len([line for line in lines if not line.startswith("    ")]) == 1
    assert not any(char in "".join(lines) for char in "\r\x1b\u2028\u202e")
    assert r" bot.run: x [run=octo/x\n2026-01-01T00:00:00Z INFO " in lines[0]


@pytest.mark.parametrize("form", ["text", "json"])
def test_secrets_are_taken_out_of_messages_and_traces(form: str, request: pytest.FixtureRequest) -> None:
    lines = request.getfixturevalue("text" if form == "text" else "fields")
    error = ValueError(f"cannot log in with {SECRET}")
    logging.getLogger("somebody.else").error("https://me:%s@example.com", SECRET, exc_info=error)
    logging.getLogger("somebody.else").error("the token is %s", "ghp_" + "a1B2" * 9)
    told = str(lines())
    assert SECRET not in told
    assert "ghp_" not in told
    assert told.count("[redacted: ") == 3


def test_lines_are_bounded(fields: Fields) -> None:
    with bound(Subject(run=f"octo/demo@{'a' * 10_000}", agent="b" * 10_000)):
        logging.getLogger("bot.run").error("c" * 1_000_000, exc_info=ValueError("d" * 1_000_000))
    (line,) = fields()
    assert len(json.dumps(line)) < 25_000
    assert str(line["error"]).endswith("ddd")


def test_warnings_are_lines_too(fields: Fields) -> None:
    warnings.simplefilter("always")
    with bound(SUBJECT):
        warnings.warn(f"this is odd: {SECRET}", stacklevel=1)
    (line,) = fields()
    assert (line["logger"], line["run"]) == ("py.warnings", "octo/demo@abc123")
    assert "this is odd: [redacted: secret]" in str(line["message"])


@pytest.mark.parametrize("name", ["httpx", "openai._base_client", "githubkit", "rq"])
def test_libraries_speak_of_trouble_only(text: Lines, name: str) -> None:
    logging.getLogger(name).info("POST https://api.example.com/?page=hidden")
    logging.getLogger(name).warning("trouble")
    (line,) = text()
    assert line.endswith("trouble")


def test_outage_of_redis_is_not_repeated_by_every_thread(text: Lines) -> None:
    worker = logging.getLogger("rq.worker")
    worker.error("Worker %s: could not connect to Redis instance: %s retrying in %d seconds...", "w", "x", 2)
    worker.error("Worker %s: found an unhandled exception, quitting...", "w", exc_info=RedisConnectionError("gone"))
    worker.error("something else")
    assert [line.partition(": ")[2] for line in text()] == ["something else"]
