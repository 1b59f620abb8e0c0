"""From a commit's name to files: what is fetched, what is written, and what a hostile tree cannot do."""

from __future__ import annotations

import stat
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bot.demo.github import StandInGitHub
from bot.errors import Gone, Refused, ToolFailed
from workers.checkout import PATCH_LIMIT, Mirrors, Trees, remove, scratch
from workers.git import Git

REPO = "octo/demo"


@pytest.fixture
def github() -> Iterator[StandInGitHub]:
    with StandInGitHub() as github:
        github.add_repository(REPO, {"a.txt": "one\n", "folder/b.txt": "two\n"}, private=False)
        yield github


@pytest.fixture
def mirrors(tmp_path: Path, github: StandInGitHub) -> Mirrors:
    return Mirrors(tmp_path, f"{github.url}/")


def fetched(github: StandInGitHub) -> int:
    """How often objects were asked for."""
    return sum(request.path.endswith("git-upload-pack") and request.method == "POST" for request in github.git_requests)


@pytest.fixture
def local(tmp_path: Path) -> Path:
    """An empty repository with a work tree, for trees that GitHub would not take."""
    folder = tmp_path / "local"
    folder.mkdir()
    plumb(folder, "init", "-q", "-b", "main")
    return folder


def plumb(folder: Path, *arguments: str, stdin: bytes = b"") -> str:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    done = subprocess.run(["git", *who, *arguments], cwd=folder, input=stdin, capture_output=True, check=True)
    return done.stdout.decode().strip()


def tree_of(folder: Path, *entries: tuple[str, str, bytes]) -> str:
    """A tree of (mode, name, content)."""
    lines = b""
    for mode, name, content in entries:
        kind = "commit" if mode == "160000" else "blob"
        sha = content.decode() if kind == "commit" else plumb(folder, "hash-object", "-w", "--stdin", stdin=content)
        lines += f"{mode} {kind} {sha}\t{name}\0".encode()
    return plumb(folder, "mktree", "-z", "--missing", stdin=lines)


def trees(folder: Path) -> Trees:
    return Trees(Git(folder / ".git"))


# -- fetching


def test_commits_are_fetched_once_and_without_their_history(github: StandInGitHub, mirrors: Mirrors) -> None:
    base = github.head(REPO, "main")
    sha = github.commit(REPO, "main", {"a.txt": "changed\n"})
    mirrors.fetch(REPO, (sha, base), None)
    assert fetched(github) > 0
    before = len(github.git_requests)
    diff = mirrors.fetch(REPO, (sha, base), None).diff(base, sha)
    assert len(github.git_requests) == before
    assert diff.paths == ("a.txt",)


def test_next_commit_needs_only_itself(github: StandInGitHub, mirrors: Mirrors, tmp_path: Path) -> None:
    shas = [github.commit(REPO, "main", {"a.txt": f"{number}\n"}) for number in range(3)]
    for sha in shas:
        mirrors.fetch(REPO, (sha,), None).write(sha, tmp_path / sha)
        assert (tmp_path / sha / "folder" / "b.txt").read_text() == "two\n"
    assert mirrors.fetch(REPO, (shas[0], shas[2]), None).diff(shas[0], shas[2]).paths == ("a.txt",)


def test_commit_that_no_branch_has_is_fetched_by_name(github: StandInGitHub, mirrors: Mirrors) -> None:
    fork = github.fork(REPO, "mallory")
    sha = github.commit(fork, "feature", {"a.txt": "theirs\n"})
    github.open_pull(REPO, "feature", head_repo=fork)
    assert mirrors.fetch(REPO, (sha,), None).files(sha) == ("a.txt", "folder/b.txt")


def test_unknown_commit_is_gone_and_a_hidden_repository_refused(github: StandInGitHub, mirrors: Mirrors) -> None:
    with pytest.raises(Gone):
        mirrors.fetch(REPO, ("f" * 40,), None)
    github.add_repository("octo/private", {"a.txt": "x"})
    with pytest.raises(Refused):
        mirrors.fetch("octo/private", (github.head("octo/private", "main"),), None)


def test_lock_of_a_git_that_was_killed_is_no_obstacle(github: StandInGitHub, mirrors: Mirrors, tmp_path: Path) -> None:
    mirrors.fetch(REPO, (github.head(REPO, "main"),), None)
    (tmp_path / "mirrors" / f"{REPO}.git" / "shallow.lock").touch()
    sha = github.commit(REPO, "main", {"a.txt": "changed\n"})
    assert mirrors.fetch(REPO, (sha,), None).files(sha)


def test_mirror_that_was_never_finished_is_made_anew(github: StandInGitHub, mirrors: Mirrors, tmp_path: Path) -> None:
    (tmp_path / "mirrors" / f"{REPO}.git" / "objects").mkdir(parents=True)
    sha = github.head(REPO, "main")
    assert mirrors.fetch(REPO, (sha,), None).files(sha)


def test_four_agents_at_once_fetch_once(github: StandInGitHub, mirrors: Mirrors) -> None:
    sha = github.head(REPO, "main")
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: mirrors.fetch(REPO, (sha,), None).files(sha), range(4)))
    assert found == [("a.txt", "folder/b.txt")] * 4
    assert fetched(github) <= 2


def test_fetch_that_failed_half_way_is_made_up_for(github: StandInGitHub, mirrors: Mirrors) -> None:
    sha = github.head(REPO, "main")
    github.fail("reset", path="git-upload-pack", times=2)
    with pytest.raises(Exception, match="git fetch"):
        mirrors.fetch(REPO, (sha,), None)
    github.api.faults.pending.clear()
    assert mirrors.fetch(REPO, (sha,), None).files(sha)


# -- differences


def test_first_commit_is_compared_with_nothing(github: StandInGitHub, mirrors: Mirrors) -> None:
    sha = github.head(REPO, "main")
    diff = mirrors.fetch(REPO, (sha,), None).diff(None, sha)
    assert {path: file.status for path, file in diff.files.items()} == {"a.txt": "added", "folder/b.txt": "added"}


def test_patch_is_bounded(local: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = tree_of(local, ("100644", "a.txt", b"line\n" * 1000))
    whole = trees(local).patch(None, tree)
    assert whole.count("+line") == 1000
    assert len(whole) < PATCH_LIMIT
    monkeypatch.setattr("workers.checkout.PATCH_LIMIT", 500)
    assert 300 < len(trees(local).patch(None, tree)) <= 501


def test_comparing_thousands_of_renamed_files_ends_soon(local: Path) -> None:
    """Looking for renames takes time that grows with the square of their number."""
    before = tree_of(local, *(("100644", f"old-{n}", f"{n}\n".encode() * 50) for n in range(100)))
    after = tree_of(local, *(("100644", f"new-{n}", f"{n}\n".encode() * 50) for n in range(100)))
    assert all(file.status == "renamed" for file in trees(local).diff(before, after).files.values())
    assert Git(local / ".git").run("config", "diff.renameLimit").strip() == "1000"


# -- writing


def test_links_become_files_and_submodules_folders(local: Path, tmp_path: Path) -> None:
    tree = tree_of(
        local, ("120000", "link", b"/etc/passwd"), ("160000", "module", b"1" * 40), ("100755", "run", b"#!/bin/sh\n")
    )
    trees(local).write(tree, tmp_path / "out")
    assert not (tmp_path / "out" / "link").is_symlink()
    assert (tmp_path / "out" / "link").read_text() == "/etc/passwd"
    assert list((tmp_path / "out" / "module").iterdir()) == []
    assert (tmp_path / "out" / "run").stat().st_mode & stat.S_IXUSR
    assert trees(local).files(tree) == ("run",)


def test_nothing_of_git_is_left_in_the_files(local: Path, tmp_path: Path) -> None:
    trees(local).write(tree_of(local, ("100644", "a.txt", b"x")), tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.txt"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["local", "out"]


@pytest.mark.parametrize("name", ["-rf", "--config=evil", "a\nb", "\u202e.py", "ä", "a b", "'\"$(x)`"])
def test_odd_names_are_written_as_they_are(local: Path, tmp_path: Path, name: str) -> None:
    tree = tree_of(local, ("100644", name, b"x\n"))
    trees(local).write(tree, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == [name]
    assert trees(local).files(tree) == (name,)
    assert trees(local).diff(None, tree).paths == (name,)


@pytest.mark.parametrize("name", [".git", ".GIT", "git~1", ".g\u200cit"])
def test_tree_that_would_write_a_git_directory_is_refused(local: Path, tmp_path: Path, name: str) -> None:
    tree = tree_of(local, ("100644", name, b"[core]\n"))
    with pytest.raises(ToolFailed):
        trees(local).write(tree, tmp_path / "out")


def test_filters_and_hooks_of_the_repository_do_not_run(local: Path, tmp_path: Path) -> None:
    attributes = b"* filter=evil\n*.txt working-tree-encoding=UTF-16\n"
    plumb(local, "config", "core.hooksPath", str(tmp_path / "hooks"))
    hook = tmp_path / "hooks" / "post-checkout"
    hook.parent.mkdir()
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/pwned\n")
    hook.chmod(0o755)
    trees(local).write(
        tree_of(local, ("100644", ".gitattributes", attributes), ("100644", "a.py", b"x\n")), tmp_path / "out"
    )
    assert (tmp_path / "out" / "a.py").read_text() == "x\n"
    assert not (tmp_path / "pwned").exists()


# -- scratch folders


def test_scratch_folder_is_gone_whatever_was_done_to_it(tmp_path: Path) -> None:
    with scratch(tmp_path / "runs") as folder:
        deep = folder / "a" / "b"
        deep.mkdir(parents=True)
        (deep / "file").touch()
        (folder / "link").symlink_to(tmp_path)
        for path in (deep, deep.parent, folder):
            path.chmod(0)
    assert list((tmp_path / "runs").iterdir()) == []


def test_removing_follows_no_links(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()
    (tmp_path / "gone").mkdir()
    (tmp_path / "gone" / "link").symlink_to(kept)
    kept.chmod(0o500)
    remove(tmp_path / "gone")
    assert not (tmp_path / "gone").exists()
    assert (kept.stat().st_mode & 0o777, [path.name for path in kept.iterdir()]) == (0o500, ["file"])
    kept.chmod(0o700)


def test_removing_what_is_gone_is_no_error(tmp_path: Path) -> None:
    begun = time.monotonic()
    remove(tmp_path / "nothing")
    assert time.monotonic() - begun < 1
