"""The command lines of Docker and Podman, which understand the same words. Pure.

https://docs.docker.com/reference/cli/docker/container/run/, https://docs.podman.io/en/latest/markdown/podman-run.1.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from workers.sandbox.limits import Limits

Program = Literal["docker", "podman"]
# The kernel's limits that containers know; that of the address space they do not, and memory is bounded as a whole.
_ULIMITS = ("DATA", "FSIZE", "NOFILE", "CORE", "CPU")
_TMP = ("/tmp", "/var/tmp")  # noqa: S108 - those inside


@dataclass(frozen=True)
class Engine:
    """What runs containers. `runtime` is by what, empty for its usual one; `user` and `group` are the numbers that
    commands have, inside and out; `maps_users`: it would map them to others, where it is not told to keep them."""

    program: Program
    user: int
    group: int
    runtime: str = ""
    maps_users: bool = False


@dataclass(frozen=True)
class Box:
    """One container. `reads` and `writes` are shown by their paths outside, `files` by others: the path inside and the
    file. `home` is a folder of its own in memory, None where one is among `writes`. `stdin`: something comes by it.
    `timeout` is in seconds."""

    name: str
    label: str
    image: str
    cwd: Path
    reads: Sequence[Path]
    writes: Sequence[Path]
    files: Mapping[str, Path]
    home: str | None
    limits: Limits
    timeout: float
    stdin: bool = False


def run(engine: Engine, box: Box, shell: str, argv: Sequence[str]) -> Iterator[str]:
    """The words after `docker` that run `argv` by a script of the container's shell, which gets it as its arguments."""
    yield from ("run", "--rm", "--name", box.name, "--label", box.label, "--pull", "never", "--log-driver", "none")
    yield from ("--network", "none", "--ipc", "private", "--hostname", "sandbox")
    yield from ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
    yield from ("--user", f"{engine.user}:{engine.group}")
    if engine.maps_users:
        yield from ("--userns", "keep-id")
    if engine.runtime:
        yield from ("--runtime", engine.runtime)
    yield from _limits(box)
    for folder in (*_TMP, *([box.home] if box.home else [])):
        yield from ("--tmpfs", f"{folder}:rw,exec,nosuid,nodev,mode=1777,size={box.limits.memory // 4}")
    for path in box.reads:
        yield from ("--mount", _mount(path, str(path), writable=False))
    for path in box.writes:
        yield from ("--mount", _mount(path, str(path), writable=True))
    for inside, file in box.files.items():
        yield from ("--mount", _mount(file, inside, writable=False))
    if box.stdin:
        yield "--interactive"
    yield from ("--workdir", str(box.cwd), "--entrypoint", "/bin/sh", box.image, "-c", shell, "enter", *argv)


def _limits(box: Box) -> Iterator[str]:
    limits = box.limits
    # Swap counts as well: as much as memory is none.
    yield from ("--memory", str(limits.memory), "--memory-swap", str(limits.memory))
    yield from ("--shm-size", str(limits.memory // 4), "--pids-limit", str(limits.processes))
    known = limits.rlimits(box.timeout)
    for name in _ULIMITS:
        yield from ("--ulimit", f"{name.lower()}={known[name]}:{known[name]}")


def _mount(path: Path, inside: str, *, writable: bool) -> str:
    """As a line of CSV (RFC 4180), which is what a mount is read as."""
    words = ("type=bind", f"source={path}", f"target={inside}", *(() if writable else ("readonly",)))
    return ",".join(_field(word) for word in words)


def _field(word: str) -> str:
    return '"' + word.replace('"', '""') + '"' if set(word) & set('",\r\n') else word
