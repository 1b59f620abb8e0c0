"""`python -m bench.compare`: past changes of real repositories, by Assay and by hand."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import click

from bench.compare.score import Hit, Tally, changed_lines, shown_of, tally, unnamed
from bench.compare.tools import CHOSEN, HANDS, run

_LANGUAGES = {
    ".py": "Python", ".js": "JavaScript", ".mjs": "JavaScript", ".jsx": "JavaScript", ".ts": "TypeScript",
    ".tsx": "TypeScript", ".go": "Go", ".rs": "Rust", ".java": "Java", ".c": "C", ".h": "C", ".rb": "Ruby",
    ".php": "PHP", ".sh": "shell", ".bash": "shell", ".bats": "shell", "Dockerfile": "Dockerfile",
}  # fmt: skip
_AGENTS = ("lint", "security")
_AS = ("-c", "user.name=compare", "-c", "user.email=compare@localhost")
_LEFT_OUT = r"(?:a hash or an id|a placeholder|a name): (\d+)"


@dataclass
class Row:
    """What came of one repository."""

    name: str
    languages: Counter[str] = field(default_factory=Counter)
    commits: int = 0
    tools: Counter[str] = field(default_factory=Counter)
    tallies: list[Tally] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)
    unnamed: list[str] = field(default_factory=list)
    gaps: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def sum(self, what: str) -> int:
        values = (getattr(one, what) for one in self.tallies)
        return sum(value if isinstance(value, int) else len(value) for value in values)


@dataclass(frozen=True)
class Wanted:
    """Which changes of each repository, `at` these commits, or one that adds the `whole` of it, how its packages are
    installed, and where to keep what Assay says."""

    at: Sequence[str]
    commits: int
    every: int
    before: str
    whole: bool
    setup: str
    words: Path | None


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("repositories", nargs=-1, required=True)
@click.option("--at", multiple=True, metavar="SHA", help="That change, instead of the newest; may be repeated.")
@click.option("--commits", default=3, show_default=True, type=click.IntRange(1), help="Of each repository.")
@click.option("--every", default=1, show_default=True, type=click.IntRange(1), help="Take every nth change.")
@click.option("--before", default="", metavar="DATE", help="Changes that were made before that day.")
@click.option("--whole", is_flag=True, help="One change instead, which adds every file of the newest commit.")
@click.option("--setup", default="", help="A command that installs packages in a checkout, such as `npm install`.")
@click.option("--words", type=click.Path(file_okay=False, path_type=Path), help="Keep what Assay says in this folder.")
def main(
    repositories: Sequence[str],
    at: Sequence[str],
    commits: int,
    every: int,
    before: str,
    whole: bool,
    setup: str,
    words: Path | None,
) -> None:
    """Compare Assay with the tools it runs, started by hand, on past changes of REPOSITORIES: paths or URLs of git
    repositories, each perhaps with `NAME=` before it.

    Prints a row of a Markdown table for each, and what differs on standard error. The exit code is 1 if anything does.
    """
    click.echo(_HEAD)
    rows, wanted = [], Wanted(at, len(at) or commits, every, before, whole, setup, words)
    for one in repositories:
        name, _, source = one.rpartition("=")
        row = _compare(name or _name(source), source, wanted)
        rows.append(row)
        click.echo(_line(row))
        for what in _differences(row):
            click.echo(f"{row.name}: {what}", err=True)
    sys.exit(any(_differs(row) for row in rows))


def _name(source: str) -> str:
    return source.rstrip("/").removesuffix(".git").rpartition("/")[2]


def _compare(name: str, source: str, wanted: Wanted) -> Row:
    row = Row(name)
    with tempfile.TemporaryDirectory(prefix="compare-") as folder:
        clone, base = Path(folder) / name, Path(folder) / "base"
        _git(Path(folder), "clone", "--quiet", "--no-checkout", source, name)
        # The settings of whoever runs this are not the repository's.
        os.environ["XDG_CACHE_HOME"] = f"{folder}/cache"
        _git(clone, "worktree", "add", "--quiet", "--detach", str(base), "HEAD")
        changes = _all_of_it(clone) if wanted.whole else wanted.at or _changes(clone, wanted.before)
        for sha in islice(changes, 0, None, wanted.every):
            if row.commits == wanted.commits:
                break
            try:
                _git(clone, "checkout", "--quiet", "--force", "--detach", sha)
                _git(base, "checkout", "--quiet", "--force", "--detach", f"{sha}^")
            except subprocess.CalledProcessError as error:
                click.echo(f"{name} {sha[:10]} is passed over: {error.stderr.strip()[-200:]}", err=True)
                continue
            row.commits += 1
            for tree in (clone, base) if wanted.setup else ():
                subprocess.run(wanted.setup, shell=True, cwd=tree, stdout=subprocess.DEVNULL)
            _one(row, clone, base, sha, wanted.words)
    return row


def _changes(clone: Path, before: str) -> Iterator[str]:
    """The newest changes of source on the main line, merges whole."""
    until = [f"--before={before}"] if before else []
    log = _git(
        clone,
        "log",
        "--first-parent",
        "--diff-merges=first-parent",
        "--min-parents=1",
        "--format=%x00%H",
        "--name-only",
        *until,
    )
    for entry in log.split("\0")[1:]:
        sha, _, paths = entry.partition("\n")
        if any(_language(path.strip('"')) for path in paths.split("\n")):
            yield sha


def _all_of_it(clone: Path) -> Iterator[str]:
    """A commit of all files whose parent has none."""
    nothing = _git(clone, "mktree", "--missing").strip()
    parent = _git(clone, *_AS, "commit-tree", "-m", "nothing", nothing).strip()
    yield _git(clone, *_AS, "commit-tree", "-m", "all of it", "-p", parent, "HEAD^{tree}").strip()


def _language(path: str) -> str:
    file = Path(path)
    return _LANGUAGES.get(file.suffix) or _LANGUAGES.get(file.name, "")


def _one(row: Row, clone: Path, base: Path, sha: str, words: Path | None) -> None:
    changed = changed_lines(_git(clone, "diff", "--no-prefix", "-U0", "-M", "--no-ext-diff", f"{sha}^", sha))
    pairs = list(_pairs(_git(clone, "diff", "--name-status", "-z", "-M", "--no-ext-diff", f"{sha}^", sha)))
    row.languages.update(language for _, path in pairs if (language := _language(path)))
    report = _assay(row, clone, sha, words)
    if report is None:
        return
    for agent in report["agents"]:
        row.gaps.update(f"{gap['what']}: {gap['why']}" for gap in agent["not_covered"])
        row.tools.update(agent["tools"].keys())
        if agent["reason"].startswith("a fault in the agent"):
            row.crashes.append(f"{sha[:10]} {agent['name']}: {agent['reason']}")
    applying, heads, bases = list[str](), set[Hit](), set[Hit]()
    for hand in HANDS:
        files = [path for _, path in pairs if hand.reads(clone, path)]
        if not files:
            continue
        applying.append(hand.name)
        if hand.where(clone) is None or not (hand.argv or hand.read):
            click.echo(f"{row.name} {sha[:10]}: {hand.name} is not here to be started by hand", err=True)
            continue
        try:
            heads |= hand.hits(clone, files)
            if before := [path for path, _ in pairs if hand.reads(base, path)]:
                bases |= hand.hits(base, before)
        except (RuntimeError, ValueError, OSError) as error:
            click.echo(f"{row.name} {sha[:10]}: {hand.name} by hand: {error}", err=True)
    row.unnamed += [f"{sha[:10]} {name}" for name in unnamed(applying, report)]
    texts = _lines(clone), _lines(base)
    counted = tally(heads, bases, shown_of(report), changed, texts, _chosen(clone), _said(report))
    for one in (*counted.missed, *counted.hidden, *counted.outside):
        click.echo(f"{row.name} {sha[:10]}: {one}", err=True)
    row.tallies.append(counted)


def _pairs(names: str) -> Iterator[tuple[str, str]]:
    """Each changed file's path before and after."""
    words = iter(names.split("\0")[:-1])
    for status in words:
        path = next(words)
        yield path, next(words) if status[0] in "RC" else path


def _assay(row: Row, clone: Path, sha: str, words: Path | None) -> dict[str, Any] | None:
    agents = [word for name in _AGENTS for word in ("--agent", name)]
    # A repository may have a folder `config`, too.
    command = [sys.executable, "-P", "-m", "bot.cli", "check", "--quiet", "--base", f"{sha}^", *agents]
    began = time.monotonic()
    done = run([*command, "--format=json", str(clone)], clone)
    row.seconds += time.monotonic() - began
    if words:
        words.mkdir(parents=True, exist_ok=True)
        (words / f"{row.name}-{sha[:10]}.json").write_text(done.stdout)
        (words / f"{row.name}-{sha[:10]}.txt").write_text(run([*command, str(clone)], clone).stdout)
    if done.returncode not in (0, 1, 2) or "Traceback" in done.stderr or not done.stdout:
        row.crashes.append(f"{sha[:10]}: {done.stderr[-500:]}")
        return None
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def _git(cwd: Path, *args: str) -> str:
    return subprocess.run(
        ["git", *args],
        cwd=cwd,
        check=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
    ).stdout


def _lines(root: Path) -> Callable[[str, int], str]:
    @cache
    def read(path: str) -> list[str]:
        file = root / path
        return file.read_text(errors="replace").split("\n") if file.is_file() else []

    return lambda path, line: "".join(read(path)[line - 1 : line])


def _chosen(root: Path) -> Callable[[Hit], bool]:
    hands = {hand.name: hand for hand in HANDS}

    def chosen(hit: Hit) -> bool:
        pattern = CHOSEN.get(hit.tool)
        if pattern is None or hands[hit.tool].configured(root, hit.path):
            return True
        return re.match(pattern, f"{hit.rule} {hit.weight} {hit.path}") is not None

    return chosen


def _said(report: dict[str, Any]) -> Callable[[Hit], bool]:
    """What Assay said that it did not look at, and how many supposed secrets it says that it left out."""
    gaps = [gap for agent in report["agents"] for gap in agent["not_covered"]]
    whole = {gap["what"] for gap in gaps}
    counts = [count for agent in report["agents"] for count in re.findall(_LEFT_OUT, agent["said"])]
    budget = iter(range(sum(map(int, counts))))

    def said(hit: Hit) -> bool:
        told = any(gap["what"] == hit.path and hit.tool in gap["why"] for gap in gaps)
        return hit.tool in whole or told or (hit.tool == "detect-secrets" and next(budget, None) is not None)

    return said


# -- the table

_HEAD = """\
| repository | language | commits | tools run | by hand, on changed lines | shown | old | not chosen | said | missed | \
called old | outside | not named | crashes | gaps told | seconds |
| --- | --- | --: | --- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |"""


def _line(row: Row) -> str:
    languages = ", ".join(name for name, _ in row.languages.most_common(2))
    counts = (row.sum(what) for what in ("hits", "shown", "old", "chosen", "said", "missed", "hidden", "outside"))
    rest = (len(row.unnamed), len(row.crashes), row.gaps.total())
    cells = (row.name, languages, row.commits, ", ".join(sorted(row.tools)), *counts, *rest, f"{row.seconds:.1f}")
    return f"| {' | '.join(map(str, cells))} |"


def _differences(row: Row) -> Iterator[str]:
    yield from (f"crash: {one}" for one in row.crashes)
    yield from (f"not named: {one}" for one in row.unnamed)
    yield from (f"gap told ({count}): {gap}" for gap, count in row.gaps.most_common(20))


def _differs(row: Row) -> bool:
    return bool(row.crashes or row.unnamed or any(row.sum(what) for what in ("missed", "hidden", "outside")))


if __name__ == "__main__":
    main()
