"""The files of commits: the same as git's, once for all who read them, whoever is killed and however full the disk."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.context import ForkProcess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.demo.github import StandInGitHub
from bot.errors import NoSpace, ToolFailed
from tests.workers.plumbing import plumb, sandbox
from workers.cache import Cache, Limits
from workers.checkout import Checkouts
from workers.entry import remove
from workers.git import Git
from workers.mirrors import Mirror, Mirrors
from workers.sandbox.views import Views, why_no_views

REPO = "octo/demo"
FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Machine:
    """A work folder, and the repository of a server."""

    github: StandInGitHub
    cache: Cache
    views: Views | None = None

    @contextmanager
    def mirror(self, *commits: str) -> Iterator[Mirror]:
        """As a job has it: the copy is taken while the commit is fetched."""
        mirrors = Mirrors(self.cache, self.github.url)
        with ExitStack() as stack:
            with self.checkouts.ahead(mirrors.name(REPO), commits[0]):
                mirror = stack.enter_context(mirrors.fetch(REPO, commits, lambda: None))
            yield mirror

    @contextmanager
    def shared(self, commit: str) -> Iterator[Path]:
        with self.mirror(commit) as mirror, self.checkouts.shared(mirror, commit) as files:
            yield files

    @property
    def checkouts(self) -> Checkouts:
        return Checkouts(self.cache, sandbox(), self.views)

    def commit(self, files: dict[str, str | bytes | None]) -> str:
        return self.github.commit(REPO, "main", files)

    def archive(self, commit: str) -> dict[str, bytes]:
        """What git itself says is in a commit."""
        git = self.github.api.world.repositories[REPO].git
        lines = git.run("ls-tree", "-r", "-z", commit).decode("utf-8", "surrogateescape").split("\0")[:-1]
        return {line.partition("\t")[2]: git.blob(line.split()[2]) for line in lines}


@pytest.fixture
def github() -> Iterator[StandInGitHub]:
    with StandInGitHub() as github:
        github.add_repository(REPO, {"a.txt": "one\n", "folder/b.txt": "two\n", "run": "#!/bin/sh\n"}, private=False)
        yield github


@pytest.fixture
def machine(tmp_path: Path, github: StandInGitHub) -> Iterator[Machine]:
    yield Machine(github, Cache(tmp_path, Limits(10**9, 3600)))
    remove(tmp_path)


def read(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# -- the same as git's


def test_files_are_shared_and_cannot_be_written_to(machine: Machine, github: StandInGitHub) -> None:
    sha = github.head(REPO, "main")
    with machine.shared(sha) as one, machine.shared(sha) as other:
        assert one == other
        assert read(one) == machine.archive(sha)
        modes = {path.name: path.stat().st_mode & 0o777 for path in (one, *one.rglob("*"))}
    assert {name: mode & 0o222 for name, mode in modes.items()} == dict.fromkeys(modes, 0)
    assert modes["run"] & 0o100


def test_copy_is_one_s_own(machine: Machine, github: StandInGitHub) -> None:
    sha = github.head(REPO, "main")
    with machine.shared(sha) as files, machine.checkouts.own(files) as own:
        assert read(own) == machine.archive(sha)
        with (own / "a.txt").open("r+") as file:
            file.write("changed")
        (own / "folder" / "new").touch()
        assert read(files) == machine.archive(sha)
        assert (files / "run").stat().st_mode & 0o111 == (own / "run").stat().st_mode & 0o111
    assert not own.exists()


def test_so_is_a_view_and_the_next_commit_s_files_are_made_from_the_same(machine: Machine, tmp_path: Path) -> None:
    if why_not := why_no_views(tmp_path):
        pytest.skip(f"no views here: {why_not}")
    seen = replace(machine, views=Views())
    shas = [seen.commit({"a.txt": f"{number}\n", f"n{number}": ""}) for number in range(3)]

    def job() -> None:
        seen.checkouts.in_own_process()
        for sha in shas:
            with seen.shared(sha) as files, seen.checkouts.own(files) as one, seen.checkouts.own(files) as other:
                assert "copy" not in (one.name, other.name)
                assert read(one) == seen.archive(sha)
                for path in (one / "a.txt", one / "run"):
                    path.write_text("changed")
                shutil.rmtree(one / "folder")
                assert read(files) == read(other) == seen.archive(sha)
            assert not one.exists()
        assert not list(seen.cache.folder.glob("runs/*"))

    in_fork(job)
    # Outside nothing was ever mounted, and a process that has not begun so gets copies.
    with seen.shared(shas[0]) as files, seen.checkouts.own(files) as own:
        assert (own.name, read(own)) == ("copy", seen.archive(shas[0]))
        (own / "a.txt").write_text("changed")
        assert read(files) == seen.archive(shas[0])


def test_a_view_that_cannot_be_mounted_is_a_copy(
    machine: Machine, github: StandInGitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no more mounts")

    monkeypatch.setattr("workers.sandbox.views.own_mounts", lambda: None)
    for call in ("mapped", "overlay"):
        monkeypatch.setattr(f"workers.sandbox.views.{call}", refuse)
    seen, sha = replace(machine, views=Views()), github.head(REPO, "main")
    seen.checkouts.in_own_process()
    with seen.shared(sha) as files, seen.checkouts.own(files) as own:
        assert read(own) == seen.archive(sha)
        (own / "a.txt").write_text("changed")


def in_fork(act: Callable[[], None]) -> None:
    """Do it in a process of its own; it has to end well."""
    child = FORK.Process(target=act)
    child.start()
    child.join(60)
    assert child.exitcode == 0


def test_next_commit_is_made_from_the_last(machine: Machine) -> None:
    first = machine.commit({"a.txt": "1\n", "gone/deep/c.txt": "x\n"})
    second = machine.commit({"a.txt": "2\n", "gone/deep/c.txt": None, "gone": "now a file\n"})
    third = machine.commit({"gone": None, "gone/d.txt": "a folder again\n", "a.txt": "#!/bin/sh\n"})
    for sha in (first, second, third, first):
        with machine.shared(sha) as files:
            assert read(files) == machine.archive(sha)
    with machine.shared(third) as files:
        assert (files / "a.txt").stat().st_mode & 0o100
        assert not (files / "run").stat().st_mode & 0o222


def test_links_stay_plain_files_in_the_next_commit(machine: Machine, tmp_path: Path) -> None:
    """The first commit has a folder where the second has a link, through which a file would be written outside."""
    machine.commit({"x/file": "1\n"})
    bare = machine.github.api.world.repositories[REPO].git.path
    target = plumb(bare, "hash-object", "-w", "--stdin", stdin=str(tmp_path).encode())
    tree = plumb(bare, "mktree", stdin=f"120000 blob {target}\tx\n".encode())
    first = machine.github.head(REPO, "main")
    second = plumb(bare, "commit-tree", tree, "-p", first, "-m", "link")
    third = machine.commit({"x/file": "2\n"})
    for sha in (first, second, third):
        with machine.shared(sha) as files:
            assert not any(path.is_symlink() for path in files.rglob("*"))
            assert read(files) == machine.archive(sha)


def test_attributes_that_change_what_is_written_are_heeded(machine: Machine) -> None:
    first = machine.commit({"a.txt": "one\n"})
    second = machine.commit({".gitattributes": "*.txt eol=crlf\n"})
    with machine.shared(first) as files:
        assert (files / "a.txt").read_bytes() == b"one\n"
    with machine.shared(second) as files:
        assert (files / "a.txt").read_bytes() == b"one\r\n"


def _add(files: Path) -> None:
    files.chmod(0o700)
    (files / "cache").write_text("left here\n")


def _remove(files: Path) -> None:
    files.chmod(0o700)
    (files / "run").unlink()


def _change_and_hide_it(files: Path) -> None:
    file = files / "folder" / "b.txt"
    before = file.stat()
    file.chmod(0o600)
    file.write_text("TWO\n")
    file.chmod(before.st_mode)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("write", [_add, _remove, _change_and_hide_it])
def test_files_that_somebody_wrote_to_are_not_made_others_from(
    machine: Machine, write: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    first = machine.commit({"a.txt": "1\n"})
    second = machine.commit({"b.txt": "2\n"})
    with machine.shared(first) as files:
        # Nobody gets there within a tick of the kernel's clock.
        time.sleep(0.02)
        write(files)
    with machine.shared(second) as files:
        assert read(files) == machine.archive(second)
    assert "somebody wrote to the files" in caplog.text
    with machine.shared(first) as files:
        assert read(files) == machine.archive(first)


def test_files_that_are_as_they_were_made_are_not_complained_of(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(4):
        with machine.shared(machine.commit({"a.txt": f"{number}\n"})):
            pass
    assert "somebody wrote" not in caplog.text


def test_tree_that_is_refused_is_told_of(machine: Machine) -> None:
    bare = machine.github.api.world.repositories[REPO].git.path
    blob = plumb(bare, "hash-object", "-w", "--stdin", stdin=b"x")
    tree = plumb(bare, "mktree", stdin=f"100644 blob {blob}\t.git\n".encode())
    sha = plumb(bare, "commit-tree", tree, "-m", "evil")
    good = machine.commit({"a.txt": "1\n"})
    with machine.shared(good):
        pass
    for _ in range(2):
        with pytest.raises(ToolFailed, match="git"), machine.shared(sha):
            pass


PATHS = st.sampled_from(["a", "a/b", "a/b/c", "d", "d/e", "ä \n", "-rf", "--", ".gitignore", "d/.gitattributes", "A"])
TREES = st.dictionaries(PATHS, st.sampled_from([b"", b"1\n", b"2\n", b"#!/bin/sh\n", b"* text=auto\n"]), max_size=8)


def _fits(tree: dict[str, bytes]) -> bool:
    return not any(other.startswith(f"{path}/") for path in tree for other in tree)


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(trees=st.lists(TREES.filter(_fits), min_size=2, max_size=4))
def test_any_tree_is_made_from_any_other(machine: Machine, trees: list[dict[str, bytes]]) -> None:
    for tree in trees:
        head = machine.archive(machine.github.head(REPO, "main"))
        before = set(head) - set(tree)
        machine.commit(dict.fromkeys(before))
        sha = machine.commit(dict(tree))
        with machine.shared(sha) as files:
            assert read(files) == machine.archive(sha) == tree


# -- several at once


def begin_together(works: Sequence[Callable[[], None]]) -> list[ForkProcess]:
    """A process each. None begins before the last is there: it would inherit the server's end of another one's fetch,
    and that would wait for it."""
    go = FORK.Event()

    def begin(work: Callable[[], None]) -> None:
        go.wait()
        work()

    processes = [FORK.Process(target=begin, args=(work,)) for work in works]
    for process in processes:
        process.start()
    go.set()
    return processes


def test_four_processes_write_it_once(machine: Machine) -> None:
    machine.commit({f"{number}.txt": f"{number}\n" for number in range(50)})
    with machine.shared(machine.github.head(REPO, "main")):
        pass
    sha = machine.commit({"a.txt": "next\n"})
    told = FORK.SimpleQueue()

    def work() -> None:
        with machine.shared(sha) as files:
            told.put((read(files) == machine.archive(sha), files.stat().st_ino))

    processes = begin_together([work] * 4)
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    answers = [told.get() for _ in processes]
    assert {right for right, _ in answers} == {True}
    assert len({inode for _, inode in answers}) == 1


def test_eviction_at_any_moment_disturbs_nobody(machine: Machine) -> None:
    shas = [machine.commit({"a.txt": f"{number}\n"}) for number in range(3)]

    def work(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(6):
            sha = chance.choice(shas)
            with machine.shared(sha) as files:
                assert read(files) == machine.archive(sha)

    processes = begin_together([partial(work, seed) for seed in range(3)])
    while any(process.is_alive() for process in processes):
        machine.cache.shrink(0)
        time.sleep(0.01)
    assert [process.exitcode for process in processes] == [0] * 3


# -- killed


def test_kill_at_any_point_leaves_nothing_wrong(machine: Machine) -> None:
    """Fifty times: a worker is killed while it fetches and writes a new commit, and another one does it over."""
    machine.commit({f"{number % 7}/{number}.txt": f"{number}\n" * 50 for number in range(100)})
    chance = random.Random(7)
    took = 0.1
    for number in range(50):
        sha = machine.commit({f"{number % 7}/{number}.txt": "changed\n", "new.txt": f"{number}\n"})

        def work(sha: str = sha) -> None:
            with machine.shared(sha):
                pass

        process = FORK.Process(target=work)
        process.start()
        time.sleep(chance.uniform(0, took))
        assert process.pid
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        begun = time.monotonic()
        with machine.shared(sha) as files:
            took = 0.5 * took + 0.5 * min(time.monotonic() - begun, 0.3)
            assert _listed(files) == _listed_by_git(machine, sha)
    left = {path.name for entry in machine.cache.entries("mirrors") for path in entry.folder.iterdir()}
    assert left <= {"kept", "use", "lock", "size"}
    git = Git(machine.cache.entries("mirrors")[0].kept)
    git.run("fsck", "--connectivity-only")


def _listed(files: Path) -> dict[str, str]:
    """Names and contents, as git names them."""
    return {path: hashlib.sha1(b"blob %d\0" % len(text) + text).hexdigest() for path, text in read(files).items()}


def _listed_by_git(machine: Machine, sha: str) -> dict[str, str]:
    lines = machine.github.api.world.repositories[REPO].git.run("ls-tree", "-r", "-z", sha).decode().split("\0")[:-1]
    return {line.partition("\t")[2]: line.split()[2] for line in lines}


# -- a full disk


@pytest.fixture
def small(tmp_path: Path, github: StandInGitHub) -> Iterator[Machine]:
    """A machine with a work folder of 4 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield Machine(github, Cache(disk / "work", Limits(10**9, 3600)))
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def _noise(files: int) -> dict[str, str | bytes | None]:
    return {f"{number}.bin": os.urandom(100_000) for number in range(files)}


def test_full_disk_is_told_of_and_damages_nothing(small: Machine, tmp_path: Path) -> None:
    first = small.commit({"a.txt": "1\n"})
    with small.shared(first):
        pass
    too_large = small.commit(_noise(45))
    for _ in range(2):
        with pytest.raises(NoSpace, match="(?s)no space in ASSAY_WORK_DIR .*larger disk"), small.shared(too_large):
            pass
    with small.shared(first) as files:
        assert read(files) == small.archive(first)
    subprocess.run(["mount", "-o", "remount,size=60m", str(tmp_path / "disk")], check=True)
    with small.shared(too_large) as files:
        assert _listed(files) == _listed_by_git(small, too_large)


def test_disk_that_is_full_while_files_are_written(small: Machine, tmp_path: Path) -> None:
    """What compresses well can be fetched, and then there is no room for its files."""
    large = small.commit({f"{number}.txt": "line\n" * 100_000 for number in range(12)})
    with small.mirror(large) as mirror:
        for _ in range(2):
            with pytest.raises(NoSpace, match="no space in ASSAY_WORK_DIR"), small.checkouts.shared(mirror, large):
                pass
    assert shutil.disk_usage(tmp_path / "disk").free > 3_000_000


def test_what_nobody_uses_makes_room(small: Machine) -> None:
    for number in range(6):
        small.commit({f"{other}.bin": None for other in range(5)} if number else {})
        sha = small.commit(_noise(5))
        with small.shared(sha) as files:
            assert _listed(files) == _listed_by_git(small, sha)


def test_no_room_for_a_copy_of_one_s_own(small: Machine) -> None:
    sha = small.commit(_noise(15))
    with small.shared(sha) as files, pytest.raises(NoSpace, match="no space in ASSAY_WORK_DIR"):
        small.checkouts.own(files).__enter__()
    assert not list(small.cache.folder.glob("runs/*"))
