"""The repository's configuration, `.github/assay.yml`: its schema.

Every field has a default, so that an empty file, or none, is a whole configuration. Reading a file, layering and the
messages about a bad one are in `config/reading.py`.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, model_validator

Report = Literal["added", "context", "file", "all"]
FailOn = Literal["info", "low", "medium", "warning", "high", "error", "critical", "never"]
Format = Literal["exit-code", "sarif", "checkstyle", "rdjson", "rdjsonl", "junit"]
EventName = Literal["push", "pull_request", "merge_group", "schedule"]

_UNITS = {"s": 1, "m": 60, "h": 3600}


def parse_duration(value: object) -> object:
    """Seconds from `90`, `90s`, `10m`, `1h` or `1h30m`.

    Raises ValueError for any other text.
    """
    if not isinstance(value, str):
        return value
    parts = re.findall(r"(\d+)([smh])", value)
    if not parts or "".join(number + unit for number, unit in parts) != value.strip():
        raise ValueError("a duration is a number of seconds, or like 90s, 10m, 1h30m")
    return sum(int(number) * _UNITS[unit] for number, unit in parts)


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


Duration = Annotated[int, BeforeValidator(parse_duration, json_schema_input_type=int | str), Field(ge=1, le=6 * 3600)]
Globs = Annotated[tuple[str, ...], BeforeValidator(_as_list, json_schema_input_type=str | list[str])]


class Section(BaseModel):
    """A mapping of the file: frozen, and closed against unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PullRequestTrigger(Section):
    """When a pull request starts a run."""

    drafts: bool = Field(default=False, description="Check drafts too.")
    branches: Globs = Field(default=("**",), description="Base branches whose pull requests are checked.")


class AgentConfig(Section):
    """What every agent has."""

    enabled: bool = True
    required: bool = Field(default=False, description="The joined check waits for it and fails with it.")
    fail_on: FailOn = Field(default="medium", description="The lowest severity that fails the agent; `never`: none.")
    report: Report = Field(
        default="added", description="Which findings count: on added lines, in hunks, in changed files, all."
    )
    timeout: Duration = Field(default=600, description="Seconds, or like 90s, 10m, 1h.")
    paths: Globs = Field(default=(), description="Run only when a changed file matches one of these globs.")
    paths_ignore: Globs = Field(default=(), description="Changed files that do not count.")
    on: tuple[EventName, ...] = Field(default=(), description="Run only for these events; default: all.")
    after: Globs = Field(default=(), description="Agents that must have ended first.")


class TestConfig(AgentConfig):
    """Runs the tests."""

    required: bool = True
    report: Report = "all"
    setup: str | None = Field(default=None, description="A shell command run before, such as `npm ci`.")
    run: str | None = Field(default=None, description="The test command; default: by detection.")
    junit: Globs = Field(default=(), description="Globs of JUnit XML files that the command leaves behind.")


class LintConfig(AgentConfig):
    """Runs linters."""

    required: bool = True
    tools: Literal["auto"] | tuple[str, ...] = Field(default="auto", description="`auto` or a list of tool names.")


class SecurityConfig(AgentConfig):
    """Looks for secrets and insecure code."""

    required: bool = True
    fail_on: FailOn = "high"
    tools: Literal["auto"] | tuple[str, ...] = Field(default="auto", description="`auto` or a list of tool names.")


class ReviewRule(Section):
    """Instructions for files that match."""

    paths: Globs
    instructions: str


class Budget(Section):
    """What the model may cost, in US dollars."""

    run: float | None = Field(default=None, ge=0, description="A run's cap.")
    month: float | None = Field(default=None, ge=0, description="Not acted on yet.")


class ReviewConfig(AgentConfig):
    """Asks a language model to review the change."""

    fail_on: FailOn = "never"
    instructions: str = ""
    rules: tuple[ReviewRule, ...] = ()
    max_comments: int = Field(default=5, ge=0, le=50, description="Inline comments a run posts at most.")
    budget: Budget = Budget()
    model: str | None = Field(default=None, description="The model; default: the operator's.")


class CommandConfig(AgentConfig):
    """Any command: an agent of its own name."""

    report: Report = "all"
    setup: str | None = None
    run: str = Field(description="A shell command.")
    format: Format = Field(default="exit-code", description="What its standard output is.")
    output: str | None = Field(default=None, description="A file to read instead of standard output.")


NAME = re.compile(r"^[a-z][a-z0-9_-]{0,38}$")
RESERVED = ("config",)

BUILT_IN: dict[str, type[AgentConfig]] = {
    "test": TestConfig,
    "lint": LintConfig,
    "security": SecurityConfig,
    "review": ReviewConfig,
}


class ExtensionConfig(AgentConfig):
    """An agent that another package brings, by the name of its entry point in the group `assay.agents`."""

    model_config = ConfigDict(frozen=True, extra="allow")

    uses: str = Field(description="The entry point's name. Further keys are the agent's own settings.")


def _flavour(value: object) -> str:
    uses = "uses" in value if isinstance(value, dict) else isinstance(value, ExtensionConfig)
    return "extension" if uses else "command"


Custom = Annotated[
    Annotated[CommandConfig, Tag("command")] | Annotated[ExtensionConfig, Tag("extension")], Discriminator(_flavour)
]


class Agents(Section):
    """The agents by name: the four built-in ones, and any command or extension under a name of its own."""

    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[str, Custom]

    test: TestConfig = TestConfig()
    lint: LintConfig = LintConfig()
    security: SecurityConfig = SecurityConfig()
    review: ReviewConfig = ReviewConfig()

    @model_validator(mode="after")
    def _names(self) -> Agents:
        for name in self.__pydantic_extra__:
            if not NAME.match(name) or name in RESERVED:
                raise ValueError(
                    f"{name!r} cannot name an agent: use lower-case letters, digits, - and _ (at most 39), "
                    f"and not {', '.join(RESERVED)}"
                )
        return self

    def by_name(self) -> dict[str, AgentConfig]:
        """Every agent, the built-in ones first."""
        built_in: dict[str, AgentConfig] = {name: getattr(self, name) for name in BUILT_IN}
        return built_in | dict(self.__pydantic_extra__)


# The words of design section 6 that other parts of Assay will act on. They are checked for shape, so that one file
# serves all versions, and `not_acted_on` names them, so that nobody trusts in what does not happen.


class Schedule(Section):
    """A run by the clock."""

    cron: str
    agents: Globs = ()


class Triggers(Section):
    """What starts a run. A push to a branch outside `push` runs only when it belongs to a pull request."""

    push: Globs | None = Field(default=None, description="Branches checked on push; default: the default branch.")
    pull_request: PullRequestTrigger | bool = Field(default=PullRequestTrigger(), description="false: never.")
    merge_group: bool = Field(default=True, description="Check merge queue entries.")
    schedule: tuple[Schedule, ...] = Field(default=(), description="Not acted on yet.")


class RepositoryConfig(Section):
    """The whole file."""

    version: Literal[1] = 1
    triggers: Triggers = Triggers()
    agents: Agents = Agents()
    approvals: dict[str, str] = Field(default={}, description="Not acted on yet.")
    commands: dict[str, str] = Field(default={}, description="Not acted on yet.")
    notify: tuple[dict[str, str], ...] = Field(default=(), description="Not acted on yet.")
    workflows: dict[str, dict[str, Any]] = Field(default={}, description="Not acted on yet.")

    def not_acted_on(self) -> tuple[str, ...]:
        """The keys of this file that this version of Assay understands but does not act on."""
        ahead = [key for key in ("approvals", "commands", "notify", "workflows") if getattr(self, key)]
        if self.triggers.schedule:
            ahead.append("triggers.schedule")
        if self.agents.review.budget.month is not None:
            ahead.append("agents.review.budget.month")
        return tuple(ahead)
