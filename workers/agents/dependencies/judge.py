"""What is to be said of changed packages. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from bot.domain.findings import Finding, Severity
from workers.agents.dependencies import lookalikes
from workers.agents.dependencies.advisory import Advisory
from workers.agents.dependencies.compare import Change
from workers.agents.dependencies.known import Known, allowed, key
from workers.agents.dependencies.package import Package

# Most malicious versions are found and taken back within days.
_YOUNG = timedelta(days=3)
_MOST_NAMED = 5
_COPYLEFT = ("GPL", "SSPL", "OSL", "EUPL", "CC-BY-SA", "CC-BY-NC", "BUSL", "UNLICENSED")


@dataclass(frozen=True)
class Context:
    """What else is known. `hosts` are those that packages of the base came from, `before` the packages that it had;
    `allow` names advisories that were accepted."""

    today: date
    known: Known
    hosts: Collection[str] = ()
    before: Collection[tuple[str, str, str]] = ()
    allow: Sequence[str] = ()


def judge(path: str, changes: Iterable[Change], context: Context) -> list[Finding]:
    """The findings about a lock file's changes."""
    findings = []
    for change in changes:
        if change.new is not None:
            findings += [_at(path, change.new, one) for one in _of(change, change.new, context)]
    return findings


@dataclass(frozen=True)
class _Word:
    """One thing to say. `what` tells it from others about the same package."""

    rule: str
    severity: Severity
    what: str
    message: str
    advice: str
    cwe: int | None = None
    url: str = ""
    new: bool = True


def _at(path: str, package: Package, word: _Word) -> Finding:
    """A finding on the line of the package's version; of the whole run where that is not known, for nobody would see
    one of a file without a line."""
    return Finding(
        tool="dependencies",
        rule=word.rule,
        severity=word.severity,
        message=word.message if package.line else f"{path}: {word.message}",
        path=path if package.line else "",
        start_line=package.line,
        end_line=package.line,
        advice=word.advice,
        identity=f"{package.ecosystem} {package.name} {word.what}",
        cwe=word.cwe,
        url=word.url or None,
        new=word.new,
    )


def _of(change: Change, new: Package, context: Context) -> Iterator[_Word]:
    yield from _vulnerable(change, new, context)
    yield from _imitating(change, new)
    yield from _contents(change, new, context)
    yield from _manners(change, new, context)


# -- vulnerabilities


def _vulnerable(change: Change, new: Package, context: Context) -> Iterator[_Word]:
    known = [one for one in context.known.get(key(new), ()) if not allowed(one, context.allow)]
    if not known:
        return
    before = set(_names(context.known.get(key(change.old), ()))) if change.old else set()
    worst = known[0]
    named = "; ".join(f"{one.summary.rstrip('.')} ({', '.join(one.names[:2])}, {one.severity})" for one in known[:5])
    more = f"; and {len(known) - _MOST_NAMED} more" if len(known) > _MOST_NAMED else ""
    many = "a known vulnerability" if len(known) == 1 else f"{len(known)} known vulnerabilities"
    yield _Word(
        "malicious-package" if any(one.malicious for one in known) else "known-vulnerability",
        worst.severity,
        " ".join(sorted(one.id for one in known)),
        f"{new.name} {new.version} has {many}: {named}{more}.",
        _way_out(new, known),
        worst.cwe if worst.cwe is not None else 1395,
        f"https://osv.dev/vulnerability/{worst.id}",
        new=key(new) not in context.before and any(not set(one.names) & before for one in known),
    )


def _names(advisories: Iterable[Advisory]) -> Iterator[str]:
    for one in advisories:
        yield from one.names


def _way_out(package: Package, known: Sequence[Advisory]) -> str:
    if any(one.malicious for one in known):
        return f"Remove {package.name}, and take what it could reach for stolen."
    fixed = list(dict.fromkeys(version for one in known for version in one.fixed[:1]))
    accept = f"To accept it, add {known[0].id} to agents.security.allow."
    if not fixed or any(not one.fixed for one in known):
        some = f" {', '.join(fixed)} fixes some of it." if fixed else ""
        return f"No version without it is known.{some} {accept}"
    return f"Upgrade {package.name} to {' and '.join(fixed)} or later. {accept}"


# -- supply chain


def _imitating(change: Change, new: Package) -> Iterator[_Word]:
    if change.kind != "added" or not (other := lookalikes.imitated(new.ecosystem, new.name)):
        return
    yield _Word(
        "look-alike",
        Severity.MEDIUM,
        "looks alike",
        f"{new.name} is new here, and its name is one slip away from the popular package {other}.",
        f"Make sure that {new.name} is meant and not {other}.",
        1357,
    )


def _contents(change: Change, new: Package, context: Context) -> Iterator[_Word]:
    old = change.old
    if old is not None and old.version == new.version and old.integrity != new.integrity:
        yield _Word(
            "checksum-changed",
            Severity.HIGH,
            "checksum",
            f"{new.name} {new.version} has another checksum than before, for the same version.",
            "Find out why: a published version does not change. Have the lock file written anew by its own tool.",
            494,
        )
    if change.kind != "changed" and new.source and (old is None or old.source != new.source):
        yield from _strange_source(new, context)
    if new.scripts and not (old and old.scripts):
        begun = change.kind != "added"
        change_words = ", which it did not before" if begun else ""
        yield _Word(
            "install-script",
            Severity.MEDIUM if begun else Severity.LOW,
            "install script",
            f"{new.name} {new.version} runs a program when it is installed{change_words}.",
            "Read that program, or install with scripts switched off.",
            829,
        )


def _strange_source(new: Package, context: Context) -> Iterator[_Word]:
    if new.source.startswith("http://"):
        words, severity = f"is fetched without encryption, from {new.source}", Severity.MEDIUM
    elif new.source == "git":
        words, severity = "comes from a git repository and not from a registry", Severity.LOW
    elif context.hosts and new.source not in context.hosts:
        words, severity = f"comes from {new.source}, and no package before it did", Severity.MEDIUM
    else:
        return
    advice = "Make sure that it is meant to; a registry keeps what was published."
    yield _Word("source", severity, "source", f"{new.name} {new.version} {words}.", advice, 829)


def _manners(change: Change, new: Package, context: Context) -> Iterator[_Word]:
    old = change.old
    if change.kind == "downgraded" and old is not None:
        yield _Word(
            "downgrade",
            Severity.LOW,
            "downgrade",
            f"{new.name} goes back from {old.version} to {new.version}.",
            "Say in the commit why, for it may bring mended faults back.",
            1395,
        )
    if old is not None and old.licence and new.licence and old.licence != new.licence:
        bound = any(sign in new.licence.upper() for sign in _COPYLEFT) and not any(
            sign in old.licence.upper() for sign in _COPYLEFT
        )
        yield _Word(
            "licence-changed",
            Severity.MEDIUM if bound else Severity.LOW,
            f"licence {new.licence}",
            f"{new.name} is under another licence: {old.licence} before, {new.licence} now.",
            "Make sure that you may use it under that licence.",
        )
    if new.deprecated and not (old and old.deprecated):
        yield _Word(
            "deprecated",
            Severity.LOW,
            "deprecated",
            f"{new.name} {new.version} is deprecated or was yanked: {new.deprecated}",
            "Choose another version, or another package.",
            1104,
        )
    if new.published and (age := _age(new.published, context.today)) is not None and age <= _YOUNG:
        yield _Word(
            "very-new",
            Severity.LOW,
            f"very new {new.version}",
            f"{new.name} {new.version} was published on {new.published}, {age.days} days ago.",
            "Wait a few days: malicious versions are mostly found by then.",
            1357,
        )


def _age(day: str, today: date) -> timedelta | None:
    try:
        age = today - date.fromisoformat(day)
    except ValueError:
        return None
    return max(age, timedelta())


def counts(changes: Sequence[Change]) -> str:
    """`3 added, 1 upgraded`."""
    kinds: Mapping[str, int] = {
        kind: sum(change.kind == kind for change in changes)
        for kind in ("added", "removed", "upgraded", "downgraded", "changed")
    }
    return ", ".join(f"{count} {kind}" for kind, count in kinds.items() if count)
