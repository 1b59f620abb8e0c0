"""Running a suite, and gathering what it reported."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bot.domain.findings import Finding, NotCovered
from bot.errors import ToolFailed
from workers.agent import Case, Completed, Reader
from workers.agents.shell import Reports, Shell
from workers.agents.suites.places import Places
from workers.agents.suites.suite import Suite, Tree, below
from workers.agents.suites.table import reports_folder

# Coverage by file and line: whether some test ran it.
Lines = Mapping[str, Mapping[int, bool]]

_REPORT = "a report of the tests"


@dataclass(frozen=True)
class Readers:
    """How results are read: `files` from the text of a report and `printed` from what a command printed, each by
    format; `unfinished` tells what is missing in what was printed in a format; `to_finding` makes a finding of a failed
    case; `coverage` reads a coverage report of any format. All raise ToolFailed for nonsense."""

    files: Mapping[str, Callable[[str], list[Case]]]
    printed: Mapping[str, Callable[[Completed], list[Case]]]
    unfinished: Callable[[str, Completed], NotCovered | None]
    to_finding: Callable[[Case, str, Reader], Finding]
    coverage: Callable[[str], Lines]


@dataclass(frozen=True)
class Ran:
    """A suite that came to an end, and what it reported, if it `reported` at all. `building` says that it did not get
    beyond what comes before. `missed` are reports that could not be read."""

    suite: Suite
    completed: Completed
    reported: bool
    cases: Sequence[Case]
    missed: Sequence[NotCovered] = ()
    building: bool = False

    @property
    def failed(self) -> Sequence[Case]:
        return [case for case in self.cases if case.status in ("failed", "error")]


class Running:
    """Runs suites in the shell's tree. `scratch` holds their reports, one suite's at a time."""

    def __init__(self, shell: Shell, scratch: Path, readers: Readers) -> None:
        self.shell, self.scratch, self.readers = shell, scratch, readers
        self.tree = Tree(shell.work.root)
        self._places = Places(self.tree)

    def elsewhere(self, root: Path) -> Running:
        """The same in the files of another commit."""
        work = replace(self.shell.work, checkout=lambda: root)
        shell = replace(self.shell, work=work, reads=(*self.shell.reads, self.shell.work.root))
        return Running(shell, self.scratch, self.readers)

    def build(self, suite: Suite) -> Ran | None:
        """Do what comes before the tests; how it ended where that was badly."""
        for argv in suite.build:
            completed = self.shell.run(argv, suite.env, suite.folder)
            if completed.exit_code != 0:
                return Ran(suite, completed, reported=False, cases=(), building=True)
        return None

    def run(self, suite: Suite, argv: Sequence[str] | None = None) -> Ran:
        """Run the suite, or some of it by that command. Raises ToolFailed when it cannot be started, Theirs for a glob
        of reports that leads outside."""
        folder = reports_folder(self.scratch)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        root, settings = self.shell.work.root, self.shell.work.settings
        configured = Reports(root, [str(glob) for glob in settings.get("junit") or ()])
        left = Reports(root, [below(suite.folder, glob) for glob in suite.reports])
        own = Reports(folder, ["*"])
        completed = self.shell.run(argv or suite.argv, suite.env, suite.folder)
        cases: list[Case] = []
        missed: list[NotCovered] = []
        texts: list[str] = []
        # The repository's own reports say it best; ours are for where there are none.
        for reports, form in ((configured, "junit"), (left, "junit"), (own, suite.format)):
            if not texts:
                texts, too_large = reports.read()
                missed += too_large
                for text in texts:
                    cases += self._parse(self.readers.files.get(form), text, missed)
        if not texts and suite.prints:
            cases += self._printed(suite, completed, missed)
        resolved = [self._places.resolve(case, suite.folder) for case in cases]
        reported = len(texts) > sum(one.what == _REPORT for one in missed)
        return Ran(suite, completed, reported, resolved, tuple(missed))

    def _parse(self, parse: Callable[[str], list[Case]] | None, text: str, missed: list[NotCovered]) -> list[Case]:
        try:
            return parse(text) if parse else []
        except ToolFailed as error:
            missed.append(NotCovered(what=_REPORT, why=str(error)))
            return []

    def _printed(self, suite: Suite, completed: Completed, missed: list[NotCovered]) -> list[Case]:
        try:
            cases = self.readers.printed[suite.prints](completed)
        except ToolFailed as error:
            missed.append(NotCovered(what="the results of single tests", why=str(error)))
            return []
        if cases and completed.truncated:
            missed.append(NotCovered(what="some results", why=f"{suite.name} printed more than can be kept"))
        elif unfinished := self.readers.unfinished(suite.prints, completed):
            missed.append(unfinished)
        return cases
