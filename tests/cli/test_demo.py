"""`assay demo`, as a new user sees it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.cli.command import COMMAND, environment

DEMO = [*COMMAND, "demo"]


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


def test_ctrl_c_leaves_nothing_behind(scratch: Path) -> None:
    demo = subprocess.Popen(
        DEMO,
        env=environment(TMPDIR=str(scratch)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    me, tree = psutil.Process(demo.pid), list[psutil.Process]()
    give_up = time.monotonic() + 30
    while len(tree) < 8:
        assert time.monotonic() < give_up
        assert demo.poll() is None
        tree = me.children(recursive=True)
        time.sleep(0.02)
    os.killpg(demo.pid, signal.SIGINT)
    _, err = demo.communicate(timeout=30)
    assert demo.returncode == 130
    assert err.strip() == b"assay: interrupted"
    assert [child for child in tree if child.is_running() and child.status() != psutil.STATUS_ZOMBIE] == []
    assert list(scratch.iterdir()) == []
