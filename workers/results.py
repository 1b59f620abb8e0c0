"""From what an agent says to what is kept of it: bounded, without secrets, each finding in its place in the diff.

Nothing here trusts an agent: it may be another package's, and what it says may be a stranger's words.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from io import FileIO
from pathlib import Path, PurePosixPath
from stat import S_ISLNK, S_ISREG
from typing import NamedTuple, TypeVar

from bot.domain.diff import Diff
from bot.domain.findings import (
    AgentResult,
    Excerpt,
    Finding,
    Fingerprints,
    FlakyTest,
    Judgement,
    NotCovered,
    Outcome,
    Place,
    Tests,
    TimedTest,
)
from bot.domain.fixes import is_exact
from bot.domain.plan import AgentPlan
from config.repository import Report
from workers.excerpts import excerpts

Redact = Callable[[str], str]
Named = TypeVar("Named", FlakyTest, TimedTest)

# Characters, but for the last three.
WORDS_LIMIT = 4_000
_EVIDENCE_LIMIT = 16_000
_LOG_LIMIT = 64_000
_NAME_LIMIT = 200
_FINDINGS_LIMIT = 100_000
_FILES_LIMIT = 100_000
_LARGEST_LINE = 2**31 - 1
# Text is cut after it was redacted, for half a secret is not recognised; and somewhat before, for it may be endless.
_MARGIN = 8_000
_LARGEST_SOURCE = 20_000_000

_KEPT: dict[Report, tuple[Place, ...]] = {
    "added": ("added",),
    "context": ("added", "context"),
    "file": ("added", "context", "file"),
    "all": ("added", "context", "file", "elsewhere"),
}


def settle(result: AgentResult, plan: AgentPlan, diff: Diff, root: Path, redact: Redact) -> AgentResult:
    """Place each finding in the diff, drop those that `report` leaves out, and give the rest their identity.

    `clean` and `findings` follow from what is left; the other outcomes stand. Every text goes through `redact`.
    """
    result, wanted = _within_bounds(result), _KEPT[plan.report]
    placed = ((finding, _spot(finding, diff)) for finding in result.findings)
    kept = [(finding, spot) for finding, spot in placed if spot.place in wanted or not spot.path]
    masked = _Masked(redact, _texts(result, (finding for finding, _ in kept)))
    prints = Fingerprints(_Lines(root).line)
    findings = tuple(_told(finding, spot, plan.name, diff, masked, prints) for finding, spot in kept)
    outcome = result.outcome
    if outcome in (Outcome.CLEAN, Outcome.FINDINGS):
        outcome = Outcome.FINDINGS if any(finding.counts for finding in findings) else Outcome.CLEAN
    lines = _excerpts(findings, root, redact) if is_exact(plan.kind) else ()
    return result.model_copy(
        update={"findings": findings, "outcome": outcome, "excerpts": lines, **_words(result, masked)}
    )


def _excerpts(findings: Sequence[Finding], root: Path, redact: Redact) -> tuple[Excerpt, ...]:
    """Without those that hold a secret."""
    lines = excerpts(findings, root)
    masked = _Masked(redact, (one.text for one in lines))
    return tuple(one for one in lines if masked.whole(one.text) is not None)


def _within_bounds(result: AgentResult) -> AgentResult:
    """With no more findings than can be kept, and a word about the rest."""
    if len(result.findings) <= _FINDINGS_LIMIT:
        return result
    why = f"{len(result.findings) - _FINDINGS_LIMIT:,} more findings are left out: no more are kept than these"
    gap = NotCovered(what=f"findings beyond the first {_FINDINGS_LIMIT:,}", why=why)
    bounded = {"findings": result.findings[:_FINDINGS_LIMIT], "not_covered": (gap, *result.not_covered)}
    return result.model_copy(update=bounded)


# -- places


class _Spot(NamedTuple):
    """Where a finding is. `columns` says whether those it came with can be."""

    path: str
    first: int | None
    last: int | None
    place: Place
    columns: bool


def _spot(finding: Finding, diff: Diff) -> _Spot:
    path = _relative(finding.path)
    first, last = finding.start_line, finding.last_line
    if not path or first is None or first > _LARGEST_LINE:
        first = last = None
    elif last is not None:
        last = min(max(first, last), _LARGEST_LINE)
    columns = first is not None and max(finding.start_column or 1, finding.end_column or 1) <= _LARGEST_LINE
    return _Spot(path, first, last, diff.place(path, first, last), columns)


# An agent speaks of a file many times.
@lru_cache(maxsize=4096)
def _relative(path: str) -> str:
    """A path as the diff has it; empty for one that leads out of the repository."""
    parts = PurePosixPath(path).parts
    if path.startswith("/") or ".." in parts or "\0" in path:
        return ""
    return "/".join(parts)


def _commentable(spot: _Spot, diff: Diff) -> dict[str, object]:
    """What to change in a finding on added lines so that GitHub takes a comment on it: all lines within one hunk."""
    path, first, last = spot.path, spot.first, spot.last
    if spot.place != "added" or first is None or last is None or diff.commentable(path, first, last):
        return {}
    if diff.commentable(path, first, first):
        return {"end_line": first, "end_column": None, "replacement": None}
    return {"place": "context", "replacement": None}


# -- words


def _texts(result: AgentResult, findings: Iterable[Finding]) -> Iterator[str]:
    """All that is to be masked, cut as `_told` and `_words` ask for it."""
    yield from (_head(text, WORDS_LIMIT) for text in (result.summary, result.reason, result.remedy))
    yield _tail(result.log, _LOG_LIMIT)
    yield from (text for one in result.judgements for text in (_head(one.reason, WORDS_LIMIT), _evidence(one.evidence)))
    yield from (_head(text, _NAME_LIMIT) for pair in result.tools.items() for text in pair)
    yield from (_head(text, WORDS_LIMIT) for text in _texts_of(result.tests))
    yield from (_head(text, WORDS_LIMIT) for gap in result.not_covered[:_FILES_LIMIT] for text in (gap.what, gap.why))
    for finding in findings:
        for text in (finding.tool, finding.rule):
            yield _head(text, _NAME_LIMIT)
        for text in (finding.message, finding.advice, finding.identity, finding.scenario):
            if text:
                yield _head(text, WORDS_LIMIT)
        if finding.evidence:
            yield _head(finding.evidence, _EVIDENCE_LIMIT)
        for whole in (finding.url, finding.replacement):
            if whole:
                yield whole


def _told(finding: Finding, spot: _Spot, agent: str, diff: Diff, masked: _Masked, prints: Fingerprints) -> Finding:
    """The finding as it is kept. One copy, for there may be very many."""
    tool, rule = masked.name(finding.tool), masked.name(finding.rule)
    message, identity = masked.head(finding.message, WORDS_LIMIT), masked.head(finding.identity, WORDS_LIMIT)
    update: dict[str, object] = {
        "tool": tool,
        "rule": rule,
        "message": message,
        "path": spot.path,
        "start_line": spot.first,
        "end_line": spot.last,
        "place": spot.place,
        "evidence": masked.head(finding.evidence, _EVIDENCE_LIMIT),
        "scenario": masked.head(finding.scenario, WORDS_LIMIT),
        "confidence": _share(finding.confidence),
        "advice": masked.head(finding.advice, WORDS_LIMIT),
        "identity": identity,
        "sources": (f"{agent}/{tool}",),
        "fingerprint": prints.of(tool, rule, spot.path, spot.first, message, identity),
        "verification": "",
        "dismissed": "",
        # With a secret in it neither would be what it was.
        "url": masked.whole(finding.url) if (finding.url or "").isascii() else None,
        "replacement": masked.whole(finding.replacement) if _replaceable(finding, spot, diff) else None,
    }
    if not spot.columns:
        update |= {"start_column": None, "end_column": None}
    return finding.model_copy(update=update | _commentable(spot, diff))


def _share(number: float | None) -> float | None:
    return number if number is not None and 0 <= number <= 1 else None


def _replaceable(finding: Finding, spot: _Spot, diff: Diff) -> bool:
    if finding.replacement is None or not spot.first or not spot.last:
        return False
    return diff.commentable(spot.path, spot.first, spot.last)


def _words(result: AgentResult, masked: _Masked) -> dict[str, object]:
    gaps = result.not_covered[:_FILES_LIMIT]
    return {
        "summary": masked.head(result.summary, WORDS_LIMIT),
        "reason": masked.head(result.reason, WORDS_LIMIT),
        "remedy": masked.head(result.remedy, WORDS_LIMIT),
        "log": masked.tail(result.log, _LOG_LIMIT),
        "tools": {masked.name(name): masked.name(version) for name, version in result.tools.items()},
        "not_covered": tuple(
            NotCovered(what=masked.head(gap.what, WORDS_LIMIT), why=masked.head(gap.why, WORDS_LIMIT)) for gap in gaps
        ),
        "covered": result.covered[:_FILES_LIMIT],
        "tests": _tests(result.tests, masked) if result.tests else None,
        "judgements": tuple(_judgement(one, masked) for one in result.judgements[:_FINDINGS_LIMIT]),
        # What a run measures and concludes is not an agent's to say.
        "measure": None,
        "refuted": (),
    }


def _judgement(one: Judgement, masked: _Masked) -> Judgement:
    reason, evidence = masked.head(one.reason, WORDS_LIMIT), masked.head(one.evidence, _EVIDENCE_LIMIT)
    return one.model_copy(update={"reason": reason, "evidence": evidence})


def _evidence(text: str) -> str:
    return _head(text, _EVIDENCE_LIMIT)


def _texts_of(tests: Tests | None) -> Iterator[str]:
    """The names in a test run's results, which are a stranger's words."""
    if tests is None:
        return
    yield from (one.name for one in tests.flaky)
    yield from (one.name for one in tests.slowest)
    yield from (file.path for file in tests.coverage)
    if tests.compared:
        yield tests.compared.why_not


def _tests(tests: Tests, masked: _Masked) -> Tests:
    compared, coverage = tests.compared, tests.coverage[:_FILES_LIMIT]
    if compared:
        compared = compared.model_copy(update={"why_not": masked.head(compared.why_not, WORDS_LIMIT)})
    return tests.model_copy(
        update={
            "compared": compared,
            "flaky": tuple(_renamed(one, masked) for one in tests.flaky),
            "slowest": tuple(_renamed(one, masked) for one in tests.slowest),
            "coverage": tuple(
                file.model_copy(update={"path": masked.head(file.path, WORDS_LIMIT)}) for file in coverage
            ),
        }
    )


def _renamed(test: Named, masked: _Masked) -> Named:
    return test.model_copy(update={"name": masked.head(test.name, WORDS_LIMIT)[:_NAME_LIMIT]})


def _head(text: str, limit: int) -> str:
    return text[: limit + _MARGIN]


def _tail(text: str, limit: int) -> str:
    return text[-limit - _MARGIN :]


class _Masked:
    """Texts and what redaction makes of them. Redacting costs per call, so each text is redacted once, and many are
    joined for one call; where redaction touched a seam, they are redacted one by one."""

    _SEAM = "\n\0\n"
    _AT_ONCE = 1_000_000

    def __init__(self, redact: Redact, texts: Iterable[str]) -> None:
        self._redact = redact
        self._known: dict[str, str] = {}
        self._names: dict[str, str] = {}
        for batch in self._batches(dict.fromkeys(texts)):
            self._known |= self._mask(batch)

    def head(self, text: str, limit: int) -> str:
        return self._known[_head(text, limit)][:limit] if text else ""

    def name(self, text: str) -> str:
        """Names are plain strings: what is no Unicode in them is spelled out. A tool has few of them."""
        name = self._names.get(text)
        if name is None:
            name = self._names[text] = self.head(text, _NAME_LIMIT).encode("utf-8", "backslashreplace").decode()
        return name

    def tail(self, text: str, limit: int) -> str:
        return self._known[_tail(text, limit)][-limit:]

    def whole(self, text: str | None) -> str | None:
        """The text, None where there was something to mask in it."""
        return text if not text or self._known[text] == text else None

    def _batches(self, texts: Iterable[str]) -> Iterator[list[str]]:
        batch, size = list[str](), 0
        for text in texts:
            batch.append(text)
            size += len(text)
            if size > self._AT_ONCE:
                yield batch
                batch, size = [], 0
        yield batch

    def _mask(self, texts: list[str]) -> Mapping[str, str]:
        masked = self._redact(self._SEAM.join(texts)).split(self._SEAM)
        if len(masked) != len(texts):
            masked = [self._redact(text) for text in texts]
        return dict(zip(texts, masked, strict=True))


# -- lines


class _Lines:
    """The text of single lines, each file read once, and each folder looked for once: there may be thousands."""

    def __init__(self, root: Path) -> None:
        self._root = os.path.realpath(root)
        self._folders: dict[str, str] = {}
        self._files: dict[str, list[str]] = {}

    def line(self, path: str, number: int) -> str:
        if path not in self._files:
            self._files[path] = self._read(path)
        lines = self._files[path]
        return lines[number - 1] if 0 < number <= len(lines) else ""

    def _read(self, path: str) -> list[str]:
        folder, _, name = path.rpartition("/")
        try:
            if folder not in self._folders:
                self._folders[folder] = os.path.realpath(f"{self._root}/{folder}")
            real = f"{self._folders[folder]}/{name}"
            about = os.lstat(real)
            if S_ISLNK(about.st_mode):
                real = os.path.realpath(real)
                about = os.lstat(real)
            if not real.startswith(f"{self._root}/") or not S_ISREG(about.st_mode) or about.st_size > _LARGEST_SOURCE:
                return []
            with FileIO(real) as file:
                text = file.readall().decode("utf-8", "replace")
        except (OSError, UnicodeEncodeError):
            # A name that no file can have, or a file that an agent has taken away.
            return []
        # All that ever ended a line.
        return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
