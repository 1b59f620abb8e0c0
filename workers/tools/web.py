"""What the linters of the web share: whose copy of them is used, where they are started, and their one line of JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

from bot.errors import ToolFailed
from workers.agent import Completed, Tool
from workers.tools.output import words

SCRIPTS = (".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx", ".mts", ".cts")


# They are the repository's own, execute its configuration, look for it themselves, and read other files than those that
# they are given; nobody is bothered with one that the repository does not configure.
web_tool = partial(Tool, searches=True, executes_code=True, taste=True, alone=False, setup="npm test", local=True)


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
