"""What a reviewer is to read: which files, in how many requests. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

from bot.domain.diff import FileDiff
from bot.domain.findings import NotCovered
from bot.domain.glob import matches_any
from workers.agents.hunks import Hunk, Shown, read_patch, show, visible
from workers.agents.kinds import is_kept_back, risk_rank
from workers.agents.question import AROUND, INSTRUCTIONS, Change, Owners, Piece, Request, Rule, asked_of, to_requests
from workers.agents.surroundings import Context, Line

# What one request shows of a change, and how many requests of that size are read at most: of smaller ones more.
REQUEST_CHARACTERS, SMALLEST = 60_000, 2_000
MAX_REQUESTS = 6
LONGEST_LINE = 2_000
_HEADING = 200
# Characters of what says what the data is, in any request.
_FENCES = 2_000
# Characters that what stands around hunks may take in any case.
_AROUND = 20_000
# Characters before a line for its number, and those of a hunk's ranges.
_NUMBER, _RANGES = 7, 40

_LOCK_FILES = (
    "**/{package-lock,npm-shrinkwrap,packages.lock}.json",
    "**/{yarn,bun,deno,poetry,uv,pdm,Pipfile,Cargo,Gemfile,composer,Podfile,pubspec,mix,flake}.lock",
    "**/{pnpm-lock.yaml,bun.lockb,go.sum,gradle.lockfile,Package.resolved,.terraform.lock.hcl}",
)
_VENDORED = ("**/{vendor,node_modules,third_party,bower_components,Pods,.yarn,site-packages}/**",)
_GENERATED = (
    "**/*.min.{js,css}",
    "**/*.{js,css}.map",
    "**/*_pb2{,_grpc}.{py,pyi}",
    "**/*.pb.{go,cc,h}",
    "**/*.{g,freezed}.dart",
    "**/*.{Designer,designer,g}.cs",
    "**/*.generated.*",
    "**/zz_generated*",
    "**/{__snapshots__/**,*.snap}",
)
# Not a reviewer's business. By name alone: a file's text must not talk itself out of a review.
_NOT_READ = (("a lock file", _LOCK_FILES), ("vendored", _VENDORED), ("generated", _GENERATED))


class Sizes(NamedTuple):
    """Characters of a change in one request, how many requests there may be, and the `share` of what may help that
    there is room for beside; see `Change`."""

    request: int
    requests: int
    share: float

    @classmethod
    def within(cls, room: int, rules: Sequence[Rule] = ()) -> Sizes:
        """Those for a model that takes so many characters, the rules among them."""
        left = room - _FENCES - sum(len(one.instructions[:INSTRUCTIONS]) for one in rules)
        share = min(1.0, max(0, left) / (REQUEST_CHARACTERS + AROUND))
        request = max(min(SMALLEST, REQUEST_CHARACTERS), int(REQUEST_CHARACTERS * share))
        return cls(request, ceil(MAX_REQUESTS * REQUEST_CHARACTERS / request), share)

    @classmethod
    def full(cls) -> Sizes:
        return cls(REQUEST_CHARACTERS, MAX_REQUESTS, 1.0)

    @property
    def all(self) -> int:
        return self.requests * self.request


@dataclass(frozen=True)
class Plan:
    """What will be read and what will not: `passed_over` is not a reviewer's business, `left` should have been read.
    `altered` are the lines that are shown other than they are."""

    requests: tuple[Request, ...] = ()
    passed_over: tuple[NotCovered, ...] = ()
    left: tuple[NotCovered, ...] = ()
    altered: frozenset[tuple[str, int]] = frozenset()

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(path for request in self.requests for path in request.paths.values()))


class _Chunk(NamedTuple):
    """A hunk or a part of one, as it is shown; see `Piece`."""

    text: str
    bare: str
    lines: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        """In characters, about. It does not depend on where the lines stand, so that what is packed does not."""
        return len(self.bare) + _NUMBER * len(self.lines) + _RANGES


class _Batches:
    """Requests being filled, in order. A file goes in whole or not at all: half a file is not a file read."""

    def __init__(self, sizes: Sizes) -> None:
        self.sizes = sizes
        # Of each the chunks, with the path and the heading of their file.
        self.filled: list[list[tuple[str, str, _Chunk]]] = [[]]
        self._size = 0

    @property
    def room(self) -> int:
        """Characters that still fit, at most."""
        return (self.sizes.requests - len(self.filled) + 1) * self.sizes.request - self._size

    def add(self, path: str, heading: str, chunks: Sequence[_Chunk]) -> bool:
        """Whether the file's chunks fitted. They go on from the last request; each has the heading once a request."""
        groups: list[list[_Chunk]] = [[]]
        size = self._size + len(heading)
        for chunk in chunks:
            if size + chunk.size > self.sizes.request:
                groups.append([])
                size = len(heading)
            groups[-1].append(chunk)
            size += chunk.size
        if len(self.filled) + len(groups) - 1 > self.sizes.requests:
            return False
        self.filled += [[] for _ in groups[1:]]
        for batch, group in zip(self.filled[-len(groups) :], groups, strict=True):
            batch.extend((path, heading, chunk) for chunk in group)
        self._size = size
        return True


def packed(requests: Iterable[Request], sizes: Sizes) -> list[Request]:
    """The same, together where they fit into one: of what was planned a part need not be asked."""
    found: list[Request] = []
    for request in requests:
        both = (*found[-1].pieces, *request.pieces) if found else request.pieces
        if found and sum(len(piece.heading) + len(piece.text) for piece in both) <= sizes.request:
            found[-1] = found[-1].only(both)
        else:
            found.append(request)
    return found


def plan_reading(
    change: Change, rules: Sequence[Rule], redact: Callable[[str], str], sizes: Sizes | None = None
) -> Plan:
    """Class the files, and pack what is to be read into requests of whole hunks, those first on which most
    depends, else in the order of the diff."""
    hunks = read_patch(change.patch)
    sizes = sizes or Sizes.full()
    batches, room = _Batches(sizes), _Room.of(hunks, sizes)
    not_ours, left = [], []
    altered: set[tuple[str, int]] = set()
    for path, file in _by_risk(change):
        if is_kept_back(file, change.never_send):
            not_ours.append(NotCovered(what=path, why="never shown to a model, by never_send"))
        elif why := "binary" if file.binary else passed_over(path):
            not_ours.append(NotCovered(what=path, why=why))
        elif hunks.get(path):
            try:
                altered |= _read(batches, file, hunks[path], room, change, redact)
            except _Unread as unread:
                left.append(NotCovered(what=path, why=str(unread)))
    owners = Owners(change, redact)
    asked = {path: asked_of(path, rules, redact) for batch in batches.filled for path, _, _ in batch}
    pieces = (
        [_piece(path, heading, chunk, asked[path], owners.of(path)) for path, heading, chunk in batch]
        for batch in batches.filled
        if batch
    )
    return Plan(tuple(to_requests(pieces, change, redact)), tuple(not_ours), tuple(left), frozenset(altered))


def _piece(path: str, heading: str, chunk: _Chunk, asked: tuple[str, ...], owners: tuple[str, ...]) -> Piece:
    return Piece(
        path=path,
        name=visible(path),
        heading=heading,
        text=chunk.text,
        bare=chunk.bare,
        lines=chunk.lines,
        asked=asked,
        owners=owners,
    )


def to_read(change: Change) -> list[str]:
    """The files of a change that a reviewer should read, in the order in which it does."""
    return [
        path
        for path, file in _by_risk(change)
        if not is_kept_back(file, change.never_send) and not file.binary and not passed_over(path)
    ]


def _by_risk(change: Change) -> list[tuple[str, FileDiff]]:
    wanted = frozenset(change.files)
    files = ((path, file) for path, file in change.diff.files.items() if path in wanted and file.status != "deleted")
    return sorted(files, key=lambda item: risk_rank(item[0]))


def passed_over(path: str) -> str:
    """Why a file is not a reviewer's business, by its name; empty where it is."""
    return next((why for why, globs in _NOT_READ if matches_any(globs, path)), "")


class _Unread(Exception):
    """Why a file that should be read is not."""


def _read(
    batches: _Batches,
    file: FileDiff,
    hunks: Sequence[Hunk],
    room: _Room,
    change: Change,
    redact: Callable[[str], str],
) -> set[tuple[str, int]]:
    """Put the file into the batches; the lines that are shown other than they are."""
    sizes = batches.sizes
    beyond = f"beyond what one review reads, {sizes.requests:,} requests of {sizes.request:,} characters"
    # Before any work on it: the rest of a very large change is passed over fast.
    heading = f"\n--- {visible(file.path)} ({file.status})\n"
    if len(heading) + sum(map(_least, hunks)) > batches.room:
        raise _Unread(beyond)
    chunks: list[_Chunk] = []
    altered: set[tuple[str, int]] = set()
    for hunk, context in zip(hunks, change.context(file.path, hunks), strict=True):
        lines = show(hunk, redact)
        if any(len(line.text) > LONGEST_LINE for line in lines):
            raise _Unread(f"it has lines of more than {LONGEST_LINE} characters")
        fits = room.take(context)
        own = _chunks(_heading(hunk, context.before if fits else context.heads, redact), lines, sizes)
        own = [*own[:-1], _joined([own[-1], *(_rest(context) if fits else ())])]
        if context.joins and len(own) == 1 and chunks[-1].size + own[0].size <= sizes.request // 2:
            own = [_joined([chunks.pop(), *own])]
        chunks += own
        altered |= {(file.path, line.number) for line in lines if line.number and not line.exact}
    if not batches.add(file.path, heading, chunks):
        raise _Unread(beyond)
    return altered


def _least(hunk: Hunk) -> int:
    """Characters that it takes, if nothing is redacted or stands around it."""
    return _RANGES + sum(len(line) + 1 + (_NUMBER if line[0] != "-" else 0) for line in hunk.lines)


@dataclass
class _Room:
    """Characters that what stands around hunks may still take: as many as the hunks have, or few, and never what
    others would need to be read at all."""

    left: int

    @classmethod
    def of(cls, hunks: Mapping[str, Sequence[Hunk]], sizes: Sizes) -> _Room:
        size = sum(len(line) for own in hunks.values() for hunk in own for line in hunk.lines)
        return cls(min(max(size, _AROUND), (sizes.all - size) // 2))

    def take(self, context: Context) -> bool:
        if context.size > self.left:
            return False
        self.left -= context.size
        return True


def _heading(hunk: Hunk, before: Sequence[Line], redact: Callable[[str], str]) -> _Chunk:
    """What stands before a hunk: git's line, and what it lies in."""
    own = visible(redact(hunk.heading))[:_HEADING]
    inside = "".join(own.split("@@", 2)[2:])
    context = _numbered(before)
    end = "   ...\n" if before else ""
    return _Chunk(f"{own}\n{context.text}{end}", f"@@{inside}\n{context.bare}{end}")


def _rest(context: Context) -> Iterator[_Chunk]:
    """What stands after it: the rest of the function, and the function as it was."""
    if context.after:
        after = _numbered(context.after)
        yield _Chunk(f"   ...\n{after.text}", f"   ...\n{after.bare}")
    if context.was:
        was = "".join(f"{'':6} <{text}\n" for text in context.was)
        yield _Chunk(f"   ...\n{was}", f"   ...\n{was}")


def _numbered(lines: Sequence[Line]) -> _Chunk:
    text, bare, last = "", "", lines[0][0] - 1 if lines else 0
    for number, line in lines:
        gap = "   ...\n" if number != last + 1 else ""
        text, bare, last = f"{text}{gap}{number:6}  {line}\n", f"{bare}{gap}{line}\n", number
    return _Chunk(text, bare)


def _chunks(heading: _Chunk, lines: Sequence[Shown], sizes: Sizes) -> list[_Chunk]:
    """The hunk, in several chunks where it alone is more than a request."""
    chunks = [[heading]]
    size = heading.size
    for line in lines:
        bare = line.text.removeprefix(f"{line.number or '':6} ")
        own = _Chunk(f"{line.text}\n", f"{bare}\n", (line.number,) if line.number else ())
        if size + own.size - _RANGES > sizes.request // 2:
            chunks.append([heading])
            size = heading.size
        chunks[-1].append(own)
        size += own.size - _RANGES
    return [_joined(one) for one in chunks]


def _joined(chunks: Sequence[_Chunk]) -> _Chunk:
    numbers = tuple(number for chunk in chunks for number in chunk.lines)
    return _Chunk("".join(chunk.text for chunk in chunks), "".join(chunk.bare for chunk in chunks), numbers)
