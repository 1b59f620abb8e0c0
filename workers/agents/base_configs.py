"""The base branch's configuration of tools, by which a stranger's commit is looked at.

What the commit leaves alone of it counts as it stands. Where the commit changes, adds or removes some of it, tools that
only read look at a tree of their own, which is the commit's but for these files: they are the base's there.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path, PurePosixPath

from workers.agent import Tool, Work
from workers.agents import tree
from workers.agents.configs import find_config

_WORD = re.compile(r"[^\s\"'`,;:=()\[\]{}<>|]+")
_PROSE = (".md", ".rst")


@dataclass(frozen=True)
class BaseConfigs:
    """`root` is a tree with the base's configuration; `restored` are the files that differ there from the commit's, by
    the names of the tools whose configuration they are."""

    root: Path
    restored: Mapping[str, Collection[str]]

    def at(self, base: Path) -> BaseConfigs:
        """The same for the files of the base, where nothing had to be restored."""
        return replace(self, root=base)


def base_configs(work: Work, tools: Sequence[Tool]) -> BaseConfigs | None:
    """None where the commit's own configuration counts: it is not a stranger's, or no different from the base's. One of
    a tool that executes what it finds is for whoever approves the commit to see."""
    if work.trusted:
        return None
    changed = _changed(work)
    base = work.base()
    restored = {
        tool.name: own for tool in tools if not tool.executes_code and (own := changes(tool, changed, work.files, base))
    }
    if not restored:
        return None
    root = work.own(work.root)
    for path in sorted(set().union(*restored.values())):
        _restore(root, path, tree.within(base, path) if base else None)
    return BaseConfigs(root, restored)


def _changed(work: Work) -> frozenset[str]:
    """What the commit has in another way than the base, by the names then and now."""
    found = (path for now, file in work.diff.files.items() for path in (now, file.old_path) if path)
    return frozenset(clean for path in found if (clean := tree.relative(work.root, path)))


def changes(tool: Tool, changed: Collection[str], files: Collection[str], base: Path | None) -> frozenset[str]:
    """Of the paths that are `changed`, those that have a say in a tool's configuration: by their name, or as one that
    the base's configuration for the `files` leads to."""
    named = frozenset(path for path in changed if PurePosixPath(path).name in tool.configs)
    if base is None:
        return named
    exact, below = _led_to(tool, _configs(tool, files, base), base)
    return named | {
        path
        for path in changed
        if path in exact or (not tool.applies(path) and any(str(top) in below for top in PurePosixPath(path).parents))
    }


def _configs(tool: Tool, files: Collection[str], base: Path) -> Iterator[str]:
    """What configures a tool for the files, as the base has it."""
    folders = dict.fromkeys(path.rpartition("/")[0] for path in (files if tool.searches else ()))
    for folder in dict.fromkeys(("", *folders)):
        if config := find_config(tool, [str(PurePosixPath(folder) / "file")], base):
            yield config


def _led_to(tool: Tool, configs: Iterable[str], base: Path) -> tuple[Collection[str], Collection[str]]:
    """The paths of files and those of folders that configurations name, and what these files name in turn. A file need
    not be there."""
    read, endings = tree.reader(base), {PurePosixPath(name).suffix for name in tool.configs}
    files, folders, queue = set[str](), set[str](), list(dict.fromkeys(configs))

    @cache
    def is_source(path: str) -> bool:
        """What a tool reads as one of its sources, and not as its configuration."""
        ending = PurePosixPath(path).suffix
        return ending in _PROSE or (ending not in endings and tool.applies(path))

    while queue:
        config = queue.pop()
        for path in _named("\n".join(read(config)), config.rpartition("/")[0]):
            # A word of any length is no fault here, as it is to pathlib.
            if os.path.isdir(base / path):  # noqa: PTH112
                folders |= set() if tool.searches else {path}
            elif path not in files and not is_source(path):
                files.add(path)
                queue.append(path)
    return files, folders


def _named(text: str, folder: str) -> Iterator[str]:
    """What may be a path in a text, taken to lie in its folder or in the root."""
    for word in dict.fromkeys(_WORD.findall(text)):
        for start in dict.fromkeys((folder, "")):
            path = os.path.normpath(f"{start}/{word}".lstrip("/"))
            if "\0" not in path and path != "." and path.split("/", 1)[0] != "..":
                yield path


def _restore(root: Path, path: str, source: Path | None) -> None:
    """Have a file as it is at its source, or not at all. What the commit has in its way goes."""
    file = root / path
    for parent in reversed(PurePosixPath(path).parents):
        if not _is_folder(root / parent):
            (root / parent).unlink(missing_ok=True)
            (root / parent).mkdir()
    if _is_folder(file):
        shutil.rmtree(file)
    file.unlink(missing_ok=True)
    if source is not None:
        shutil.copyfile(source, file)


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()
