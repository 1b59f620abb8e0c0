"""Runs one command and leaves nothing of it behind. A program of its own, started by `process.py`, not imported.

Why a process in between: limits can be set before the command starts without code between fork and exec in a process
that has threads, and as a "child subreaper" (prctl(2)) it becomes the parent of every orphan below it, so that a
grandchild which left its process group with setsid is found and killed all the same. It dies with its parent.

    python -I -S launch.py PARENT_PID STATUS_FD LIMITS PROGRAM ARGUMENT...

LIMITS is like `RLIMIT_CORE=0,RLIMIT_CPU=60`. The status descriptor receives `exit N`, `signal N` or `error TEXT`.
SIGTERM ends the command and all below it.
"""

import contextlib
import os
import resource
import signal
import sys
import time
from types import FrameType

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
PATIENCE = 5.0  # seconds for killing what keeps forking


def main(arguments: list[str]) -> None:
    parent, status, limits, program, *rest = arguments
    os.set_inheritable(int(status), False)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    adopt_orphans()
    if os.getppid() != int(parent):
        return
    limit(limits)
    child = os.fork()
    if child == 0:
        execute(program, rest, int(status))

    def stop(_number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)

    signal.signal(signal.SIGTERM, stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    code = os.waitstatus_to_exitcode(wait_for(child))
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    kill_rest(child)
    os.write(int(status), f"exit {code}".encode() if code >= 0 else f"signal {-code}".encode())


def adopt_orphans() -> None:
    """Linux only; elsewhere the process group has to do."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    prctl = ctypes.CDLL(None).prctl
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def limit(limits: str) -> None:
    """Set what is inherited; never above what is allowed already."""
    for name, _, wanted in (one.partition("=") for one in limits.split(",")):
        kind = getattr(resource, name)
        hard = resource.getrlimit(kind)[1]
        value = int(wanted) if hard == resource.RLIM_INFINITY else min(int(wanted), hard)
        resource.setrlimit(kind, (value, value))


def execute(program: str, arguments: list[str], status: int) -> None:
    try:
        os.setsid()
        # Python ignores these, and what is ignored stays so across exec.
        for ignored in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(ignored, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        os.execv(program, [program, *arguments])  # noqa: S606 - a shell is what it must not be
    except OSError as error:
        os.write(status, f"error {error.strerror}\n".encode())
    finally:
        os._exit(127)


def wait_for(child: int) -> int:
    """The wait status of the command; orphans that end meanwhile are reaped."""
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == child:
            return status


def kill_rest(child: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and not reaped_all():
        for pid in descendants(os.getpid()):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.002)


def reaped_all() -> bool:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return True
    return False


def descendants(root: int) -> list[int]:
    from pathlib import Path  # seldom needed, and start-up is paid for by every tool

    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            # The name, in parentheses, may hold anything; the parent is the second field after it.
            parent = int(entry.read_text(errors="replace").rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(entry.parent.name))
    found, todo = [], [root]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


if __name__ == "__main__":
    main(sys.argv[1:])
