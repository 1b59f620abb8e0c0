"""The system calls that a sandboxed process may not make, as a filter for the kernel.

A deny list: what repositories run is anything, and what they must not do is known. Denied is what reaches the kernel's
less trodden parts or other processes: mounting, new namespaces (in which a process would have capabilities again),
tracing, BPF, io_uring, keys, modules, clocks, raw and odd sockets (a vsock would reach the machine's own host).

The filter is classic BPF (https://docs.kernel.org/userspace-api/seccomp_filter.html), put together here because there
is no wheel of libseccomp: it is a table and two dozen instructions.
"""

from __future__ import annotations

import errno
import platform
import struct
from collections.abc import Mapping
from functools import cache

# Numbers on x86-64 and aarch64; None where there is no such call. From the kernel's unistd tables.
_DENIED: Mapping[str, tuple[int | None, int | None]] = {
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "unshare": (272, 97),
    "setns": (308, 268),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "syslog": (103, 116),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "open_by_handle_at": (304, 265),
    "fanotify_init": (300, 262),
    "lookup_dcookie": (212, 18),
    "vhangup": (153, 58),
    "iopl": (172, None),
    "ioperm": (173, None),
    "modify_ldt": (154, None),
}
_ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
_CLONE, _CLONE3, _SOCKET, _IOCTL = (56, 220), (435, 435), (41, 198), (16, 29)
_NEW_NAMESPACES = 0x7E020080  # CLONE_NEW{CGROUP,UTS,IPC,USER,PID,NET,NS,TIME}
_FAMILIES = (1, 2, 10, 16)  # AF_UNIX, AF_INET, AF_INET6, AF_NETLINK
_FAKED_INPUT = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX
_X32 = 0x40000000

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENT_0, _ARGUMENT_1 = 0, 4, 16, 24
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000


@cache
def program(machine: str | None = None) -> bytes:
    """The filter for a machine (`platform.machine()`), as bubblewrap's `--seccomp` reads it.

    Raises ValueError for a machine whose numbers are not known.
    """
    machine = machine or platform.machine()
    if machine not in _ARCHITECTURES:
        raise ValueError(f"no seccomp filter is known for {machine}")
    audit, column = _ARCHITECTURES[machine]
    lines = [
        _line(_LOAD, _ARCHITECTURE),
        _line(_EQUAL, audit, 1, 0),
        _line(_RETURN, _KILL),
        _line(_LOAD, _NUMBER),
    ]
    if column == 0:
        lines += [_line(_AT_LEAST, _X32, 0, 1), _deny(errno.ENOSYS)]
    for numbers in _DENIED.values():
        if (number := numbers[column]) is not None:
            lines += [_line(_EQUAL, number, 0, 1), _deny(errno.EPERM)]
    # Its flags are in memory, where no filter can look; the C library then takes clone.
    lines += [_line(_EQUAL, _CLONE3[column], 0, 1), _deny(errno.ENOSYS)]
    lines += [_line(_EQUAL, _CLONE[column], 0, 4), _line(_LOAD, _ARGUMENT_0)]
    lines += [_line(_ANY_BIT, _NEW_NAMESPACES, 0, 1), _deny(errno.EPERM), _line(_RETURN, _ALLOW)]
    lines += [_line(_EQUAL, _IOCTL[column], 0, 3 + len(_FAKED_INPUT)), _line(_LOAD, _ARGUMENT_1)]
    lines += [_line(_EQUAL, one, len(_FAKED_INPUT) - at, 0) for at, one in enumerate(_FAKED_INPUT)]
    lines += [_line(_RETURN, _ALLOW), _deny(errno.EPERM)]
    lines += [_line(_EQUAL, _SOCKET[column], 0, 2 + len(_FAMILIES)), _line(_LOAD, _ARGUMENT_0)]
    lines += [_line(_EQUAL, one, len(_FAMILIES) - at, 0) for at, one in enumerate(_FAMILIES)]
    lines += [_deny(errno.EAFNOSUPPORT), _line(_RETURN, _ALLOW)]
    return b"".join(lines)


def _line(code: int, value: int, true: int = 0, false: int = 0) -> bytes:
    """One instruction; `true` and `false` say how many to leave out."""
    return struct.pack("=HBBI", code, true, false, value)


def _deny(error: int) -> bytes:
    return _line(_RETURN, _ERRNO | error)
