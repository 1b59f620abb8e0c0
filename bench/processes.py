"""Servers to measure: each a process of its own on a free port of 127.0.0.1."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from bot.demo.github import StandInGitHub

ROOT = Path(__file__).parent.parent
ASSAY = (sys.executable, "-c", "from bot.cli import main; main()")
_PATIENCE = 30.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def credentials(github: StandInGitHub) -> dict[str, str]:
    """The part of Assay's environment that names its GitHub."""
    return {
        "ASSAY_GITHUB_APP_ID": str(github.app_id),
        "ASSAY_GITHUB_PRIVATE_KEY": github.private_key,
        "ASSAY_GITHUB_WEBHOOK_SECRET": github.webhook_secret,
        "ASSAY_GITHUB_API_URL": github.api_url,
        "ASSAY_GITHUB_URL": github.url,
    }


def environment(github: Mapping[str, str], folder: Path, **more: str) -> dict[str, str]:
    """That of an Assay with its data in this folder. Nothing of the caller's settings reaches it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ASSAY_", "OPENAI_"))}
    return kept | {**github} | {"ASSAY_DATA_DIR": str(folder / "data"), "PYTHONPATH": str(ROOT)} | more


@contextmanager
def running(command: Sequence[str], port: int, folder: Path, env: Mapping[str, str]) -> Iterator[psutil.Process]:
    """A server from when it accepts connections to when it has ended; its words go to `log` in the folder.

    Raises RuntimeError with the last of them when it does not come up.
    """
    log = folder / "log"
    with log.open("ab") as words:
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=words, stderr=words, start_new_session=True)
    try:
        _await(process, port, log)
        yield psutil.Process(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    give_up = time.monotonic() + _PATIENCE
    while True:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        if process.poll() is not None or time.monotonic() > give_up:
            raise RuntimeError(f"{process.args!r} did not start: {log.read_text('utf-8', 'replace')[-2000:]}")
        time.sleep(0.02)


def tree(root: psutil.Process) -> list[psutil.Process]:
    return [root, *root.children(recursive=True)]


def cpu(processes: Sequence[psutil.Process]) -> float:
    """Seconds of processor that they have used so far, with all below them, also what has ended."""
    return sum(_own_cpu(one) for process in processes for one in tree(process))


def _own_cpu(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        # Its parent's times hold its own by now.
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)


def pss(process: psutil.Process) -> float:
    """Its memory in MB, its share of what it has in common with others."""
    return float(process.memory_full_info().pss) / 2**20
