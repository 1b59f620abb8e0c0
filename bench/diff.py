"""Parsing a large diff, ours against unidiff, the library that people use; and whether both say the same."""

from __future__ import annotations

from collections.abc import Iterator

from unidiff.patch import PatchSet

from bench.changes import large_diff
from bench.measure import Figure, Scale, at_least, interleave, ratio, seconds
from bot.domain.diff import Diff, parse_diff


def run(scale: Scale) -> Iterator[Figure]:
    """Parsing a diff of 500,000 lines, against unidiff."""
    lines = [f"{line}\n" for line in large_diff(scale.pick(500_000, 50_000))]
    times = interleave(scale.rounds, unidiff=lambda: seconds(PatchSet, lines), assay=lambda: seconds(parse_diff, lines))
    yield ratio(f"times as fast ({len(lines):,} lines)", times["unidiff"], times["assay"], "ms", at_least(10), 1000)
    ours, theirs = _facts(parse_diff(lines)), _facts_of_unidiff(PatchSet(lines))
    same = sum(ours.get(path) == facts for path, facts in theirs.items())
    share = 100 * same / max(len(ours), len(theirs))
    yield Figure("files of which both say the same", share, "%", at_least(100), f"{same:,}")


_Facts = dict[str, tuple[list[int | None], int]]


def _facts(diff: Diff) -> _Facts:
    """By path: the numbers of the lines added, and how many were removed."""
    return {
        path: ([number for first, last in file.added for number in range(first, last + 1)], file.removed)
        for path, file in diff.files.items()
    }


def _facts_of_unidiff(patch: PatchSet) -> _Facts:
    return {
        file.path: ([line.target_line_no for hunk in file for line in hunk if line.is_added], file.removed)
        for file in patch
    }
