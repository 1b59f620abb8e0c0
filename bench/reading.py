"""The plan of a review of very many files: what of them is read, in which order, in which requests."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator

from bench.measure import Figure, Scale, at_most, own_peak, spend
from bot.domain.diff import parse_diff
from bot.domain.redact import redact
from workers.agents.question import Change
from workers.agents.reading import plan_reading

_LINES = 40


def run(scale: Scale) -> Iterator[Figure]:
    """The plan of a review of 5,000 files."""
    files = scale.pick(5_000, 500)
    spent = spend([sys.executable, "-m", "bench.reading", str(files)])
    found = json.loads(spent.output)
    note = f"{files * _LINES:,} lines; {found['read']:,} files are read, {found['left']:,} named as left out"
    yield Figure(f"time for {files:,} files", found["seconds"], "s", at_most(5), note)
    yield Figure("memory of the process that does it", found["peak"], "MB", at_most(300), "resident, at its most")


def _new_file(path: str) -> str:
    lines = "".join(f"+value_{number} = compute({number})\n" for number in range(_LINES))
    head = f"diff --git a/{path} b/{path}\nnew file mode 100644\n--- /dev/null\n+++ b/{path}\n"
    return f"{head}@@ -0,0 +1,{_LINES} @@\n{lines}"


def _work(files: int) -> dict[str, float]:
    patch = "".join(_new_file(f"src/package_{number % 50}/module_{number}.py") for number in range(files))
    began = time.perf_counter()
    diff = parse_diff(patch.split("\n"))
    planned = plan_reading(Change("octo/large", "A large change", "", diff, patch, diff.paths), (), redact)
    took = time.perf_counter() - began
    return {"seconds": took, "read": len(planned.files), "left": len(planned.left), "peak": own_peak()}


if __name__ == "__main__":
    print(json.dumps(_work(int(sys.argv[1]))))
