"""Asking ahead: what will be needed is asked for at once, side by side, instead of one after the other."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from concurrent.futures import Executor, Future
from contextvars import copy_context
from typing import Any, TypeVar

T = TypeVar("T")


class Ahead:
    """Answers of calls that only read. What is `expect`ed is under way from then on; anything else is called when it is
    asked for. What nobody asks for in the end is dropped, failures included."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._under_way: dict[Hashable, Future[Any]] = {}

    def expect(self, call: Callable[..., object], *args: Hashable) -> None:
        """The answer to this call will probably be asked for."""
        if (call, args) not in self._under_way:
            self._under_way[call, args] = self._executor.submit(copy_context().run, call, *args)

    def ask(self, call: Callable[..., T], *args: Hashable) -> T:
        """The answer, or the exception that the call raises."""
        expected = self._under_way.get((call, args))
        answer: T = expected.result() if expected else call(*args)
        return answer
