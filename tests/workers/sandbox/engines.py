"""A stand-in for `docker` and `podman`: there is neither here.

It takes the words that Docker's reference knows and that Assay may use, in the forms that it describes, and nothing
else; notes them; and runs the command in bubblewrap, with what was asked for shown and everything else not. Like a
daemon's, its containers outlive the program that asked for them, until they end, or are killed by their names.

https://docs.docker.com/reference/cli/docker/container/run/
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from workers.sandbox.toolchains import Toolchains
from workers.sandbox.walls import SYSTEM

ROOT = Path(__file__).parents[3]
BIN = Path(sys.executable).parent
# What an image has on its PATH: this machine's own programs play an image's.
IMAGE_PATH = f"{BIN}:/usr/local/bin:/usr/bin:/bin"
_ULIMITS = ("core", "cpu", "data", "fsize", "locks", "memlock", "nofile", "nproc", "stack")
_SCRIPT = """#!{python}
import sys
sys.path.insert(0, {root!r})
from tests.workers.sandbox.engines import main
main({program!r}, {state!r}, sys.argv[1:])
"""


@dataclass(frozen=True)
class Engines:
    """The stand-ins, in a folder to be put on PATH, and what they remember."""

    folder: Path
    state: Path

    def calls(self, verb: str = "run") -> list[list[str]]:
        """The words of all calls of a verb so far."""
        file = self.state / "calls"
        lines = file.read_text().splitlines() if file.exists() else []
        return [words for words in map(json.loads, lines) if words[0] == verb]

    def living(self) -> list[str]:
        """The names of the containers that run."""
        return [name for name, pid in _containers(self.state) if _lives(pid)]


def install(folder: Path, *images: str, runtimes: tuple[str, ...] = ("runc",), only: str = "") -> Engines:
    """Both, or `only` one of them, with these images pulled."""
    state, programs = folder / "engine", folder / "bin"
    (state / "containers").mkdir(parents=True)
    programs.mkdir()
    (state / "images").write_text(json.dumps(images))
    (state / "runtimes").write_text(json.dumps(runtimes))
    for program in [only] if only else ["docker", "podman"]:
        script = programs / program
        script.write_text(_SCRIPT.format(python=sys.executable, root=str(ROOT), program=program, state=str(state)))
        script.chmod(0o755)
    return Engines(programs, state)


# -- the program


def main(program: str, state: str, words: list[str]) -> None:
    folder = Path(state)
    with (folder / "calls").open("a") as calls:
        calls.write(json.dumps(words) + "\n")
    match words:
        case ["run", *rest]:
            sys.exit(_run(program, folder, rest))
        case ["kill", name]:
            sys.exit(_kill(program, folder, name))
        case ["rm", "--force", name]:
            _kill(program, folder, name)
            (folder / "containers" / name).unlink(missing_ok=True)
        case ["ps", "--all", "--filter", label, "--format", "{{.Names}}"] if label.startswith("label="):
            for name, _ in _containers(folder):
                if json.loads((folder / "containers" / name).read_text())["label"] == label.removeprefix("label="):
                    print(name)
        case _:
            sys.exit(f"{program}: unknown command {words}")


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(program, allow_abbrev=False, add_help=False)
    for flag in ("--rm", "--read-only", "--interactive"):
        parser.add_argument(flag, action="store_true")
    for name in ("--name", "--label", "--hostname", "--runtime", "--workdir", "--entrypoint"):
        parser.add_argument(name, default="")
    parser.add_argument("--pull", choices=("always", "missing", "never"))
    parser.add_argument("--log-driver", choices=("none", "local", "json-file", "journald"))
    parser.add_argument("--network", choices=("none", "bridge", "host"), default="bridge")
    parser.add_argument("--ipc", choices=("none", "private", "host"))
    parser.add_argument("--cap-drop", choices=("ALL",))
    parser.add_argument("--security-opt", choices=("no-new-privileges",))
    parser.add_argument("--userns", choices=("keep-id",) if program == "podman" else ("host",))
    parser.add_argument("--user", type=_like(r"\d+:\d+"))
    for name in ("--memory", "--memory-swap", "--shm-size"):
        parser.add_argument(name, type=_like(r"\d+[bkmg]?"))
    parser.add_argument("--pids-limit", type=int)
    parser.add_argument("--ulimit", type=_like(rf"({'|'.join(_ULIMITS)})=\d+:\d+"), action="append", default=[])
    parser.add_argument("--tmpfs", type=_like(r"/[^:]+:[a-z0-9,=]+"), action="append", default=[])
    parser.add_argument("--mount", type=_mount, action="append", default=[])
    parser.add_argument("image")
    parser.add_argument("argv", nargs=argparse.REMAINDER)
    return parser


def _like(pattern: str) -> type:
    def parse(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(text)
        return text

    return parse  # type: ignore[return-value]  # argparse takes any callable


def _mount(text: str) -> tuple[str, str, bool]:
    [fields] = csv.reader([text], strict=True)
    pairs = dict(field.partition("=")[::2] for field in fields)
    if set(pairs) - {"readonly"} != {"type", "source", "target"} or pairs["type"] != "bind":
        raise ValueError(text)
    return pairs["source"], pairs["target"], "readonly" not in pairs


def _run(program: str, state: Path, words: list[str]) -> int:
    given = _parser(program).parse_args(words)
    entry, name = state / "containers" / given.name, given.name
    targets = [target for _, target, _ in given.mount]
    for wrong, complaint in (
        (given.image not in json.loads((state / "images").read_text()), f"No such image: {given.image}"),
        (given.runtime and given.runtime not in json.loads((state / "runtimes").read_text()), "unknown runtime"),
        (entry.exists(), f'The container name "{name}" is already in use'),
        (len(set(targets)) < len(targets), "Duplicate mount point"),
        (not all(Path(source).exists() for source, _, _ in given.mount), "bind source path does not exist"),
    ):
        if wrong:
            print(f"{program}: Error response from daemon: {complaint}.", file=sys.stderr)
            return 125
    container = subprocess.Popen(
        list(_bubblewrap(given)),
        env={"PATH": IMAGE_PATH},
        stdin=None if given.interactive else subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=lambda: _limit(given.ulimit),
    )
    written = state / name
    written.write_text(json.dumps({"pid": container.pid, "label": given.label}))
    written.rename(entry)
    code = container.wait()
    # A container ends with its first process.
    with suppress(ProcessLookupError):
        os.killpg(container.pid, signal.SIGKILL)
    if given.rm:
        entry.unlink(missing_ok=True)
    return code if code >= 0 else 128 - code


def _limit(ulimits: list[str]) -> None:
    for one in ulimits:
        name, _, values = one.partition("=")
        soft, hard = map(int, values.split(":"))
        resource.setrlimit(getattr(resource, f"RLIMIT_{name.upper()}"), (soft, hard))


def _bubblewrap(given: argparse.Namespace) -> Iterator[str]:
    """An image is this machine's system and Assay's Python; a container sees nothing else but what it is shown."""
    yield from ("bwrap", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--hostname", given.hostname)
    if os.geteuid() != 0:
        yield from ("--unshare-user", "--uid", given.user.split(":")[0], "--gid", given.user.split(":")[1])
    if given.network == "none":
        yield "--unshare-net"
    yield from _image()
    for path, options in (one.split(":") for one in given.tmpfs):
        size = dict(option.partition("=")[::2] for option in options.split(","))["size"]
        yield from ("--size", size, "--perms", "1777", "--tmpfs", path)
    # Where this Python lies, which may be below /tmp.
    yield from _programs()
    for source, target, writable in sorted(given.mount, key=lambda mount: len(Path(mount[1]).parts)):
        yield from _way_to(Path(target))
        yield from ("--bind" if writable else "--ro-bind", source, target)
    if given.read_only:
        yield from ("--remount-ro", "/")
    yield from ("--chdir", given.workdir)
    if os.geteuid() == 0:
        user, group = given.user.split(":")
        yield from ("setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", "--bounding-set=-all")
        yield from ("--inh-caps=-all", *(("--no-new-privs",) if given.security_opt else ()))
    yield from (given.entrypoint, *given.argv)


def _image() -> Iterator[str]:
    for folder in map(Path, (*SYSTEM, "/etc")):
        if folder.is_symlink():
            yield from ("--symlink", str(folder.readlink()), str(folder))
        else:
            yield from ("--ro-bind-try", str(folder), str(folder))
    yield from ("--proc", "/proc", "--dev", "/dev")


def _programs() -> Iterator[str]:
    for folder in Toolchains.of(IMAGE_PATH).folders:
        yield from _way_to(folder)
        yield from ("--ro-bind", str(folder), str(folder))


def _way_to(path: Path) -> Iterator[str]:
    for parent in list(path.parents)[-2::-1]:
        yield from ("--perms", "0755", "--dir", str(parent))


def _containers(state: Path) -> Iterator[tuple[str, int]]:
    for entry in sorted((state / "containers").iterdir()):
        with suppress(FileNotFoundError):
            yield entry.name, json.loads(entry.read_text())["pid"]


def _kill(program: str, state: Path, name: str) -> int:
    pid = dict(_containers(state)).get(name)
    if pid is None:
        print(f"{program}: Error response from daemon: No such container: {name}", file=sys.stderr)
        return 1
    # The first process of its namespace is in the group: with it go all others.
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    while _lives(pid):
        time.sleep(0.01)
    return 0


def _lives(pid: int) -> bool:
    try:
        return Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
