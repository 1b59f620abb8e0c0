"""What a command may use, as the kernel has it."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from workers.sandbox.bubblewrap import ENTER
from workers.sandbox.limits import Limits


@pytest.mark.parametrize("shell", [("dash",), ("bash", "--posix")], ids=lambda shell: shell[0])
def test_every_shell_sets_the_limits_that_are_meant(shell: tuple[str, ...]) -> None:
    if not shutil.which(shell[0]):
        pytest.skip(f"{shell[0]} is not installed")
    options = [*Limits().options(60), "-u", "1000"]
    said = subprocess.run(
        [*shell, "-c", ENTER, "enter", "--", *options, "--", "cat", "/proc/self/limits"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    names = ("data size", "address space", "file size", "open files", "core file size", "cpu time", "processes")
    lines = {name: line.split() for line in said.splitlines() for name in names if line.startswith(f"Max {name}")}
    hard = [int(lines[name][len(name.split()) + 2]) for name in names]
    assert hard == [*Limits().rlimits(60).values(), 1000]


def test_limit_that_cannot_be_set_ends_it() -> None:
    said = subprocess.run(["sh", "-c", ENTER, "enter", "--", "-n", "nonsense", "--", "true"], capture_output=True)
    assert (said.returncode, said.stderr.startswith(b"enter: ")) == (125, True)
