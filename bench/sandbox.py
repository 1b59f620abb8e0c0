"""Starting a command in the sandbox, against starting it bare."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from bench.measure import Figure, Scale, at_most, interleave, seconds
from workers.agent import Command
from workers.sandbox.bubblewrap import BubblewrapSandbox
from workers.sandbox.choice import choose


def run(scale: Scale) -> Iterator[Figure]:
    """The start of a command in the sandbox."""
    path = os.environ.get("PATH", os.defpath)
    if why_not := choose("auto", path).why_not:
        yield Figure("not measured", 0.0, note=why_not)
        return
    sandbox = BubblewrapSandbox(path)
    with tempfile.TemporaryDirectory(prefix="assay-") as folder:
        command = Command(["/bin/true"], Path(folder), 10)
        times = interleave(
            scale.pick(200, 20),
            inside=lambda: seconds(sandbox.run, command),
            bare=lambda: seconds(subprocess.run, ["/bin/true"]),
        )
    inside, bare = (1000 * median(times[name]) for name in ("inside", "bare"))
    note = f"{inside:.1f} of it, {bare:.1f} bare; {sandbox.level}"
    yield Figure("what it adds, median", inside - bare, "ms", at_most(10.0), note)
