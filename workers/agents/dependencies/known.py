"""Known vulnerabilities of packages: asked for, remembered, and put together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.domain.findings import NotCovered
from bot.errors import AssayError
from workers.agent import Advisories, Memory
from workers.agents.dependencies import advisory
from workers.agents.dependencies.advisory import Advisory
from workers.agents.dependencies.package import Package

# Packages that one change asks about.
_MOST = 5_000
_MONTH = 30 * 86_400

Known = Mapping[tuple[str, str, str], tuple[Advisory, ...]]


@dataclass(frozen=True)
class Answer:
    """`known` is by ecosystem, name and version. `gaps` says of what nothing is known, and why."""

    known: Known
    gaps: tuple[NotCovered, ...] = ()


def key(package: Package) -> tuple[str, str, str]:
    return package.ecosystem, package.name, package.version


def look_up(packages: Iterable[Package], advisories: Advisories, memory: Memory) -> Answer:
    """What is known of these packages. Never raises for a database that is away: that is a gap."""
    wanted = list({key(one): one for one in packages if one.version}.values())
    asked, beyond = wanted[:_MOST], wanted[_MOST:]
    gaps = [NotCovered(what=f"{len(beyond)} packages", why=f"more than {_MOST:,} changed")] if beyond else []
    try:
        found = advisories.find([key(one) for one in asked])
        records = _records({one for every in found for one in every or ()}, advisories, memory)
    except AssayError as error:
        return Answer({}, (*gaps, NotCovered(what="known vulnerabilities", why=f"{advisories.name}: {error}")))
    missing = sorted({one.ecosystem for one, ids in zip(asked, found, strict=True) if ids is None})
    gaps += [NotCovered(what=f"packages of {one}", why=f"{advisories.name} has none of them") for one in missing]
    return Answer(
        {
            key(one): _together(filter(None, (_parse(records.get(id_), one, advisories) for id_, _ in ids or ())))
            for one, ids in zip(asked, found, strict=True)
        },
        tuple(gaps),
    )


def _parse(record: Mapping[str, Any] | None, package: Package, advisories: Advisories) -> Advisory | None:
    return None if record is None else advisory.parse(record, package, matched=advisories.matches)


def _records(wanted: set[tuple[str, str]], advisories: Advisories, memory: Memory) -> Mapping[str, Mapping[str, Any]]:
    """The records by id. They are remembered by when they were changed last."""
    ids = sorted(wanted)
    names = {id_: _name(id_, changed) for id_, changed in ids}
    kept = zip(names, memory.recall(list(names.values())), strict=True)
    records: dict[str, Mapping[str, Any]] = {id_: json.loads(text) for id_, text in kept if text is not None}
    new = advisories.records([id_ for id_ in names if id_ not in records])
    memory.note({names[id_]: json.dumps(record) for id_, record in new.items() if id_ in names}, _MONTH)
    return records | dict(new)


def _name(id_: str, changed: str) -> str:
    return "osv:" + hashlib.sha256(f"{id_}\0{changed}".encode()).hexdigest()


def _together(advisories: Iterable[Advisory]) -> tuple[Advisory, ...]:
    """One vulnerability under the names of several databases is one: the one that knows its weakness speaks."""
    kept: list[Advisory] = []
    for one in sorted(advisories, key=lambda one: (one.cwe is None, one.id)):
        if not any(set(one.names) & set(other.names) for other in kept):
            kept.append(one)
    return tuple(sorted(kept, key=lambda one: (-one.severity.rank, one.id)))


def allowed(one: Advisory, names: Sequence[str]) -> bool:
    return any(name in names for name in one.names)
