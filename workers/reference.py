"""The table of docs/tools.md, made from the registry so that it stays true. Markdown."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from workers.agent import Tool
from workers.registry import LINTERS, TOOLS

_HEAD = ("tool", "agent", "languages", "runs", "version", "licence", "executes the repository's code")


def tools_table(lock: str) -> str:
    """A row a tool. `lock` is the text of the lock file, which says what is installed with Assay."""
    head = [_line(_HEAD), _line(["---"] * len(_HEAD))]
    return "\n".join([*head, *(_row(tool, lock) for tool in TOOLS)])


def _row(tool: Tool, lock: str) -> str:
    cells = (
        f"`{tool.name}`",
        "lint" if tool in LINTERS else "security",
        tool.languages,
        _when(tool),
        _version(tool, lock),
        tool.licence,
        "yes" if tool.executes_code else "no",
    )
    return _line(cells)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _when(tool: Tool) -> str:
    """What makes it run, beside files that it reads."""
    bound = tool.projects and "" not in tool.projects and not tool.local
    where = [f"in a project with {_names(tool.projects)}"] if bound else []
    if tool.taste:
        where.append(f"where configured: {_names(tool.configs)}")
    elif tool.optional:
        where.append("where installed")
    return ", ".join(where) or "always"


def _names(files: Mapping[str, str]) -> str:
    """Several that differ only in their endings count as one."""
    stems = Counter(name.rpartition(".")[0] for name in files)
    short = (f"{stem}.*" if (stem := name.rpartition(".")[0]) and stems[stem] > 2 else name for name in files)
    return ", ".join(f"`{name}`" for name in dict.fromkeys(short))


def _version(tool: Tool, lock: str) -> str:
    """The one that comes with Assay, as a package of its name or of one like it; or the repository's."""
    if tool.local:
        return "the repository's own"
    found = re.search(rf"^{re.escape(tool.name)}(?:-py|-bin)?==(\S+)", lock, re.MULTILINE)
    return found[1] if found else "the installed one"
