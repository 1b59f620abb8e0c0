"""Where in the repository a test's trace leads: runners name files as they see them."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from workers.agent import Case
from workers.agents import tree
from workers.agents.suites.suite import Tree, below

_BROUGHT = re.compile(r"(^|/)(vendor|node_modules)/")


_SCRIPT = re.compile(r"\.[cm]?[jt]sx?$")
# `it('adds', ` of mocha and its like.
_TITLE = re.compile(r"""\b(?:it|test|specify)(?:\.\w+)?\(\s*(?P<quote>['"`])(?P<title>[^\n'"`\\]{1,300})(?P=quote)""")


class Places:
    """Finds the files that runners name: absolute, from the folder that they ran in, or by a package's name
    (`example.com/shop/cart/cart_test.go`, `acme/CartTest.java`)."""

    def __init__(self, files: Tree) -> None:
        self._tree = files
        self._named: dict[str, list[str]] | None = None

    def resolve(self, case: Case, folder: str) -> Case:
        """The case with paths that are relative to the repository; what leads nowhere is left out, and so is other
        people's code that lies in it, where a place in its own is left."""
        frames = tuple((path, line) for named, line in case.frames if (path := self.find(named, folder)))
        own = tuple(frame for frame in frames if not _BROUGHT.search(frame[0]))
        path = self.find(case.path, folder)
        line = case.line or (self._titled(case, path) if path and not frames else None)
        return replace(case, frames=own or frames, path=path, line=line)

    def _titled(self, case: Case, path: str) -> int | None:
        """The line of the one test there with whose title the case's name ends, for reports that name but a file."""
        if case.status not in ("failed", "error") or not _SCRIPT.search(path):
            return None
        text, name = self._tree.text(path), f" {case.name}"
        found = [match.start() for match in _TITLE.finditer(text) if name.endswith(f" {match['title']}")]
        return text.count("\n", 0, found[0]) + 1 if len(found) == 1 else None

    def find(self, named: str, folder: str) -> str:
        """The file's relative path; empty where there is none, or more than one that it could be."""
        root: Path = self._tree.root
        if not named:
            return ""
        if named.startswith("/"):
            found = tree.relative(root, named)
            return found if found and tree.within(root, found) else ""
        for candidate in (below(folder, named), named):
            clean = tree.relative(root, candidate)
            if clean and tree.within(root, clean):
                return clean
        return self._by_ending(named)

    def _by_ending(self, named: str) -> str:
        if self._named is None:
            self._named = defaultdict(list)
            for path in self._tree.files:
                self._named[path.rpartition("/")[2]].append(path)
        wanted = f"/{named}"
        found = [
            path
            for path in self._named.get(named.rpartition("/")[2], ())
            if f"/{path}".endswith(wanted) or wanted.endswith(f"/{path}")
        ]
        longest = max((len(path) for path in found if wanted.endswith(f"/{path}")), default=0)
        best = [path for path in found if len(path) == longest] if longest else found
        return best[0] if len(best) == 1 else ""
