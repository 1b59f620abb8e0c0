"""Views against commands that do all they can to what they are shown: the files below stay as they are, and one view is
nothing to another. As root, and as an ordinary user, for whom the kernel does it differently."""

from __future__ import annotations

import ctypes
import hashlib
import multiprocessing
import os
import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import pytest

from bot.errors import ToolFailed
from tests.servers import until
from workers.agent import Command, Completed
from workers.entry import remove
from workers.sandbox import bubblewrap
from workers.sandbox.bubblewrap import BubblewrapSandbox
from workers.sandbox.choice import choose
from workers.sandbox.limits import Limits
from workers.sandbox.views import Views, why_no_views

WHY_NOT = choose("auto", os.environ["PATH"]).why_not
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=f"no sandbox here: {WHY_NOT}")
CANARY = "canary-77a1c0"
PATH = "/usr/bin:/bin"
SOMEBODY = 12_345
FORK = multiprocessing.get_context("fork")
FILES = {
    "a.py": "x = 1\n",
    "folder/b.py": "y = 2\n",
    "folder/deep/c.py": "z = 3\n",
    "tool.sh": "#!/bin/sh\n",
    "gone": "",
}

CHANGES = """
import os, pathlib, shutil
with open("a.py", "r+") as file:
    file.truncate(2)
open("folder/b.py", "a").write("more")
os.chmod("tool.sh", 0o4777)
os.utime("a.py", (1, 1))
os.unlink("gone")
os.link("a.py", "hard")
os.rename("a.py", "folder/a.py")
shutil.move("folder/deep", "moved")
shutil.rmtree("folder")
pathlib.Path("folder").mkdir()
pathlib.Path("folder/b.py").write_text("other")
os.symlink("/etc/passwd", "link")
os.mkfifo("pipe")
os.setxattr("tool.sh", "user.note", b"mine")
print(sorted(os.listdir(".")))
"""
# What the kernel itself would note to show a folder from elsewhere, or none of what is below.
ATTRIBUTES = """
import os
os.mkdir("door")
for folder in ("door", "folder"):
    for space in ("user.overlay.", "trusted.overlay."):
        for name, text in (("redirect", {other!r}), ("opaque", "y"), ("metacopy", ""), ("origin", "x")):
            try:
                os.setxattr(folder, space + name, text.encode())
            except OSError as error:
                print(space + name, type(error).__name__)
for place, _, names in os.walk("."):
    for name in names:
        print(place, open(os.path.join(place, name), errors="replace").read())
"""
# Whatever of the view lies beside what is shown of it.
BESIDE = "import os; print({places}); print([os.listdir(place) for place in {places} if os.path.isdir(place)])"
FILL = "import time\nfor n in range(60):\n    open(f'f{n}', 'wb').write(bytes(10**7))\ntime.sleep(20)"


@dataclass(frozen=True)
class Machine:
    """Shared files, and what commands are run as."""

    root: Path
    ordinary: bool

    @property
    def files(self) -> Path:
        return self.root / "shared"

    def digest(self) -> str:
        """All that can be seen of the shared files."""
        seen = hashlib.sha256()
        for path in (self.files, *sorted(self.files.rglob("*"))):
            about = path.lstat()
            facts = (
                path,
                about.st_mode,
                about.st_ino,
                about.st_uid,
                about.st_size,
                about.st_mtime_ns,
                about.st_ctime_ns,
            )
            seen.update(f"{facts} {path.read_text() if path.is_file() else ''}".encode())
        return seen.hexdigest()

    def run(self, script: str, tree: Path, **limits: int) -> Completed:
        sandbox = BubblewrapSandbox(PATH, limits=replace(Limits(memory=256 * 2**20), **limits))
        return sandbox.run(Command(["/usr/bin/python3", "-c", script], tree, 20, executes_code=True))

    def room(self, name: str) -> Path:
        (self.root / name).mkdir()
        return self.root / name

    def inside(self, act: Callable[[], None]) -> None:
        """Do it in a process of its own, as the user that it is about; it has to end well."""

        def child() -> None:
            if self.ordinary:
                become_ordinary()
            try:
                act()
            except BaseException:
                (self.root / "failure").write_text(traceback.format_exc())
                raise

        process = FORK.Process(target=child)
        process.start()
        process.join(60)
        failure = self.root / "failure"
        assert process.exitcode == 0, failure.read_text() if failure.exists() else process.exitcode


def become_ordinary() -> None:
    os.setgroups([])
    os.setgid(SOMEBODY)
    os.setuid(SOMEBODY)
    # Whoever changes loses the right to /proc/self, which whoever was started so has (PR_SET_DUMPABLE).
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
    # What root may limit by.
    bubblewrap._groups.cache_clear()


@pytest.fixture(params=["as it is", "as an ordinary user"])
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    ordinary = request.param != "as it is"
    if ordinary and os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    # Beside what pytest keeps, which is root's alone.
    root = Path(tempfile.mkdtemp(prefix="assay-views-", dir="/var/tmp"))
    for name, text in FILES.items():
        path = root / "shared" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / "other").mkdir()
    (root / "other" / "secret.txt").write_text(CANARY)
    if ordinary:
        for path in (root, *root.rglob("*")):
            os.chown(path, SOMEBODY, SOMEBODY)
    made = Machine(root, ordinary)
    try:

        def try_it() -> None:
            (root / "why-not").write_text(why_no_views(root / "tried"))

        made.inside(try_it)
        if why_not := (root / "why-not").read_text():
            pytest.skip(f"no views here: {why_not}")
        yield made
    finally:
        remove(root)
        shutil.rmtree(root, ignore_errors=True)


def test_whatever_is_done_to_a_view_the_files_below_stay_as_they_are(machine: Machine) -> None:
    before = machine.digest()

    def act() -> None:
        views = Views()
        views.enter()
        with (
            views.view(machine.files, machine.room("one")) as one,
            views.view(machine.files, machine.room("two")) as two,
        ):
            done = machine.run(CHANGES, one)
            assert done.exit_code == 0, done.stderr
            assert done.stdout == "['folder', 'hard', 'link', 'moved', 'pipe', 'tool.sh']\n"
            # A second command finds what the first has left; the other agent nothing of it.
            assert machine.run("print(open('folder/b.py').read())", one).stdout == "other\n"
            assert {str(path.relative_to(two)) for path in two.rglob("*") if path.is_file()} == set(FILES)
            assert machine.run("print(open('a.py').read(), end='')", two).stdout == FILES["a.py"]
            assert (one / "tool.sh").stat().st_mode & 0o777 == 0o777

    machine.inside(act)
    assert machine.digest() == before


def test_without_a_view_the_same_is_done_to_the_shared_files(machine: Machine) -> None:
    """So that what is above proves something."""
    before = machine.digest()

    def act() -> None:
        machine.run(CHANGES, machine.files)

    machine.inside(act)
    assert machine.digest() != before


def test_what_the_kernel_notes_of_a_view_cannot_be_forged(machine: Machine) -> None:
    before = machine.digest()

    def act() -> None:
        views = Views()
        views.enter()
        room = machine.room("one")
        with views.view(machine.files, room) as one:
            for other in (str(machine.root / "other"), "/../other", "/other"):
                done = machine.run(ATTRIBUTES.format(other=other), one)
                assert done.exit_code == 0, done.stderr
                assert CANARY not in done.stdout
                assert FILES["folder/b.py"] in done.stdout
                (one / "door").rmdir()

    machine.inside(act)
    assert machine.digest() == before


def test_a_command_sees_nothing_of_a_view_but_its_files(machine: Machine) -> None:
    def act() -> None:
        views = Views()
        views.enter()
        room = machine.room("one")
        with views.view(machine.files, room) as one:
            (one / "mark").write_text(CANARY)
            places = [str(room / name) for name in ("below", "changes", "scratch")]
            done = machine.run(BESIDE.format(places=places), one)
            assert done.stdout.splitlines()[1] == "[]", done.stderr
            # As somebody sees it who is not in that process, and as it is without the wall.
            assert (room / "changes" / "mark").read_text() == CANARY

    machine.inside(act)


def test_what_is_written_to_a_view_counts_against_the_disk(machine: Machine) -> None:
    def act() -> None:
        views = Views()
        views.enter()
        with views.view(machine.files, machine.room("one")) as one, pytest.raises(ToolFailed, match="on the disk"):
            machine.run(FILL, one, disk=50 * 2**20)

    machine.inside(act)


def test_nobody_else_sees_a_view_and_it_goes_with_its_process(machine: Machine) -> None:
    room = machine.room("one")
    if machine.ordinary:
        os.chown(room, SOMEBODY, SOMEBODY)

    def wait() -> None:
        views = Views()
        views.enter()
        with views.view(machine.files, room) as one:
            (one / "made").write_text("x")
            machine.run("import time; time.sleep(63.1172)", one)

    def child() -> None:
        if machine.ordinary:
            become_ordinary()
        wait()

    before = machine.digest()
    process = FORK.Process(target=child)
    process.start()
    until("a command to run", lambda: _running("63.1172"))
    assert list((room / "files").iterdir()) == []
    assert "assay-views-" not in Path("/proc/self/mountinfo").read_text()
    process.kill()
    process.join()
    until("its end", lambda: not _running("63.1172"))
    remove(room)
    assert not room.exists()
    assert machine.digest() == before


def _running(mark: str) -> bool:
    return any(mark in " ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"]))


def test_where_none_can_be_made_the_reason_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise PermissionError(1, "unshare: Operation not permitted")

    monkeypatch.setattr("workers.sandbox.views.own_mounts", refuse)
    assert "Operation not permitted" in why_no_views(tmp_path)
    (tmp_path / "file").touch()
    assert "file" in why_no_views(tmp_path / "file" / "below")
    views = Views()
    views.enter()
    assert not views.usable
