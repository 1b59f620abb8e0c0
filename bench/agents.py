"""Lint and security on a repository of django's size with a change of 20 files, after the first run.

The repository is 2,800 of the Python files that are installed here; each round changes 20 of them anew, in two commits.
What the agents remember is what they do in Redis, here a mapping.
"""

from __future__ import annotations

import os
import random
import site
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count, islice
from pathlib import Path
from statistics import median

from bench.measure import Figure, Scale, at_most, seconds
from bot.domain.findings import Outcome
from workers.agent import Agent, Kit, Work
from workers.git import Git
from workers.registry import AGENTS
from workers.sandbox.process import ProcessSandbox
from workers.trees import Trees

_FILES, _CHANGED = 2_800, 20
_LIMITS = {"lint": 2.0, "security": 10.0}
_SMALLEST, _LARGEST = 2_000, 200_000


class _Notes:
    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def recall(self, keys: Sequence[str]) -> Sequence[str | None]:
        return [self._texts.get(key) for key in keys]

    def note(self, texts: Mapping[str, str], seconds: int) -> None:  # noqa: ARG002 - nothing lasts longer than a bench
        self._texts |= texts


class _Repository:
    """Files that people wrote, and changes of them."""

    def __init__(self, folder: Path, files: int) -> None:
        self._folder = folder
        self._chance = random.Random(1)
        self._numbers = count()
        self._git("init", "--quiet", "--initial-branch=main", ".")
        for number, path in enumerate(islice(_sources(), files)):
            target = folder / f"package{number % 40}" / f"m{number}_{path.name}"
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(path.read_bytes())
        self.paths = sorted(str(path.relative_to(folder)) for path in folder.glob("package*/*.py"))
        self.base = self._commit()
        self.trees = Trees(Git(folder / ".git"))

    def change(self) -> str:
        """The head of a change of some files since the base: lines in the middle, in two commits."""
        self._git("reset", "--quiet", "--hard", self.base)
        chosen = self._chance.sample(self.paths, _CHANGED)
        for half in (chosen[::2], chosen[1::2]):
            for path in half:
                file = self._folder / path
                lines = file.read_bytes().split(b"\n")
                at = self._chance.randrange(len(lines))
                lines[at:at] = [b"# changed %d" % next(self._numbers)] * 3
                file.write_bytes(b"\n".join(lines))
            head = self._commit()
        return head

    def work(self, head: str, folder: Path) -> Work:
        """The work of an agent; the files are there before it begins, as in a worker that has looked at the base."""
        base, root = folder / "base", folder / head
        if not base.exists():
            self.trees.write(self.base, base)
        self.trees.write(head, root)
        return Work(
            repository="octo/large",
            sha=head,
            checkout=lambda: root,
            base=lambda: base,
            compare=lambda: self.trees.diff(self.base, head),
            patch=lambda: self.trees.patch(self.base, head),
            settings={},
            timeout=600,
            history=lambda: self.trees.history(self.base, head),
        )

    def _commit(self) -> str:
        self._git("add", "--all")
        self._git("commit", "--quiet", "--message", "change")
        return self._git("rev-parse", "HEAD")

    def _git(self, *args: str) -> str:
        names = {
            f"GIT_{who}_{what}": "bench@assay.example" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
        }
        env = {"PATH": os.environ["PATH"], "HOME": os.devnull, **names}
        done = subprocess.run(["git", *args], cwd=self._folder, env=env, check=True, capture_output=True, text=True)
        return done.stdout.strip()


def _sources() -> Iterator[Path]:
    for folder in (sysconfig.get_paths()["stdlib"], *site.getsitepackages()):
        for path in sorted(Path(folder).rglob("*.py")):
            if _SMALLEST < path.stat().st_size < _LARGEST:
                yield path


def run(scale: Scale) -> Iterator[Figure]:
    """Lint and security: 20 changed files of a repository of django's size."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "repository").mkdir()
        repository = _Repository(folder / "repository", scale.pick(_FILES, 200))
        # As in a worker: tools lie beside the interpreter.
        path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
        kit = replace(Kit(ProcessSandbox(path), None, lambda _: None, lambda text: text), memory=_Notes())
        for kind, limit in _LIMITS.items():
            agent = AGENTS[kind]()
            # The first run is not measured.
            times = [_measure(agent, repository, kit, folder) for _ in range(1 + scale.rounds)][1:]
            note = f"{len(repository.paths):,} files, the slowest {max(times):.1f} s"
            yield Figure(f"{kind}, 20 changed files", median(times), "s", at_most(limit), note)


def _measure(agent: Agent, repository: _Repository, kit: Kit, folder: Path) -> float:
    work = repository.work(repository.change(), folder)
    results = []
    took = seconds(lambda: results.append(agent.run(work, kit)))
    if results[0].outcome not in (Outcome.CLEAN, Outcome.FINDINGS):
        raise RuntimeError(f"{results[0].outcome}: {results[0].reason}")
    return took
