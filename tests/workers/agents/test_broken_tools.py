"""Whatever goes wrong with a tool's program, its agent never says that a file is clean."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bot.domain.findings import Outcome
from bot.errors import ToolFailed
from tests.workers.stage import Stage
from workers.agent import Command, Completed, Tool
from workers.agents.lint import LintAgent
from workers.agents.security import SecurityAgent
from workers.registry import LINTERS, TOOLS

# A file of every kind that some tool reads.
KINDS = (
    *(
        "a.py",
        "a.sh",
        "a.yml",
        "Dockerfile",
        ".github/workflows/a.yml",
        "a.go",
        "a.rs",
        "a.c",
        "a.sql",
        "a.toml",
        "a.js",
    ),
    *("a.ts", "a.css", "a.md", "a.tf"),
)
# What is no failure: grep ends with 1 where nothing matches.
FINE = {("iac", "silence-1"), ("iac", "nonsense-aside-1")}
SECRET = "never-to-be-shown"


@dataclass
class Broken:
    """A sandbox in which every program ends alike; None: in which there is none."""

    end: Completed | None
    level: str = "a test"
    isolates: bool = True

    def run(self, command: Command) -> Completed:
        if self.end is None:
            raise ToolFailed(f"{command.argv[0]} is not installed")
        return self.end

    def which(self, program: str) -> str | None:
        return f"/usr/bin/{program}"


ENDS = {
    "missing": None,
    "signal": Completed(None, "", f"core dumped {SECRET}", 0.1),
    "hangs": Completed(None, "", "", 60.0, timed_out=True),
    **{f"nonsense-{code}": Completed(code, f"Oops! {SECRET}\n", "", 0.1) for code in (0, 1, 2, 70, 127)},
    **{f"nonsense-aside-{code}": Completed(code, "", f"Oops! {SECRET}\n", 0.1) for code in (1, 2, 70, 127)},
    **{f"silence-{code}": Completed(code, "", "", 0.1) for code in (1, 2, 70, 127)},
}


def stage_of(tool: Tool) -> dict[str, str]:
    """A file for the tool, of a project and with a configuration, as far as it asks for them."""
    wanted = [(tool.projects, True), (tool.configs, tool.taste)]
    asked: Iterator[tuple[str, str]] = (next(iter(names.items())) for names, needed in wanted if names and needed)
    path = next(kind for kind in KINDS if tool.applies(kind))
    return {path: "x = 1\n", **{name: text or "x = 1\n" for name, text in asked if name}}


@pytest.mark.parametrize(
    ("tool", "end"),
    [
        pytest.param(tool, end, id=f"{tool.name}-{end}")
        for tool in TOOLS
        for end in ENDS
        if (tool.name, end) not in FINE
    ],
)
def test_no_broken_tool_leaves_a_file_clean(tmp_path: Path, tool: Tool, end: str) -> None:
    agent = LintAgent(tools=[tool]) if tool in LINTERS else SecurityAgent([tool])
    result = Stage(tmp_path, stage_of(tool), sandbox=Broken(ENDS[end]), settings={"tools": [tool.name]}).run(agent)
    assert result.outcome in (Outcome.PARTIAL, Outcome.ERROR), result
    assert result.reason
    assert SECRET not in result.model_dump_json()
