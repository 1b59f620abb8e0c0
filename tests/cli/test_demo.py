"""`assay demo`, as a new user sees it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.cli.command import COMMAND, environment
from tests.servers import until

DEMO = [*COMMAND, "demo"]
PATIENCE = 30.0


@pytest.fixture
def scratch() -> Iterator[Path]:
    """Where the demo puts its folders. Not pytest's own: a unix socket's path must be short."""
    with tempfile.TemporaryDirectory(prefix="assay-t-") as folder:
        yield Path(folder)


def test_demo_tells_the_whole_story(scratch: Path) -> None:
    done = subprocess.run(
        DEMO, env=environment(COLUMNS="80", TMPDIR=str(scratch)), capture_output=True, text=True, timeout=100
    )
    out = done.stdout
    assert (done.returncode, done.stderr) == (0, ""), out + done.stderr
    first, second = out.split("2. The fix takes the commit's place", 1)
    assert "Stand-ins: GitHub, and the model, for no OPENAI_API_KEY is set." in first
    for name in ("test", "lint", "security"):
        assert re.search(rf"assay / {name} +✗ failure", first)
        assert re.search(rf"assay / {name} +✓ success", second)
    for place in ("tests/test_rates.py:9", "parcel/batch.py:3", "parcel/batch.py:8", "parcel/batch.py:21"):
        assert place in first
    assert "The first parcel of every batch is free" in first
    assert "for index in range(len(weights)):" in first
    (number,) = set(re.findall(r"the comment of assay-demo\[bot\] on #1 \(id (\d+)", out))
    assert f"(id {number}, edited in place)" in second
    assert "5 fixed since the last push" in second
    assert "The verdict went from failure to success." in second
    assert max(map(len, out.splitlines())) <= 80
    assert "<" not in out
    assert list(scratch.iterdir()) == []


def ended(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_ctrl_c_leaves_nothing_behind(scratch: Path) -> None:
    """Not even a process that does not listen."""
    demo = subprocess.Popen(
        DEMO,
        env=environment(TMPDIR=str(scratch)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    me, tree = psutil.Process(demo.pid), list[psutil.Process]()

    def started() -> bool:
        assert demo.poll() is None
        tree[:] = me.children(recursive=True)
        return len(tree) >= 8

    until("the start", started, PATIENCE)
    (serve,) = me.children()
    hung = max(serve.children(), key=lambda child: child.pid)
    hung.suspend()
    os.killpg(demo.pid, signal.SIGINT)
    _, err = demo.communicate(timeout=PATIENCE)
    assert demo.returncode == 130
    assert err.strip() == b"assay: interrupted"
    # What a role's keeper has forked is killed with it, a moment later.
    until("the end of all", lambda: all(map(ended, tree)))
    assert list(scratch.iterdir()) == []
