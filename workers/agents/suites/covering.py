"""Coverage of the change's lines, by the reports that a run left."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bot.domain.diff import Diff
from bot.domain.findings import CoveredFile, NotCovered
from bot.errors import ToolFailed
from workers.agents.shell import Reports
from workers.agents.suites.places import Places
from workers.agents.suites.running import Lines
from workers.agents.suites.suite import Tree

# Where tools leave their reports by themselves.
USUAL = ("coverage.xml", "coverage.json", "lcov.info", "coverage/lcov.info", "coverage/cobertura-coverage.xml")
_MOST_MISSED = 200  # line numbers of a file that are kept


def covered(
    reports: Reports, read: Callable[[str], Lines], files: Tree, diff: Diff
) -> tuple[Sequence[CoveredFile], Sequence[NotCovered]]:
    """Of each changed file in a report, its changed lines that count and those that no test ran."""
    texts, missed = reports.read()
    places = Places(files)
    lines: dict[str, dict[int, bool]] = {}
    for text in texts:
        try:
            report = read(text)
        except ToolFailed as error:
            missed.append(NotCovered(what="a coverage report", why=str(error)[:300]))
            continue
        for named, ran in report.items():
            path = places.find(named, "")
            if path in diff.files:
                known = lines.setdefault(path, {})
                known |= {line: known.get(line, False) or hit for line, hit in ran.items()}
    found = (_file(path, known, diff) for path, known in sorted(lines.items()))
    return [file for file in found if file.lines], missed


def _file(path: str, known: dict[int, bool], diff: Diff) -> CoveredFile:
    changed = [line for line in sorted(known) if diff.place(path, line, line) == "added"]
    return CoveredFile(
        path=path, lines=len(changed), missed=tuple(line for line in changed if not known[line])[:_MOST_MISSED]
    )


def reports(root: Tree, globs: Sequence[str]) -> Reports:
    """Those reports that a run is about to leave."""
    return Reports(root.root, globs or USUAL)
