"""Looking at the packages that a change adds, removes or changes, by the lock files it touches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from bot.domain.findings import Finding, NotCovered
from bot.errors import AssayError
from workers.agent import Kit, Work
from workers.agents import tree
from workers.agents.dependencies import compare, files, judge, known
from workers.agents.dependencies.compare import Change
from workers.agents.dependencies.package import Locked, Package, Unreadable
from workers.agents.part import Part

_LOGGED = 400
_MOST_FACTS = 500
_NO_DATABASE = "no database of known vulnerabilities is set up"
REMEDY = (
    "Known vulnerabilities: the operator sets ASSAY_OSV_URL or ASSAY_OSV_DATABASE; a repository that has them looked "
    "for elsewhere says `agents.security.vulnerabilities: false`."
)


@dataclass
class _Look:
    """What was seen so far; see `Part`."""

    findings: list[Finding] = field(default_factory=list)
    covered: list[str] = field(default_factory=list)
    gaps: list[NotCovered] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    summary: str = ""
    tools: dict[str, str] = field(default_factory=dict)
    remedy: str = ""


@dataclass(frozen=True)
class _File:
    path: str
    old: Locked
    new: Locked

    @property
    def changes(self) -> list[Change]:
        return compare.compare(self.old.packages, self.new.packages)


def look(work: Work, kit: Kit) -> Part | None:
    """None where the change touches no lock file."""
    if not any(files.parser_for(path) for path in work.diff.files):
        return None
    seen = _Look()
    read = list(_read(work, seen))
    changes = {file.path: file.changes for file in read}
    _ask_registry(changes, kit, seen)
    every = [change for file in read for change in changes[file.path]]
    installed = [change for file in read if file.new.installed for change in changes[file.path]]
    hosts = {one.source for file in read for one in file.old.packages if one.source}
    before = {known.key(one) for file in read if file.old.installed for one in file.old.packages}
    context = judge.Context(
        today=datetime.now(UTC).date(),
        known=_known(installed, work, kit, seen),
        hosts=hosts,
        before=before,
        allow=[str(one) for one in work.settings.get("allow", ())],
    )
    for file in read:
        seen.findings += judge.judge(file.path, _told(file, changes[file.path]), context)
    seen.summary = f"packages: {judge.counts(every) or 'none changed'}" if read else ""
    seen.log += [f"{file.path}: {change}" for file in read for change in changes[file.path]]
    if len(seen.log) > _LOGGED:
        seen.log = [*seen.log[:_LOGGED], f"and {len(seen.log) - _LOGGED} more packages"]
    return Part(**vars(seen))


def _told(file: _File, changes: list[Change]) -> list[Change]:
    """A file that names also what is not used tells of changed contents only."""
    return changes if file.new.installed else [one for one in changes if one.kind == "changed"]


# -- reading


def _read(work: Work, seen: _Look) -> Iterator[_File]:
    base: Path | None = None
    for path, change in work.diff.files.items():
        if files.parser_for(path) is None:
            continue
        old_path = None if change.status == "added" else change.old_path or path
        if old_path is not None and base is None:
            base = work.base()
        try:
            new = Locked(()) if change.status == "deleted" else _of(work.root, path)
        except Unreadable as error:
            seen.gaps.append(NotCovered(what=path, why=str(error)))
            continue
        if change.status != "deleted":
            seen.covered.append(path)
        old = Locked((), new.installed)
        if old_path is not None and base is not None and files.parser_for(old_path):
            try:
                old = _of(base, old_path)
            except Unreadable:
                # All that it names now is new then.
                seen.log.append(f"{old_path} could not be read as it was at the base")
        yield _File(path, old, new)


def _of(root: Path, path: str) -> Locked:
    kind = tree.kind(root, path)
    if kind != "text":
        raise Unreadable(kind)
    return files.read(path, "\n".join(tree.reader(root)(path)))


# -- what registries tell


def _ask_registry(changes: dict[str, list[Change]], kit: Kit, seen: _Look) -> None:
    """Add to the packages that changed what a registry tells of them."""
    every = [one for of in changes.values() for change in of for one in (change.new, change.old) if one and change.new]
    wanted = list(dict.fromkeys(known.key(one) for one in every if one.version))
    if kit.registry is None or not wanted:
        return
    if len(wanted) > _MOST_FACTS:
        gap = NotCovered(
            what=f"the age of {len(wanted) - _MOST_FACTS} packages", why=f"more than {_MOST_FACTS} changed"
        )
        seen.gaps.append(gap)
    kit.progress(f"age and licence of {len(wanted)} packages")
    try:
        told = dict(zip(wanted, kit.registry.facts(wanted[:_MOST_FACTS]), strict=False))
    except AssayError as error:
        seen.gaps.append(NotCovered(what="age and licences of packages", why=f"{kit.registry.name}: {error}"))
        return
    seen.tools[kit.registry.name] = ""

    def fuller(one: Package | None) -> Package | None:
        facts = told.get(known.key(one)) if one else None
        if one is None or facts is None:
            return one
        return replace(
            one,
            published=one.published or facts.published,
            licence=one.licence or facts.licence,
            deprecated=one.deprecated or facts.deprecated,
        )

    for path, of in changes.items():
        changes[path] = [replace(change, old=fuller(change.old), new=fuller(change.new)) for change in of]


# -- vulnerabilities


def _known(changes: list[Change], work: Work, kit: Kit, seen: _Look) -> known.Known:
    if not any(change.new for change in changes) or work.settings.get("vulnerabilities") is False:
        return {}
    if kit.advisories is None:
        seen.gaps.append(NotCovered(what="known vulnerabilities of changed packages", why=_NO_DATABASE))
        seen.remedy = REMEDY
        return {}
    kit.progress(f"known vulnerabilities of {len(changes)} changed packages")
    packages = [one for change in changes for one in (change.new, change.old) if one is not None]
    unpinned = [one for change in changes if (one := change.new) and not one.version]
    if unpinned:
        seen.log.append(f"{_names(unpinned)}: no exact version, so nothing is known of them")
    answer = known.look_up(packages, kit.advisories, kit.memory)
    seen.gaps += answer.gaps
    seen.tools[kit.advisories.name] = kit.advisories.version
    return answer.known


def _names(packages: list[Package]) -> str:
    more = f" and {len(packages) - 5} more" if len(packages) > 5 else ""
    return ", ".join(one.name for one in packages[:5]) + more
