"""Advisories in OSV's format (https://ossf.github.io/osv-schema/): what they say of one version of a package."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cvss import CVSS2, CVSS3, CVSS4
from cvss.exceptions import CVSSError

from bot.domain.findings import Severity, parse_severity
from workers.agents.dependencies import versions
from workers.agents.dependencies.package import Package

_VECTORS = {"CVSS_V4": CVSS4, "CVSS_V3": CVSS3, "CVSS_V2": CVSS2}
_STEPS = ((9.0, Severity.CRITICAL), (7.0, Severity.HIGH), (4.0, Severity.MEDIUM), (0.1, Severity.LOW))
_CWE = re.compile(r"CWE-(\d{1,6})$")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._-]{2,99}")


@dataclass(frozen=True)
class Advisory:
    """A known vulnerability of a version. `names` are its ids, its own first; `fixed` the versions without it."""

    id: str
    names: tuple[str, ...]
    summary: str
    severity: Severity
    cwe: int | None = None
    fixed: tuple[str, ...] = ()
    malicious: bool = False


def severity_of(score: float) -> Severity:
    """CVSS's own names of its scores."""
    return next((severity for least, severity in _STEPS if score >= least), Severity.INFO)


def parse(record: Mapping[str, Any], package: Package, *, matched: bool = False) -> Advisory | None:
    """What a record says of a package's version; None for one that says nothing of it, or that was withdrawn.
    `matched`: whoever gave it has compared the version already."""
    name = record.get("id")
    if not isinstance(name, str) or not _ID.fullmatch(name) or record.get("withdrawn"):
        return None
    affected = [one for one in _mappings(record.get("affected")) if _is_of(one, package)]
    if not matched and not any(_affects(one, package) for one in affected):
        return None
    aliases = [one for one in _strings(record.get("aliases")) if _ID.fullmatch(one)]
    cves = [one for one in aliases if one.startswith("CVE-")]
    return Advisory(
        id=name,
        names=tuple(dict.fromkeys([name, *cves, *aliases]))[:8],
        summary=_summary(record),
        severity=_severity(record, affected),
        cwe=_cwe(record, affected),
        fixed=_fixed(affected, package),
        malicious=name.startswith("MAL-"),
    )


def _summary(record: Mapping[str, Any]) -> str:
    for key in ("summary", "details"):
        text = record.get(key)
        if isinstance(text, str) and text.strip():
            return text.strip().split("\n")[0][:300]
    return "no summary"


def _is_of(affected: Mapping[str, Any], package: Package) -> bool:
    of = affected.get("package")
    if not isinstance(of, dict) or not isinstance(of.get("name"), str) or not isinstance(of.get("ecosystem"), str):
        return False
    # `Maven:https://repo.example`: an ecosystem may name one of its registries.
    same = of["ecosystem"].partition(":")[0] == package.ecosystem
    return same and normal(package.ecosystem, of["name"]) == normal(package.ecosystem, package.name)


def normal(ecosystem: str, name: str) -> str:
    """A package's name as its ecosystem compares it."""
    if ecosystem == "PyPI":
        return re.sub(r"[-_.]+", "-", name).lower()
    return name.lower() if ecosystem in ("NuGet", "Packagist") else name


# -- versions


def _affects(affected: Mapping[str, Any], package: Package) -> bool:
    if package.version in _strings(affected.get("versions")):
        return True
    ranges = [one for one in _mappings(affected.get("ranges")) if one.get("type") != "GIT"]
    return any(_in_range(list(_events(one)), package) for one in ranges)


def _events(range_: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for event in _mappings(range_.get("events")):
        for kind in ("introduced", "fixed", "last_affected"):
            if isinstance(event.get(kind), str):
                yield kind, event[kind]


def _in_range(events: Sequence[tuple[str, str]], package: Package) -> bool:
    """OSV's evaluation: the events in the order of their versions, each of which turns it on or off."""
    ecosystem, version = package.ecosystem, package.version
    begun = [at for kind, at in events if kind == "introduced" and (at == "0" or _not_after(ecosystem, at, version))]
    if not begun or versions.parse(ecosystem, version) is None:
        return False
    start = begun[0]
    for at in begun[1:]:
        if start == "0" or (at != "0" and versions.before(ecosystem, start, at)):
            start = at
    # What ends it, of those that lie after where it began last.
    for kind, at in events:
        if kind == "introduced" or not (start == "0" or _not_after(ecosystem, start, at)):
            continue
        ended = _not_after(ecosystem, at, version) if kind == "fixed" else versions.before(ecosystem, at, version)
        if ended:
            return False
    return True


def _not_after(ecosystem: str, one: str, other: str) -> bool:
    return versions.before(ecosystem, other, one) is False


def _fixed(affected: Sequence[Mapping[str, Any]], package: Package) -> tuple[str, ...]:
    """The versions that it is fixed in and that come after this one, the nearest first."""
    fixed: list[str] = []
    for one in affected:
        for range_ in _mappings(one.get("ranges")):
            if range_.get("type") != "GIT":
                fixed += [at for kind, at in _events(range_) if kind == "fixed"]
    later = [at for at in dict.fromkeys(fixed) if versions.before(package.ecosystem, package.version, at)]
    nearest = next((at for at in later if all(at == o or versions.before(package.ecosystem, at, o) for o in later)), "")
    return (nearest,) if nearest else tuple(later[:3])


# -- how bad


def _severity(record: Mapping[str, Any], affected: Sequence[Mapping[str, Any]]) -> Severity:
    """By the best vector there is, else by the database's own word. A malicious package is as bad as can be."""
    if str(record.get("id")).startswith("MAL-"):
        return Severity.CRITICAL
    ratings = [*_mappings(record.get("severity")), *(s for one in affected for s in _mappings(one.get("severity")))]
    for kind in _VECTORS:
        for rating in ratings:
            if rating.get("type") == kind and (score := _score(kind, str(rating.get("score")))) is not None:
                return severity_of(score)
    for of in (record.get("database_specific"), *(one.get("database_specific") for one in affected)):
        if isinstance(of, dict) and isinstance(of.get("severity"), str):
            return parse_severity(of["severity"], Severity.HIGH)
    # Nobody has rated it. That is no reason to think it harmless.
    return Severity.HIGH


def _score(kind: str, vector: str) -> float | None:
    try:
        return float(_VECTORS[kind](vector[:300]).scores()[0])
    except (CVSSError, ValueError, TypeError, ArithmeticError, KeyError):
        return None


def _cwe(record: Mapping[str, Any], affected: Sequence[Mapping[str, Any]]) -> int | None:
    for of in (record.get("database_specific"), *(one.get("database_specific") for one in affected)):
        words = _strings(of.get("cwe_ids")) if isinstance(of, dict) else ()
        for word in words:
            if match := _CWE.match(word):
                return int(match[1])
    return None


def _mappings(value: object) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, list):
        yield from (one for one in value if isinstance(one, dict))


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, list):
        yield from (one for one in value if isinstance(one, str))
