"""Where a repository configures a tool."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from workers.agent import Tool
from workers.agents import tree


def find_config(tool: Tool, files: Iterable[str], root: Path) -> str | None:
    """The repository's own configuration of a tool: in the root, or, for a tool that `searches`, in a folder on the way
    to one of the files, the nearest to it.

    With none, a tool is run on its defaults and told so: left to itself it would look above the tree, too.
    """
    folders = {folder for path in files for folder in Path(path).parents} if tool.searches else set()
    for folder in sorted(folders | {Path()}, key=lambda folder: (-len(folder.parts), folder)):
        if name := marker(tool.configs, str(folder), root):
            return str(folder / name)
    return None


def marker(names: Mapping[str, str], folder: str, root: Path) -> str:
    """Which of these files, each with the text that it must contain, lies in a folder; empty where none does."""
    for name, text in names.items():
        path = str(PurePosixPath(folder) / name)
        if tree.within(root, path) and (not text or text in "\n".join(tree.reader(root)(path))):
            return name
    return ""


def project_of(tool: Tool, path: str, root: Path) -> str | None:
    """The folder of the project that a file is of, None where it is of none; the root's is empty."""
    for folder in PurePosixPath(path).parents:
        if marker(tool.projects, str(folder), root):
            return "" if str(folder) == "." else str(folder)
    return "" if "" in tool.projects else None


def is_configured(tool: Tool, path: str, root: Path) -> bool:
    """Whether the repository configures a tool for a file."""
    return find_config(tool, [path], root) is not None
