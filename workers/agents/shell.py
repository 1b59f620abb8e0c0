"""Running the repository's own shell commands: the common part of the test and the command agent."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bot.domain.findings import AgentResult, NotCovered, Outcome
from bot.errors import Theirs
from workers.agent import Command, Completed, Kit, Work
from workers.agents import tree
from workers.agents.live import Live

# A report that a command leaves behind; bytes, and how many a glob may name.
_LARGEST_REPORT = 20_000_000
_MOST_REPORTS = 500

_TAIL = 6000  # characters of output kept for people
_NOT_FOUND, _NOT_EXECUTABLE = 127, 126
APPROVE = "Read the change, then press Approve on the check `assay`, or comment the line that stands there."


def untrusted() -> AgentResult:
    """The answer for a commit whose author may not execute code here."""
    return AgentResult(
        outcome=Outcome.NOT_RUN,
        reason="what a stranger wrote is executed only after somebody with write access has approved it",
        remedy=APPROVE,
    )


def secrets(work: Work) -> dict[str, str]:
    """What the setting `env_secrets` names of the operator's secrets; nothing for a stranger's commit."""
    names = [str(name) for name in work.settings.get("env_secrets") or ()]
    return {name: work.secrets[name] for name in names if name in work.secrets} if work.secrets is not None else {}


def without_secrets(work: Work) -> AgentResult | None:
    """A result where a command is to have secrets that nobody keeps for it."""
    names = [str(name) for name in work.settings.get("env_secrets") or ()]
    missing = [name for name in names if work.secrets is not None and name not in work.secrets]
    if not missing:
        return None
    return AgentResult(
        outcome=Outcome.NOT_RUN,
        reason=f"the operator of Assay keeps no secret {', '.join(missing)} for {work.repository}",
        remedy="Have it added to ASSAY_ENV_SECRETS, or take it out of env_secrets in .github/assay.yml.",
    )


@dataclass(frozen=True)
class Shell:
    """Runs commands in the work's tree until the agent's time is used up. `home` lasts as long as the agent, so that
    what `setup` installs for its user is there when `run` comes. `live` hears what they print. They may
    read `reads`, too."""

    work: Work
    kit: Kit
    home: Path
    deadline: float
    live: Live | None = None
    reads: Sequence[Path] = ()

    @classmethod
    def begin(cls, work: Work, kit: Kit, home: Path) -> Shell:
        return cls(work, kit, home, time.monotonic() + work.timeout, Live(kit))

    def script(self, text: str, env: Mapping[str, str] | None = None, *, network: bool = False) -> Completed:
        return self.run(["/bin/sh", "-c", text], env, network=network)

    def run(
        self,
        argv: Sequence[str],
        env: Mapping[str, str] | None = None,
        folder: str = "",
        *,
        network: bool = False,
        writes: Sequence[Path] = (),
    ) -> Completed:
        """Run in a folder of the tree; `network` is for what gets packages. Raises ToolFailed when the program cannot
        be started."""
        env = {"CI": "true", "ASSAY": "true", **(env or {})}
        where, watch = self.work.root / folder, self.live.hear if self.live else None
        return self.kit.sandbox.run(
            Command(
                argv,
                where,
                self.left,
                env=env,
                executes_code=True,
                home=self.home,
                watch=watch,
                network=network,
                tree=self.work.root,
                reads=self.reads,
                writes=writes,
            )
        )

    def say(self, task: str) -> None:
        """Tell those who wait what is done now."""
        (self.live.begin if self.live else self.kit.progress)(task)

    @property
    def left(self) -> float:
        """Seconds until the agent's time is used up."""
        return max(0.0, self.deadline - time.monotonic())

    def tail(self, *completed: Completed) -> str:
        """The end of what commands printed, without secrets and bounded."""
        text = "\n".join(part.strip() for one in completed for part in (one.stdout, one.stderr) if part.strip())
        text = self.kit.redact(text)
        return text if len(text) <= _TAIL else "…" + text[-_TAIL:]

    def setup(self, agent: str) -> AgentResult | None:
        """Run the setting `setup`, if there is one. A result when that was the end of it."""
        command = self.work.settings.get("setup")
        if not command:
            return None
        self.say("setup")
        completed = self.script(str(command), network=True)
        if completed.exit_code == 0:
            return None
        outcome = Outcome.TIMED_OUT if completed.timed_out else Outcome.ERROR
        reason = f"setup {how_it_ended(completed)}: {last_words(self.tail(completed))}"
        remedy = f"Mend agents.{agent}.setup in .github/assay.yml."
        return AgentResult(outcome=outcome, reason=reason, remedy=remedy, log=self.tail(completed))


def how_it_ended(completed: Completed) -> str:
    if completed.timed_out:
        return f"was stopped after {completed.seconds:.0f} s"
    if completed.exit_code is None:
        return "was ended by a signal"
    return f"ended with exit code {completed.exit_code}"


def last_words(tail: str) -> str:
    lines = [line.strip() for line in tail.splitlines() if line.strip()]
    return (lines[-1] if lines else "it printed nothing")[:300]


def cut_short(completed: Completed, agent: str, what: str, log: str) -> AgentResult | None:
    """A result for a command that did not come to an end of its own, or that does not exist; None for others."""
    if completed.timed_out:
        remedy = f"Make it faster, or raise agents.{agent}.timeout in .github/assay.yml."
        reason = f"{what} {how_it_ended(completed)}"
        return AgentResult(outcome=Outcome.TIMED_OUT, reason=reason, remedy=remedy, log=log)
    if completed.exit_code is None:
        reason = f"{what} was ended by a signal: out of memory, perhaps"
        return AgentResult(outcome=Outcome.ERROR, reason=reason, remedy="See the log; run it by hand.", log=log)
    if completed.exit_code in (_NOT_FOUND, _NOT_EXECUTABLE):
        remedy = f"Install what it needs in agents.{agent}.setup, or on the machine that runs Assay."
        return AgentResult(outcome=Outcome.ERROR, reason=f"{what}: {last_words(log)}", remedy=remedy, log=log)
    return None


Snapshot = Mapping[str, tuple[int, int]]


class Reports:
    """Report files that a command leaves in the tree: those that match some globs and were not there before, untouched.

    Raises Theirs for a glob that leads outside.
    """

    def __init__(self, root: Path, globs: Sequence[str]) -> None:
        for glob in globs:
            if PurePosixPath(glob).is_absolute() or ".." in PurePosixPath(glob).parts or not glob.strip():
                raise Theirs(f"{glob!r} is no path inside the repository")
        self._root, self._globs = root, globs
        self._before = self._snapshot()

    def _snapshot(self) -> Snapshot:
        found: dict[str, tuple[int, int]] = {}
        for glob in self._globs:
            for file in self._root.glob(glob):
                path = file.relative_to(self._root).as_posix()
                if tree.within(self._root, path) and len(found) < _MOST_REPORTS:
                    status = file.stat()
                    found[path] = (status.st_mtime_ns, status.st_size)
        return found

    def read(self) -> tuple[list[str], list[NotCovered]]:
        """The texts of the new reports, and those that are too large."""
        texts, missed = [], []
        for path, status in sorted(self._snapshot().items()):
            if self._before.get(path) == status:
                continue
            if status[1] > _LARGEST_REPORT:
                missed.append(NotCovered(what=path, why=f"larger than {_LARGEST_REPORT:,} bytes"))
            else:
                texts.append((self._root / path).read_text(encoding="utf-8", errors="replace"))
        return texts, missed
