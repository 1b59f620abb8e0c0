"""The commits of a change, one by one: what each added, and how little is fetched to know it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.demo.github import StandInGitHub
from bot.errors import Unavailable
from workers.agent import History
from workers.cache import Cache, Limits
from workers.git import Git
from workers.history import MESSAGE, MESSAGES, MOST_COMMITS, read_history, read_log, read_messages
from workers.mirrors import Mirrors

REPO = "octo/demo"


@pytest.fixture
def github() -> Iterator[StandInGitHub]:
    with StandInGitHub() as github:
        github.add_repository(REPO, {"a.txt": "one\n"}, private=False)
        yield github


def history(github: StandInGitHub, tmp_path: Path, base: str, head: str) -> History:
    mirrors = Mirrors(Cache(tmp_path, Limits(10**9, 3600)), github.url)
    with mirrors.fetch(REPO, (head, base), lambda: None) as mirror:
        return mirror.history(base, head)


def told(one: History) -> list[tuple[str, str, int, str]]:
    return [(added.commit, added.path, number, text) for added in one.added for number, text in added.lines]


def requests(github: StandInGitHub) -> int:
    return sum(one.path.endswith("git-upload-pack") and one.method == "POST" for one in github.git_requests)


def test_what_one_commit_brings_and_another_takes_away(github: StandInGitHub, tmp_path: Path) -> None:
    base = github.head(REPO, "main")
    first = github.commit(REPO, "main", {"b c.txt": "x\nkey\n"})
    github.commit(REPO, "main", {"b c.txt": "x\n"})
    head = github.commit(REPO, "main", {"a.txt": "two\n"})
    found = history(github, tmp_path, base, head)
    assert (found.commits, found.gap) == (3, "")
    assert told(found) == [(head, "a.txt", 1, "two"), (first, "b c.txt", 1, "x"), (first, "b c.txt", 2, "key")]


def test_for_a_single_commit_nothing_more_is_fetched(github: StandInGitHub, tmp_path: Path) -> None:
    base = github.head(REPO, "main")
    head = github.commit(REPO, "main", {"b.txt": "x\n"})
    mirrors = Mirrors(Cache(tmp_path, Limits(10**9, 3600)), github.url)
    with mirrors.fetch(REPO, (head, base), lambda: None) as mirror:
        before = requests(github)
        assert mirror.history(base, head) == History()
        assert requests(github) == before


def test_the_mirror_is_deepened_once(github: StandInGitHub, tmp_path: Path) -> None:
    base = github.head(REPO, "main")
    for number in range(3):
        head = github.commit(REPO, "main", {"b.txt": f"{number}\n"})
    mirrors = Mirrors(Cache(tmp_path, Limits(10**9, 3600)), github.url)
    with mirrors.fetch(REPO, (head, base), lambda: None) as mirror:
        first = mirror.history(base, head)
        before = len(github.git_requests)
        assert mirror.history(base, head) == first
        assert len(github.git_requests) == before
        # And what is made of a commit is what it was.
        assert mirror.diff(base, head).paths == ("b.txt",)


def test_a_server_that_is_away_leaves_a_gap(github: StandInGitHub, tmp_path: Path) -> None:
    base = github.head(REPO, "main")
    github.commit(REPO, "main", {"b.txt": "1\n"})
    head = github.commit(REPO, "main", {"b.txt": "2\n"})
    mirrors = Mirrors(Cache(tmp_path, Limits(10**9, 3600)), github.url)
    tokens = iter([None])

    def token() -> None:
        if next(tokens, "away"):
            raise Unavailable("GitHub is away")

    with mirrors.fetch(REPO, (head, base), token) as mirror:
        assert mirror.history(base, head).gap.endswith("could not be read: GitHub is away")


# -- on a repository with its history


class Repository:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.git = Git(folder / ".git")
        self("init", "--quiet", "--initial-branch=main", str(folder))

    def __call__(self, *args: str) -> str:
        names = {f"GIT_{who}_{what}": "a@b.example" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        argv = ["git", "-C", str(self.folder), *args]
        if not (self.folder / ".git").exists():
            argv = ["git", *args]
        return subprocess.run(
            argv, env={"PATH": "/usr/bin:/bin", **names}, check=True, capture_output=True, text=True
        ).stdout

    def commit(self, **files: str) -> str:
        for name, text in files.items():
            (self.folder / name).write_text(text)
        self("add", "--all")
        self("commit", "--quiet", "--allow-empty", "--message", "m")
        return self("rev-parse", "HEAD").strip()


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    (tmp_path / "own").mkdir()
    return Repository(tmp_path / "own")


def test_what_a_merge_itself_brings(repository: Repository) -> None:
    base = repository.commit(a="1\n2\n3\n")
    repository("checkout", "--quiet", "-b", "side")
    repository.commit(a="1\nside\n3\n")
    repository("checkout", "--quiet", "main")
    repository.commit(a="1\nmain\n3\n")
    subprocess.run(["git", "-C", str(repository.folder), "merge", "--quiet", "side"], capture_output=True, check=False)
    merge = repository.commit(a="1\nmain\nevil\nside\n3\n")
    head = repository.commit(a="1\nmain\nside\n3\n")
    found = [(commit, text) for commit, _, _, text in told(read_history(repository.git, base, head))]
    assert (merge, "evil") in found
    assert {text for _, text in found} == {"evil", "main", "side"}


def test_a_renamed_file_adds_only_what_changed_in_it(repository: Repository) -> None:
    base = repository.commit(a="".join(f"{number}\n" for number in range(30)))
    repository("mv", "a", "b")
    repository.commit()
    (repository.folder / "b").write_text((repository.folder / "b").read_text() + "last\n")
    head = repository.commit()
    assert [text for _, _, _, text in told(read_history(repository.git, base, head))] == ["last"]


def test_more_commits_than_are_read_leave_a_gap(repository: Repository) -> None:
    base = repository.commit(a="1\n")
    stream = "".join(
        f"commit refs/heads/main\ncommitter a <a@b.example> {n} +0000\ndata 1\nm\n"
        + (f"from {base}\n" if n == 1 else "")
        + f"M 100644 inline a\ndata {len(str(n)) + 1}\n{n}\n\n"
        for n in range(1, MOST_COMMITS + 10)
    )
    subprocess.run(
        ["git", "-C", str(repository.folder), "fast-import", "--quiet", "--force"], input=stream.encode(), check=True
    )
    found = read_history(repository.git, base, repository("rev-parse", "main").strip())
    assert (found.commits, found.gap) == (MOST_COMMITS, f"commits before the last {MOST_COMMITS}")


def test_a_clone_that_is_too_shallow_leaves_a_gap(repository: Repository, tmp_path: Path) -> None:
    base = repository.commit(a="1\n")
    for number in range(4):
        head = repository.commit(a=f"{number} more\n")
    repository("branch", "old", base)
    shallow = tmp_path / "shallow"
    repository("clone", "--quiet", "--depth=2", "--no-single-branch", f"file://{repository.folder}", str(shallow))
    found = read_history(Git(shallow / ".git"), base, head)
    assert (found.commits, found.gap) == (1, "commits before the last 1")


def test_without_a_base_there_is_nothing_between(repository: Repository) -> None:
    assert read_history(repository.git, None, repository.commit(a="1\n")) == History()


# -- what commits say


def test_messages_are_those_between_the_newest_first(github: StandInGitHub, tmp_path: Path) -> None:
    base = github.head(REPO, "main")
    for number in range(3):
        head = github.commit(REPO, "main", {"b.txt": f"{number}\n"}, message=f"Say {number}\n\nWhy.")
    mirrors = Mirrors(Cache(tmp_path, Limits(10**9, 3600)), github.url)
    with mirrors.fetch(REPO, (head, base), lambda: None) as mirror:
        assert mirror.messages(base, head) == tuple(f"Say {number}\n\nWhy." for number in (2, 1, 0))


def test_message_of_a_single_commit_needs_no_fetch(github: StandInGitHub, tmp_path: Path) -> None:
    base = github.head(REPO, "main")
    head = github.commit(REPO, "main", {"b.txt": "x\n"}, message="Only")
    mirrors = Mirrors(Cache(tmp_path, Limits(10**9, 3600)), github.url)
    with mirrors.fetch(REPO, (head, base), lambda: None) as mirror:
        before = requests(github)
        assert mirror.messages(base, head) == ("Only",)
        assert requests(github) == before
        assert mirror.messages(None, head) == ("Only",)


def test_messages_that_cannot_be_fetched_are_left_out(github: StandInGitHub, tmp_path: Path) -> None:
    base = github.head(REPO, "main")
    github.commit(REPO, "main", {"b.txt": "1\n"})
    head = github.commit(REPO, "main", {"b.txt": "2\n"})
    tokens = iter([None])

    def token() -> None:
        if next(tokens, "away"):
            raise Unavailable("GitHub is away")

    with Mirrors(Cache(tmp_path, Limits(10**9, 3600)), github.url).fetch(REPO, (head, base), token) as mirror:
        assert mirror.messages(base, head) == ()


def test_messages_are_bounded_in_number_and_length(repository: Repository) -> None:
    base = repository.commit(a="1\n")
    for number in range(MESSAGES + 5):
        long = "w" * 50_000 if number % 2 else "line\n" * 20_000
        repository("commit", "--quiet", "--allow-empty", "--message", f"{number} {long}")
    said = read_messages(repository.git, base, repository("rev-parse", "HEAD").strip())
    assert [message.split()[0] for message in said] == [str(number) for number in range(MESSAGES + 4, 4, -1)]
    assert max(map(len, said)) <= MESSAGE


@given(
    st.lists(
        st.sampled_from(
            [
                "\0abc",
                "diff --git a/x b/x",
                "+++ b/x",
                "@@ -1 +1,2 @@",
                "@@@ -1 -1 +1,9 @@@",
                "+a",
                "-b",
                "++c",
                " +d",
                "\\ No newline",
            ]
        )
        | st.text()
    )
)
def test_any_text_can_be_read(lines: list[str]) -> None:
    for one in read_log(lines):
        assert one.lines
        assert all(number >= 0 for number, _ in one.lines)
