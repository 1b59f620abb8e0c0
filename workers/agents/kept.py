"""What tools said of files before, kept by all that it hangs on, so that a file is read once.

For a tool that looks at a file alone that is the file's path and content, the tool and its version, how its output is
read, and its configuration; for others the whole tree instead of the file. Where a configuration names further files,
nothing is kept.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

from bot.domain.findings import Finding
from workers.agent import Memory, Tool
from workers.agents import tree
from workers.agents.configs import project_of

_SECONDS = 7 * 86_400
# Files of one tool that are noted at a time.
_MOST = 500
# A configuration that builds on another file, or leads its tool to others.
_ELSEWHERE = re.compile(
    r"extend\w{0,40}+[\"']?\s*+[:=]\s*+(?:\[\s*+)?[\"']?[\w./~$@-]*[/.]|inherit|include|source-path|external-sources|plugin|custom"
)


@dataclass(frozen=True)
class Kept:
    """What one tool said of files of one tree. `tree_name` is git's of the tree, empty where it is not known."""

    tool: Tool
    version: str
    root: Path
    tree_name: str
    configured: bool
    memory: Memory

    def recall(self, files: Sequence[str]) -> Mapping[str, Sequence[Finding]]:
        """The findings of files that are remembered."""
        keys = self._keys(files)
        texts = self.memory.recall(list(keys.values())) if keys else ()
        return {
            path: [Finding.model_validate(one) for one in json.loads(text)]
            for path, text in zip(keys, texts, strict=True)
            if text is not None
        }

    def note(self, files: Iterable[str], findings: Iterable[Finding]) -> None:
        by_path = defaultdict(list)
        for finding in findings:
            by_path[finding.path].append(finding.model_dump(mode="json", exclude_defaults=True))
        keys = self._keys(list(files)[:_MOST])
        if keys:
            self.memory.note({key: json.dumps(by_path[path]) for path, key in keys.items()}, _SECONDS)

    def _keys(self, files: Sequence[str]) -> Mapping[str, str]:
        whole = "" if self.tool.alone else self.tree_name
        if not self.version or not (self.tool.alone or whole):
            return {}
        keys = {}
        for path in files:
            config = self._config(path)
            if config is None or (file := tree.within(self.root, path)) is None:
                continue
            words = self.tool.options(tree.reader(self.root), project_of(self.tool, path, self.root) or "")
            facts = [self.tool.name, _reading(self.tool), self.version, *words, *config, path]
            digest = hashlib.sha256("\0".join(facts).encode("utf-8", "surrogateescape"))
            digest.update(b"\0" + (whole.encode() or file.read_bytes()))
            keys[path] = f"said:{digest.hexdigest()}"
        return keys

    def _config(self, path: str) -> Sequence[str] | None:
        """The texts of the configuration that counts for a file; None where it leads to others."""
        if not self.configured:
            return ()
        read, found = tree.reader(self.root), []
        folders = list(PurePosixPath(path).parents) if self.tool.searches else [PurePosixPath()]
        for folder in folders:
            for name in self.tool.configs:
                if tree.within(self.root, where := str(folder / name)):
                    text = "\n".join(read(where))
                    if self.tool.alone and _ELSEWHERE.search(text):
                        return None
                    found += [where, text]
        return found


@cache
def _digest(module: str) -> str:
    file = sys.modules[module].__file__
    return hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else ""


def _reading(tool: Tool) -> str:
    """Changes when the tool is called, or its output is read, in another way."""
    return _digest(tool.parse.__module__) + _digest(tool.argv.__module__)
