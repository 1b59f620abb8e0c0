"""Repositories that attack whoever looks at them with git."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from bot.errors import AssayError
from tests.workers.plumbing import plumb, tree_of, write
from workers.desk import open_desk
from workers.git import Git
from workers.trees import Trees

CLEAN_GIT = {"PATH": "/usr/bin:/bin:/usr/local/bin", "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "local"
    folder.mkdir()
    plumb(folder, "init", "-q", "-b", "main")
    yield folder
    assert not (tmp_path / "executed").exists(), "something of the repository was executed"


def bare_inside(folder: Path, marker: Path) -> Path:
    """A folder of a repository that is a repository itself, whose configuration names a program."""
    evil = folder / "evil"
    (evil / "objects").mkdir(parents=True)
    (evil / "refs").mkdir()
    (evil / "HEAD").write_text("ref: refs/heads/main\n")
    settings = ("repositoryformatversion = 0", "bare = false", "worktree = ..", f'fsmonitor = "touch {marker}; false"')
    (evil / "config").write_text("[core]\n" + "".join(f"\t{line}\n" for line in settings))
    return evil


def test_the_attack_below_works_on_a_git_that_is_not_on_its_guard(tmp_path: Path) -> None:
    evil = bare_inside(tmp_path, tmp_path / "executed")
    subprocess.run(["git", "status"], cwd=evil, env=CLEAN_GIT, capture_output=True, check=False)
    assert (tmp_path / "executed").exists()


def test_a_repository_within_is_not_entered(local: Path, tmp_path: Path) -> None:
    evil = bare_inside(local, tmp_path / "executed")
    with pytest.raises(AssayError), open_desk(evil):
        pass
    with suppress(AssayError):
        Git(evil).run("status", cwd=evil)


def test_a_program_that_attributes_name_for_differences_does_not_run(local: Path, tmp_path: Path) -> None:
    plumb(local, "config", "diff.evil.textconv", f"touch {tmp_path}/executed;")
    plumb(local, "config", "diff.evil.command", f"touch {tmp_path}/executed;")
    attributes = ("100644", ".gitattributes", b"* diff=evil filter=evil merge=evil\n")
    before = tree_of(local, attributes, ("100644", "a.py", b"x = 1\n"))
    after = tree_of(local, attributes, ("100644", "a.py", b"x = 2\n"))
    assert "+x = 2" in Trees(Git(local / ".git")).patch(before, after)


@pytest.mark.parametrize(
    "url", ["ext::sh -c 'touch {marker}'", "file:///etc", "-u./evil", "--upload-pack=touch {marker}"]
)
def test_submodules_are_fetched_from_nowhere(local: Path, tmp_path: Path, url: str) -> None:
    module = f'[submodule "m"]\n\tpath = m\n\turl = {url.format(marker=tmp_path / "executed")}\n\tupdate = !touch x\n'
    tree = tree_of(local, ("100644", ".gitmodules", module.encode()), ("160000", "m", b"1" * 40))
    write(Trees(Git(local / ".git")), tree, tmp_path / "out")
    assert list((tmp_path / "out" / "m").iterdir()) == []


def test_a_pointer_to_large_files_is_a_text(local: Path, tmp_path: Path) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 1\n"
    lfs = b'[lfs]\n\turl = https://evil.example/\n[lfs "customtransfer.evil"]\n\tpath = /bin/sh\n'
    tree = tree_of(
        local,
        ("100644", ".gitattributes", b"*.bin filter=lfs diff=lfs merge=lfs -text\n"),
        ("100644", ".lfsconfig", lfs),
        ("100644", "a.bin", pointer),
    )
    write(Trees(Git(local / ".git")), tree, tmp_path / "out")
    assert (tmp_path / "out" / "a.bin").read_bytes() == pointer


@pytest.mark.parametrize("name", ["..", ".", "../executed", "a/../../executed", "/executed"])
def test_a_name_that_leads_out_of_the_tree_writes_nothing_there(local: Path, tmp_path: Path, name: str) -> None:
    blob = plumb(local, "hash-object", "-w", "--stdin", stdin=b"x")
    raw = f"100644 {name}".encode() + b"\0" + bytes.fromhex(blob)
    tree = plumb(local, "hash-object", "-w", "-t", "tree", "--literally", "--stdin", stdin=raw)
    out = tmp_path / "deep" / "out"
    out.parent.mkdir()
    with suppress(AssayError):
        write(Trees(Git(local / ".git")), tree, out)
    assert [path.name for path in tmp_path.iterdir() if path.name not in ("local", "deep")] == []
    assert [path.name for path in out.parent.iterdir() if path.name not in ("out", "git")] == []
