"""Trees: what lies between two of them, what is written, and what a hostile one cannot do."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from bot.errors import Theirs, ToolFailed
from tests.workers.plumbing import plumb, scribe, tree_of, write
from workers.git import Git
from workers.trees import PATCH_LIMIT, Trees


@pytest.fixture
def local(tmp_path: Path) -> Path:
    """An empty repository with a work tree, for trees that GitHub would not take."""
    folder = tmp_path / "local"
    folder.mkdir()
    plumb(folder, "init", "-q", "-b", "main")
    return folder


def trees(folder: Path) -> Trees:
    return Trees(Git(folder / ".git"))


# -- differences


def test_patch_is_bounded(local: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = tree_of(local, ("100644", "a.txt", b"line\n" * 1000))
    whole = trees(local).patch(None, tree)
    assert whole.count("+line") == 1000
    assert len(whole) < PATCH_LIMIT
    monkeypatch.setattr("workers.trees.PATCH_LIMIT", 500)
    assert 300 < len(trees(local).patch(None, tree)) <= 501


def test_comparing_thousands_of_renamed_files_ends_soon(local: Path) -> None:
    """Looking for renames takes time that grows with the square of their number."""
    before = tree_of(local, *(("100644", f"old-{n}", f"{n}\n".encode() * 50) for n in range(100)))
    after = tree_of(local, *(("100644", f"new-{n}", f"{n}\n".encode() * 50) for n in range(100)))
    assert all(file.status == "renamed" for file in trees(local).diff(before, after).files.values())
    assert Git(local / ".git").run("config", "diff.renameLimit").strip() == "1000"


def test_texts_are_of_plain_files_that_are_not_too_large(local: Path) -> None:
    tree = tree_of(
        local,
        ("100644", "a.md", b"one\n"),
        ("100755", "*.md", "größe\n".encode()),
        ("120000", "link.md", b"a.md"),
        ("100644", "large.md", b"x" * 1_000_001),
    )
    wanted = ("a.md", "*.md", "link.md", "large.md", "missing.md")
    assert trees(local).texts(tree, wanted) == {"a.md": "one\n", "*.md": "größe\n"}


# -- bombs


def bomb(folder: Path, levels: int) -> str:
    """Ten to the power of `levels` files, in a few hundred bytes."""
    blob = plumb(folder, "hash-object", "-w", "--stdin", stdin=b"x")
    tree = _made(folder, f"100644 blob {blob}\t0\n")
    for _ in range(levels):
        tree = _made(folder, "".join(f"040000 tree {tree}\t{n}\n" for n in range(10)))
    return tree


def _made(folder: Path, entries: str) -> str:
    return plumb(folder, "mktree", stdin=entries.encode())


def test_trees_within_trees_without_end_are_not_written(
    local: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.trees.MOST_FILES", 10_000)
    tree = bomb(local, 10)
    for ask in (lambda: write(trees(local), tree, tmp_path / "out"), lambda: trees(local).files(tree)):
        with pytest.raises(Theirs, match="more than 10,000 files"):
            ask()
    assert not (tmp_path / "out").exists()


def test_a_folder_is_not_turned_into_trees_without_end(
    local: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.trees.MOST_FILES", 10_000)
    small = tree_of(local, ("100644", "a", b"x"))
    write(trees(local), small, tmp_path / "out")
    with pytest.raises(Theirs, match="more than 10,000 files"):
        trees(local).turn(small, bomb(local, 5), tmp_path / "out", scribe(tmp_path))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a"]


def test_comparing_with_trees_within_trees_ends_with_gits_memory(local: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.git._MEMORY", 50 * 2**20)
    with pytest.raises(ToolFailed, match="memory"):
        trees(local).diff(None, bomb(local, 6))


def test_more_bytes_than_a_tree_may_hold_are_not_written(
    local: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = tree_of(local, ("100644", "a", b"x" * 1000), ("100644", "b", b"y" * 1000))
    write(trees(local), tree, tmp_path / "first")
    monkeypatch.setattr("workers.trees.LARGEST_TREE", 1999)
    with pytest.raises(Theirs, match="is not checked out"):
        write(trees(local), tree, tmp_path / "second")


# -- writing


def test_links_become_files_and_submodules_folders(local: Path, tmp_path: Path) -> None:
    tree = tree_of(
        local, ("120000", "link", b"/etc/passwd"), ("160000", "module", b"1" * 40), ("100755", "run", b"#!/bin/sh\n")
    )
    write(trees(local), tree, tmp_path / "out")
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
    write(trees(local), tree, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == [name]
    assert trees(local).files(tree) == (name,)
    assert trees(local).diff(None, tree).paths == (name,)


@pytest.mark.parametrize("name", [".git", ".GIT", "git~1", ".g\u200cit"])
def test_tree_that_would_write_a_git_directory_is_refused(local: Path, tmp_path: Path, name: str) -> None:
    tree = tree_of(local, ("100644", name, b"[core]\n"))
    with pytest.raises(ToolFailed):
        write(trees(local), tree, tmp_path / "out")


def test_filters_and_hooks_of_the_repository_do_not_run(local: Path, tmp_path: Path) -> None:
    attributes = b"* filter=evil\n*.txt working-tree-encoding=UTF-16\n"
    plumb(local, "config", "core.hooksPath", str(tmp_path / "hooks"))
    hook = tmp_path / "hooks" / "post-checkout"
    hook.parent.mkdir()
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/pwned\n")
    hook.chmod(0o755)
    tree = tree_of(local, ("100644", ".gitattributes", attributes), ("100644", "a.py", b"x\n"))
    write(trees(local), tree, tmp_path / "out")
    assert (tmp_path / "out" / "a.py").read_text() == "x\n"
    assert not (tmp_path / "pwned").exists()
