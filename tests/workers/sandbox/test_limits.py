"""What a command may use, as the kernel has it."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from workers.sandbox.limits import Limits

pytestmark = pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux limits another process")
_NAMES = ("data size", "address space", "file size", "open files", "core file size", "cpu time", "processes")


@pytest.fixture
def asleep() -> Iterator[int]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process.pid
        process.kill()


def _hard(pid: int) -> list[int]:
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    found = {name: line.split() for line in lines for name in _NAMES if line.startswith(f"Max {name}")}
    return [int(found[name][len(name.split()) + 2]) for name in _NAMES]


def test_the_limits_that_are_meant_are_set(asleep: int) -> None:
    Limits().impose(asleep, 60, 1000)
    assert _hard(asleep) == [*Limits().rlimits(60).values(), 1000]


def test_what_is_allowed_already_is_never_exceeded(asleep: int) -> None:
    Limits(open_files=100).impose(asleep, 60, 1000)
    Limits(open_files=200, file_size=2**20).impose(asleep, 60, 2000)
    assert _hard(asleep) == [*Limits(open_files=100, file_size=2**20).rlimits(60).values(), 1000]


def test_a_process_that_is_gone_is_told() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
        with pytest.raises(ProcessLookupError):
            Limits().impose(process.pid, 60, 1000)
