"""What a command may use."""

from __future__ import annotations

import os
from dataclasses import dataclass

# What `ulimit` of POSIX's shells calls them, and how many bytes its unit has.
_LETTERS = {
    "DATA": ("-d", 1024),
    "AS": ("-v", 1024),
    "FSIZE": ("-f", 512),
    "NOFILE": ("-n", 1),
    "CORE": ("-c", 512),
    "CPU": ("-t", 1),
}


@dataclass(frozen=True)
class Limits:
    """What one process may use: bytes, and a number of open files; and what all of a command's together may, where the
    sandbox can see to that: memory and processes by control groups, `disk` and `files` by looking.

    `memory` bounds private writable memory (RLIMIT_DATA). The address space gets a far larger limit: runtimes such as
    node, Go and the JVM reserve much more of it than they use.
    """

    memory: int = 4 * 2**30
    address_space: int = 256 * 2**30
    file_size: int = 2**30
    open_files: int = 4096
    processes: int = 1024
    disk: int = 8 * 2**30
    files: int = 2_000_000

    def rlimits(self, timeout: float) -> dict[str, int]:
        """By the kernel's names, without their `RLIMIT_`. A process may use every core for as long as the wall clock
        lets it."""
        return {
            "DATA": self.memory,
            "AS": self.address_space,
            "FSIZE": self.file_size,
            "NOFILE": self.open_files,
            "CORE": 0,
            "CPU": int(timeout * (os.cpu_count() or 1)) + 2,
        }

    def options(self, timeout: float) -> list[str]:
        """As the shell's `ulimit` reads them, in its units."""
        limits = self.rlimits(timeout).items()
        return [word for name, value in limits for word in (_LETTERS[name][0], str(value // _LETTERS[name][1]))]

    def text(self, timeout: float) -> str:
        """As `launch.py` reads them."""
        return ",".join(f"RLIMIT_{name}={value}" for name, value in self.rlimits(timeout).items())
