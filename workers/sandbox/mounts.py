"""Linux's calls for mounts and for namespaces of them, of which Python knows none.

mount(2), unshare(2), open_tree(2), mount_setattr(2), move_mount(2);
https://docs.kernel.org/filesystems/overlayfs.html
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from contextlib import ExitStack
from functools import cache
from pathlib import Path

_NEW_MOUNTS, _NEW_USERS = 0x0002_0000, 0x1000_0000
_NO_SETUID, _NO_DEVICES, _RECURSIVE, _SLAVE = 0x2, 0x4, 0x4000, 0x8_0000
_DETACH = 2
# Calls younger than 2019 have the same numbers on all machines that matter; libc may not know them yet.
_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
_CLONE, _CLOSE_ON_EXEC, _EMPTY_PATH, _FROM_EMPTY_PATH = 0x1, 0x8_0000, 0x1000, 0x4
_HERE = -100
_READ_ONLY, _MAPPED = 0x1, 0x10_0000


class _Attributes(ctypes.Structure):
    """`struct mount_attr`."""

    _fields_ = [(name, ctypes.c_uint64) for name in ("attr_set", "attr_clr", "propagation", "userns_fd")]


def own_mounts() -> None:
    """From now on this thread, and whatever it starts, has mounts of its own: nobody else sees what it mounts, and that
    goes with the last of them. Where it is not root, it is in a user namespace of its own then, under its own number.

    Raises OSError where that may not be; then nothing has changed. An ordinary user's process must have no other
    thread.
    """
    user, group = os.geteuid(), os.getegid()
    _call("unshare", ctypes.c_int(_NEW_MOUNTS if user == 0 else _NEW_MOUNTS | _NEW_USERS))
    try:
        if user != 0:
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"{user} {user} 1\n")
            Path("/proc/self/gid_map").write_text(f"{group} {group} 1\n")
        _call("mount", None, b"/", None, ctypes.c_ulong(_RECURSIVE | _SLAVE), None)
    except OSError as error:
        # Half of it is done, and there is no way back: nobody may take it for a failure like others.
        raise RuntimeError(f"a namespace of mounts cannot be used: {error}") from error


def overlay(lower: Path, upper: Path, scratch: Path, target: Path, options: Mapping[str, str | None]) -> None:
    """Mount the files of `lower` with what is in `upper` over them, where all changes go. Raises OSError."""
    with ExitStack() as stack:
        layers = {}
        # By descriptors, for paths may hold what separates options.
        for name, folder in (("lowerdir", lower), ("upperdir", upper), ("workdir", scratch)):
            layers[name] = f"/proc/self/fd/{(file := os.open(folder, os.O_PATH | os.O_CLOEXEC))}"
            stack.callback(os.close, file)
        words = (name if text is None else f"{name}={text}" for name, text in {**layers, **options}.items())
        flags = ctypes.c_ulong(_NO_SETUID | _NO_DEVICES)
        _call("mount", b"overlay", os.fsencode(target), b"overlay", flags, ",".join(words).encode())


def mapped(source: Path, target: Path, users: int) -> None:
    """Mount a folder once more, read-only, with its files belonging to whom the user namespace of the descriptor
    `users` says. Raises OSError."""
    clone = ctypes.c_uint(_CLONE | _CLOSE_ON_EXEC)
    tree = _call("syscall", ctypes.c_long(_OPEN_TREE), ctypes.c_int(_HERE), os.fsencode(source), clone)
    try:
        wanted = _Attributes(attr_set=_READ_ONLY | _MAPPED, userns_fd=users)
        about = (ctypes.c_uint(_EMPTY_PATH), ctypes.byref(wanted), ctypes.c_size_t(ctypes.sizeof(wanted)))
        _call("syscall", ctypes.c_long(_MOUNT_SETATTR), ctypes.c_int(tree), b"", *about)
        at = (ctypes.c_int(_HERE), os.fsencode(target), ctypes.c_uint(_FROM_EMPTY_PATH))
        _call("syscall", ctypes.c_long(_MOVE_MOUNT), ctypes.c_int(tree), b"", *at)
    finally:
        os.close(tree)


def unmount(target: Path) -> None:
    """Take away what is mounted there, though somebody may still use it. Raises OSError."""
    _call("umount2", os.fsencode(target), ctypes.c_int(_DETACH))


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: object) -> int:
    answer = int(getattr(_libc(), name)(*arguments))
    if answer < 0:
        raise OSError(number := ctypes.get_errno(), f"{name}: {os.strerror(number)}")
    return answer
