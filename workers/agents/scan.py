"""Running tools over files and joining what they say: the common part of the lint and the security agent."""

from __future__ import annotations

import tempfile
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path, PurePosixPath

from bot.domain.findings import AgentResult, Finding, NotCovered, Outcome
from bot.errors import ToolFailed
from workers.agent import Kit, Sandbox, Tool, Work
from workers.agents import tree
from workers.agents.base_configs import BaseConfigs, base_configs
from workers.agents.calls import Calls, version_of
from workers.agents.configs import find_config, is_configured, project_of
from workers.agents.kept import Kept
from workers.agents.pins import other_version
from workers.agents.rooms import Room, Rooms
from workers.agents.shell import APPROVE

_AT_ONCE = 2
_WORDS = 1000
_WAITS = "it may execute what a stranger wrote, which waits for an approval"


@dataclass(frozen=True)
class Target:
    """A tree and what to look at in it. `deadline` is on the monotonic clock. `executes`: tools may execute what they
    find, each tree in one of the `rooms`. `tree_name` is git's, empty where it is not known. Its own configuration of
    tools counts, but for what `base_configs` has of the base's."""

    root: Path
    files: Sequence[str]
    deadline: float
    executes: bool = False
    rooms: Rooms | None = None
    tree_name: str = ""
    base_configs: BaseConfigs | None = None

    def at(self, base: Path, tree_name: str) -> Target:
        """The files of the base, to be looked at in the same way."""
        return replace(
            self, root=base, tree_name=tree_name, base_configs=self.base_configs and self.base_configs.at(base)
        )

    def restored(self, tool: Tool) -> Collection[str]:
        """The files of a tool's configuration that are looked at as a stranger has them, and count as the base does."""
        return self.base_configs.restored.get(tool.name, ()) if self.base_configs else ()

    def configured(self, tool: Tool) -> Target:
        """The tree in which the configuration of a tool is the one that counts."""
        if self.base_configs is None or not self.restored(tool):
            return self
        return replace(self, root=self.base_configs.root, tree_name="")


@contextmanager
def opened(work: Work, kit: Kit, tools: Sequence[Tool], ends: float) -> Iterator[Target]:
    """The work's tree, to be looked at with the tools until `ends`, on the monotonic clock. What is made for those that
    execute goes with the context."""
    with ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory(prefix="assay-", ignore_cleanup_errors=True))
        yield Target(
            work.root,
            work.files,
            ends,
            executes=work.trusted or work.approved,
            rooms=Rooms(work, kit, stack, Path(home)),
            tree_name=work.trees()[1],
            base_configs=base_configs(work, tools),
        )


@dataclass(frozen=True)
class Scan:
    """What one tool did. `failure` is its own words when it could not do all of it; then `findings` are not whole.
    `excluded` are files that the repository keeps from it. `pinned` is the version that the repository asks for, where
    that is another one."""

    tool: Tool
    files: tuple[str, ...]
    findings: tuple[Finding, ...] = ()
    unread: tuple[NotCovered, ...] = ()
    excluded: tuple[NotCovered, ...] = ()
    version: str = ""
    pinned: str = ""
    failure: str = ""
    left_out: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Selection:
    """The tools that have something to read, with their files, and the files that cannot be read as text; those that no
    tool reads, or only such as do not cover them; and the tools that were `held` back though they had something."""

    work: tuple[tuple[Tool, tuple[str, ...]], ...]
    unreadable: tuple[NotCovered, ...] = ()
    nobodys: tuple[str, ...] = ()
    held: tuple[NotCovered, ...] = ()

    @property
    def missed(self) -> tuple[NotCovered, ...]:
        """What ought to have been read. Nobody expects that of a binary file, and a link has no text of its own."""
        return tuple(one for one in self.unreadable if one.why not in ("binary", "a link", "a folder")) + self.held


def choose(tools: Sequence[Tool], wanted: object) -> tuple[Tool, ...] | str:
    """The tools that the setting `tools` names (`auto`: all), or what is wrong with it."""
    if wanted is None or wanted == "auto":
        return tuple(tools)
    names = [str(name) for name in wanted] if isinstance(wanted, list | tuple) else [str(wanted)]
    allowed = {tool.name: tool for tool in tools}
    if unknown := [name for name in names if name not in allowed]:
        return f"no tool is called {', '.join(unknown)}; there are {', '.join(allowed)}, or `auto` for all of them"
    return tuple(allowed[name] for name in dict.fromkeys(names))


def present(tools: Sequence[Tool], wanted: object, sandbox: Sandbox) -> list[Tool]:
    """Without those that are optional, not named by the repository, and not installed. Whoever configures a tool misses
    it."""
    names = named(wanted)
    return [
        one
        for one in tools
        if not one.optional or one.taste or one.name in names or sandbox.which(one.version[0]) is not None
    ]


def absent(
    tools: Sequence[Tool], present: Sequence[Tool], selection: Selection, files: Sequence[str]
) -> list[NotCovered]:
    """Of the tools that are not `present`, those that would read files of which no other one knows the language: that
    one was searched for secrets does not say that anybody looked at its code."""
    scanned = {path for tool, own in selection.work if tool.languages != "any text" for path in own}
    gaps = []
    for tool in tools:
        theirs = [path for path in files if path not in scanned and tool.applies(path)] if tool not in present else []
        if theirs:
            gaps.append(NotCovered(what=tool.name, why=f"not installed: it would read {kinds(theirs)}"))
    return gaps


def kinds(files: Sequence[str]) -> str:
    """`.md and .txt files`, by their endings; names where there are none."""
    found = list(dict.fromkeys(PurePosixPath(path).suffix or PurePosixPath(path).name for path in files))
    shown = ", ".join(found[:5]) + (f" and {len(found) - 5} other kinds of" if len(found) > 5 else "")
    return f"{shown} files"


def named(wanted: object) -> Collection[str]:
    """The tools that the setting `tools` names."""
    return [str(one) for one in wanted] if isinstance(wanted, list | tuple) else ()


def misnamed(agent: str, words: str) -> AgentResult:
    remedy = f"Correct agents.{agent}.tools in .github/assay.yml."
    return AgentResult(outcome=Outcome.ERROR, reason=words, remedy=remedy)


def select(tools: Sequence[Tool], target: Target, named: Collection[str] = ()) -> Selection:
    """Share the files out. A file that some tool would read, but that is no text, is `unreadable`. Of the tools, those
    that are `named` are meant, whatever the repository configures."""
    claimed = _claims(tools, target, named)
    kinds = {path: tree.kind(target.root, path) for path, claims in claimed.items() if claims}
    readable = {path for path, kind in kinds.items() if kind == "text"}
    work = [
        (tool, files)
        for tool in tools
        if (files := tuple(path for path in target.files if path in readable and tool in claimed[path]))
    ]
    kept = [(tool, files) for tool, files in work if target.executes or not tool.executes_code]
    held = [NotCovered(what=tool.name, why=_WAITS) for tool, _ in work if tool.executes_code and not target.executes]
    covered = {path for tool, files in work if tool.covers for path in files} | (kinds.keys() - readable)
    return Selection(
        work=tuple(kept),
        unreadable=tuple(NotCovered(what=path, why=kind) for path, kind in kinds.items() if kind != "text"),
        nobodys=tuple(path for path in target.files if path not in covered),
        held=tuple(held),
    )


def _claims(tools: Sequence[Tool], target: Target, named: Collection[str]) -> dict[str, list[Tool]]:
    """Which tools read which file."""

    # Files of a folder share what is configured there.
    @cache
    def in_scope(tool_name: str, folder: str) -> bool:
        tool, path = by_name[tool_name], str(PurePosixPath(folder) / "file")
        if tool.projects and project_of(tool, path, target.root) is None:
            return False
        return not tool.taste or tool_name in named or is_configured(tool, path, target.configured(tool).root)

    by_name = {tool.name: tool for tool in tools}
    claimed = {}
    for path in target.files:
        readers = _readers(tools, path, tree.interpreter(target.root, path))
        folder = path.rpartition("/")[0]
        claimed[path] = [tool for tool in readers if in_scope(tool.name, folder)]
    return claimed


def _readers(tools: Sequence[Tool], path: str, interpreter: str) -> list[Tool]:
    bare = not PurePosixPath(path).suffix
    return [
        tool
        for tool in tools
        if (said := tool.interpreters.get(interpreter)) is not False and (tool.applies(path) or (bare and said))
    ]


def run_all(selection: Selection, target: Target, kit: Kit, note: str = "") -> tuple[Scan, ...]:
    """Run every tool over its files, two at a time. Never raises for a tool's failure: that is in its `Scan`."""

    def run(item: tuple[Tool, tuple[str, ...]]) -> Scan:
        return _run(*item, target, kit)

    for tool, files in selection.work:
        kit.progress(f"{tool.name}: {len(files)} file{'' if len(files) == 1 else 's'}{note}")
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        return tuple(pool.map(run, selection.work))


def _run(tool: Tool, files: tuple[str, ...], target: Target, kit: Kit) -> Scan:
    # A stranger's configuration is looked at like any file, as it stands and by the tool's defaults.
    restored, configured = target.restored(tool), target.configured(tool)
    strange = tuple(path for path in files if path in restored)
    parts = [_run_alike(tool, strange, None, target, kit)] if strange else []
    for config, own in _alike(tool, tuple(path for path in files if path not in restored), configured).items():
        scan = _run_alike(tool, own, config, configured, kit)
        parts.append(replace(scan, findings=tuple(one for one in scan.findings if one.path not in restored)))
    return parts[0] if len(parts) == 1 else _joined(parts)


def _alike(tool: Tool, files: tuple[str, ...], target: Target) -> Mapping[str | None, tuple[str, ...]]:
    """The files by the configuration that counts for them. One of a folder says nothing of those beside it; a project's
    files go together."""
    if not files:
        return {}
    if tool.projects or not tool.searches:
        return {find_config(tool, files, target.root): files}

    # Files of a folder share what is configured there.
    @cache
    def of(folder: str) -> str | None:
        return find_config(tool, [str(PurePosixPath(folder) / "file")], target.root)

    alike = defaultdict[str | None, list[str]](list)
    for path in files:
        alike[of(path.rpartition("/")[0])].append(path)
    return {config: tuple(own) for config, own in alike.items()}


def _joined(parts: Sequence[Scan]) -> Scan:
    """What a tool did by several configurations. One that fails has its files not looked at, and the rest counts."""
    whole = [part for part in parts if not part.failure] or parts
    failed = [part for part in parts if part not in whole]
    return replace(
        whole[0],
        files=tuple(path for part in parts for path in part.files),
        findings=tuple(finding for part in parts for finding in part.findings),
        unread=(
            *(one for part in parts for one in part.unread),
            *(NotCovered(what=path, why=part.failure) for part in failed for path in part.files),
        ),
        excluded=tuple(one for part in parts for one in part.excluded),
        left_out=sum((Counter(part.left_out) for part in parts), Counter()),
    )


def _run_alike(tool: Tool, files: tuple[str, ...], config: str | None, target: Target, kit: Kit) -> Scan:
    try:
        room = _room(tool, files, target)
    except (ToolFailed, OSError) as error:
        return Scan(tool, files, failure=kit.redact(str(error))[:_WORDS])
    version = version_of(tool, room, project_of(tool, files[0], room.root) or "", kit)
    kept = Kept(tool, version, target.root, target.tree_name, config is not None, kit.memory)
    known = kept.recall(files)
    rest = [path for path in files if path not in known]
    said = Calls(tool, config, room, target.deadline, kit).read(rest)
    failure = said.failure or (said.broken[0].why if rest and len(said.broken) == len(rest) else "")
    broken = () if failure else said.broken
    findings = [tree.tidy(finding, room.root, kit.redact) for finding in said.findings]
    unread = tuple(_tidy(one, room.root, kit) for one in (*said.unread, *broken))
    excluded = tuple(_tidy(one, room.root, kit) for one in said.excluded)
    if not failure and not said.left_out:
        gaps = {gap.what for gap in (*unread, *excluded)} | {one.path for one in findings if _shows(one, kit)}
        kept.note((path for path in rest if path not in gaps), findings)
    return Scan(
        tool=tool,
        files=files,
        findings=(*(one for every in known.values() for one in every), *findings),
        unread=unread,
        excluded=excluded,
        version=version,
        pinned=other_version(tool, version, target.root),
        failure=kit.redact(failure)[:_WORDS],
        left_out=said.left_out,
    )


def _shows(finding: Finding, kit: Kit) -> bool:
    """Whether what stands for its lines holds what is not to be kept."""
    return finding.replacement is not None and kit.redact(finding.replacement) != finding.replacement


def _room(tool: Tool, files: Sequence[str], target: Target) -> Room:
    if target.rooms is None or not (tool.executes_code or (tool.local and target.executes)):
        return Room(target.root)
    folders = dict.fromkeys(project_of(tool, path, target.root) or "" for path in files)
    return target.rooms.room(target.root, tool, list(folders))


def _tidy(one: NotCovered, root: Path, kit: Kit) -> NotCovered:
    return NotCovered(what=tree.relative(root, one.what) or one.what[:200], why=kit.redact(one.why)[:300])


def result(scans: Sequence[Scan], selection: Selection) -> AgentResult:
    """Join what the tools did. `clean` and `findings` only when every tool did all of its work."""
    failed = [scan for scan in scans if scan.failure]
    findings = tuple(finding for scan in scans for finding in scan.findings)
    unread = tuple(one for scan in scans for one in scan.unread)
    missed = selection.missed + unread
    read = {path for scan in scans if not scan.failure and scan.tool.covers for path in _read(scan)}
    covered = read - {one.what for one in unread}
    excluded = (one for scan in scans for one in scan.excluded if one.what not in covered)
    left_out = dict(sum((Counter(scan.left_out) for scan in scans), Counter()))
    return AgentResult(
        outcome=_outcome(scans, findings, missed),
        summary=_summary(scans, findings, left_out),
        findings=findings,
        reason=" ".join(_reasons(failed, missed)),
        remedy=_remedy(failed, selection),
        covered=tuple(sorted(covered)),
        not_covered=(
            *selection.unreadable,
            *selection.held,
            *unread,
            *dict.fromkeys(excluded),
            *(NotCovered(what=scan.tool.name, why=scan.failure) for scan in failed),
        ),
        tools={scan.tool.name: _version(scan) for scan in scans},
        log="\n".join(scan.failure for scan in failed),
        waits=_waits(selection),
        left_out=left_out,
    )


def _read(scan: Scan) -> set[str]:
    return set(scan.files) - {one.what for one in scan.excluded}


def _version(scan: Scan) -> str:
    return f"{scan.version} (the repository names {scan.pinned})" if scan.pinned else scan.version


def _remedy(failed: Sequence[Scan], selection: Selection) -> str:
    log = "See the log of the tool that failed; run it by hand to see more." if failed else ""
    return " ".join(filter(None, (log, APPROVE if _waits(selection) else "")))


def _waits(selection: Selection) -> bool:
    return any(one.why == _WAITS for one in selection.held)


def _outcome(scans: Sequence[Scan], findings: Sequence[Finding], missed: Sequence[NotCovered]) -> Outcome:
    if scans and not findings and all(scan.failure for scan in scans):
        return Outcome.ERROR
    if missed or any(scan.failure for scan in scans):
        return Outcome.PARTIAL
    return Outcome.FINDINGS if findings else Outcome.CLEAN


def _reasons(failed: Sequence[Scan], missed: Sequence[NotCovered]) -> list[str]:
    reasons = [scan.failure for scan in failed]
    if missed:
        some = ", ".join(dict.fromkeys(f"{one.what} ({one.why})" for one in missed[:3]))
        rest = f" and {len(missed) - 3} more" if len(missed) > 3 else ""
        reasons.append(f"Not looked at: {some}{rest}.")
    return reasons


def _summary(scans: Sequence[Scan], findings: Sequence[Finding], left_out: Mapping[str, int]) -> str:
    names = ", ".join(scan.tool.name for scan in scans)
    files = len({path for scan in scans for path in scan.files})
    found = f"{len(findings)} finding{'' if len(findings) == 1 else 's'}" if findings else "nothing found"
    counted = ", ".join(f"{why}: {count}" for why, count in sorted(left_out.items()))
    left = f"; left out ({counted})" if counted else ""
    return f"{names} over {files} file{'' if files == 1 else 's'}: {found}{left}"
