"""The journal of a faulty time: what the processes did and when they were killed, a line of JSON each, in one file.

Lines are appended by a single write, so those of many processes, killed anywhere, do not mix. Times are those of
CLOCK_MONOTONIC, which all processes of a machine share and nobody sets.
"""

from __future__ import annotations

import json
import os
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bot.domain.model import Frozen


class Entry(Frozen):
    """Something that happened in the process `pid`; `parent` leads its session: a worker, for its work-horses.

    `began` and `ended`: a job, by its id, as its function was called and returned or raised. `taken`: a worker has a
    job in its hands. `took`: an agent's attempt got the fencing `token`. `wrote`: the store took an agent's event with
    that token, which was offered at `asked`. `crashed`: the process ended itself at the crash point `name`. `killed`:
    it was ended from outside.
    """

    what: str
    at: float
    pid: int
    parent: int = 0
    name: str = ""
    token: int = 0
    asked: float = 0.0


class Journal:
    """One process's end of the file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def note(self, what: str, **facts: Any) -> None:
        entry = {"what": what, "at": time.monotonic(), "pid": os.getpid(), "parent": os.getsid(0)} | facts
        line = json.dumps(entry).encode() + b"\n"
        end = os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(end, line)
        finally:
            os.close(end)

    def read(self) -> tuple[Entry, ...]:
        """What was noted so far, in the order of time."""
        if not self.file.exists():
            return ()
        entries = (Entry.model_validate_json(line) for line in self.file.read_text().splitlines())
        return tuple(sorted(entries, key=lambda entry: entry.at))


def recoveries(entries: Sequence[Entry]) -> list[float]:
    """Seconds from the end of a process that had a job in hand to that job's next beginning.

    A job that had done its work by then and only had to be struck off does not begin again, and is left out.
    """
    jobs = defaultdict[str, list[Entry]](list)
    for entry in entries:
        if entry.what in ("taken", "began", "ended"):
            jobs[entry.name].append(entry)
    deaths = {entry.pid: entry.at for entry in entries if entry.what in ("killed", "crashed")}
    found = []
    for steps in jobs.values():
        for died in {death for step in steps if (death := _death(step, deaths)) is not None}:
            before = [step for step in steps if step.at <= died]
            again = next((step.at for step in steps if step.at > died and step.what == "began"), None)
            if before and before[-1].what != "ended" and again is not None:
                found.append(again - died)
    return found


def _death(step: Entry, deaths: dict[int, float]) -> float | None:
    """When the process of a step, or the worker above it, died."""
    times = [deaths[pid] for pid in (step.pid, step.parent) if pid in deaths and deaths[pid] >= step.at]
    return min(times, default=None)


def begun_again(entries: Sequence[Entry]) -> int:
    """How many jobs were begun more than once."""
    begun = defaultdict[str, int](int)
    for entry in entries:
        begun[entry.name] += entry.what == "began"
    return sum(times > 1 for times in begun.values())
