"""What changed between two commits, as GitHub tells it: a list of files with their patches, computed by git."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from bot.demo.bare import BareRepository

PATCH_LIMIT = 500_000  # bytes; GitHub leaves larger patches out
_HUNK = re.compile(r"^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@", re.MULTILINE)
_STATUSES = {"A": "added", "D": "removed", "M": "modified", "R": "renamed", "C": "copied", "T": "changed"}


@dataclass(frozen=True)
class ChangedFile:
    """`sha` is the blob's at head (at base for a removed file); `patch` starts at the first hunk, None for binaries."""

    path: str
    previous: str | None
    status: str
    sha: str
    additions: int
    deletions: int
    patch: str | None


@dataclass(frozen=True)
class Hunk:
    """Line ranges of one hunk, ends excluded, and its text with the header."""

    left: range
    right: range
    text: str


@lru_cache(maxsize=256)
def changed_files(git: BareRepository, base: str, head: str) -> tuple[ChangedFile, ...]:
    """The two-dot diff between two object ids; a caller who wants three dots gives the merge base."""
    between = ("-M", "--no-color", "--no-ext-diff", base, head)
    raw = _split(git.run("diff", "--raw", "-z", "--no-abbrev", *between))
    counts = _split(git.run("diff", "--numstat", "-z", *between))
    text = git.run("diff", "-p", *between).decode(errors="replace")
    # A body line starts with ' ', '+', '-' or '\\', so a line that starts with "diff --git " is always a header.
    patches = re.split(r"^diff --git ", text, flags=re.MULTILINE)[1:]
    files = []
    while raw:
        _, _, before, after, letter = raw.pop(0).split()
        first = raw.pop(0)
        path, previous = (raw.pop(0), first) if letter[0] in "RC" else (first, None)
        added, removed, name = counts.pop(0).split("\t")
        if not name:
            del counts[:2]
        patch = patches.pop(0)
        if letter == "T":  # told as a deletion and an addition
            patch = patches.pop(0)
        files.append(
            ChangedFile(
                path=path,
                previous=previous,
                status=_STATUSES[letter[0]],
                sha=before if letter == "D" else after,
                additions=int(added) if added.isdigit() else 0,
                deletions=int(removed) if removed.isdigit() else 0,
                patch=_body(patch),
            )
        )
    return tuple(files)


def hunks(patch: str | None) -> list[Hunk]:
    """The hunks of one file's patch, in order."""
    if not patch:
        return []
    starts = list(_HUNK.finditer(patch))
    ends = [match.start() for match in starts[1:]] + [len(patch)]
    return [
        Hunk(_range(match[1], match[2]), _range(match[3], match[4]), patch[match.start() : end].rstrip("\n"))
        for match, end in zip(starts, ends, strict=True)
    ]


def moved_line(git: BareRepository, path: str, line: int, before: str, after: str) -> int | None:
    """Where a line of `path` at `before` lies at `after`; None if it was changed or the file is gone."""
    if before == after:
        return line
    if git.entry(after, path) is None:
        return None
    text = git.run("diff", "-U0", "--no-color", "--no-ext-diff", before, after, "--", f":(literal){path}")
    shift = 0
    for hunk in hunks(text.decode(errors="replace")):
        if line in hunk.left:
            return None
        if hunk.left.stop <= line:
            shift += len(hunk.right) - len(hunk.left)
    return line + shift


def _range(start: str, length: str | None) -> range:
    count = int(length) if length is not None else 1
    # With a length of zero git names the line before the place, not the place.
    first = int(start) if count else int(start) + 1
    return range(first, first + count)


def _body(patch: str) -> str | None:
    match = _HUNK.search(patch)
    if match is None or len(patch) > PATCH_LIMIT:
        return None
    return patch[match.start() :].rstrip("\n")


def _split(output: bytes) -> list[str]:
    return output.decode(errors="surrogateescape").split("\0")[:-1]
