"""What each commit of a change added: a secret that one commit brings and the next takes away is out all the same.

A mirror holds commits without their history. Git tells even there who a commit's parent is, and mostly that is the
base: then the change is one commit, and nothing is fetched. Otherwise the mirror is deepened, in two steps.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from bot.errors import AssayError
from workers.agent import Added, History
from workers.git import Git

# Commits that are read, and how deep a mirror is fetched to find them. GitHub shows as many of a pull request.
MOST_COMMITS = 250
DEPTHS = (30, MOST_COMMITS + 1)
# Commits whose messages are read, and the characters of one that are kept.
MESSAGES, MESSAGE = 30, 10_000
# Characters of added lines that are held. A longer line is cut.
_MOST_TEXT = 20_000_000
_LONGEST_LINE = 10_000

# Fetches the history of the two commits that deep.
Deepen = Callable[[int], None]


def read_history(git: Git, base: str | None, head: str, deepen: Deepen | None = None) -> History:
    """The commits between. Never raises: what could not be read is told as the gap."""
    if base is None:
        return History()
    try:
        if _parents(git, head) == [base]:
            return History()
        return _read(git, *_since(git, base, head, deepen, DEPTHS))
    except AssayError as error:
        return History(commits=0, gap=f"the commits between the base and the head could not be read: {error}")


def read_messages(git: Git, base: str | None, head: str, deepen: Deepen | None = None) -> tuple[str, ...]:
    """What the last `MESSAGES` commits between say of themselves, the newest first, each cut at `MESSAGE` characters;
    the head's own where base is None. Never raises: what cannot be read is left out."""
    try:
        commits = [head]
        if base is not None and _parents(git, head) != [base]:
            commits, _ = _since(git, base, head, deepen, DEPTHS[:1])
        return _messages(git, commits[:MESSAGES])
    except AssayError:
        return ()


def _messages(git: Git, commits: list[str]) -> tuple[str, ...]:
    messages: list[str] = []
    if commits:
        with git.lines("log", "--no-walk=unsorted", "--format=%x00%n%B", *commits, "--") as lines:
            for line in lines:
                if line == "\0":
                    messages.append("")
                elif len(messages[-1]) < MESSAGE:
                    messages[-1] += line[:MESSAGE] + "\n"
    return tuple(message[:MESSAGE].strip() for message in messages)


def _since(git: Git, base: str, head: str, deepen: Deepen | None, depths: Iterable[int]) -> tuple[list[str], bool]:
    """As `_between`, after the mirror was deepened as far as that takes, at most to the last of the `depths`."""
    commits, beyond = _between(git, base, head)
    for depth in depths if deepen else ():
        if not beyond or len(commits) > MOST_COMMITS:
            break
        assert deepen is not None
        deepen(depth)
        commits, beyond = _between(git, base, head)
    return commits, beyond


def _parents(git: Git, commit: str) -> list[str]:
    """As the commit itself says, also where the mirror does not have them."""
    head = git.run("cat-file", "commit", commit).split("\n\n", 1)[0]
    return [line.removeprefix("parent ") for line in head.split("\n") if line.startswith("parent ")]


def _between(git: Git, base: str, head: str) -> tuple[list[str], bool]:
    """The commits, the newest first, one more than are read at most; and whether there are others beyond, of which the
    mirror knows nothing."""
    listed = git.run("rev-list", f"--max-count={MOST_COMMITS + 1}", head, f"^{base}", "--").split()
    cut = _cut(git.git_dir)
    return [commit for commit in listed if commit not in cut], any(commit in cut for commit in listed)


def _cut(git_dir: Path) -> frozenset[str]:
    """Commits whose parents are not there: against nothing, all of their files would seem added."""
    try:
        return frozenset((git_dir / "shallow").read_text().split())
    except FileNotFoundError:
        return frozenset()


def _read(git: Git, commits: list[str], beyond: bool) -> History:
    wanted = commits[:MOST_COMMITS]
    gap = f"commits before the last {len(wanted)}" if beyond or len(commits) > MOST_COMMITS else ""
    if not wanted:
        return History(commits=0, gap=gap)
    options = ("--no-walk=unsorted", "--format=%x00%H", "--unified=0", "--cc", "--find-renames", "--diff-filter=AMR")
    plain = ("--no-color", "--no-ext-diff", "--no-textconv", "--src-prefix=a/", "--dst-prefix=b/")
    added, size = [], 0
    with git.lines("log", *options, *plain, *wanted, "--") as lines:
        for one in read_log(lines):
            size += sum(len(text) for _, text in one.lines)
            if size > _MOST_TEXT:
                gap = gap or f"what commits added beyond {_MOST_TEXT // 1_000_000} million characters"
                break
            added.append(one)
        for _ in lines:  # to the end, or git would be taken for one that failed
            pass
    return History(commits=len(wanted), added=added, gap=gap)


_HUNK = re.compile(r"(@@+) (?:-\d+(?:,\d+)? )+\+(\d{1,9})(?:,(\d{1,9}))? @@")


def read_log(lines: Iterable[str]) -> Iterator[Added]:
    """Parse `git log -p --unified=0 --format=%x00%H`. A merge's own changes come with a mark for each parent (`--cc`);
    what is added has a `+` for each. Names that git quotes are kept as they are. Never raises."""
    commit = path = ""
    hunk = _Hunk()
    for text in lines:
        if text.startswith("\0") or not hunk.take(text):
            if match := _HUNK.match(text):
                hunk.begin(len(match[1]) - 1, int(match[2]), int(match[3] or 1))
            elif text.startswith(("\0", "diff ", "+++ ")):
                if hunk.found:
                    yield Added(commit, path, tuple(hunk.found))
                hunk = _Hunk()
                commit = text[1:].strip() if text.startswith("\0") else commit
                path = _name(text[4:]) if text.startswith("+++ ") else ""
    if hunk.found:
        yield Added(commit, path, tuple(hunk.found))


def _name(text: str) -> str:
    return text.rstrip("\t").removeprefix('"').removesuffix('"').removeprefix("b/")


class _Hunk:
    """The lines that a file got, and what is left of the hunk being read: `width` marks a line, and how many lines of
    the new side are still to come."""

    def __init__(self) -> None:
        self.found: list[tuple[int, str]] = []
        self._width = self._line = self._left = 0

    def begin(self, width: int, line: int, left: int) -> None:
        self._width, self._line, self._left = width, line, left

    def take(self, text: str) -> bool:
        """Whether the line is the hunk's."""
        if self._left <= 0:
            return False
        mark = text[: self._width]
        if "-" in mark or text.startswith("\\"):
            return True
        if mark == "+" * self._width and text[self._width :].strip():
            self.found.append((self._line, text[self._width :][:_LONGEST_LINE]))
        self._line, self._left = self._line + 1, self._left - 1
        return True
