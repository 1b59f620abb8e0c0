"""Leads a command's web requests out of the sandbox. A program of its own, run inside, not imported.

There is no network inside but a loopback interface of the sandbox's own. This listens there and passes every connection
on to a unix socket, behind which Assay's proxy decides (`proxy.py`); then it becomes the command.

    python -I -S forward.py PORT SOCKET PROGRAM ARGUMENT...
"""

import contextlib
import os
import socket
import sys
import threading


def main(arguments: list[str]) -> None:
    port, way_out, program, *rest = arguments
    listener = socket.create_server(("127.0.0.1", int(port)), backlog=64)
    if os.fork() == 0:
        while True:
            inner, _ = listener.accept()
            threading.Thread(target=serve, args=(inner, way_out), daemon=True).start()
    listener.close()
    os.execvp(program, [program, *rest])  # noqa: S606 - a shell is what it must not be


def serve(inner: socket.socket, way_out: str) -> None:
    with inner, contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as outer:
        outer.connect(way_out)
        back = threading.Thread(target=pump, args=(outer, inner), daemon=True)
        back.start()
        pump(inner, outer)
        back.join()


def pump(source: socket.socket, target: socket.socket) -> None:
    """Pass on what comes until it ends, and then that it has ended."""
    with contextlib.suppress(OSError):
        while chunk := source.recv(1 << 16):
            target.sendall(chunk)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    main(sys.argv[1:])
