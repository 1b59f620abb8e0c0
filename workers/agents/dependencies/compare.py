"""What lies between the lock files of two commits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cmp_to_key
from itertools import zip_longest
from typing import Literal

from workers.agents.dependencies import versions
from workers.agents.dependencies.package import Package

Kind = Literal["added", "removed", "upgraded", "downgraded", "changed"]


@dataclass(frozen=True)
class Change:
    """One package that is another now. `changed`: to a version that is neither newer nor older, or the same one with
    other contents."""

    kind: Kind
    old: Package | None
    new: Package | None

    @property
    def package(self) -> Package:
        one = self.new or self.old
        assert one is not None
        return one

    def __str__(self) -> str:
        name = f"{self.package.ecosystem} {self.package.name}"
        versions_ = " → ".join(one.version or "any version" for one in (self.old, self.new) if one)
        return f"{self.kind} {name} {versions_}"


def compare(old: Iterable[Package], new: Iterable[Package]) -> list[Change]:
    """The changes by name. Where several versions of a package are installed, the lowest of those that went is paired
    with the lowest of those that came."""
    before, after = _by_name(old), _by_name(new)
    changes: list[Change] = []
    for name in dict.fromkeys([*after, *before]):
        changes += _of_name(before.get(name, {}), after.get(name, {}))
    return changes


def _by_name(packages: Iterable[Package]) -> dict[tuple[str, str], dict[str, Package]]:
    names: dict[tuple[str, str], dict[str, Package]] = {}
    for one in packages:
        names.setdefault((one.ecosystem, one.name), {}).setdefault(one.version, one)
    return names


def _of_name(before: dict[str, Package], after: dict[str, Package]) -> Iterator[Change]:
    for version in before.keys() & after.keys():
        if _other_contents(before[version], after[version]):
            yield Change("changed", before[version], after[version])
    gone = _sorted([one for version, one in before.items() if version not in after])
    came = _sorted([one for version, one in after.items() if version not in before])
    for old, new in zip_longest(gone, came):
        yield Change(_kind(old, new), old, new)


def _other_contents(one: Package, other: Package) -> bool:
    """Whether one version has two checksums. Those of different algorithms cannot be compared."""
    first, second = one.integrity, other.integrity
    return bool(first and second) and first != second and _algorithm(first) == _algorithm(second)


def _algorithm(checksum: str) -> str:
    for separator in ("-", ":", "/"):
        if separator in checksum[:12]:
            return checksum.partition(separator)[0]
    return str(len(checksum))


def _kind(old: Package | None, new: Package | None) -> Kind:
    if old is None or new is None:
        return "removed" if new is None else "added"
    older = versions.before(new.ecosystem, old.version, new.version)
    newer = versions.before(new.ecosystem, new.version, old.version)
    return "upgraded" if older else "downgraded" if newer else "changed"


def _sorted(packages: Sequence[Package]) -> list[Package]:
    def order(one: Package, other: Package) -> int:
        if versions.before(one.ecosystem, one.version, other.version):
            return -1
        return 1 if versions.before(one.ecosystem, other.version, one.version) else 0

    return sorted(packages, key=cmp_to_key(order))
