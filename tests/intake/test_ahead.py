"""Asking ahead."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from threading import Barrier, get_ident

import pytest

from bot.errors import Gone
from bot.intake.ahead import Ahead


@pytest.fixture
def ahead() -> Iterator[Ahead]:
    with ThreadPoolExecutor(4) as threads:
        yield Ahead(threads)


def test_what_is_expected_is_under_way_together(ahead: Ahead) -> None:
    both = Barrier(2, timeout=5)

    def meet(name: str) -> str:
        both.wait()
        return name

    ahead.expect(meet, "a")
    ahead.expect(meet, "b")
    assert (ahead.ask(meet, "a"), ahead.ask(meet, "b")) == ("a", "b")


def test_what_is_expected_twice_or_asked_for_twice_is_called_once(ahead: Ahead) -> None:
    calls: list[str] = []
    for _ in range(2):
        ahead.expect(calls.append, "a")
    for _ in range(2):
        ahead.ask(calls.append, "a")
    assert calls == ["a"]


def test_what_was_not_expected_is_called_when_it_is_asked_for(ahead: Ahead) -> None:
    assert ahead.ask(get_ident) == get_ident()


def test_failure_is_raised_where_the_answer_is_asked_for_and_nowhere_else(ahead: Ahead) -> None:
    def fail(name: str) -> str:
        raise Gone(name)

    ahead.expect(fail, "a")
    ahead.expect(fail, "b")
    with pytest.raises(Gone, match="a"):
        ahead.ask(fail, "a")


def test_call_knows_what_its_asker_is_about(ahead: Ahead) -> None:
    about: ContextVar[str] = ContextVar("about", default="nothing")
    about.set("a delivery")
    ahead.expect(about.get)
    assert ahead.ask(about.get) == "a delivery"
