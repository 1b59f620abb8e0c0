"""A process on its way: its output is read within bounds, and it ends with the clock or when it is called off."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO

from workers.agent import OUTPUT_LIMIT, Command, Completed

# More than this on one stream is no output but an attack or an accident: the command is ended. Bytes.
_ABSURD = 200_000_000
# Seconds between two looks whether the work was called off.
_GLANCE = 0.2
# Of a line only the beginning is told to who watches; bytes.
_LONGEST_LINE = 2_000
# Seconds between two looks at what it has left on the disk.
_LOOK = 1.0
_BY_SIGNAL = 128
_SIGNALS = (
    signal.SIGKILL,
    signal.SIGSEGV,
    signal.SIGABRT,
    signal.SIGXCPU,
    signal.SIGXFSZ,
    signal.SIGBUS,
    signal.SIGILL,
)


@dataclass(frozen=True)
class Heard:
    """What a process said, and for how long it ran. `status` is what came out of the status descriptor."""

    stdout: str
    stderr: str
    status: str
    seconds: float
    timed_out: bool
    truncated: bool
    refused: str


def listen(
    process: subprocess.Popen[bytes],
    status: IO[bytes] | None,
    command: Command,
    cancelled: threading.Event,
    objection: Callable[[], str] | None = None,
    told: Callable[[str], None] | None = None,
) -> Heard:
    """Read until every stream has ended, the command's time is up, or somebody objects. Whoever started the process has
    to end it. `command.watch` hears the lines of both outputs. `status` is where it tells of itself, if it does, and
    `told` hears the lines of that.

    `objection` is asked once a second at most why the process may not go on; empty: it may.
    """
    begun = time.monotonic()
    deadline, look = begun + command.timeout, begun + _LOOK
    out = {"stdout": _Bounded(command.watch), "stderr": _Bounded(command.watch), "status": _Bounded(told)}
    timed_out, refused = False, ""
    with selectors.DefaultSelector() as selector:
        for name, stream in (("stdout", process.stdout), ("stderr", process.stderr), ("status", status)):
            if stream is not None:
                selector.register(stream, selectors.EVENT_READ, name)
        while selector.get_map() and not cancelled.is_set() and not refused:
            for key, _ in selector.select(timeout=min(_GLANCE, max(0.0, deadline - time.monotonic()))):
                chunk = os.read(key.fd, 1 << 16)
                out[key.data].add(chunk)
                if not chunk:
                    selector.unregister(key.fileobj)
            now = time.monotonic()
            if any(one.size > _ABSURD for one in out.values()):
                break
            if now >= deadline and selector.get_map():
                timed_out = True
                break
            if objection and now >= look:
                refused = objection()
                # To look may take a while; it is not to be all that is done.
                look = time.monotonic() + max(_LOOK, 10 * (time.monotonic() - now))
    return Heard(
        stdout=out["stdout"].text(),
        stderr=out["stderr"].text(),
        status=out["status"].text(),
        seconds=time.monotonic() - begun,
        timed_out=timed_out,
        truncated=out["stdout"].truncated or out["stderr"].truncated,
        refused=refused,
    )


def completed(heard: Heard, code: int | None) -> Completed:
    """What came of it. `code` is as a shell has it, which adds 128 to a signal's number; bubblewrap and the engines of
    containers do, too."""
    by_signal = code is not None and code - _BY_SIGNAL in _SIGNALS
    return Completed(
        exit_code=None if by_signal else code,
        stdout=heard.stdout,
        stderr=heard.stderr,
        seconds=heard.seconds,
        timed_out=heard.timed_out or code == _BY_SIGNAL + signal.SIGXCPU,
        truncated=heard.truncated,
    )


class _Bounded:
    """The beginning of a stream, and how long it was. `watch` hears its lines as they come, the last one too."""

    def __init__(self, watch: Callable[[str], None] | None = None) -> None:
        self._kept = bytearray()
        self._watch = watch
        self._line = b""
        self.size = 0

    def add(self, chunk: bytes) -> None:
        self.size += len(chunk)
        self._kept += chunk[: OUTPUT_LIMIT - len(self._kept)]
        if self._watch is None:
            return
        *lines, rest = (self._line + chunk).split(b"\n")
        # The rest of a line that is too long is let be; a stream's end, an empty chunk, ends its last line.
        self._line = rest[:_LONGEST_LINE] if chunk else b""
        for line in (*lines, b"" if chunk else rest):
            if text := line[:_LONGEST_LINE].decode("utf-8", "replace").rstrip():
                self._watch(text)

    @property
    def truncated(self) -> bool:
        return self.size > len(self._kept)

    def text(self) -> str:
        return self._kept.decode("utf-8", "replace")


@contextlib.contextmanager
def stdin_of(text: str | None) -> Iterator[IO[bytes] | int]:
    """Standard input that holds the text, or nothing."""
    if text is None:
        yield subprocess.DEVNULL
        return
    # A file, not a pipe: nobody has to feed it.
    with tempfile.TemporaryFile() as file:
        file.write(text.encode("utf-8", "surrogateescape"))
        file.seek(0)
        yield file
