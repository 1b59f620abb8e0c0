"""Runs `assay` in a process that keeps a journal, dies at crash points, and whose clock may be wrong.

    python -m tests.faults.launcher FOLDER ARGUMENTS...

Nothing in Assay knows of it: functions are wrapped before Assay starts, and what it forks is wrapped as well. `FOLDER`
holds the journal; `armed/POINT.N` for each time that a process is to die there, moved to `fired` by the one that does;
and `clock`, eight bytes, the seconds by which these processes' clock is ahead.
"""

from __future__ import annotations

import asyncio
import datetime
import functools
import importlib
import mmap
import os
import signal
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bot.safe import keep_apart
from tests.faults.journal import Journal
from tests.faults.points import POINTS, Point

Function = Callable[..., Any]


def main(folder: Path, arguments: list[str]) -> None:
    # It would begin anew as a whole.
    keep_apart()
    _set_clock(folder / "clock")
    journal = Journal(folder / "journal")
    _keep(journal)
    for name, point in POINTS.items():
        _wrap(point.function, functools.partial(_mortal, folder, journal, name, point))
    from bot.cli import main as assay

    assay(arguments)


# -- wrapping


def _wrap(dotted: str, wrapper: Callable[[Function], Function]) -> None:
    owner, name = _owner(dotted)
    function = getattr(owner, name)
    setattr(owner, name, functools.wraps(function)(wrapper(function)))


def _owner(dotted: str) -> tuple[Any, str]:
    """The module or class that a function is looked up in, and its name there."""
    *parts, name = dotted.split(".")
    for length in range(len(parts), 0, -1):
        try:
            owner: Any = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            owner = getattr(owner, part)
        return owner, name
    raise LookupError(f"there is no {dotted}")


# -- crash points


def _mortal(folder: Path, journal: Journal, name: str, point: Point, function: Function) -> Function:
    def die() -> None:
        # Only one process can move a file away.
        for armed in (folder / "armed").glob(f"{name}.*"):
            try:
                armed.rename(folder / "fired" / armed.name)
            except FileNotFoundError:
                continue
            journal.note("crashed", name=name)
            os.kill(os.getpid(), signal.SIGKILL)

    def before(*args: Any, **named: Any) -> Any:
        die()
        return function(*args, **named)

    def after(*args: Any, **named: Any) -> Any:
        result = function(*args, **named)
        die()
        return result

    async def after_awaited(*args: Any, **named: Any) -> Any:
        result = await function(*args, **named)
        die()
        return result

    if point.side == "before":
        return before
    return after_awaited if asyncio.iscoroutinefunction(function) else after


# -- the journal


def _keep(journal: Journal) -> None:
    def executing(execute_job: Function) -> Function:
        def wrapped(worker: Any, job: Any, queue: Any) -> Any:
            journal.note("taken", name=job.id)
            return execute_job(worker, job, queue)

        return wrapped

    def performing(perform: Function) -> Function:
        def wrapped(job: Any) -> Any:
            journal.note("began", name=job.id)
            try:
                return perform(job)
            finally:
                journal.note("ended", name=job.id)

        return wrapped

    def taking_up(take_up: Function) -> Function:
        def wrapped(store: Any, key: Any, agent: str, attempt: int) -> Any:
            token, stored = take_up(store, key, agent, attempt)
            journal.note("took", name=f"{key}#{agent}#{attempt}", token=token)
            return token, stored

        return wrapped

    def updating(update: Function) -> Function:
        def wrapped(store: Any, key: Any, event: Any, token: int | None = None, known: Any = None) -> Any:
            asked = time.monotonic()
            run = update(store, key, event, token, known)
            if token is not None:
                journal.note("wrote", name=f"{key}#{event.agent}#{event.attempt}", token=token, asked=asked)
            return run

        return wrapped

    _wrap("bot.worker._Ours.execute_job", executing)
    _wrap("bot.jobs.AllowedJob.perform", performing)
    _wrap("bot.store.Store.take_up", taking_up)
    _wrap("bot.store.Store.update", updating)


# -- the clock


def _set_clock(file: Path) -> None:
    """Have this process believe in another time. CLOCK_MONOTONIC is left alone, as by a real change of the clock."""
    with file.open("r+b") as opened:
        ahead = mmap.mmap(opened.fileno(), 8)
    real, real_datetime = time.time, datetime.datetime

    def shifted() -> float:
        return real() + float(struct.unpack("d", ahead)[0])

    time.time = shifted

    class Shifted(real_datetime):  # type: ignore[misc,valid-type]  # a class held in a variable
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Any:
            return real_datetime.fromtimestamp(shifted(), tz)

    # What githubkit dates the App's tokens by, and remembers them by.
    for name in ("githubkit.auth.app", "githubkit.cache.mem_cache"):
        importlib.import_module(name).datetime = Shifted  # type: ignore[attr-defined]  # it imports the class


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
