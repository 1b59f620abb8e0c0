"""The sandbox against commands that try to get out of it: real processes, and canaries where they must not reach.

Every attack is also made with the one wall down that holds it, and has to succeed then: a test that cannot fail would
prove nothing.
"""

from __future__ import annotations

import errno
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from bot.errors import ToolFailed
from tests.servers import gone, leave_asleep, saying, until
from workers.agent import Command, Completed
from workers.sandbox import orphans, own_etc
from workers.sandbox.bubblewrap import BubblewrapSandbox
from workers.sandbox.choice import choose
from workers.sandbox.limits import Limits
from workers.sandbox.walls import WHOLE, Walls

PATH = os.environ["PATH"]
WHY_NOT = choose("auto", PATH).why_not
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=f"no sandbox here: {WHY_NOT}")
CANARY = "canary-4f9d17c2"
SMALL = Limits(memory=256 * 2**20, processes=40, disk=50 * 2**20, file_size=200 * 2**20)


@dataclass
class Machine:
    """What there is to be got at outside: a key, another checkout, a socket, a server, this process."""

    root: Path
    tree: Path
    key: Path
    socket: Path
    port: int

    def run(
        self, script: str, walls: Walls = WHOLE, *, executes_code: bool = True, timeout: float = 20, **limits: int
    ) -> Completed:
        sandbox = BubblewrapSandbox(PATH, limits=replace(SMALL, **limits), walls=walls)
        return sandbox.run(Command([sys.executable, "-c", script], self.tree, timeout, executes_code=executes_code))


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    data, tree, other = (tmp_path / name for name in ("data", "tree", "other"))
    for folder in (data, tree, other):
        folder.mkdir()
    key = data / "app.pem"
    key.write_text(CANARY)
    key.chmod(0o600)
    (other / "secret.txt").write_text(CANARY)
    (tree / "a.py").write_text("x = 1\n")
    (tree / "link").symlink_to(key)
    # A unix socket's path must be short.
    path = Path(f"/var/tmp/assay-{os.getpid()}.sock")
    with saying(CANARY) as port, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(path))
        unix.listen()
        yield Machine(tmp_path, tree, key, path, port)
    path.unlink()


READ = "import sys\ntry:\n    print(open({path!r}).read())\nexcept OSError as error:\n    print(type(error).__name__)"
FETCH = """
import urllib.request
try:
    print(urllib.request.urlopen("http://127.0.0.1:{port}/", timeout=5).read().decode())
except OSError as error:
    print(type(error).__name__)
"""
NEIGHBOURS = """
import pathlib
for folder in pathlib.Path("/proc").glob("[0-9]*"):
    try:
        print((folder / "cmdline").read_bytes().replace(b"\\0", b" ").decode(errors="replace"))
    except OSError:
        pass
"""
UNIX = """
import socket
try:
    socket.socket(socket.AF_UNIX).connect({path!r})
    print("{canary}")
except OSError as error:
    print(type(error).__name__)
"""
NAMESPACE = """
import ctypes
print("{canary}" if ctypes.CDLL(None).unshare(0x10000000) == 0 else "refused")
"""
VSOCK = """
import socket
try:
    socket.socket(40, socket.SOCK_STREAM)
    print("{canary}")
except OSError as error:
    print(error.errno)
"""
WRITE = """
try:
    open("a.py", "w").write("changed")
    print("{canary}")
except OSError as error:
    print(type(error).__name__)
"""
FILL = """
try:
    with open("/tmp/big", "wb") as file:
        for _ in range(100):
            file.write(bytes(1 << 20))
    print("{canary}")
except OSError as error:
    print(error.errno)
"""


@dataclass(frozen=True)
class Attack:
    """A script that prints the canary if it gets through, and the wall that holds it."""

    script: str
    without: Walls
    executes_code: bool = True


def attacks(machine: Machine) -> dict[str, Attack]:
    known = {"canary": CANARY, "port": machine.port}
    return {
        "a server of the machine": Attack(FETCH.format(**known), replace(WHOLE, network=False)),
        "the App's key": Attack(READ.format(path=str(machine.key)), replace(WHOLE, system=False, identity=False)),
        "another checkout": Attack(
            READ.format(path=str(machine.root / "other" / "secret.txt")), replace(WHOLE, system=False, identity=False)
        ),
        "a link to the key": Attack(READ.format(path="link"), replace(WHOLE, system=False, identity=False)),
        "the Redis socket": Attack(
            UNIX.format(path=str(machine.socket), **known), replace(WHOLE, system=False, identity=False)
        ),
        "a namespace of its own": Attack(NAMESPACE.format(**known), replace(WHOLE, seccomp=False)),
        "the machine's host": Attack(VSOCK.format(**known), replace(WHOLE, seccomp=False)),
        "the shared checkout": Attack(
            WRITE.format(**known), replace(WHOLE, tree=False, identity=False), executes_code=False
        ),
        "all of the memory, by files": Attack(FILL.format(**known), replace(WHOLE, sizes=False)),
    }


NAMES = (
    *("a server of the machine", "the App's key", "another checkout", "a link to the key", "the Redis socket"),
    *("a namespace of its own", "the machine's host", "the shared checkout", "all of the memory, by files"),
)


@pytest.mark.parametrize("name", NAMES)
def test_attack_is_held(machine: Machine, name: str) -> None:
    attack = attacks(machine)[name]
    done = machine.run(attack.script, executes_code=attack.executes_code)
    assert done.exit_code == 0, done.stderr
    assert CANARY not in done.stdout + done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_attack_gets_through_with_its_wall_down(machine: Machine, name: str) -> None:
    attack = attacks(machine)[name]
    done = machine.run(attack.script, attack.without, executes_code=attack.executes_code, memory=2**30)
    assert CANARY in done.stdout, (done.stdout, done.stderr)


def test_other_processes_are_not_seen(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen(["sleep", "30.4917"]) as neighbour:
        seen = machine.run(NEIGHBOURS).stdout
        unwalled = machine.run(NEIGHBOURS, replace(WHOLE, processes=False, system=False)).stdout
        neighbour.kill()
    assert "30.4917" not in seen
    assert "30.4917" in unwalled


def test_nothing_of_the_environment_comes_along(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_GITHUB_PRIVATE_KEY", CANARY)
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    done = machine.run("import os; print(os.environ)")
    assert CANARY not in done.stdout
    assert "HOME" in done.stdout


def test_every_namespace_is_its_own(machine: Machine) -> None:
    kinds = ["user", "pid", "net", "ipc", "uts", "cgroup", "mnt"]
    script = "import os, sys; print(*(os.readlink(f'/proc/self/ns/{kind}') for kind in %r))"
    inside = machine.run(script % kinds).stdout.split()
    outside = [os.readlink(f"/proc/self/ns/{kind}") for kind in kinds]  # noqa: PTH115
    assert len(inside) == len(kinds)
    assert [one for one, other in zip(inside, outside, strict=True) if one == other] == []


def test_a_command_is_nobody_without_rights(machine: Machine) -> None:
    script = "import os; print(os.getuid(), os.getgroups()); print(open('/proc/self/status').read())"
    lines = machine.run(script).stdout.splitlines()
    assert lines[0].startswith("1000 ")
    status = dict(line.split(":\t", 1) for line in lines[1:] if ":\t" in line)
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")


def test_a_command_inherits_nothing_to_read_or_write(machine: Machine) -> None:
    """But its streams. bubblewrap leaves it the user namespace that it is in already."""
    script = (
        "import contextlib, os\n"
        "for name in os.listdir('/proc/self/fd'):\n"
        "    with contextlib.suppress(OSError):\n"
        "        print(name, os.readlink(f'/proc/self/fd/{name}'))"
    )
    files = dict(line.split(" ", 1) for line in machine.run(script).stdout.splitlines())
    assert files.keys() >= {"0", "1", "2"}
    assert [file for name, file in files.items() if int(name) > 2 and not file.startswith("user:")] == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else outside")
def test_outside_it_is_nobody_too(machine: Machine) -> None:
    machine.run("open('made', 'w').write('x')")
    assert (machine.tree / "made").stat().st_uid == 64_123


@pytest.mark.parametrize(
    "argv",
    [
        ["mount", "-t", "tmpfs", "none", "/mnt"],
        ["su", "-c", "id"],
        ["mknod", "disk", "b", "8", "0"],
        ["chroot", "/", "true"],
        ["unshare", "--user", "true"],
        ["strace", "true"],
        ["dmesg"],
    ],
    ids=lambda argv: argv[0],
)
def test_what_only_root_may_do_is_refused(machine: Machine, argv: list[str]) -> None:
    if shutil.which(argv[0]) is None:
        pytest.skip(f"{argv[0]} is not installed")
    assert BubblewrapSandbox(PATH).run(Command(argv, machine.tree, 10, executes_code=True)).exit_code != 0


def test_one_agents_files_are_not_anothers(machine: Machine) -> None:
    """Home, /tmp and /dev/shm are empty each time."""
    write = "import os; [open(f'{d}/x', 'w') for d in ('/tmp', '/dev/shm', os.environ['HOME'])]"
    look = "import os; print([os.listdir(d) for d in ('/tmp', '/dev/shm', os.environ['HOME'])])"
    assert machine.run(write).exit_code == 0
    assert "'x'" not in machine.run(look).stdout


def test_what_a_program_needs_of_etc_can_be_read(machine: Machine) -> None:
    """`cc`, `java` and many others are links into /etc/alternatives."""
    script = (
        "import os; print(os.path.exists('/etc/passwd'), os.path.exists('/etc/ld.so.cache'), os.listdir('/etc') != [])"
    )
    assert machine.run(script).stdout == "True True True\n"


def test_a_given_home_is_kept_and_a_named_folder_can_be_read(machine: Machine) -> None:
    home, shown = machine.root / "home", machine.root / "shown"
    home.mkdir()
    shown.mkdir()
    (shown / "config.toml").write_text("y = 1")
    script = (
        f"open({str(home / 'kept')!r}, 'w').write('z'); print(open({str(shown / 'config.toml')!r}).read());"
        f"open({str(shown / 'config.toml')!r}, 'w')"
    )
    argv = [sys.executable, "-c", script]
    done = BubblewrapSandbox(PATH).run(Command(argv, machine.tree, 10, executes_code=True, home=home, reads=(shown,)))
    assert done.stdout == "y = 1\n"
    assert "Read-only file system" in done.stderr
    assert (home / "kept").read_text() == "z"


def test_a_folder_below_the_tree_can_be_run_in(machine: Machine) -> None:
    (machine.tree / "package").mkdir()
    argv = [sys.executable, "-c", "print(open('../a.py').read())"]
    command = Command(argv, machine.tree / "package", 10, executes_code=True, tree=machine.tree)
    assert BubblewrapSandbox(PATH).run(command).stdout == "x = 1\n\n"


# -- bombs

FORKS = """
import os, time
made = 0
try:
    while made < 500:
        if os.fork() == 0:
            time.sleep(30)
        made += 1
except OSError:
    pass
print(made)
"""


def test_a_fork_bomb_is_bounded_and_ends_with_it(machine: Machine) -> None:
    done = machine.run(FORKS)
    assert 0 < int(done.stdout) < 200
    assert gone(FORKS)


OPEN = """
import os
try:
    while True:
        last = os.open("a.py", os.O_RDONLY)
except OSError as error:
    print(last, error.errno)
"""


def test_open_files_are_bounded(machine: Machine) -> None:
    assert machine.run(OPEN, open_files=64).stdout == f"63 {errno.EMFILE}\n"


def test_processor_time_is_bounded(machine: Machine) -> None:
    """By what all cores can do until the clock ends: no process gets more, whatever becomes of the clock."""
    script = "import resource; print(*resource.getrlimit(resource.RLIMIT_CPU))"
    most = 3 * (os.cpu_count() or 1) + 2
    assert machine.run(script, timeout=3).stdout == f"{most} {most}\n"
    burn = f"import resource; resource.setrlimit(resource.RLIMIT_CPU, (1, {most}))\nwhile True: pass"
    assert machine.run(burn).exit_code is None
    raised = f"import resource; resource.setrlimit(resource.RLIMIT_CPU, ({most}, {most + 1}))"
    assert "ValueError" in machine.run(raised, timeout=3).stderr


def test_memory_is_bounded(machine: Machine) -> None:
    done = machine.run("x = bytearray(2_000_000_000); x[::4096] = b'x' * len(x[::4096]); print('had it')")
    assert "had it" not in done.stdout


def test_memory_of_all_processes_together_is_bounded(machine: Machine) -> None:
    if "cgroup" not in BubblewrapSandbox(PATH).level:
        pytest.skip("no control groups here")
    script = (
        "import os, time\n"
        "for _ in range(6):\n"
        "    if os.fork() == 0:\n"
        "        x = bytearray(100_000_000)\n"
        "        for at in range(0, len(x), 4096): x[at] = 1\n"
        "        time.sleep(3); print('had it', flush=True); os._exit(0)\n"
        "time.sleep(5)"
    )
    assert machine.run(script).stdout.count("had it") < 6


def test_the_disk_is_bounded(machine: Machine) -> None:
    script = "import time\nfor n in range(60):\n    open(f'f{n}', 'wb').write(bytes(10**7))\ntime.sleep(20)"
    begun = time.monotonic()
    with pytest.raises(ToolFailed, match="on the disk"):
        machine.run(script)
    assert time.monotonic() - begun < 10


def test_a_file_is_bounded(machine: Machine) -> None:
    done = machine.run("open('big', 'wb').write(bytes(10**7)); print('done')", file_size=1_000_000)
    assert "done" not in done.stdout
    assert (machine.tree / "big").stat().st_size <= 1_000_000


# -- ends

ESCAPE = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        sys.argv = ["escaped-8231"]
        os.execvp("sleep", ["escaped-8231", "60"])
    os._exit(0)
os.wait()
time.sleep({wait})
"""


@pytest.mark.parametrize("wait", [0, 60])
def test_nothing_is_left_behind(machine: Machine, wait: int) -> None:
    """Not when the command ends by itself, and not by the clock: it ends the whole tree within a tenth of a second."""
    over: list[float] = []
    # Three tries, for machines that are busy.
    while not over or (wait and min(over) >= 0.1 and len(over) < 3):
        begun = time.monotonic()
        done = machine.run(ESCAPE.format(wait=wait), timeout=1)
        over.append(time.monotonic() - begun - 1)
        assert gone("escaped-8231")
        assert done.timed_out is bool(wait)
    assert not wait or min(over) < 0.1


def test_it_ends_when_the_work_is_called_off(machine: Machine) -> None:
    cancelled = threading.Event()
    sandbox = BubblewrapSandbox(PATH, cancelled=cancelled)
    threading.Timer(0.5, cancelled.set).start()
    begun = time.monotonic()
    sandbox.run(Command(["sleep", "61.7312"], machine.tree, 60))
    assert time.monotonic() - begun < 2
    assert gone("61.7312")
    with pytest.raises(ToolFailed, match="called off"):
        sandbox.run(Command(["true"], machine.tree, 60))


def test_it_ends_with_its_parent(machine: Machine) -> None:
    code = (
        "import os; from pathlib import Path; from workers.agent import Command;"
        "from workers.sandbox.bubblewrap import BubblewrapSandbox;"
        f"BubblewrapSandbox(os.environ['PATH']).run(Command(['sleep', '62.8123'], Path({str(machine.tree)!r}), 60))"
    )
    with subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": os.getcwd()}) as parent:  # noqa: PTH109
        until = time.monotonic() + 20
        while gone("62.8123") and time.monotonic() < until:
            time.sleep(0.02)
        parent.kill()
    until = time.monotonic() + 3
    while not gone("62.8123") and time.monotonic() < until:
        time.sleep(0.02)
    assert gone("62.8123")


def test_what_was_killed_as_it_started_is_removed_and_what_works_is_let_be(machine: Machine) -> None:
    # A worker of another test may remove it before it is seen.
    while gone("62.8124"):
        leave_asleep("sleep", "62.8124")
    done: list[Completed] = []
    sandbox = BubblewrapSandbox(PATH)
    works = threading.Thread(target=lambda: done.append(sandbox.run(Command(["sleep", "1.0125"], machine.tree, 60))))
    works.start()
    until("the work's begin", lambda: not gone("1.0125"))
    orphans.clear()
    until("the end of what was left", lambda: gone("62.8124"))
    works.join()
    assert [one.exit_code for one in done] == [0]


# -- the gate: a command begins when its limits are set


def test_a_command_waits_for_its_limits(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[bool] = []
    impose = Limits.impose

    def slowly(limits: Limits, pid: int, timeout: float, processes: int) -> None:
        time.sleep(0.5)
        begun.append((machine.tree / "begun").exists())
        impose(limits, pid, timeout, processes)

    monkeypatch.setattr(Limits, "impose", slowly)
    limit = machine.run("open('begun', 'w'); import resource; print(*resource.getrlimit(resource.RLIMIT_FSIZE))").stdout
    assert (begun, limit) == ([False], f"{SMALL.file_size} {SMALL.file_size}\n")
    assert (machine.tree / "begun").exists()


def test_a_command_that_cannot_be_limited_never_begins(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Limits, "impose", refused)
    with pytest.raises(ToolFailed, match="cannot be limited: .*Operation not permitted"):
        machine.run("open('begun', 'w')  # 1.2931")
    until("its end", lambda: gone("1.2931"))
    assert not (machine.tree / "begun").exists()


KILLED_AT_THE_GATE = """
import sys
from pathlib import Path
from workers.agent import Command
from workers.sandbox.bubblewrap import BubblewrapSandbox
from workers.sandbox.limits import Limits

def killed(*_):
    print("there", flush=True)
    sys.stdin.read()

Limits.impose = killed
tree = Path(sys.argv[1])
BubblewrapSandbox(sys.argv[2]).run(Command(["sleep", "61.9183"], tree, 60, executes_code=True))
"""


def test_a_command_whose_worker_is_killed_at_the_gate_ends_with_it(machine: Machine) -> None:
    words = [sys.executable, "-c", KILLED_AT_THE_GATE, str(machine.tree), PATH]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"there\n"
        worker.kill()
    orphans.clear()
    until("its end", lambda: gone("61.9183"))


def test_a_thread_that_starts_a_command_is_back_in_its_own_group(machine: Machine) -> None:
    before = Path("/proc/thread-self/cgroup").read_text()
    inside = machine.run("print(open('/proc/self/cgroup').read())").stdout
    assert Path("/proc/thread-self/cgroup").read_text() == before
    # In version 2 it is put into its group when its namespace is there already, and sees that one's name.
    if "cgroup v1" in BubblewrapSandbox(PATH).level:
        assert "assay-" not in inside


# -- what it says


def test_it_tells_output_errors_and_exit_code(machine: Machine) -> None:
    done = machine.run("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")
    assert (done.exit_code, done.stdout, done.stderr, done.timed_out) == (3, "out\n", "err\n", False)


def test_a_command_ended_by_a_signal_has_no_exit_code(machine: Machine) -> None:
    assert machine.run("import os; os.kill(os.getpid(), 9)").exit_code is None


def test_a_missing_program_says_what_to_do(machine: Machine) -> None:
    with pytest.raises(ToolFailed, match="Install it on the machine that runs Assay"):
        BubblewrapSandbox(PATH).run(Command(["no-such-tool"], machine.tree, 5))


def test_a_sandbox_that_cannot_be_made_is_a_failure_and_no_result(machine: Machine) -> None:
    with pytest.raises(ToolFailed, match="cannot be started in the sandbox"):
        BubblewrapSandbox(PATH).run(Command(["true"], machine.tree / "missing", 5, tree=machine.tree))


def test_arguments_are_never_read_by_a_shell(machine: Machine) -> None:
    done = BubblewrapSandbox(PATH).run(Command(["echo", "$(id); `id`", "--", "--bind"], machine.tree, 5))
    assert done.stdout == "$(id); `id` -- --bind\n"


def test_values_of_the_environment_stand_in_no_argument_list(machine: Machine) -> None:
    seen: list[str] = []

    def look() -> None:
        until = time.monotonic() + 2
        while time.monotonic() < until:
            for process in psutil.process_iter(["cmdline"]):
                seen.extend(process.info["cmdline"] or ())

    thread = threading.Thread(target=look)
    thread.start()
    # No other test's, which may run beside this one and name it.
    token = f"token-{uuid4().hex}"
    command = Command(["sleep", "1.5"], machine.tree, 5, env={"TOKEN": token})
    BubblewrapSandbox(PATH).run(command)
    thread.join()
    assert "1.5" in seen
    assert not any(token in word for word in seen)


def test_what_assay_puts_into_a_home_later_is_the_commands_too(machine: Machine) -> None:
    home = machine.root / "home"
    home.mkdir()
    for name in ("first", "second"):
        (home / name).mkdir()
        argv = ["touch", f"{home}/{name}/made"]
        done = BubblewrapSandbox(PATH).run(Command(argv, machine.tree, 10, executes_code=True, home=home))
        assert done.exit_code == 0, done.stderr


def test_what_programs_look_for_in_etc_is_there(machine: Machine) -> None:
    script = "import pwd, os; print(pwd.getpwuid(os.getuid()).pw_name, sorted(os.listdir('/etc/ssl'))[:1])"
    done = machine.run(script)
    assert done.stdout.startswith("assay ['"), done.stderr


def test_private_keys_beside_certificates_are_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "private").mkdir(mode=0o700)
    (tmp_path / "private" / "key.pem").write_text(CANARY)
    (tmp_path / "open.pem").write_text("for all")
    (tmp_path / "closed.pem").write_text(CANARY)
    (tmp_path / "closed.pem").chmod(0o640)
    own_etc._copy(tmp_path, tmp_path / "made")
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["open.pem"]
