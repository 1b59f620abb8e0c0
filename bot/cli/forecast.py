"""What an agent would do in a repository, and why, found out by the agents' own means of detection."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from bot.domain.plan import AgentPlan, skipped_by_paths
from bot.domain.verdict import count
from bot.errors import Theirs
from workers.agent import Kit, Tool, Work
from workers.agents import scan
from workers.agents.configs import find_config
from workers.agents.dependencies.files import parser_for
from workers.agents.security import DEPENDENCIES
from workers.agents.shell import Shell
from workers.agents.suites.setups import needed
from workers.agents.suites.suite import Suite, Tree
from workers.agents.suites.table import Detection, configured, detect, look
from workers.desk import Desk
from workers.kit import local_kit
from workers.registry import LINTERS, SCANNERS

# Detection looks at files only; looking for a Python that has pytest is the longest of it. Seconds.
_PATIENCE = 30.0
_TOOLS = {"lint": LINTERS, "security": SCANNERS}


@dataclass(frozen=True)
class Forecast:
    """Whether an agent would run, and `why` or what it would do: lines for people."""

    agent: str
    why: tuple[str, ...]
    runs: bool = True
    required: bool = False
    fail_on: str = "never"
    report: str = ""
    timeout: int = 0


def forecast(agent: AgentPlan, desk: Desk) -> Forecast:
    """What that agent would do with the change at hand. Starts no tool on the repository's files."""
    if reason := skipped_by_paths(agent, tuple(desk.diff.files)):
        return Forecast(agent.name, (reason,), runs=False, required=agent.required)
    why, runs = _why(agent, desk)
    return Forecast(
        agent=agent.name,
        why=why,
        runs=runs,
        required=agent.required,
        fail_on=f"{agent.fail_on} and above" if agent.fail_on else "never",
        report=_REPORTS[agent.report],
        timeout=agent.timeout,
    )


_REPORTS = {
    "added": "added lines",
    "context": "lines of the diff's hunks",
    "file": "changed files",
    "all": "all that it finds",
}


def _why(agent: AgentPlan, desk: Desk) -> tuple[tuple[str, ...], bool]:
    match agent.kind:
        case "test":
            return _tests(agent, desk)
        case "lint" | "security":
            return _tools(agent, desk)
        case "review":
            return _review(agent, desk)
        case "command":
            return (*_setup(agent), f"runs: {agent.settings['run']}"), True
        case _:
            return (f"runs the installed agent {agent.settings.get('uses', agent.kind)}",), True


def _kit(desk: Desk) -> Kit:
    return local_kit(desk.root)(lambda _: None, Event())


def _tests(agent: AgentPlan, desk: Desk) -> tuple[tuple[str, ...], bool]:
    with tempfile.TemporaryDirectory(prefix="assay-") as folder:
        scratch = Path(folder)
        shell = Shell.begin(_work(agent, desk), _kit(desk), scratch)
        if command := agent.settings.get("run"):
            found = Detection([configured(str(command), scratch)])
            lines = [f"runs: {command}"]
        else:
            tree = Tree(desk.root)
            rows = look(tree)
            found = detect(shell, scratch, rows)
            lines = [_found(suite, scratch, shell) for suite in found.suites]
            if not agent.settings.get("setup"):
                lines += [f"on a server it sets up first: {one.shown}" for one in needed(tree, rows.setups)]
    lines += [f"not {one.what}: {one.why}" for one in found.left]
    if not found.suites:
        return ("no test suite was found: set agents.test.run", *lines), False
    return (*_setup(agent), *lines), True


def _found(suite: Suite, scratch: Path, shell: Shell) -> str:
    """A suite by what it was found, what it will run, and whether that can be started here."""
    command = _shown(suite.argv, scratch)
    program = suite.argv[0]
    known = "/" in program or shell.kit.sandbox.which(program)
    return f"found {suite.name} by {suite.why}: runs {command}" + (
        "" if known else f"; {program} is not installed here"
    )


def _setup(agent: AgentPlan) -> tuple[str, ...]:
    command = agent.settings.get("setup")
    return (f"sets up with: {command}",) if command else ()


def _shown(argv: Sequence[str], scratch: Path) -> str:
    return shlex.join(argv).replace(str(scratch), "…")


def _tools(agent: AgentPlan, desk: Desk) -> tuple[tuple[str, ...], bool]:
    wanted = agent.settings.get("tools")
    if agent.kind == "security" and isinstance(wanted, list | tuple):
        wanted = [one for one in wanted if one != DEPENDENCIES]
    tools: Sequence[Tool] | str = scan.choose(_TOOLS[agent.kind], wanted)
    if isinstance(tools, str):
        return (tools,), False
    chosen, tools = tools, scan.present(tools, agent.settings.get("tools"), _kit(desk).sandbox)
    target = scan.Target(desk.root, desk.diff.paths, deadline=0.0, executes=True)
    selection = scan.select(tools, target, scan.named(wanted))
    lines = [_tool(tool, files, desk) for tool, files in selection.work]
    idle = [tool.name for tool in tools if tool not in [tool for tool, _ in selection.work]]
    if idle:
        lines.append(f"nothing that changed is for {', '.join(idle)}")
    lines += [f"not {one.what}: {one.why}" for one in scan.absent(chosen, tools, selection, desk.diff.paths)]
    locks = _lock_files(agent, desk)
    return (*lines, *locks), bool(selection.work or locks)


def _lock_files(agent: AgentPlan, desk: Desk) -> list[str]:
    """What of the change the security agent looks at as packages."""
    wanted = agent.settings.get("tools")
    if agent.kind != "security" or not (wanted in (None, "auto") or DEPENDENCIES in wanted):
        return []
    paths = [path for path in desk.diff.files if parser_for(path)]
    return [f"compares packages of {', '.join(paths[:5])}{' and others' if len(paths) > 5 else ''}"] if paths else []


def _tool(tool: Tool, files: Sequence[str], desk: Desk) -> str:
    folders = dict.fromkeys(path.rpartition("/")[0] for path in files)
    own = dict.fromkeys(find_config(tool, [f"{folder}/file".lstrip("/")], desk.root) for folder in folders)
    names = [name for name in own if name][:3]
    return f"{tool.name} on {count(len(files), 'file')}" + (f", by {' and '.join(names)}" if names else "")


def _review(agent: AgentPlan, desk: Desk) -> tuple[tuple[str, ...], bool]:
    model = _kit(desk).model
    if model is None:
        return ("no model is configured: set OPENAI_API_KEY",), False
    try:
        name = model.named(agent.settings.get("model") or model.name).name
    except Theirs as error:
        return (str(error),), False
    return (f"asks {name} about {count(len(desk.diff.paths), 'file')}",), True


def _work(agent: AgentPlan, desk: Desk) -> Work:
    return Work(
        repository=desk.root.name,
        sha=desk.sha,
        checkout=lambda: desk.root,
        base=lambda: None,
        compare=lambda: desk.diff,
        patch=str,
        settings=agent.settings,
        timeout=_PATIENCE,
    )
