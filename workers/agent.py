"""The seam between Assay and an agent: what an agent is given, and what it gives back.

An agent is any object with `run(work, kit) -> AgentResult`. It looks at one commit and returns findings; it does not
post, enqueue, or hold credentials. Everything of the outside reaches it through `Kit`. The registry
(`workers/registry.py`) lists the built-in ones; other people's are found by their entry point, group `assay.agents`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from pydantic import BaseModel

from bot.domain.diff import Diff
from bot.domain.findings import AgentResult, Cost, Finding, NotCovered
from bot.errors import AssayError, Refused, Unavailable

# Output of a tool that is kept, in characters; what is beyond is dropped and `Completed.truncated` says so.
OUTPUT_LIMIT = 8_000_000
# Characters of a text that is remembered. What is longer is to be found out again.
LONGEST_NOTE = 1_000_000


@dataclass(frozen=True)
class Completed:
    """How a process ended. `exit_code` is None when it was ended by the clock or a signal. `stdout` and `stderr` are
    decoded with replacement and bounded by `OUTPUT_LIMIT`."""

    exit_code: int | None
    stdout: str
    stderr: str
    seconds: float
    timed_out: bool = False
    truncated: bool = False


@dataclass(frozen=True)
class Command:
    """A process to run: an argument list (never a shell string), a folder to run in, a wall clock in seconds.

    `env` is added to the sandbox's clean environment. `executes_code` says that it may execute code of the repository;
    without it, it only reads. `home` is a folder to be its HOME, for commands that follow on one another; without it a
    command gets an empty one of its own. `watch` hears what it prints while it runs, line by line, each one bounded,
    secrets and all.

    In a sandbox it sees, beside the system, `tree` (by default `cwd`, which lies in it; `/` stands for none), `home`,
    and what `reads` and `writes` name, all by the paths that they have outside. It may write to `home`, to `writes`,
    and, when it executes code, to `tree`. `network` lets it reach package registries, and nothing else.
    """

    argv: Sequence[str]
    cwd: Path
    timeout: float
    env: Mapping[str, str] = field(default_factory=dict)
    stdin: str | None = None
    executes_code: bool = False
    home: Path | None = None
    watch: Callable[[str], None] | None = None
    network: bool = False
    tree: Path | None = None
    reads: Sequence[Path] = ()
    writes: Sequence[Path] = ()


class Sandbox(Protocol):
    """Runs processes that read or execute what a stranger wrote."""

    @property
    def level(self) -> str:
        """How strong it is, in a few words for people."""

    @property
    def isolates(self) -> bool:
        """Whether a command sees nothing but what it is given. Without that no stranger's code is executed."""

    def run(self, command: Command) -> Completed:
        """Run to the end, or to the wall clock, and leave no process behind.

        Raises bot.errors.ToolFailed when the program cannot be started (it is not installed, say), and
        bot.errors.NoSandbox when nothing may be executed on this machine.
        """

    def which(self, program: str) -> str | None:
        """The path of a program as the sandbox sees it, None where there is none."""


# The lines of a file of the tree by its relative path, without their ends; none for a file that cannot be read.
Reader = Callable[[str], Sequence[str]]


@dataclass(frozen=True)
class Output:
    """What a tool said about `files` (as it was given them, `./path`). `config` is the repository's own configuration
    of the tool, relative, where it was honoured; `read` gives the lines of the files. `folders` are the names of the
    folder that the tool was started in, absolute: two where a link leads there."""

    completed: Completed
    files: Sequence[str]
    config: str | None
    read: Reader
    folders: Sequence[str] = ()


@dataclass(frozen=True)
class Reading:
    """What a tool's output means: its findings, the files it says it could not read, and those that the repository
    keeps from it. `left_out` counts what it found and what was not taken for a finding, by why not."""

    findings: Sequence[Finding] = ()
    unread: Sequence[NotCovered] = ()
    excluded: Sequence[NotCovered] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Mending:
    """A second command of a tool that does not tell its fixes by itself: `argv(program, files)`, over files that it
    found something in. `parse(findings, output)` gives the findings with what comes of it, and is pure."""

    argv: Callable[[str, Sequence[str]], Sequence[str]]
    parse: Callable[[Sequence[Finding], Output], Sequence[Finding]]


@dataclass(frozen=True)
class Listing:
    """A second command of a tool that does not tell which files its configuration keeps from it:
    `argv(program, files, config)` has it name those that it reads. `parse(output)` gives them, and is pure; it raises
    bot.errors.ToolFailed where they are not named."""

    argv: Callable[[str, Sequence[str], str], Sequence[str]]
    parse: Callable[[Output], Sequence[str]]


@dataclass(frozen=True)
class Tool:
    """A linter or scanner: how to run it, and how to read what it says. One small module a tool.

    `applies(path)` says which files it reads. `argv(files, config)` is the command line for some of them, given
    relative as `./path`; `config` is the repository's own configuration file to honour, None for the tool's defaults.
    `configs` are the names such a file may have, each with a text that it must contain (empty: any), and `searches`
    says that the tool itself looks for it beside each file. `stdin` is what the tool is given to read.
    `interpreters` says of those that a script's first line may name (without digits: `python` for `python3.11`)
    whether the tool reads their scripts: for a yes a script without an ending is read, for a no any file is left out.
    `parse(output)` is pure: it raises bot.errors.ToolFailed with the tool's own words when the tool crashed. `version`
    is the command that prints its version. `executes_code` tells whether it may execute the repository's code. An
    `optional` one is used where it is installed; elsewhere nobody misses it. `reads` are files of Assay's own that it
    is shown.

    One with a `taste` is used only where the repository configures it, or names it. Where `projects` are given, it
    looks at projects, not at files: at those that the files lie in, told by files of these names (like `configs`), and
    it is started in their folders; an empty name among them says that a file of no project is one of the root.
    `options(read, folder)` are options of its command line, the first ones, that hang
    on what the files of a project, and of the folders above it, say. What one says of a file hangs on that file and its
    configuration `alone`, or on others, too. `setup` names the kind of suite whose packages it needs. A `local` one is
    taken from the repository's own packages, where it may be executed. `known_as` are names of packages that bring it,
    for those that a repository pins. A file that only such tools read as do not `cover` it was not looked at. Fixes may
    come by a `mending`, and what a configuration leaves out by a `listing`.
    """

    name: str
    applies: Callable[[str], bool]
    argv: Callable[[Sequence[str], str | None], list[str]]
    parse: Callable[[Output], Reading]
    version: Sequence[str]
    languages: str
    licence: str
    configs: Mapping[str, str] = field(default_factory=dict)
    searches: bool = False
    stdin: str | None = None
    executes_code: bool = False
    optional: bool = False
    reads: Sequence[Path] = ()
    interpreters: Mapping[str, bool] = field(default_factory=dict)
    taste: bool = False
    projects: Mapping[str, str] = field(default_factory=dict)
    options: Callable[[Reader, str], Sequence[str]] = lambda _read, _folder: ()
    alone: bool = True
    setup: str = ""
    local: bool = False
    known_as: Sequence[str] = ()
    covers: bool = True
    mending: Mending | None = None
    listing: Listing | None = None


@dataclass(frozen=True)
class Case:
    """The result of one test. `frames` are the places its trace names, the innermost first, as they stand there;
    `path` and `line` are where the test itself is, where the report says so. `id` is what its runner calls it when it
    is to be run alone, where that is more than its name."""

    name: str
    status: Literal["passed", "failed", "error", "skipped"]
    classname: str = ""
    seconds: float = 0.0
    message: str = ""
    trace: str = ""
    path: str = ""
    line: int | None = None
    frames: tuple[tuple[str, int], ...] = ()
    id: str = ""


Answer = TypeVar("Answer", bound=BaseModel)
# What the context of an answer's validation holds, true where it is not asked for again: then a type may do with less.
LAST_TRY = "last_try"


# Refusals with one of these are about the account or the model's name, not about what was asked: the next request to
# that provider would meet them too.
ACCOUNT = (401, 403, 404, 429)


class Paid(AssayError):
    """A question that came to nothing, and was paid for all the same: `cost`."""

    cost: Cost


class CutOff(Unavailable, Paid):
    """An answer that was not waited for to its end: its time was up, or nobody waits for it any more. `cost` is what
    was used until then."""

    def __init__(self, message: str, cost: Cost, retry_after: float | None = None) -> None:
        super().__init__(message, retry_after)
        self.cost = cost


class Declined(Refused, Paid):
    """The model, or the filter of its provider, said no."""

    def __init__(self, message: str, status: int, cost: Cost) -> None:
        super().__init__(message, status)
        self.cost = cost


class TooLong(Refused):
    """A question is longer than the model takes: part of it might not be."""


class OverBudget(Refused):
    """What was to be asked would cost more than a limit allows; `remedy` says what would change that."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message, 429)
        self.remedy = remedy


class Model(Protocol):
    """A language model that answers in a given shape."""

    @property
    def name(self) -> str: ...

    @property
    def room(self) -> int:
        """Characters that a question may have, what stands before it included; of text with few other than ASCII."""

    def named(self, model: str) -> Model:
        """Another model of the same provider. Raises bot.errors.Theirs for one that the operator does not allow."""

    def estimate(self, system: str, user: str) -> Cost:
        """What one question will about cost; without dollars where the model's price is not known."""

    def ask(self, system: str, user: str, answer: type[Answer], *, timeout: float) -> tuple[Answer, Cost]:
        """One question, one typed answer, and what it cost.

        Raises bot.errors.Unavailable (rate limit, outage; worth another try), CutOff, OverBudget, bot.errors.Refused
        (the provider or the model said no) or bot.errors.Theirs (an answer that does not fit, after one repair). One
        that was paid for is `Paid` as well.
        """


class Memory(Protocol):
    """What agents remember of a repository between commits: texts by key, for a while. It may forget at any time.

    A key has to say all that its text depends on: tree or file, tool, version, configuration. What is noted while a
    stranger's commit is looked at never serves a trusted one."""

    def recall(self, keys: Sequence[str]) -> Sequence[str | None]:
        """The texts of these keys, in their order, None where there is none."""

    def note(self, texts: Mapping[str, str], seconds: int) -> None:
        """Remember texts by key for `seconds`; a text longer than `LONGEST_NOTE` is let be."""


class NoMemory:
    """Remembers nothing."""

    def recall(self, keys: Sequence[str]) -> Sequence[str | None]:
        return [None] * len(keys)

    def note(self, texts: Mapping[str, str], seconds: int) -> None:
        pass


class Advisories(Protocol):
    """A database of known vulnerabilities of packages, whose records are OSV's (https://ossf.github.io/osv-schema/).

    Raises a bot.errors.AssayError when it cannot be asked."""

    @property
    def name(self) -> str:
        """What it is, for people."""

    @property
    def version(self) -> str:
        """How new what it knows is, empty for one that is always up to date."""

    @property
    def matches(self) -> bool:
        """Whether what it finds is about the very version that was asked for; else about any of the package."""

    def find(self, packages: Sequence[tuple[str, str, str]]) -> Sequence[Sequence[tuple[str, str]] | None]:
        """For each package (OSV's ecosystem, name, version) the ids of its records, and when each was changed last;
        None for an ecosystem that it knows nothing of."""

    def records(self, ids: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        """The records by id."""


class Prepared(Protocol):
    """Keeps what was set up for a repository's tests, by a key that says all that it depends on."""

    def __call__(self, key: str, fill: Callable[[Path], None]) -> AbstractContextManager[Path]:
        """The folder of that key, there for as long as the context lasts, made by `fill` unless it is kept already.
        Where `fill` raises, nothing is kept."""


@dataclass(frozen=True)
class Facts:
    """What a registry tells of a version: the day it was published, its licence, and why it was deprecated or yanked;
    empty for what it does not tell, or for neither."""

    published: str = ""
    licence: str = ""
    deprecated: str = ""


class Registry(Protocol):
    """What registries tell of packages. Raises a bot.errors.AssayError when it cannot be asked."""

    @property
    def name(self) -> str:
        """What it is, for people."""

    def facts(self, packages: Sequence[tuple[str, str, str]]) -> Sequence[Facts | None]:
        """Of each package (OSV's ecosystem, name, version), None where it knows none."""


@dataclass(frozen=True)
class Kit:
    """What an agent may use of the outside. `model` is None where no key is set. `progress` takes a few words for
    people who wait. `redact` takes secrets out of a text. `memory` is the repository's. `advisories` is None where the
    operator set up no database of vulnerabilities, `registry` where nobody may be asked about packages, `prepared`
    where nothing is set up by itself: on somebody's own machine. `never_send` are globs of the files that no model is
    shown. `verify_model` is the one of the second look, empty for the reviewer's. `written` are
    the tokens that models have written for this agent so far, as far as they are heard of."""

    sandbox: Sandbox
    model: Model | None
    progress: Callable[[str], None]
    redact: Callable[[str], str]
    memory: Memory = field(default_factory=NoMemory)
    advisories: Advisories | None = None
    registry: Registry | None = None
    prepared: Prepared | None = None
    never_send: Sequence[str] = ()
    verify_model: str = ""
    written: Callable[[], int] = lambda: 0


@dataclass(frozen=True)
class Added:
    """The lines that one commit added to one file, each with its number there."""

    commit: str
    path: str
    lines: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class History:
    """The commits that a change is made of, one by one: `commits` counts them. Nothing is `added` where it is a single
    one, which is the change itself. `gap` says what of it could not be read, empty if all was."""

    commits: int = 1
    added: Sequence[Added] = ()
    gap: str = ""


@dataclass(frozen=True)
class Work:
    """One commit to look at. What has to be fetched for it is fetched when it is asked for.

    `root` holds the commit's files: for an agent that only reads they are shared and not to be written to, any other
    has them to itself; `own(tree)` is a copy of such a tree to write to, there for as long as the agent.
    `base()` gives the files of the commit it is compared with, shared, None for a first commit.
    `diff` is between the two, `patch()` is its text, `history()` the commits between, `messages()` what
    these say of themselves, a stranger's words, the newest first; `base_texts(paths)` gives the texts of files of the
    base, of those that are there; `trees()` names their git trees, the base's first, empty where it is not known.
    `files` are those of the head to look at: the changed ones, or, where there is no base, every one. `settings` is the
    agent's part of the configuration. `trusted` is false when the author may not execute code here
    (a fork): then nothing of the repository is executed, unless somebody `approved` it, and the configuration of tools
    is the base's. `title` and `description` are a stranger's words. `timeout` is what the agent has, in seconds.
    `secrets` are the operator's for its command, by name; None for one that gets none: a stranger wrote
    the commit, or it is on somebody's own machine.
    `others` is what the run's other agents have said so far, by name; `overhear(seconds)` what they have said when
    it is called, after waiting so long at most for linters and scanners that are at work. `about` names the one that a
    verifier is to judge. `refutations` say of an agent's own claims, the last time it was asked, why they do not hold.
    `look` names the new look that a person asked for, for which nothing remembered of before will do; else it is empty.
    """

    repository: str
    sha: str
    checkout: Callable[[], Path]
    base: Callable[[], Path | None]
    compare: Callable[[], Diff]
    patch: Callable[[], str]
    settings: Mapping[str, Any]
    timeout: float
    trees: Callable[[], tuple[str, str]] = lambda: ("", "")
    trusted: bool = True
    approved: bool = False
    title: str = ""
    description: str = ""
    others: Mapping[str, AgentResult] = field(default_factory=dict)
    about: str = ""
    refutations: Sequence[str] = ()
    look: str = ""
    history: Callable[[], History] = History
    messages: Callable[[], Sequence[str]] = tuple
    base_texts: Callable[[Sequence[str]], Mapping[str, str]] = lambda _paths: {}
    overhear: Callable[[float], Mapping[str, AgentResult]] = lambda _seconds: {}
    own: Callable[[Path], Path] = lambda tree: tree
    secrets: Mapping[str, str] | None = None

    @cached_property
    def root(self) -> Path:
        return self.checkout()

    @cached_property
    def diff(self) -> Diff:
        return self.compare()

    @property
    def files(self) -> tuple[str, ...]:
        return self.diff.paths


class Agent(Protocol):
    """Looks at one commit."""

    def run(self, work: Work, kit: Kit) -> AgentResult:
        """Look, and say what was found, what was covered and what was not.

        Findings may lie anywhere; the worker sets `place`, `fingerprint` and `sources` and applies `report`. An
        exception becomes the outcome `error`.
        """
