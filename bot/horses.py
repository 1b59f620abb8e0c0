"""Work-horses: processes in which a worker's jobs are done, each forked before there is a job for it.

After a fork every page that either process touches has to be copied first: thousands for a job, which took longer than
all else. So a worker does not fork but once, for a keeper that does nothing else. That is the parent of one work-horse
at a time, which waits for orders; one that ended well, and is no worse for it, waits for another one. What is ordered
and what is said to it lie in a file in memory; over one line go

    worker      -- the process id of the one that is meant -->  work-horse
    work-horse  -- its process id, and that it is done ------>  worker
    keeper      -- its process id, and that it waits, or how it ended -->  worker

All end with the worker, however that ends.
"""

from __future__ import annotations

import os
import resource
import signal
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import IO, NoReturn

from bot.parent import die_with_parent

# A process id, and its status as waitpid(2) has it, or one of these.
_NEWS = struct.Struct("=ii")
_WAITS, _DONE = -1, -2
_ORDER = struct.Struct("=i")
# What a keeper that is gone leaves: its work-horse was killed with it.
_KILLED = int(signal.SIGKILL)
# After so many orders, or when it has grown by so many bytes, a work-horse makes room for a new one.
_ORDERS = 100
_GROWTH = 100_000_000


class Horses:
    """The work-horses of one worker. `do(order, said)` is called in a work-horse; what it writes to `said` is told. It
    returns whether the same process may do another one. `let_go()` is called in the keeper: a connection that others
    hold, too, is not closed when the worker dies."""

    def __init__(self, do: Callable[[bytes, IO[bytes]], bool], let_go: Callable[[], None]) -> None:
        self._do, self._let_go = do, let_go
        self._line: socket.socket | None = None
        self._file = -1
        self._keeper = self._waiting = self._at_work = 0

    def start(self) -> None:
        """Have one wait, unless one does."""
        if self._line is not None:
            return
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._file, worker = os.memfd_create("order"), os.getpid()
        self._keeper = os.fork()
        if self._keeper == 0:
            self._line.close()
            try:
                self._keep(worker, theirs)
            finally:
                os._exit(1)
        theirs.close()

    def send(self, order: bytes) -> int:
        """Give the order to one; its process id. Raises OSError where none can be forked."""
        for again in (True, False):
            self.start()
            self._write(order)
            try:
                pid = self._next()
                assert self._line is not None
                self._line.send(_ORDER.pack(pid))
            except (EOFError, ConnectionError):
                self.close()
                if not again:
                    raise OSError("no work-horse can be forked") from None
            else:
                self._waiting, self._at_work = 0, pid
                return pid
        raise AssertionError("unreachable")

    def ended(self, pid: int) -> int:
        """How the one that has the order ended, as waitpid(2) tells it, 0 for well; waits for that."""
        while True:
            try:
                ended, status = self._news()
            except EOFError:
                self.close()
                return _KILLED
            if ended == pid:
                self._at_work = 0
                if status != _DONE:
                    return status
                self._waiting = pid
                return 0

    def said(self) -> bytes:
        """What the last one wrote; nothing where it was killed with its keeper."""
        return self._read() if self._line else b""

    def close(self) -> None:
        """End the one that waits, and its keeper. One that has an order is killed."""
        if self._line is not None:
            self._line.close()
            os.close(self._file)
            if self._at_work:
                with suppress(ProcessLookupError):
                    os.kill(self._keeper, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(self._keeper, 0)
        self._line, self._waiting, self._at_work = None, 0, 0

    # -- in the worker

    def _read(self) -> bytes:
        text = os.pread(self._file, os.fstat(self._file).st_size, 0)
        os.ftruncate(self._file, 0)
        return text

    def _write(self, text: bytes) -> None:
        os.ftruncate(self._file, 0)
        with open(self._file, "wb", closefd=False) as file:
            file.seek(0)
            file.write(text)

    def _next(self) -> int:
        """The one that waits. It may have been killed meanwhile, and another one be there."""
        assert self._line is not None
        while not self._waiting or _has_news(self._line):
            pid, status = self._news()
            if status == _WAITS:
                self._waiting = pid
            elif pid == self._waiting:
                self._waiting = 0
        return self._waiting

    def _news(self) -> tuple[int, int]:
        if self._line is None:
            raise EOFError
        with suppress(ConnectionResetError):
            if news := self._line.recv(_NEWS.size):
                pid, status = _NEWS.unpack(news)
                return pid, status
        raise EOFError

    # -- in the keeper, and in the work-horse

    def _keep(self, worker: int, line: socket.socket) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        die_with_parent(worker, signal.SIGKILL)
        self._let_go()
        keeper = os.getpid()
        while True:
            pid = os.fork()
            if pid == 0:
                self._wait(keeper, line)
            line.send(_NEWS.pack(pid, _WAITS))
            line.send(_NEWS.pack(*os.waitpid(pid, 0)))

    def _wait(self, keeper: int, line: socket.socket) -> NoReturn:
        try:
            # What it starts is killed with it, by its group.
            os.setpgrp()
            die_with_parent(keeper, signal.SIGKILL)
            own, at_first, orders = os.getpid(), _memory(), 0
            while order := line.recv(_ORDER.size):
                if _ORDER.unpack(order) != (own,):
                    # That was for one that died before it took it up.
                    continue
                text, orders = self._read(), orders + 1
                with open(self._file, "wb", closefd=False) as said:
                    said.seek(0)
                    well = self._do(text, said)
                if not well or orders >= _ORDERS or _memory() - at_first > _GROWTH or _leftovers():
                    break
                line.send(_NEWS.pack(own, _DONE))
        except BaseException:  # noqa: BLE001 - it must never go on in the worker's code
            os._exit(1)
        os._exit(0)


def _memory() -> int:
    """The most that this process ever held, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _leftovers() -> bool:
    """Whether an order has left something that goes on: a thread, or a process."""
    threads = [one for one in threading.enumerate() if not one.daemon and one is not threading.main_thread()]
    with suppress(ChildProcessError):
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return True
    return bool(threads)


def _has_news(line: socket.socket) -> bool:
    try:
        return bool(line.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    except BlockingIOError:
        return False
