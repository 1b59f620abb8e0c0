"""Commands in containers. There is neither Docker nor Podman here: `engines.py` stands in for both. It knows the words
of Docker's reference, and no others."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bot.errors import NoSandbox, ToolFailed
from tests.workers.sandbox.engines import BIN, IMAGE_PATH, Engines, install
from workers.agent import Command
from workers.sandbox.choice import Choice, Containers, Kind, choose
from workers.sandbox.container import ContainerSandbox, Image, engine, examine
from workers.sandbox.engine import Box, Engine, run
from workers.sandbox.identity import owner
from workers.sandbox.limits import Limits

PATH = os.environ["PATH"]
pytestmark = pytest.mark.skipif(bool(choose("bubblewrap", PATH).why_not), reason="the stand-in needs bubblewrap")
OWN, OTHER = "acme/assay:1", "acme/node:22"
SMALL = Limits(memory=256 * 2**20, processes=40, disk=20 * 2**20, file_size=50 * 2**20)
USER = owner() or os.getuid()


def until(true: Callable[[], object]) -> None:
    give_up = time.monotonic() + 20
    while not true():
        assert time.monotonic() < give_up
        time.sleep(0.02)


@pytest.fixture
def engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engines:
    made = install(tmp_path / "engines", OWN, OTHER, runtimes=("runc", "runsc"))
    monkeypatch.setenv("PATH", f"{made.folder}:{PATH}")
    return made


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    folder.mkdir()
    (folder / "a.py").write_text("x = 1\n")
    return folder


@pytest.fixture
def sandbox(engines: Engines) -> ContainerSandbox:
    assert engines
    return ContainerSandbox(engine("docker"), examine(engine("docker"), OWN), SMALL)


def sh(text: str, tree: Path, timeout: float = 30, *, executes_code: bool = True) -> Command:
    return Command(["sh", "-c", text], tree, timeout, executes_code=executes_code)


# -- the words


def box(**changes: object) -> Box:
    whole = Box(
        name="assay-1-a",
        label="assay=here",
        image=OWN,
        cwd=Path("/run/tree"),
        reads=[Path("/run/base")],
        writes=[Path("/run/tree")],
        files={"/etc/passwd": Path("/tmp/x/1")},
        home="/home/assay",
        limits=SMALL,
        timeout=60,
    )
    return replace(whole, **changes)  # type: ignore[arg-type]  # each by its own type


def test_these_are_the_words() -> None:
    words = list(run(Engine("docker", 64123, 64123, "runsc"), box(), "script", ["pytest", "-q"]))
    tmpfs = "rw,exec,nosuid,nodev,mode=1777,size=67108864"
    assert words == [
        *("run", "--rm", "--name", "assay-1-a", "--label", "assay=here", "--pull", "never", "--log-driver", "none"),
        *("--network", "none", "--ipc", "private", "--hostname", "sandbox"),
        *("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
        *("--user", "64123:64123", "--runtime", "runsc"),
        *("--memory", "268435456", "--memory-swap", "268435456", "--shm-size", "67108864"),
        *("--pids-limit", "40"),
        *("--ulimit", "data=268435456:268435456", "--ulimit", "fsize=52428800:52428800"),
        *("--ulimit", "nofile=4096:4096", "--ulimit", "core=0:0"),
        *("--ulimit", f"cpu={60 * (os.cpu_count() or 1) + 2}:{60 * (os.cpu_count() or 1) + 2}"),
        *("--tmpfs", f"/tmp:{tmpfs}", "--tmpfs", f"/var/tmp:{tmpfs}", "--tmpfs", f"/home/assay:{tmpfs}"),
        *("--mount", "type=bind,source=/run/base,target=/run/base,readonly"),
        *("--mount", "type=bind,source=/run/tree,target=/run/tree"),
        *("--mount", "type=bind,source=/tmp/x/1,target=/etc/passwd,readonly"),
        *("--workdir", "/run/tree", "--entrypoint", "/bin/sh", OWN, "-c", "script", "enter", "pytest", "-q"),
    ]


def test_podman_keeps_the_users_number_where_it_would_map_it() -> None:
    words = list(run(Engine("podman", 1001, 1001, maps_users=True), box(stdin=True), "script", ["true"]))
    assert words[words.index("--userns") + 1] == "keep-id"
    assert "--interactive" in words
    assert "--userns" not in list(run(Engine("docker", 1001, 1001), box(), "script", ["true"]))


@pytest.mark.parametrize("name", ['a,target=/etc,source="/"', 'quote"d', "two\nlines"])
def test_a_folders_name_is_no_option_of_a_mount(sandbox: ContainerSandbox, tmp_path: Path, name: str) -> None:
    odd = tmp_path / "odd" / name.replace("/", ":")
    odd.mkdir(parents=True)
    (odd / "here").touch()
    assert sandbox.run(sh("ls", odd)).stdout == "here\n"


# -- what a command meets


def test_a_command_runs_in_the_image_with_its_tree_and_nothing_else(
    sandbox: ContainerSandbox, engines: Engines, tree: Path, tmp_path: Path
) -> None:
    (tmp_path / "key.pem").write_text("canary")
    done = sandbox.run(sh(f'cat a.py; id -u; cat {tmp_path}/key.pem; touch /usr/x; echo "$HOME"; exit 3', tree))
    assert done.exit_code == 3
    assert done.stdout == f"x = 1\n{USER}\n/home/assay\n"
    assert "canary" not in done.stderr
    assert "Read-only file system" in done.stderr
    assert engines.living() == []
    words = [word for call in engines.calls() for word in call]
    assert not [word for word in words if ".sock" in word or word in ("host", "--privileged", "--cap-add", "--device")]


def test_the_environment_comes_along_and_stands_in_no_argument_list(
    sandbox: ContainerSandbox, engines: Engines, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUTSIDE", "secret-0")
    given = {"PLAIN": "secret-1", "QUOTED": 'it\'s "secret-2"\n$(id) `id` \\', "LD_PRELOAD": "/tree/evil.so"}
    show = "import json, os; print(json.dumps(dict(os.environ)))"
    done = sandbox.run(Command(["python3", "-c", show], tree, 30, env=given))
    assert given.items() <= dict(eval(done.stdout)).items()
    assert "OUTSIDE" not in done.stdout
    assert "secret-" not in str(engines.calls())


def test_what_only_reads_cannot_write_and_what_executes_can(sandbox: ContainerSandbox, tree: Path) -> None:
    assert "Read-only" in sandbox.run(sh("touch made", tree, executes_code=False)).stderr
    assert sandbox.run(sh("touch made /tmp/made ~/made /var/tmp/made", tree)).exit_code == 0
    assert (tree / "made").exists()


def test_standard_input_and_both_outputs(sandbox: ContainerSandbox, tree: Path) -> None:
    done = sandbox.run(Command(["sh", "-c", "cat; echo err >&2"], tree, 30, stdin="in\n"))
    assert (done.stdout, done.stderr) == ("in\n", "err\n")
    assert sandbox.run(sh("cat", tree)).stdout == ""


def test_programs_are_those_of_the_image_assays_own_first_for_tools_only(sandbox: ContainerSandbox, tree: Path) -> None:
    assert sandbox.which("ruff") == f"{BIN}/ruff"
    assert sandbox.which("no-such-tool") is None
    assert sandbox.which(sys.executable) == f"{BIN}/python"
    path = sandbox.run(sh("echo $PATH", tree, executes_code=False)).stdout.strip()
    assert path == IMAGE_PATH
    assert (
        sandbox.run(sh("echo $PATH", tree)).stdout.strip()
        == f"/home/assay/.local/bin:/usr/local/bin:/usr/bin:/bin:{BIN}"
    )
    assert sandbox.run(Command([sys.executable, "-c", "print(6 * 7)"], tree, 30)).stdout == "42\n"
    with pytest.raises(ToolFailed, match=f"no-such-tool cannot be started: it is not installed in the image {OWN}"):
        sandbox.run(Command(["no-such-tool"], tree, 30))
    with pytest.raises(ToolFailed, match=f"./none cannot be started in the image {OWN}.*not found"):
        sandbox.run(Command(["./none"], tree, 30))


def test_a_set_up_reaches_no_host_but_registries(sandbox: ContainerSandbox, tree: Path) -> None:
    fetch = "import urllib.request as r\ntry: r.urlopen('http://example.com/')\nexcept OSError as e: print(e)"
    done = sandbox.run(Command(["python3", "-c", fetch], tree, 30, network=True))
    assert done.stdout == "HTTP Error 403: Forbidden\n"
    assert "Assay's proxy refused: example.com" in done.stderr
    assert "403" not in sandbox.run(Command(["python3", "-c", fetch], tree, 30)).stdout


# -- limits and ends


def test_too_large_a_file_and_too_much_on_the_disk(sandbox: ContainerSandbox, tree: Path) -> None:
    big = sandbox.run(sh("head -c 60000000 /dev/zero > big", tree))
    assert big.exit_code != 0
    assert (tree / "big").stat().st_size <= SMALL.file_size
    fill = "for n in 1 2 3; do head -c 10000000 /dev/urandom > f$n; done; sleep 30"
    with pytest.raises(ToolFailed, match="on the disk"):
        sandbox.run(sh(fill, tree))


def test_the_clock_ends_the_container(sandbox: ContainerSandbox, engines: Engines, tree: Path) -> None:
    begun = time.monotonic()
    done = sandbox.run(sh("setsid sleep 62.3312 & sleep 62.3312", tree, timeout=1))
    assert done.timed_out
    assert time.monotonic() - begun < 8
    assert engines.living() == []
    assert [name for _, name in engines.calls("kill")] == [engines.calls()[-1][3]]


def test_so_does_calling_the_work_off(engines: Engines, tree: Path) -> None:
    cancelled = threading.Event()
    sandbox = ContainerSandbox(engine("docker"), Image(OWN, IMAGE_PATH, {"sh": "/bin/sh"}), SMALL, cancelled)
    thread = threading.Thread(target=lambda: sandbox.run(sh("sleep 62.3313", tree)))
    thread.start()
    until(engines.living)
    cancelled.set()
    thread.join(10)
    assert engines.living() == []
    with pytest.raises(ToolFailed, match="called off"):
        sandbox.run(sh("true", tree))


def test_so_does_the_end_of_assays_process(engines: Engines, tree: Path) -> None:
    code = (
        "from pathlib import Path; from workers.agent import Command; from workers.sandbox.container import *;"
        f"ContainerSandbox(engine('docker'), examine(engine('docker'), {OWN!r}))"
        f".run(Command(['sleep', '62.3314'], Path({str(tree)!r}), 60))"
    )
    environ = {**os.environ, "PYTHONPATH": os.getcwd()}  # noqa: PTH109
    with subprocess.Popen([sys.executable, "-c", code], env=environ) as parent:
        until(lambda: len(engines.calls()) == 2 and engines.living())
        parent.send_signal(signal.SIGKILL)
    until(lambda: not engines.living())


def test_what_a_dead_process_has_left_is_removed_at_the_next_start(engines: Engines, tree: Path) -> None:
    sandbox = ContainerSandbox(engine("docker"), Image(OWN, IMAGE_PATH, {"sh": "/bin/sh"}), SMALL)
    thread = threading.Thread(target=lambda: sandbox.run(sh("sleep 5", tree)))
    thread.start()
    until(engines.living)
    [alive] = engines.living()
    [words] = engines.calls()
    label = words[words.index("--label") + 1]
    gone = subprocess.Popen(["true"])
    gone.wait()
    left = shlex.split(f"run --rm --name assay-{gone.pid}-left --label {label} --user {USER}:{USER} --network none")
    foreign = [word.replace("-left", "-foreign") for word in left]
    foreign[foreign.index("--label") + 1] = "assay=elsewhere-1"
    rest = ["--hostname", "x", "--workdir", "/", "--entrypoint", "/bin/sleep", OWN, "62.3315"]
    others = [subprocess.Popen([f"{engines.folder}/docker", *each, *rest]) for each in (left, foreign)]
    until(lambda: len(engines.living()) == 3)
    chosen = choose("docker", PATH, containers=Containers(OWN))
    assert chosen.why_not == ""
    # Who lives, and whose numbers mean something else here, is let be.
    assert sorted(engines.living()) == sorted([alive, f"assay-{gone.pid}-foreign"])
    subprocess.run([f"{engines.folder}/docker", "rm", "--force", f"assay-{gone.pid}-foreign"], check=True)
    for other in others:
        other.wait()
    thread.join()


# -- which one


def within(choice: Choice, image: str, tree: Path) -> str:
    """What comes of a command in a repository's own image."""
    try:
        return choice.within(image, threading.Event()).run(sh("echo it ran", tree)).stdout
    except NoSandbox as error:
        return str(error)


def test_docker_and_podman_by_name_say_what_they_are(engines: Engines) -> None:
    assert engines
    for kind in ("docker", "podman"):
        choice = choose(kind, PATH, containers=Containers(OWN, runtime="runsc"))
        assert (choice.level, choice.isolates) == (
            f"{kind} (runsc, image {OWN}, uid {USER}, limits by the engine)",
            True,
        )


def test_auto_is_the_strongest_that_works(engines: Engines) -> None:
    assert engines
    assert choose("auto", PATH, containers=Containers(OWN, runtime="runsc")).level.startswith("podman (runsc, ")
    assert choose("auto", PATH, containers=Containers(OWN)).level.startswith("bubblewrap")


@pytest.mark.parametrize(
    ("kind", "containers", "told"),
    [
        ("auto", Containers(runtime="runsc"), "ASSAY_SANDBOX_RUNTIME is runsc, but ASSAY_SANDBOX_IMAGE names no image"),
        ("docker", Containers(runtime="runsc"), "but ASSAY_SANDBOX_IMAGE names no image"),
        (
            "bubblewrap",
            Containers(OWN, runtime="runsc"),
            "ASSAY_SANDBOX_RUNTIME is runsc, but ASSAY_SANDBOX is bubblewrap",
        ),
        ("none", Containers(OWN, runtime="runsc"), "ASSAY_SANDBOX_RUNTIME is runsc, but ASSAY_SANDBOX is none"),
        ("auto", Containers(OWN, runtime="kata"), "unknown runtime"),
        ("auto", Containers("acme/none", runtime="runsc"), "No such image: acme/none"),
    ],
)
def test_nothing_less_stands_in_for_a_runtime_that_was_named(
    engines: Engines, tree: Path, kind: Kind, containers: Containers, told: str
) -> None:
    assert engines
    choice = choose(kind, PATH, containers=containers)
    assert told in choice.why_not
    with pytest.raises(NoSandbox, match="there is no sandbox for sh.*To mend it: "):
        choice.make(threading.Event()).run(sh(f"touch {tree}/made", tree))
    assert not (tree / "made").exists()


@pytest.mark.parametrize(
    ("containers", "told"),
    [
        (Containers(), "ASSAY_SANDBOX_IMAGE names no image"),
        (Containers("acme/none"), "No such image: acme/none"),
        (Containers(OWN, runtime="kata"), "unknown runtime"),
    ],
)
def test_what_does_not_work_executes_nothing(engines: Engines, tree: Path, containers: Containers, told: str) -> None:
    assert engines
    choice = choose("docker", PATH, containers=containers)
    assert told in choice.why_not
    assert "ASSAY_SANDBOX_IMAGE" in choice.remedy
    with pytest.raises(NoSandbox, match="there is no sandbox for sh"):
        choice.make(threading.Event()).run(sh(f"touch {tree}/made", tree))
    assert "there is no sandbox for sh" in within(choice, OTHER, tree)
    assert not (tree / "made").exists()


def test_without_the_program_it_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert choose("podman", PATH, containers=Containers(OWN)).why_not == "podman and setpriv is not installed"


def test_a_repositorys_image_is_used_where_the_operator_allows_it(engines: Engines, tree: Path) -> None:
    choice = choose("docker", PATH, containers=Containers(OWN, ["acme/node:*", "acme/gone:*"]))
    assert within(choice, OTHER, tree) == "it ran\n"
    assert OTHER in engines.calls()[-1]
    assert within(choice, OWN, tree) == "it ran\n"
    refused = within(choice, "evil/image", tree)
    assert "evil/image, which the operator of Assay does not allow" in refused
    assert "ASSAY_SANDBOX_IMAGES" in refused
    assert "evil/image" not in str(engines.calls())
    assert "the image acme/gone:1 does not work here" in within(choice, "acme/gone:1", tree)


def test_without_containers_a_repositorys_image_is_not_stood_in_for(tree: Path) -> None:
    for kind in ("bubblewrap", "none"):
        told = within(choose(kind, PATH), OTHER, tree)
        assert f"the repository wants the image {OTHER}, and commands run in " in told
        assert ". To mend it: take `image` out of .github/assay.yml" in told
