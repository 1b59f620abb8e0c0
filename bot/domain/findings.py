"""Findings and agent results: what an agent has to say about one commit."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import Literal

from pydantic import Field

from bot.domain.model import Frozen, Text


class Severity(StrEnum):
    """One scale for every tool, from `info` to `critical`; ordered."""

    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    rank: int
    # Enum's own is written in Python, and looks at the name.
    __hash__ = str.__hash__

    def __init__(self, _: str) -> None:
        self.rank = len(type(self).__members__)

    def __lt__(self, other: object) -> bool:
        return self.rank < other.rank if isinstance(other, Severity) else NotImplemented

    def __gt__(self, other: object) -> bool:
        return self.rank > other.rank if isinstance(other, Severity) else NotImplemented

    def __le__(self, other: object) -> bool:
        return self.rank <= other.rank if isinstance(other, Severity) else NotImplemented

    def __ge__(self, other: object) -> bool:
        return self.rank >= other.rank if isinstance(other, Severity) else NotImplemented


# The words tools and people use for a place on the scale.
SEVERITY_WORDS: dict[str, Severity] = {
    **{severity.value: severity for severity in Severity},
    "none": Severity.INFO,
    "note": Severity.INFO,
    "notice": Severity.INFO,
    "information": Severity.INFO,
    "informational": Severity.INFO,
    "hint": Severity.INFO,
    "style": Severity.LOW,
    "minor": Severity.LOW,
    "warn": Severity.MEDIUM,
    "warning": Severity.MEDIUM,
    "moderate": Severity.MEDIUM,
    "major": Severity.HIGH,
    "error": Severity.HIGH,
    "fatal": Severity.CRITICAL,
    "blocker": Severity.CRITICAL,
}


def parse_severity(word: str, default: Severity = Severity.MEDIUM) -> Severity:
    """The severity a tool's word stands for, in any case; `default` for a word nobody knows."""
    return SEVERITY_WORDS.get(word.strip().lower(), default)


# Where a finding lies, seen from the diff: on an added line, within a hunk, in a changed file, or anywhere else.
Place = Literal["added", "context", "file", "elsewhere"]


# What became of a finding at a second look. `unverified`: there should have been one, and it came to nothing.
Verification = Literal["", "confirmed", "lowered", "unverified"]


class Finding(Frozen):
    """One problem.

    Lines and columns are 1-based and name the head's side; `start_line` is None for a problem of the whole file, and
    `path` (relative, `/`-separated) is empty for a problem of the whole run. `replacement` stands for the whole lines
    `start_line..end_line` (the empty string deletes them) and ends without a newline. `sources` names every
    `agent/tool` that reported it. `evidence` is text that backs the claim: a trace, a command and its output.
    `scenario` is a case in which it shows, `confidence` how sure whoever claims it is, from 0 to 1. `advice` is how to
    mend it. `identity` is what it is about where its line does not tell: a package, a secret.
    `verification` is what a second look made of it, empty where there was none; `dismissed` says who decided that it is
    not to be raised, and why.
    """

    tool: str
    rule: str
    severity: Severity
    message: Text
    path: Text = ""
    start_line: int | None = Field(default=None, ge=1)
    end_line: int | None = Field(default=None, ge=1)
    start_column: int | None = Field(default=None, ge=1)
    end_column: int | None = Field(default=None, ge=1)
    replacement: Text | None = None
    evidence: Text = ""
    scenario: Text = ""
    confidence: float | None = None
    advice: Text = ""
    identity: Text = ""
    url: str | None = None
    cwe: int | None = None
    sources: tuple[str, ...] = ()
    fingerprint: str = ""
    place: Place = "elsewhere"
    new: bool = True
    verification: Verification = ""
    dismissed: Text = ""

    @property
    def counts(self) -> bool:
        """Whether it is held against the change."""
        return self.new and not self.dismissed

    @property
    def last_line(self) -> int | None:
        return self.end_line or self.start_line

    @property
    def words(self) -> str:
        """What is wrong, and what to do about it."""
        return f"{self.message} {self.advice}".strip()

    @property
    def where(self) -> str:
        """`path:line` as far as it is known."""
        return f"{self.path}:{self.start_line}" if self.start_line else self.path


class Outcome(StrEnum):
    """How an agent ended. `skipped` means that nothing in the change was its business; only `clean` and `findings`
    mean that it looked at all of it."""

    CLEAN = "clean"
    FINDINGS = "findings"
    PARTIAL = "partial"
    SKIPPED = "skipped"
    NOT_RUN = "not_run"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    ERROR = "error"


# What commands run in where the operator wants no sandbox.
UNISOLATED = "process runner (no isolation)"


class NotCovered(Frozen):
    """Something that was not looked at, and why."""

    what: Text
    why: Text


class TimedTest(Frozen):
    """How long a test took."""

    name: Text
    seconds: float


class FlakyTest(Frozen):
    """A test that failed, and passed when it was run again alone: `times` of `runs`, as far as is remembered."""

    name: Text
    times: int
    runs: int


class CoveredFile(Frozen):
    """Of a file's changed lines that could be run: how many there are, and those that no test ran."""

    path: Text
    lines: int
    missed: tuple[int, ...] = ()


class Comparison(Frozen):
    """A run's failed tests against the base's. `fixed` is None where only those that fail now were looked at there;
    `why_not` says why nothing was compared."""

    new: int = 0
    before: int = 0
    fixed: int | None = None
    why_not: Text = ""


class Tests(Frozen):
    """Counts of a test run. Flaky tests are among the failed ones, and so are the `quarantined`, which do not fail it.
    `coverage` is of the change's lines, empty where the run left none."""

    passed: int = 0
    failed: int = 0
    errors: int = 0
    skipped: int = 0
    compared: Comparison | None = None
    flaky: tuple[FlakyTest, ...] = ()
    quarantined: int = 0
    slowest: tuple[TimedTest, ...] = ()
    coverage: tuple[CoveredFile, ...] = ()

    @property
    def total(self) -> int:
        return self.passed + self.failed + self.errors + self.skipped


class Cost(Frozen):
    """What a model was asked: tokens, and US dollars where its price is known. `budget` says how a limit stands that is
    more than half spent, `fallback` who answered where the first provider failed, and why it was not that one."""

    model: str
    input_tokens: int = 0
    output_tokens: int = 0
    usd: float | None = None
    budget: str = ""
    fallback: str = ""


def joined(costs: Sequence[Cost]) -> Cost | None:
    """What they cost together, with the models' names; no price where that of one is not known. None for none."""
    if not costs:
        return None
    return Cost(
        model=", ".join(dict.fromkeys(name for one in costs for name in one.model.split(", "))),
        input_tokens=sum(one.input_tokens for one in costs),
        output_tokens=sum(one.output_tokens for one in costs),
        usd=None if any(one.usd is None for one in costs) else sum(one.usd or 0.0 for one in costs),
        fallback=next((one.fallback for one in costs if one.fallback), ""),
    )


Unit = Literal["usd", "tokens"]


class Cap(Frozen):
    """A limit on the cost of models at which an agent stopped, and which people may raise: `name` as in
    `agents.review.budget`, `configured` there, `limit` as it was by then. So much was `spent`, and the `rest` of the
    work is estimated at so much; it is proposed to raise it to `proposed`, and it cannot be raised beyond `most`.
    `account` is where it is kept what was spent, for `kept` seconds; `words` are for people."""

    name: str
    unit: Unit
    account: str
    configured: float
    limit: float
    proposed: float
    most: float
    spent: float = 0.0
    rest: float = 0.0
    words: Text = ""
    kept: int = 0


class Origin(Frozen):
    """Where a result was taken over from: the run of `sha`, whose agent ended `at`, in seconds since the epoch."""

    sha: str
    at: float


class Judgement(Frozen):
    """What the verifier says of one finding, named by its fingerprint. `severity` is the lower one it has then;
    `evidence` a command that it ran and what came of it."""

    fingerprint: str
    ruling: Literal["confirmed", "lowered", "refuted", "unverified"]
    reason: Text
    severity: Severity | None = None
    evidence: Text = ""


class Refuted(Frozen):
    """A claim that did not survive the verifier, and why."""

    finding: Finding
    reason: Text


class Ignored(Frozen):
    """A finding that somebody decided is not to be held against any change of the repository."""

    fingerprint: str
    by: Text = ""
    reason: Text = ""

    @property
    def words(self) -> str:
        """Who decided it, and why."""
        return f"ignored by {self.by or 'nobody known'}" + (f": {self.reason}" if self.reason else "")


class Measure(Frozen):
    """What a change is like, as far as its diff tells. `code` and `tests` count changed files; `dependencies` names
    those that say what the code depends on; `troubled` counts earlier commits at which something was found in the
    files that it touches."""

    files: int = 0
    added: int = 0
    removed: int = 0
    code: int = 0
    tests: int = 0
    dependencies: tuple[Text, ...] = ()
    troubled: int = 0


class Excerpt(Frozen):
    """Some lines of a file of the head, from line `first` on, each with its end as it stands there."""

    path: Text
    first: int
    text: Text


class AgentResult(Frozen):
    """What one agent found at one commit.

    `reason` says why for every outcome but `clean` and `findings`, and `remedy` what would change it. `covered` names
    the files it looked at, `tools` the versions it used, `sandbox` what its commands ran in, `log` is a bounded tail of
    output for people. `origin` says where it was taken over from, None when the agent looked itself. `measure` is of
    the change. `judgements` are a verifier's; `refuted` are the claims that are no findings any more because of them.
    `waits`: an approval would have it do more. `retry_after`: a service that it needs was away, and may be asked again
    in so many seconds. `excerpts` are the lines around what its findings' replacements change. `cap` is the limit at
    which it stopped asking a model, where people may raise it; `rest` what it left would about cost. `left_out` counts
    what its tools found and what was taken for no finding, by why not.
    """

    outcome: Outcome
    summary: Text = ""
    findings: tuple[Finding, ...] = ()
    reason: Text = ""
    remedy: Text = ""
    covered: tuple[Text, ...] = ()
    not_covered: tuple[NotCovered, ...] = ()
    tools: dict[str, str] = Field(default_factory=dict)
    sandbox: str = ""
    tests: Tests | None = None
    cost: Cost | None = None
    seconds: float = 0.0
    log: Text = ""
    origin: Origin | None = None
    measure: Measure | None = None
    judgements: tuple[Judgement, ...] = ()
    refuted: tuple[Refuted, ...] = ()
    waits: bool = False
    retry_after: float | None = None
    excerpts: tuple[Excerpt, ...] = ()
    cap: Cap | None = None
    rest: Cost | None = None
    left_out: dict[str, int] = Field(default_factory=dict)


# What a formatter changes of a line, besides spaces: quotes, brackets around an expression, commas behind one.
# A table of all of ASCII: to look a character up in vain takes four times as long as all the rest.
_FORM = "".join(" " if char in "'\"`(),;" else char for char in map(chr, range(128)))
_NUMBER = re.compile(r"\d+")


def content(line: str, message: str) -> str:
    """What a finding is about, as far as its line tells, without what a formatter may change; else its message."""
    return " ".join(line.translate(_FORM).split()) or _NUMBER.sub("0", message)


class Fingerprints:
    """Gives the findings of one result an identity that survives moved lines, in their order.

    It is made of tool, rule, path and the text of the first line (`line_of(path, line)`, without what a formatter may
    change of it), counted where that repeats; a finding without a line uses its message with the numbers left out. One
    that says what it is about (`Finding.identity`) uses that instead of either.
    """

    def __init__(self, line_of: Callable[[str, int], str]) -> None:
        self._line_of = line_of
        self._seen: dict[str, int] = {}

    def of(self, tool: str, rule: str, path: str, line: int | None, message: str, identity: str = "") -> str:
        text = identity or content(self._line_of(path, line) if line else "", message)
        whole = f"{tool}\0{rule}\0{path}\0{text}"
        seen = self._seen[whole] = self._seen.get(whole, 0) + 1
        counted = f"{whole}\0{seen}"
        return hashlib.sha256(counted.encode(errors="surrogatepass")).hexdigest()[:20]


def with_fingerprints(findings: Iterable[Finding], line_of: Callable[[str, int], str]) -> tuple[Finding, ...]:
    """The findings of one result with their `Fingerprints`."""
    prints = Fingerprints(line_of)
    return tuple(
        one.model_copy(
            update={"fingerprint": prints.of(one.tool, one.rule, one.path, one.start_line, one.message, one.identity)}
        )
        for one in findings
    )


# Rules of different tools that name one problem. ruff's S-rules are bandit's B-rules under another letter; a secret is
# a secret whoever saw it.
_SECRET = re.compile(r"^(?:[SB]10[567]|secret\b.*)$", re.IGNORECASE)
_RUFF_BANDIT = re.compile(r"^S(\d{3})$")


@lru_cache(maxsize=1024)
def _problem(rule: str) -> str:
    if _SECRET.match(rule):
        return "secret"
    match = _RUFF_BANDIT.match(rule)
    return f"B{match[1]}" if match else rule


# Each message is compared with its neighbours', so its words are looked for once.
@lru_cache(maxsize=1024)
def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"[a-z]{3,}", text.lower()))


def _same(one: Finding, other: Finding) -> bool:
    if _problem(one.rule) == _problem(other.rule) or (one.cwe is not None and one.cwe == other.cwe):
        return True
    mine, yours = _words(one.message), _words(other.message)
    return bool(mine and yours) and len(mine & yours) / len(mine | yours) >= 0.6


# How many findings of one line are compared at most: a hostile file may have thousands on one.
_NEIGHBOURS = 20


def _speakers(finding: Finding) -> frozenset[str]:
    return frozenset(finding.sources or (finding.tool,))


# A reviewer speaks of a piece of code in prose, a tool of a line in a few words. Lines of a claim that are looked at.
_SPAN = 40
# A tool's words that a claim has to contain, of those that say something, and how many there have to be.
_SHARE, _FEWEST = 0.6, 2
_COMMON = frozenset(
    re.findall("[a-z]+", "the and for this that with from are not but has was its can may used use should possible")
)


def spoken_by(agent: str, finding: Finding) -> bool:
    """Whether one of its sources is this agent."""
    prefix = f"{agent}/"
    for source in finding.sources:  # noqa: SIM110 - `any` with a generator takes five times as long, a million times
        if source.startswith(prefix):
            return True
    return False


def _is_claim(finding: Finding) -> bool:
    return spoken_by("review", finding)


def _told_in(claim: Finding, finding: Finding) -> bool:
    """Whether a reviewer's claim says what a tool says of a line of it."""
    if claim.rule == "review/security" and spoken_by("security", finding):
        return True
    said = _words(finding.message) - _COMMON
    return len(said) >= _FEWEST and len(said & _words(claim.message)) / len(said) >= _SHARE


def merge(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """One problem seen by two sources on one line becomes one finding with both sources; so does a reviewer's claim
    about lines and what a tool says of one of them.

    The more severe one speaks; order is otherwise kept. Two findings of one source are never merged: a tool that
    speaks twice on a line means two things.
    """
    merged: list[Finding] = []
    at: dict[tuple[str, int], list[int]] = {}
    claims: list[Finding] = []
    for finding in findings:
        if not finding.start_line:
            merged.append(finding)
        elif _is_claim(finding):
            # Last, when all is there that they may repeat.
            claims.append(finding)
        elif (peers := at.get((finding.path, finding.start_line))) is None:
            at[finding.path, finding.start_line] = [len(merged)]
            merged.append(finding)
        elif not _joins(merged, peers, finding, _same):
            peers.append(len(merged))
            merged.append(finding)
    for claim in claims:
        first = claim.start_line or 1
        lines = range(first, min(claim.last_line or first, first + _SPAN) + 1)
        around = [index for line in lines for index in at.get((claim.path, line), ())]
        if not _joins(merged, around, claim, lambda tool, said: _same(tool, said) or _told_in(said, tool)):
            merged.append(claim)
    return tuple(merged)


def _joins(
    merged: list[Finding], peers: Sequence[int], finding: Finding, same: Callable[[Finding, Finding], bool]
) -> bool:
    """Whether a finding says what one of its peers does; then it was put to that one."""
    for index in peers[:_NEIGHBOURS]:
        peer = merged[index]
        if _speakers(peer).isdisjoint(_speakers(finding)) and same(peer, finding):
            merged[index] = _joined(peer, finding)
            return True
    return False


def _joined(peer: Finding, finding: Finding) -> Finding:
    loud, quiet = (finding, peer) if finding.severity > peer.severity else (peer, finding)
    same_lines = (loud.start_line, loud.last_line) == (quiet.start_line, quiet.last_line)
    return loud.model_copy(
        update={
            "sources": tuple(dict.fromkeys(peer.sources + finding.sources)),
            "replacement": quiet.replacement if loud.replacement is None and same_lines else loud.replacement,
            "evidence": loud.evidence or quiet.evidence,
            "scenario": loud.scenario or quiet.scenario,
            "confidence": loud.confidence if loud.confidence is not None else quiet.confidence,
            "advice": loud.advice or quiet.advice,
            "cwe": loud.cwe if loud.cwe is not None else quiet.cwe,
            "url": loud.url or quiet.url,
            "new": loud.new or quiet.new,
            # One of them still counts.
            "dismissed": loud.dismissed if quiet.dismissed else "",
        }
    )
