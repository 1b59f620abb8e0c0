"""Which agents and which tools there are: the built-in ones in explicit tables, other people's by entry point."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from bot.errors import Misconfigured
from config.prompt_files import load_prompt
from workers.agent import Agent
from workers.agents.command import CommandAgent
from workers.agents.lint import LintAgent
from workers.agents.review import ReviewAgent
from workers.agents.security import SecurityAgent
from workers.agents.suites.running import Readers
from workers.agents.test import TestAgent
from workers.agents.verify import VerifyAgent
from workers.tools import (
    actionlint,
    bandit,
    biome,
    checkstyle,
    clang_format,
    clippy,
    coverage,
    cppcheck,
    detect_secrets,
    errorformat,
    eslint,
    eslint_security,
    gitlab,
    gofmt,
    gosec,
    govet,
    hadolint,
    iac,
    junit,
    markdownlint,
    oxlint,
    rdjson,
    ruff,
    rustfmt,
    sarif,
    semgrep,
    shellcheck,
    sqlfluff,
    stylelint,
    taplo,
    testresults,
    toml,
    trivy,
    tsc,
    typos,
    yamllint,
    zizmor,
)

log = logging.getLogger(__name__)

LINTERS = (
    ruff.TOOL,
    shellcheck.TOOL,
    yamllint.TOOL,
    hadolint.TOOL,
    actionlint.TOOL,
    gofmt.TOOL,
    govet.TOOL,
    rustfmt.TOOL,
    clippy.TOOL,
    cppcheck.TOOL,
    clang_format.TOOL,
    sqlfluff.TOOL,
    toml.TOOL,
    taplo.TOOL,
    typos.TOOL,
    eslint.TOOL,
    biome.TOOL,
    oxlint.TOOL,
    tsc.TOOL,
    stylelint.TOOL,
    markdownlint.TOOL,
)
SCANNERS = (
    detect_secrets.TOOL,
    bandit.TOOL,
    zizmor.TOOL,
    iac.TOOL,
    semgrep.TOOL,
    gosec.TOOL,
    trivy.TOOL,
    eslint_security.TOOL,
)
TOOLS = (*LINTERS, *SCANNERS)

# The report formats of `agents.<name>.format`, beside `exit-code` and `errorformat`.
FORMATS = {
    "sarif": sarif.parse,
    "checkstyle": checkstyle.parse,
    "rdjson": rdjson.parse,
    "rdjsonl": rdjson.parse_lines,
    "junit": junit.parse_findings,
    "gitlab": gitlab.parse,
}

TEST_READERS = Readers(testresults.FILES, testresults.PRINTED, testresults.unfinished, junit.to_finding, coverage.parse)

AGENTS: Mapping[str, Callable[[], Agent]] = {
    "test": lambda: TestAgent(TEST_READERS),
    "lint": lambda: LintAgent(tools=LINTERS),
    "security": lambda: SecurityAgent(tools=SCANNERS),
    "review": lambda: ReviewAgent(load_prompt("review")),
    "verify": lambda: VerifyAgent(load_prompt("verify")),
    "command": lambda: CommandAgent(formats=FORMATS, by_lines=errorformat.parse),
}

# Tools that may write do so in copies of their own (`Work.own`).
_READING = ("lint", "security", "review")


def only_reads(kind: str) -> bool:
    """Whether an agent of this kind leaves the files it is given as they are."""
    return kind in _READING


GROUP = "assay.agents"


def agent_for(kind: str, settings: Mapping[str, Any]) -> Agent:
    """The agent of a plan's kind. For `extension`, the object that the entry point `settings["uses"]` of the group
    `assay.agents` makes: a class, or a function without arguments.

    Raises Misconfigured for a kind or an entry point that is not installed, or that cannot be loaded.
    """
    if kind == "extension":
        return _extension(str(settings.get("uses", "")))
    if kind not in AGENTS:
        raise Misconfigured(f"There is no agent {kind!r}; there are {', '.join(AGENTS)}.")
    return AGENTS[kind]()


@cache
def _extensions() -> Mapping[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def load_extensions() -> None:
    """Load other people's agents now. One that cannot be loaded says so when it is asked for."""
    for name, point in _extensions().items():
        try:
            point.load()
        except Exception:
            log.exception("the agent %s cannot be loaded", name)


def _extension(name: str) -> Agent:
    installed = _extensions()
    if name not in installed:
        names = ", ".join(sorted(installed)) or "none"
        raise Misconfigured(
            f"No installed package brings an agent {name!r} (entry point group {GROUP}; installed: {names}). "
            f"Install it beside Assay, or correct `uses`."
        )
    try:
        agent: Agent = installed[name].load()()
    except Exception as error:
        raise Misconfigured(f"The agent {name!r} cannot be loaded: {type(error).__name__}: {error}") from error
    return agent
