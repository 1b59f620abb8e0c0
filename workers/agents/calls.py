"""Calling a tool: on shares of the files, or once a project; and once more with halves of them where it breaks."""

from __future__ import annotations

import os
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bot.domain.findings import Finding, NotCovered
from bot.errors import ToolFailed
from workers.agent import Command, Completed, Kit, Output, Sandbox, Tool
from workers.agents import tree
from workers.agents.configs import project_of
from workers.agents.rooms import Room

# One call's share: bytes of names stay well below the kernel's bound (ARG_MAX), and a number of files gives output
# that can be held.
_NAMES, _FILES = 100_000, 250
# Calls that break before a tool is given up; enough to find one bad file among `_FILES`, and a second.
_PATIENCE = 16
_VERSION_PATIENCE = 20.0
# Of second calls for fixes, seconds of each, and files of all: it takes a process a file.
_MENDING_PATIENCE, _MENDED = 20.0, 50
_REMEMBERED = 30 * 86_400


@dataclass
class Said:
    """What came of all calls. `broken` are files that a call with them alone broke on, `failure` what ended it all."""

    findings: list[Finding] = field(default_factory=list)
    unread: list[NotCovered] = field(default_factory=list)
    excluded: list[NotCovered] = field(default_factory=list)
    broken: list[NotCovered] = field(default_factory=list)
    failure: str = ""
    left_out: Counter[str] = field(default_factory=Counter)


class Calls:
    """The calls of one tool. One that drowns in its own output, or breaks, is made again with halves of the files until
    it is known which file did it: the others are read all the same."""

    def __init__(self, tool: Tool, config: str | None, room: Room, deadline: float, kit: Kit) -> None:
        self._tool, self._config, self._room, self._deadline, self._kit = tool, config, room, deadline, kit
        self._patience, self._mendable = _PATIENCE, _MENDED
        self.said = Said()

    def read(self, files: Sequence[str]) -> Said:
        for folder, own in self._folders(files).items():
            for chunk in _chunks(own):
                self._read(folder, chunk)
        return self.said

    def _folders(self, files: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """The folders to start it in, with the files that are its business there."""
        if not self._tool.projects:
            return {"": files}
        folders = defaultdict(list)
        for path in files:
            folders[project_of(self._tool, path, self._room.root) or ""].append(path)
        return folders

    def _read(self, folder: str, files: Sequence[str]) -> None:
        if self.said.failure:
            return
        start = f"{folder}/" if folder else ""
        named = [f"./{path.removeprefix(start)}" for path in files]
        texts = self._texts(files)
        try:
            completed = self._call(folder, named)
        except ToolFailed as error:
            self.said.failure = str(error)
            return
        finally:
            mended = self._put_back(texts)
        try:
            reading = self._tool.parse(self._output(folder, completed, named))
            excluded = [*reading.excluded, *self._left_out(folder, named)]
        except ToolFailed as error:
            self._broke(folder, files, str(error), completed)
            return
        said = self._with_fixes(reading.findings, folder, named)
        self._put_back(texts)
        found = (_moved(one, start) for one in said)
        self.said.findings += (one for one in found if tree.relative(self._room.root, one.path) not in mended)
        self.said.unread += (_gap_moved(one, start) for one in reading.unread)
        why = f"{self._tool.name} mends it, by its configuration, and does not tell what was wrong"
        self.said.unread += (NotCovered(what=path, why=why) for path in mended)
        self.said.excluded += (_gap_moved(one, start) for one in excluded)
        self.said.left_out.update(reading.left_out)

    def _call(self, folder: str, files: Sequence[str]) -> Completed:
        tool, own = self._tool, self._room.program(self._tool, folder)
        if tool.local and own is None and self._kit.sandbox.which(tool.version[0]) is None:
            raise ToolFailed(
                f"{tool.name} is not installed: it comes with the repository's packages. Install them first."
            )
        # It is the root's, and the tool may be started below.
        config = os.path.relpath(self._config, folder) if self._config and folder else self._config
        words = tool.argv(files, config)
        options = tool.options(tree.reader(self._room.root), folder)
        # After the program and, of some, what it is to do.
        at = next((index for index, word in enumerate(words) if word.startswith("-")), len(words))
        argv = [own or words[0], *words[1:at], *options, *words[at:]]
        return self._run(folder, argv, own, self._deadline - time.monotonic())

    def _left_out(self, folder: str, files: Sequence[str]) -> Iterator[NotCovered]:
        """The files that its configuration keeps from it, of a tool that has to be asked for them."""
        tool, own = self._tool, self._room.program(self._tool, folder)
        if tool.listing is None or self._config is None:
            return
        argv = tool.listing.argv(own or tool.version[0], files, self._config)
        completed = self._run(folder, argv, own, self._deadline - time.monotonic())
        listed = tool.listing.parse(self._output(folder, completed, files))
        named = {path.removeprefix("./") for path in listed}
        for file in files:
            if file.removeprefix("./") not in named:
                yield NotCovered(what=file, why=f"{tool.name}: excluded by its configuration")

    def _with_fixes(self, findings: Sequence[Finding], folder: str, files: Sequence[str]) -> Sequence[Finding]:
        """With fixes, where the tool has them to be asked for; as they are where that fails."""
        paths = {one.path.removeprefix("./") for one in findings}
        chosen = [file for file in files if file.removeprefix("./") in paths][: self._mendable]
        if self._tool.mending is None or not chosen:
            return findings
        self._mendable -= len(chosen)
        own, left = self._room.program(self._tool, folder), self._deadline - time.monotonic()
        argv = self._tool.mending.argv(own or self._tool.version[0], chosen)
        try:
            completed = self._run(folder, argv, own, min(left, _MENDING_PATIENCE))
        except ToolFailed:
            return findings
        if completed.exit_code != 0 or completed.truncated:
            return findings
        return self._tool.mending.parse(findings, self._output(folder, completed, chosen))

    def _output(self, folder: str, completed: Completed, files: Sequence[str]) -> Output:
        start = self._room.root / folder
        names = dict.fromkeys((str(start), os.path.realpath(start)))
        return Output(completed, files, self._config, tree.reader(start), tuple(names))

    def _run(self, folder: str, argv: Sequence[str], own: str | None, seconds: float) -> Completed:
        tool, room = self._tool, self._room
        if seconds <= 0:
            raise ToolFailed(f"{tool.name} was not started: the agent's time is used up.")
        command = Command(
            argv,
            room.root / folder,
            seconds,
            env=room.env(folder),
            stdin=tool.stdin,
            executes_code=tool.executes_code or own is not None,
            home=room.home,
            tree=room.root,
            reads=(*tool.reads, *room.ready.folders),
        )
        return self._kit.sandbox.run(command)

    def _texts(self, files: Sequence[str]) -> Mapping[str, bytes]:
        """The files as they are, where the tool may change them: some fix what they find if their configuration says
        so, and then tell of the rest only, in lines that nobody has."""
        if not self._tool.executes_code:
            return {}
        found = ((path, tree.within(self._room.root, path)) for path in files)
        return {path: file.read_bytes() for path, file in found if file}

    def _put_back(self, texts: Mapping[str, bytes]) -> set[str]:
        """Undo what the tool did to the files; which ones it changed."""
        changed = set()
        for path, text in texts.items():
            file = tree.within(self._room.root, path)
            # It may be of any size by now.
            if file and (file.stat().st_size != len(text) or file.read_bytes() != text):
                file.write_bytes(text)
                changed.add(path)
        return changed

    def _broke(self, folder: str, files: Sequence[str], words: str, completed: Completed) -> None:
        self._patience -= 1
        if completed.timed_out or self._patience < 0:
            self.said.failure = words
        elif len(files) == 1 or self._tool.projects:
            self.said.broken += (NotCovered(what=path, why=words) for path in files)
        else:
            middle = len(files) // 2
            self._read(folder, files[:middle])
            self._read(folder, files[middle:])


def _moved(finding: Finding, start: str) -> Finding:
    if not start or not finding.path or finding.path.startswith("/"):
        return finding
    return finding.model_copy(update={"path": start + finding.path})


def _gap_moved(gap: NotCovered, start: str) -> NotCovered:
    return gap if gap.what.startswith("/") else gap.model_copy(update={"what": start + gap.what})


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


# Asked once a process, by the program's path: some tools need as long for it as for their work.
_VERSIONS: dict[tuple[str, ...], str] = {}


def _state(program: str) -> tuple[str, ...]:
    """What tells one state of a file from the next; nothing of one that is in an image."""
    try:
        state = Path(program).stat()
    except OSError:
        return ()
    return str(state.st_mtime_ns), str(state.st_size)


def version_of(tool: Tool, room: Room, folder: str, kit: Kit) -> str:
    """The version of what is called in a folder; empty where it does not say. Remembered for as long as the program's
    file stays what it is."""
    own = room.program(tool, folder)
    program = own or kit.sandbox.which(tool.version[0])
    if program is None:
        return ""
    if own:
        return _ask([own, *tool.version[1:]], room.root, kit.sandbox, executes=True)
    key = (kit.sandbox.level, program, *tool.version[1:], *_state(program))
    if key not in _VERSIONS:
        name = f"version:{chr(0).join(key)}"
        [known] = kit.memory.recall([name])
        _VERSIONS[key] = known or _ask(tool.version, Path("/"), kit.sandbox, executes=False)
        if not known and _VERSIONS[key]:
            kit.memory.note({name: _VERSIONS[key]}, _REMEMBERED)
    return _VERSIONS[key]


def _ask(argv: Sequence[str], folder: Path, sandbox: Sandbox, *, executes: bool) -> str:
    try:
        done = sandbox.run(Command(argv, folder, _VERSION_PATIENCE, executes_code=executes))
    except ToolFailed:
        return ""
    words = (word.lstrip("vg").removeprefix("o") for word in done.stdout.replace("version:", " ").split())
    return next((word for word in words if word[:1].isdigit() and "." in word), "")[:40]
