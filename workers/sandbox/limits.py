"""What a command may use."""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass


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

    def impose(self, pid: int, timeout: float, processes: int) -> None:
        """Set them for a process, with what it starts, and let its user have so many processes; never more than it is
        allowed already. Raises OSError, ProcessLookupError where there is none."""
        for name, wanted in {**self.rlimits(timeout), "NPROC": processes}.items():
            kind = getattr(resource, f"RLIMIT_{name}")
            hard = resource.prlimit(pid, kind)[1]
            value = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
            resource.prlimit(pid, kind, (value, value))

    def text(self, timeout: float) -> str:
        """As `launch.py` reads them."""
        return ",".join(f"RLIMIT_{name}={value}" for name, value in self.rlimits(timeout).items())
