"""A run with very many findings over a very large diff: from what agents say to everything that people are shown."""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ParamSpec, TypeVar

from bench.changes import large_diff, write_head
from bench.measure import Figure, Scale, at_most, own_peak, spend
from bot.domain.changes import changes, known
from bot.domain.diff import parse_diff
from bot.domain.events import AgentFinished, CommitReceived
from bot.domain.findings import AgentResult, Finding, Outcome, Severity
from bot.domain.plan import AgentPlan, Plan
from bot.domain.redact import Redactor
from bot.domain.reduce import reduce
from bot.domain.render import checks
from bot.domain.render_comment import comment
from bot.domain.render_inline import inline
from bot.domain.run import Run, RunKey
from bot.domain.triggers import Pull
from bot.garbage import settle_in
from workers.results import settle

P = ParamSpec("P")
T = TypeVar("T")

_AGENTS = ("test", "lint", "security", "review")
_RULES = tuple(f"RULE{number}" for number in range(60))
_WORDS = ("unused", "variable", "shadows", "a", "name", "of", "the", "module", "compare", "with", "None", "exception")
_KEY = RunKey(repository="octo/large", sha="3f2a9c1d" * 5)
_PULL = Pull(number=1, base_ref="main", base_sha="b" * 40, head_ref="feature", title="A large change")


def run(scale: Scale) -> Iterator[Figure]:
    """A run with 100,000 findings over a diff of 500,000 lines."""
    lines, findings = scale.pick(500_000, 50_000), scale.pick(100_000, 10_000)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "diff").write_text("".join(f"{line}\n" for line in large_diff(lines)))
        (folder / "sizes").write_text(json.dumps(write_head(large_diff(lines), folder / "head")))
        spent = spend([sys.executable, "-m", "bench.findings", folder, str(findings)])
    steps: dict[str, float] = json.loads(spent.output)
    peak = steps.pop("peak")
    told = ", ".join(f"{step} {took:.2f} s" for step, took in steps.items())
    yield Figure(f"time for {findings:,} findings of four agents", sum(steps.values()), "s", at_most(10), told)
    yield Figure("memory of the one process that does it all", peak, "MB", at_most(500), "resident, at its most")


def _work(folder: Path, findings: int) -> dict[str, float]:
    """How long each step took, in seconds, and the memory that all took at its `peak`, in MB."""
    steps = dict[str, float]()

    def timed(step: str, act: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        began = time.perf_counter()
        done = act(*args, **kwargs)
        steps[step] = steps.get(step, 0.0) + time.perf_counter() - began
        return done

    with (folder / "diff").open() as text:
        diff = timed("diff", parse_diff, text)
    plans = tuple(_plan(name) for name in _AGENTS)
    start = CommitReceived(at=1.0, installation=1, trigger=_PULL, plan=Plan(agents=plans))
    whole = timed("join", _joined, None, start)
    redact, said = Redactor(["the-operator's-own-secret"]), _said(json.loads((folder / "sizes").read_text()))
    for plan in plans:
        raw = AgentResult(outcome=Outcome.FINDINGS, findings=tuple(next(said) for _ in range(findings // len(plans))))
        result = timed("place, filter, fingerprint", settle, raw, plan, diff, folder / "head", redact)
        end = AgentFinished(at=2.0, agent=plan.name, attempt=1, result=result)
        whole = timed("join", _joined, whole, end)
    assert whole.complete
    timed("render", _shown, whole)
    return steps | {"peak": own_peak()}


def _joined(run: Run | None, event: CommitReceived | AgentFinished) -> Run:
    joined = reduce(run, event, _KEY).run
    assert joined is not None
    return joined


def _shown(run: Run) -> object:
    """All that is written to a pull request."""
    return checks(run), comment(run, _PULL, changes(run, ())), inline(run, 5), known(run, ())


def _plan(name: str) -> AgentPlan:
    return AgentPlan(name=name, kind=name, required=True, fail_on=Severity.MEDIUM, report="all", timeout=600)


def _said(sizes: dict[str, int]) -> Iterator[Finding]:
    """Findings on lines of these files, no two of one agent on one line but by chance."""
    chance, paths, severities = random.Random(9), list(sizes), list(Severity)
    while True:
        path = chance.choice(paths)
        rule = chance.choice(_RULES)
        yield Finding(
            tool=f"tool{len(rule) % 3}",
            rule=rule,
            severity=chance.choice(severities),
            message=f"{' '.join(chance.choices(_WORDS, k=9))} {chance.randint(1, 9999)}",
            path=path,
            start_line=chance.randint(1, sizes[path]),
        )


if __name__ == "__main__":
    settle_in()
    print(json.dumps(_work(Path(sys.argv[1]), int(sys.argv[2]))))
