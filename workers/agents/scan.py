"""Running tools over files and joining what they say: the common part of the lint and the security agent."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from bot.domain.findings import AgentResult, Finding, NotCovered, Outcome
from bot.errors import ToolFailed
from workers.agent import Command, Completed, Kit, Output, Sandbox, Tool
from workers.agents import tree

# One call's share: bytes of names stay well below the kernel's bound (ARG_MAX), and a number of files gives output
# that can be held.
_NAMES, _FILES = 100_000, 250
_AT_ONCE = 2
# Calls that break before a tool is given up; enough to find one bad file among `_FILES`, and a second.
_PATIENCE = 16
_VERSION_PATIENCE = 20.0


@dataclass(frozen=True)
class Target:
    """A tree and what to look at in it. `trusted`: its own configuration of tools is honoured. `deadline` is on the
    monotonic clock."""

    root: Path
    files: Sequence[str]
    trusted: bool
    deadline: float


@dataclass(frozen=True)
class Scan:
    """What one tool did. `failure` is its own words when it could not do all of it; then `findings` are not whole."""

    tool: Tool
    files: tuple[str, ...]
    findings: tuple[Finding, ...] = ()
    unread: tuple[NotCovered, ...] = ()
    version: str = ""
    failure: str = ""
    left_out: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Selection:
    """The tools that have something to read, with their files, and the files that cannot be read as text."""

    work: tuple[tuple[Tool, tuple[str, ...]], ...]
    unreadable: tuple[NotCovered, ...] = ()
    nobodys: tuple[str, ...] = ()

    @property
    def missed(self) -> tuple[NotCovered, ...]:
        """What ought to have been read. Nobody expects that of a binary file, and a link has no text of its own."""
        return tuple(one for one in self.unreadable if one.why not in ("binary", "a link", "a folder"))


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
    """Without those that are optional, not named by the repository, and not installed."""
    named = wanted if isinstance(wanted, list | tuple) else ()
    return [one for one in tools if not one.optional or one.name in named or sandbox.which(one.version[0])]


def misnamed(agent: str, words: str) -> AgentResult:
    remedy = f"Correct agents.{agent}.tools in .github/assay.yml."
    return AgentResult(outcome=Outcome.ERROR, reason=words, remedy=remedy)


def select(tools: Sequence[Tool], target: Target) -> Selection:
    """Share the files out. A file that some tool would read, but that is no text, is `unreadable`."""
    claimed = {path: _readers(tools, path, tree.interpreter(target.root, path)) for path in target.files}
    kinds = {path: tree.kind(target.root, path) for path, claims in claimed.items() if claims}
    readable = {path for path, kind in kinds.items() if kind == "text"}
    return Selection(
        work=tuple(
            (tool, files)
            for tool in tools
            if (files := tuple(path for path in target.files if path in readable and tool in claimed[path]))
        ),
        unreadable=tuple(NotCovered(what=path, why=kind) for path, kind in kinds.items() if kind != "text"),
        nobodys=tuple(path for path, claims in claimed.items() if not claims),
    )


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
    calls = _Calls(tool, find_config(tool, files, target.root) if target.trusted else None, target, kit)
    for chunk in _chunks(files):
        calls.read(chunk)
    failure = calls.failure or (calls.broken[0].why if len(calls.broken) == len(files) else "")
    broken = () if failure else calls.broken
    return Scan(
        tool=tool,
        files=files,
        findings=tuple(tree.tidy(finding, target.root, kit.redact) for finding in calls.findings),
        unread=tuple(_tidy(one, target.root, kit) for one in (*calls.unread, *broken)),
        version=_version(tool.version, kit.sandbox),
        failure=kit.redact(failure)[:1000],
        left_out=calls.left_out,
    )


class _Calls:
    """The calls of one tool. One that drowns in its own output, or breaks, is made again with halves of the files until
    it is known which file did it: the others are read all the same."""

    def __init__(self, tool: Tool, config: str | None, target: Target, kit: Kit) -> None:
        self._tool, self._config, self._target, self._kit = tool, config, target, kit
        self._patience = _PATIENCE
        self.findings: list[Finding] = []
        self.unread: list[NotCovered] = []
        self.broken: list[NotCovered] = []
        self.failure = ""
        self.left_out: Counter[str] = Counter()

    def read(self, files: Sequence[str]) -> None:
        if self.failure:
            return
        named = [f"./{path}" for path in files]
        try:
            completed = self._call(named)
        except ToolFailed as error:
            self.failure = str(error)
            return
        try:
            reading = self._tool.parse(Output(completed, named, self._config, tree.reader(self._target.root)))
        except ToolFailed as error:
            self._broke(files, str(error), completed)
            return
        self.findings += reading.findings
        self.unread += reading.unread
        self.left_out.update(reading.left_out)

    def _call(self, files: Sequence[str]) -> Completed:
        tool, left = self._tool, self._target.deadline - time.monotonic()
        if left <= 0:
            raise ToolFailed(f"{tool.name} was not started: the agent's time is used up.")
        argv = tool.argv(files, self._config)
        command = Command(
            argv, self._target.root, left, stdin=tool.stdin, executes_code=tool.executes_code, reads=tool.reads
        )
        return self._kit.sandbox.run(command)

    def _broke(self, files: Sequence[str], words: str, completed: Completed) -> None:
        self._patience -= 1
        if completed.timed_out or self._patience < 0:
            self.failure = words
        elif len(files) == 1:
            self.broken.append(NotCovered(what=files[0], why=words))
        else:
            middle = len(files) // 2
            self.read(files[:middle])
            self.read(files[middle:])


def _tidy(one: NotCovered, root: Path, kit: Kit) -> NotCovered:
    return NotCovered(what=tree.relative(root, one.what) or one.what[:200], why=kit.redact(one.why)[:300])


def _chunks(files: Sequence[str]) -> Iterator[list[str]]:
    chunk: list[str] = []
    size = 0
    for path in files:
        length = len(path.encode("utf-8", "surrogateescape")) + 3
        if chunk and (size + length > _NAMES or len(chunk) >= _FILES):
            yield chunk
            chunk, size = [], 0
        chunk.append(path)
        size += length
    if chunk:
        yield chunk


def find_config(tool: Tool, files: Iterable[str], root: Path) -> str | None:
    """The repository's own configuration of a tool: in the root, else, for a tool that `searches`, in a folder on the
    way to one of the files.

    With none, a tool is run on its defaults and told so: left to itself it would look above the tree, too.
    """
    folders = {folder for path in files for folder in Path(path).parents} if tool.searches else set()
    for folder in sorted(folders | {Path()}, key=lambda folder: (len(folder.parts), folder)):
        for name, text in tool.configs.items():
            file = tree.within(root, str(folder / name))
            if file and (not text or text in "\n".join(tree.reader(root)(str(folder / name)))):
                return str(folder / name)
    return None


# Asked once a process, by the program's path: some tools need as long for it as for their work.
_VERSIONS: dict[tuple[str | None, ...], str] = {}


def _version(argv: Sequence[str], sandbox: Sandbox) -> str:
    key = (sandbox.which(argv[0]), *argv)
    if key not in _VERSIONS:
        try:
            done = sandbox.run(Command(argv, Path("/"), _VERSION_PATIENCE))
        except ToolFailed:
            return ""
        words = done.stdout.replace("version:", " ").split()
        _VERSIONS[key] = next((word for word in words if word[0].isdigit() and "." in word), "")[:40]
    return _VERSIONS[key]


def result(scans: Sequence[Scan], selection: Selection) -> AgentResult:
    """Join what the tools did. `clean` and `findings` only when every tool did all of its work."""
    failed = [scan for scan in scans if scan.failure]
    findings = tuple(finding for scan in scans for finding in scan.findings)
    unread = tuple(one for scan in scans for one in scan.unread)
    missed = selection.missed + unread
    covered = {path for scan in scans if not scan.failure for path in scan.files} - {one.what for one in unread}
    return AgentResult(
        outcome=_outcome(scans, findings, missed),
        summary=_summary(scans, findings),
        findings=findings,
        reason=" ".join(_reasons(failed, missed)),
        remedy="See the log of the tool that failed; run it by hand to see more." if failed else "",
        covered=tuple(sorted(covered)),
        not_covered=(
            *selection.unreadable,
            *unread,
            *(NotCovered(what=scan.tool.name, why=scan.failure) for scan in failed),
        ),
        tools={scan.tool.name: scan.version for scan in scans},
        log="\n".join(scan.failure for scan in failed),
    )


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


def _summary(scans: Sequence[Scan], findings: Sequence[Finding]) -> str:
    names = ", ".join(scan.tool.name for scan in scans)
    files = len({path for scan in scans for path in scan.files})
    found = f"{len(findings)} finding{'' if len(findings) == 1 else 's'}" if findings else "nothing found"
    left_out = sum((Counter(scan.left_out) for scan in scans), Counter())
    counted = ", ".join(f"{why}: {count}" for why, count in sorted(left_out.items()))
    left = f"; left out ({counted})" if counted else ""
    return f"{names} over {files} file{'' if files == 1 else 's'}: {found}{left}"
