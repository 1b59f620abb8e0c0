"""What the linters of the web share: whose copy of them is used, where they are started, and their one line of JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bot.errors import ToolFailed
from workers.agent import Completed
from workers.tools.output import words

SCRIPTS = (".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx", ".mts", ".cts")


def projects(package: str, configs: Iterable[str] = ()) -> Mapping[str, str]:
    """Where such a tool is started: in the folder of the package that names it, or, where none does, of its own
    configuration. Plugins and what is to be ignored are looked for from there."""
    return {"package.json": f'"{package}', **dict.fromkeys(configs, "")}


def json_line(name: str, completed: Completed, start: str) -> str:
    """The last line of what a tool printed that begins as its report does: a configuration is a program, and may print
    something, too. Raises ToolFailed where there is none."""
    for text in (completed.stdout, completed.stderr):
        for line in reversed(text.split("\n")):
            if line.startswith(start):
                return line
    raise ToolFailed(f"{name} printed no report: {words(completed)}")
