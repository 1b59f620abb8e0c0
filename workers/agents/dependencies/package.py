"""A package as a lock file names it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

# Of one lock file. The largest in the wild name some 20,000.
MOST_PACKAGES = 100_000
_LONGEST_NAME = 300


@dataclass(frozen=True)
class Package:
    """One version of a package. `ecosystem` is OSV's name of it; `version` is empty where the file pins none. `line` is
    where the version stands. `licence`, `integrity`, `source` (a host, or `git`), `deprecated` and `published` (a day)
    are empty where the file does not tell. `scripts`: it runs a program of its own when it is installed."""

    ecosystem: str
    name: str
    version: str
    line: int | None = None
    licence: str = ""
    integrity: str = ""
    source: str = ""
    deprecated: str = ""
    published: str = ""
    scripts: bool = False


@dataclass(frozen=True)
class Locked:
    """What a file locks. `installed` is false for one that also names versions that are not used (`go.sum`)."""

    packages: tuple[Package, ...]
    installed: bool = True


class Unreadable(Exception):
    """A lock file that is none: why."""


# Raises Unreadable. Pure; time and memory in proportion to the text.
Parser = Callable[[str], Locked]


def locked(packages: Sequence[Package], *, installed: bool = True) -> Locked:
    """Bounded, and without what cannot be a name. Raises Unreadable for too many."""
    if len(packages) > MOST_PACKAGES:
        raise Unreadable(f"it names more than {MOST_PACKAGES:,} packages")
    kept = (one for one in packages if _printable(one.name) and (not one.version or _printable(one.version)))
    return Locked(tuple(dict.fromkeys(kept)), installed)


def _printable(text: str) -> bool:
    return 0 < len(text) <= _LONGEST_NAME and text.isprintable() and " " not in text


def host(url: str) -> str:
    """Where a package comes from: the host of a URL, `git` for a repository, empty for none."""
    if url.startswith(("git+", "git:", "git@", "ssh:")) or url.split("#")[0].endswith(".git"):
        return "git"
    scheme, separator, rest = url.partition("://")
    if not separator:
        return ""
    name = rest.split("/", 1)[0].rpartition("@")[2][:200]
    return f"http://{name}" if scheme == "http" else name
