"""Whether what a reviewer suggests can be taken as it is: it fits the lines that it names, and the file parses after it
as well as before.

It fails closed: what cannot be judged here, for want of a grammar, a sandbox or time, is not suggested. Prose has
nothing to parse.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath

from bot.domain.findings import Finding
from bot.domain.verdict import count
from workers.agent import Reader, Sandbox
from workers.agents import tree
from workers.agents.outline.outline import errors_in

LONGEST = 4_000
_PROSE = frozenset((".md", ".markdown", ".rst", ".txt", ".adoc"))

_ALTERED = "it would write back what was taken out before sending"
_UNFIT = f"it changes nothing, does not fit the file, or is longer than {LONGEST} characters"
_BROKEN = "the file would not parse, or nothing here can tell"


def checked(
    findings: Sequence[Finding], altered: Collection[tuple[str, int]], root: Path, sandbox: Sandbox
) -> tuple[list[Finding], list[str]]:
    """The findings, without the replacements that cannot be taken; and sentences that count these, by the reason.

    `altered` are lines that the model was not shown as they are, each with its path.
    """
    read, whys, after = tree.reader(root), dict[int, str](), dict[int, str]()
    for number, one in enumerate(findings):
        if one.replacement is None:
            continue
        text = _applied(one, read(one.path))
        if any((one.path, line) in altered for line in _lines(one)):
            whys[number] = _ALTERED
        elif text is None:
            whys[number] = _UNFIT
        elif _suffix(one) not in _PROSE:
            after[number] = text
    whys |= dict.fromkeys(_broken(findings, after, read, sandbox), _BROKEN)
    kept = [one.model_copy(update={"replacement": None}) if n in whys else one for n, one in enumerate(findings)]
    counts = Counter(whys.values()).items()
    return kept, [f"{count(number, 'suggested change')} dropped: {why}." for why, number in counts]


def _lines(finding: Finding) -> range:
    first = finding.start_line or 1
    return range(first, (finding.last_line or first) + 1)


def _suffix(finding: Finding) -> str:
    return PurePosixPath(finding.path).suffix.lower()


def _applied(finding: Finding, lines: Sequence[str]) -> str | None:
    """The file with the replacement, None where it does not fit or changes nothing."""
    own, new = _lines(finding), finding.replacement or ""
    there = [line.removesuffix("\r") for line in lines]
    if own[-1] > len(there) or len(new) > LONGEST:
        return None
    after = [*there[: own[0] - 1], *(new.split("\n") if new else ()), *there[own[-1] :]]
    return None if after == there else _text(after)


def _text(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _broken(findings: Sequence[Finding], after: Mapping[int, str], read: Reader, sandbox: Sandbox) -> list[int]:
    """After which the file has more places that do not parse than it had, or nobody knows how many."""
    if not after:
        return []
    with tempfile.TemporaryDirectory(prefix="assay-") as folder:
        # By names of ours: those of the change may lead anywhere.
        names = {number: f"{number}{_suffix(findings[number])}" for number in after}
        before = {findings[number].path: f"before-{names[number]}" for number in after}
        texts = {names[number]: text for number, text in after.items()}
        texts |= {name: _text([line.removesuffix("\r") for line in read(path)]) for path, name in before.items()}
        for name, text in texts.items():
            (Path(folder) / name).write_text(text, encoding="utf-8", errors="replace", newline="")
        errors = errors_in([*before.values(), *names.values()], Path(folder), sandbox)
    were = {number: errors.get(before[findings[number].path], -1) for number in names}
    return [number for number, name in names.items() if not 0 <= errors.get(name, -1) <= were[number]]
