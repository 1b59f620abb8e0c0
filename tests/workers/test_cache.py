"""What is kept on disk: made once, whole or not at all, and gone when it is old, too much, or left behind."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bot.errors import NoSpace
from workers.cache import Cache, Limits
from workers.entry import Entry, remove
from workers.locks import flock

FORK = multiprocessing.get_context("fork")


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path, Limits(10**9, 3600))


def put(entry: Entry, size: int = 10_000, age: float = 0) -> None:
    with entry.used():
        entry.fill(writes(size))
    then = time.time() - age
    os.utime(entry.folder / "use", (then, then))


def writes(size: int) -> Callable[[Path, int], None]:
    def make(folder: Path, _lock: int) -> None:
        folder.mkdir()
        (folder / "file").write_bytes(b"x" * size)

    return make


def names(cache: Cache) -> list[str]:
    return sorted(entry.folder.name for entry in cache.entries("shelf"))


# -- made once, and whole


def test_entry_is_made_once(cache: Cache) -> None:
    entry = cache.entry("shelf", "one")
    put(entry)
    with entry.used():
        entry.fill(lambda _folder, _lock: pytest.fail("it is there"))
        assert (entry.kept / "file").stat().st_size == 10_000


def test_what_goes_wrong_leaves_nothing(cache: Cache) -> None:
    def breaks(folder: Path, lock: int) -> None:
        writes(10)(folder, lock)
        raise KeyboardInterrupt

    entry = cache.entry("shelf", "one")
    with entry.used(), pytest.raises(KeyboardInterrupt):
        entry.fill(breaks)
    assert sorted(path.name for path in entry.folder.iterdir()) == ["lock", "use"]


def test_only_one_process_makes_it_and_the_others_wait(cache: Cache, tmp_path: Path) -> None:
    def make(folder: Path, lock: int) -> None:
        with (tmp_path / "made").open("a") as made:
            made.write("x")
        time.sleep(0.05)
        writes(10)(folder, lock)

    def work() -> None:
        entry = cache.entry("shelf", "one")
        with entry.used():
            entry.fill(make)
            assert (entry.kept / "file").exists()

    processes = [FORK.Process(target=work) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert (tmp_path / "made").read_text() == "x"


def test_half_of_one_that_was_killed_is_never_taken_for_whole(cache: Cache) -> None:
    def make(folder: Path, lock: int) -> None:
        writes(10)(folder, lock)
        os.kill(os.getpid(), signal.SIGKILL)

    def work() -> None:
        entry = cache.entry("shelf", "one")
        with entry.used():
            entry.fill(make)

    process = FORK.Process(target=work)
    process.start()
    process.join()
    entry = cache.entry("shelf", "one")
    assert (entry.folder / "new" / "file").exists()
    assert not entry.kept.exists()
    put(entry, 20)
    assert (entry.kept / "file").stat().st_size == 20


def test_program_that_outlives_its_worker_keeps_the_lock(cache: Cache) -> None:
    """What it still writes must not mix with what the next one writes."""
    entry = cache.entry("shelf", "one")

    def work() -> None:
        with entry.used(), entry.changed() as lock:
            os.set_inheritable(lock, True)
            os.spawnlp(os.P_NOWAIT, "sleep", "sleep", "0.5")
            os.kill(os.getpid(), signal.SIGKILL)

    process = FORK.Process(target=work)
    process.start()
    process.join()
    begun = time.monotonic()
    with entry.used():
        with pytest.raises(BlockingIOError), entry.changed(wait=False):
            pass
        with entry.changed():
            assert 0.2 < time.monotonic() - begun < 5


def test_lock_that_was_removed_while_one_waited_is_not_taken_for_the_lock(tmp_path: Path) -> None:
    path, held = tmp_path / "folder" / "lock", FORK.Event()

    def work() -> None:
        held.wait()
        with flock(path, fcntl.LOCK_EX) as lock:
            assert os.path.samestat(os.fstat(lock), path.stat())

    # Before the lock is taken, for a fork has its parent's locks too.
    process = FORK.Process(target=work)
    process.start()
    with flock(path, fcntl.LOCK_EX):
        held.set()
        time.sleep(0.1)
        path.unlink()
        path.parent.rmdir()
    process.join()
    assert process.exitcode == 0


# -- limits


def test_least_recently_used_goes_first(cache: Cache) -> None:
    for age, name in enumerate("abcd"):
        put(cache.entry("shelf", name), 100_000, age=age)
    cache.shrink(250_000)
    assert names(cache) == ["a", "b"]


def test_size_that_is_kept_is_that_of_all_shelves(cache: Cache) -> None:
    put(cache.entry("shelf", "a"), 100_000, age=1)
    put(cache.entry("other", "b"), 100_000, age=2)
    cache.shrink(150_000)
    assert names(cache) == ["a"]
    assert cache.entries("other") == []


def test_what_nobody_used_for_long_goes(cache: Cache) -> None:
    put(cache.entry("shelf", "old"), age=3700)
    put(cache.entry("shelf", "new"), age=3500)
    cache.shrink(10**9)
    assert names(cache) == ["new"]


def test_what_is_in_use_stays(cache: Cache) -> None:
    put(cache.entry("shelf", "a"))
    put(cache.entry("shelf", "b"))
    with cache.entry("shelf", "a").used():
        cache.shrink(0)
        assert names(cache) == ["a"]
    cache.shrink(0)
    assert names(cache) == []


def test_size_is_measured_again_after_a_change(cache: Cache) -> None:
    entry = cache.entry("shelf", "a")
    put(entry)
    small = entry.size()
    with entry.used(), entry.changed():
        (entry.kept / "more").write_bytes(b"x" * 100_000)
        assert entry.size() > small
    assert entry.size() == entry.size() > small + 90_000


def test_entry_that_was_never_finished_goes(cache: Cache) -> None:
    with cache.entry("shelf", "a").used():
        pass
    cache.shrink(10**9)
    assert names(cache) == []


def test_it_is_tidied_once_a_minute(cache: Cache, tmp_path: Path) -> None:
    put(cache.entry("shelf", "a"), age=4000)
    assert cache.tidy()
    assert names(cache) == []
    put(cache.entry("shelf", "a"), age=4000)
    assert not cache.tidy()
    assert names(cache) == ["a"]
    os.utime(tmp_path / "tidied", (0, 0))
    assert cache.tidy()
    assert names(cache) == []


# -- a full disk


def test_room_is_made_until_it_is_enough(cache: Cache) -> None:
    for age, name in enumerate("abcd"):
        put(cache.entry("shelf", name), 100_000, age=age)
    seen = []

    def act() -> str:
        seen.append(names(cache))
        if len(seen) < 3:
            raise OSError(28, "No space left on device")
        return "done"

    assert cache.with_room(act) == "done"
    assert seen == [["a", "b", "c", "d"], ["a", "b"], []]


def test_disk_that_stays_full_is_told_of(cache: Cache, tmp_path: Path) -> None:
    def act() -> None:
        raise NoSpace("git fetch: no space left on device")

    with pytest.raises(NoSpace, match=f"no space in ASSAY_WORK_DIR .{tmp_path}.*: git fetch: no space left"):
        cache.with_room(act)


def test_other_errors_are_not_taken_for_a_full_disk(cache: Cache) -> None:
    def act() -> None:
        raise PermissionError

    put(cache.entry("shelf", "a"))
    with pytest.raises(PermissionError):
        cache.with_room(act)
    assert names(cache) == ["a"]


# -- scratch folders


def test_scratch_folder_is_gone_whatever_was_done_to_it(cache: Cache, tmp_path: Path) -> None:
    with cache.scratch() as folder:
        deep = folder / "a" / "b"
        deep.mkdir(parents=True)
        (deep / "file").touch()
        (folder / "link").symlink_to(tmp_path)
        for path in (deep, deep.parent, folder):
            path.chmod(0)
    assert list((tmp_path / "runs").iterdir()) == []


def test_scratch_of_a_worker_that_was_killed_goes_and_no_other(cache: Cache, tmp_path: Path) -> None:
    def work() -> None:
        with cache.scratch():
            os.kill(os.getpid(), signal.SIGKILL)

    process = FORK.Process(target=work)
    process.start()
    process.join()
    with cache.scratch() as folder:
        assert len(list((tmp_path / "runs").iterdir())) == 2
        cache.shrink(10**9)
        assert folder.exists()
        assert len(list((tmp_path / "runs").iterdir())) == 1


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
