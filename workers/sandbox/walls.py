"""What stands between a sandboxed command and the rest of the machine, as bubblewrap's options. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# What programs need of the system, read-only. Nothing of /home, /root, /run, /var, /srv, /mnt or /sys is there.
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
# Of /etc, where passwords and keys lie too, what is known to be needed: loader, certificates, zones, types, languages.
ETC = (
    *(
        "alternatives",
        "ld.so.cache",
        "ld.so.conf",
        "ld.so.conf.d",
        "ssl",
        "pki",
        "ca-certificates",
        "ca-certificates.conf",
    ),
    *("localtime", "timezone", "mime.types", "magic", "services", "protocols", "os-release", "debian_version", "fonts"),
    *("crypto-policies", "terminfo", "bash.bashrc", "profile.d", "perl", "php", "python3", "python3.11", "R", "octave"),
    *("java", "java-8-openjdk", "java-11-openjdk", "java-17-openjdk", "java-21-openjdk", "maven", "gradle", "ant.d"),
)
# The accounts and the names that are known inside.
OWN_ETC = Path(__file__).with_name("etc")


@dataclass(frozen=True)
class Walls:
    """Each wall on its own, so that a test can take one down and see what comes through."""

    network: bool = True
    processes: bool = True
    ipc: bool = True
    hostname: bool = True
    cgroup: bool = True
    session: bool = True
    seccomp: bool = True
    environment: bool = True
    system: bool = True
    tree: bool = True
    identity: bool = True
    sizes: bool = True


WHOLE = Walls()


@dataclass(frozen=True)
class Room:
    """What a command sees and may write to, by the paths outside. `home` None: an empty one. `etc` is what it gets for
    /etc; `tmp` is the size of each of its own folders, in bytes."""

    cwd: Path
    reads: Sequence[Path]
    writes: Sequence[Path]
    home: Path | None
    etc: Path
    tmp: int


HOME = "/home/assay"
_EMPTY = ("/tmp", "/var/tmp", "/dev/shm", "/run", HOME)  # noqa: S108 - those inside


def options(walls: Walls, room: Room, env: Mapping[str, str], links: Iterable[tuple[str, str]]) -> Iterator[str]:
    """The options but those that name descriptors. `links` are the system's folders that are links: name and target."""
    yield from ("--die-with-parent",)
    for wanted, option in (
        (walls.network, "--unshare-net"),
        (walls.processes, "--unshare-pid"),
        (walls.ipc, "--unshare-ipc"),
        (walls.hostname, "--unshare-uts"),
        (walls.cgroup, "--unshare-cgroup-try"),
        (walls.session, "--new-session"),
    ):
        if wanted:
            yield option
    if walls.hostname:
        yield from ("--hostname", "sandbox")
    yield from _system(walls, room.etc, dict(links))
    yield from ("--proc", "/proc", "--dev", "/dev")
    for folder in _EMPTY if walls.system else ():
        yield from (*(("--size", str(room.tmp)) if walls.sizes else ()), "--perms", "1777", "--tmpfs", folder)
    shown = _outermost_first({*room.reads, *room.writes, *([room.home] if room.home else [])})
    for parent in _outermost_first({parent for path in shown for parent in path.parents} - {Path("/"), Path("/tmp")}):  # noqa: S108
        yield from ("--perms", "0755", "--dir", str(parent))
    for path in shown:
        writable = path in room.writes or path == room.home or not walls.tree
        yield from ("--bind" if writable else "--ro-bind", str(path), str(path))
    yield from ("--chdir", str(room.cwd))
    if walls.environment:
        yield "--clearenv"
    for name, value in env.items():
        yield from ("--setenv", name, value)


def _system(walls: Walls, etc: Path, links: Mapping[str, str]) -> Iterator[str]:
    if not walls.system:
        yield from ("--bind", "/", "/")
        return
    for folder in SYSTEM:
        if folder in links:
            yield from ("--symlink", links[folder], folder)
        else:
            yield from ("--ro-bind-try", folder, folder)
    yield from ("--ro-bind", str(etc), "/etc")
    # What bubblewrap makes on the way to something, it makes for itself alone.
    for folder in ("/var", "/home"):
        yield from ("--perms", "0755", "--dir", folder)


def _outermost_first(paths: Iterable[Path]) -> list[Path]:
    """So that a folder within another one is not hidden by it."""
    return sorted(paths, key=lambda path: (len(path.parts), path))
