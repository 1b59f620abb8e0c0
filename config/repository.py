"""The repository's configuration, `.github/assay.yml`: its schema.

Every field has a default, so that an empty file, or none, is a whole configuration. Reading a file, layering and the
messages about a bad one are in `config/reading.py`.

Scalars are strict (`"yes"` is not true, `"5"` is not 5), so that this schema and the JSON Schema that editors use
(`config/schema.py`) agree about every file. A key with nothing after it is a key left out.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StrictBool,
    StrictInt,
    Tag,
    WithJsonSchema,
    model_validator,
)

from config.env_secrets import NAME as NAME_OF_SECRET

Report = Literal["added", "context", "file", "all"]
FailOn = Literal["info", "low", "medium", "warning", "high", "error", "critical", "never"]
Format = Literal["exit-code", "sarif", "checkstyle", "rdjson", "rdjsonl", "junit", "gitlab", "errorformat"]
EventName = Literal["push", "pull_request", "merge_group", "schedule"]

_DAY = 86_400
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": _DAY}
_LONGEST = 6 * 3600
# As long as runs are kept, unless the operator says otherwise.
_LONGEST_WAIT = 30 * _DAY
# The YAML file is bounded too; these keep one key from filling it all.
_MAX_ENTRIES = 100
_MAX_GLOB = 256
_MAX_OWN_AGENTS = 28


def parse_duration(value: object) -> object:
    """Seconds from `90s`, `10m`, `1h30m` or `14d`. What is no string is left to the next check.

    Raises ValueError for any other text.
    """
    if not isinstance(value, str):
        return value
    if not re.fullmatch(r"([0-9]{1,9}[smhd])+", value):
        raise ValueError("a duration is a number of seconds, or like 90s, 10m, 1h30m, 14d")
    return sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"([0-9]+)([smhd])", value))


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _span_schema(shortest: int, longest: int) -> WithJsonSchema:
    number = {"type": "integer", "minimum": shortest, "maximum": longest}
    return WithJsonSchema({"anyOf": [number, {"type": "string", "pattern": "^([0-9]{1,9}[smhd])+$"}]})


Duration = Annotated[StrictInt, BeforeValidator(parse_duration), Field(ge=1, le=_LONGEST), _span_schema(1, _LONGEST)]
Days = Annotated[
    StrictInt, BeforeValidator(parse_duration), Field(ge=60, le=_LONGEST_WAIT), _span_schema(60, _LONGEST_WAIT)
]
Glob = Annotated[str, Field(min_length=1, max_length=_MAX_GLOB)]
Globs = Annotated[
    tuple[Glob, ...],
    BeforeValidator(_as_list, json_schema_input_type=Glob | list[Glob]),
    Field(max_length=_MAX_ENTRIES),
]
Events = Annotated[
    tuple[EventName, ...],
    BeforeValidator(_as_list, json_schema_input_type=EventName | list[EventName]),
    Field(max_length=_MAX_ENTRIES),
]
Dollars = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]


class Section(BaseModel):
    """A mapping of the file: frozen, and closed against unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _left_out(cls, value: Any) -> Any:
        """`agents:` with nothing after it comes as None: an empty section, and for other keys the default."""
        if isinstance(value, dict):
            return {key: item for key, item in value.items() if item is not None or key not in cls.model_fields}
        return {} if value is None else value


class PullRequestTrigger(Section):
    """When a pull request starts a run."""

    drafts: StrictBool = Field(default=False, description="Check drafts too.")
    branches: Globs = Field(default=("**",), description="Base branches whose pull requests are checked.")


class AgentConfig(Section):
    """What every agent has."""

    enabled: StrictBool = Field(default=True, description="false: the agent is not part of any run.")
    required: StrictBool = Field(default=False, description="The joined check waits for it and fails with it.")
    fail_on: FailOn = Field(
        default="medium",
        description="The lowest severity that fails the agent. `warning` means medium, `error` high, `never` none.",
    )
    report: Report = Field(
        default="added",
        description="Which findings count: on added lines, in the diff's hunks (`context`), in changed files, or all.",
    )
    timeout: Duration = Field(default=600, description="Seconds, or like 90s, 10m, 1h30m. At most 6h.")
    paths: Globs = Field(default=(), description="Run only when a changed file matches one of these globs.")
    paths_ignore: Globs = Field(default=(), description="Changed files that do not count for `paths`.")
    on: Events = Field(default=(), description="Run only for these events. Empty: for all.")
    after: Globs = Field(default=(), description="Names of agents that must have ended first.")
    reuse: StrictBool = Field(
        default=True,
        description="Take over what it said of the same files, compared with the same, under the same configuration "
        "and tools. `false` for a command that depends on anything else.",
    )


EnvName = Annotated[str, Field(pattern=f"^{NAME_OF_SECRET}$")]
EnvSecrets = Annotated[
    tuple[EnvName, ...], BeforeValidator(_as_list, json_schema_input_type=EnvName | list[EnvName]), Field(max_length=20)
]
_ENV_SECRETS = (
    "Names of secrets that the operator keeps for the repository: `run` gets them in its environment, at trusted "
    "commits only. `setup` gets none."
)


# A union's branch is chosen by `Discriminator`, so that a mistake in it is reported once and not for each branch.
# The tags stand in pydantic's error locations between keys; their brackets tell them from keys.
Tools = Annotated[
    Annotated[Literal["auto"], Tag("<word>")]
    | Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Tag("<list>"), Field(max_length=_MAX_ENTRIES)],
    Discriminator(lambda value: "<word>" if isinstance(value, str) else "<list>"),
]


class TestConfig(AgentConfig):
    """Runs the tests."""

    required: StrictBool = Field(default=True, description="The joined check waits for it and fails with it.")
    report: Report = Field(
        default="all", description="As for every agent; a broken test counts wherever it stands, so all by default."
    )
    setup: str | None = Field(default=None, description="A shell command run before, such as `npm ci`.")
    run: str | None = Field(
        default=None, description="The test command. Left out: found by detection (see the table of suites)."
    )
    env_secrets: EnvSecrets = Field(default=(), description=_ENV_SECRETS)
    junit: Globs = Field(default=(), description="Globs of JUnit XML files that the command leaves behind.")
    coverage: Globs = Field(
        default=(),
        description="Globs of coverage reports that the command leaves behind: Cobertura XML, LCOV or coverage.py's "
        "JSON. Left out: the usual names.",
    )
    first: Literal["all", "affected"] = Field(
        default="all",
        description="`affected`: first the tests that the change concerns, where the runner can tell, and the others "
        "only when these pass.",
    )
    quarantine: Globs = Field(
        default=(),
        description="Globs of tests, by name or by class and name, whose failures are reported as `info` and counted, "
        "but fail nothing.",
    )


class LintConfig(AgentConfig):
    """Runs linters."""

    required: StrictBool = Field(default=True, description="The joined check waits for it and fails with it.")
    tools: Tools = Field(default="auto", description="`auto` (by detection) or a list of tool names.")


Allowed = Annotated[
    tuple[Annotated[str, Field(min_length=3, max_length=100)], ...],
    BeforeValidator(_as_list, json_schema_input_type=str | list[str]),
    Field(max_length=1000),
]


class SecurityConfig(AgentConfig):
    """Looks for secrets and insecure code."""

    required: StrictBool = Field(default=True, description="The joined check waits for it and fails with it.")
    fail_on: FailOn = Field(default="high", description="The lowest severity that fails the agent.")
    tools: Tools = Field(default="auto", description="`auto` (by detection) or a list of tool names.")
    allow: Allowed = Field(
        default=(),
        description="What was looked at and accepted: fingerprints of secrets, as the finding tells them, and ids of "
        "advisories (`CVE-2024-1234`, `GHSA-...`).",
    )
    vulnerabilities: StrictBool = Field(
        default=True,
        description="Look up known vulnerabilities of the packages that a change brings. `false`: they are looked for "
        "elsewhere.",
    )


class ReviewRule(Section):
    """Instructions for files that match."""

    paths: Globs = Field(description="Globs of files.")
    instructions: str = Field(description="What the reviewer should look for in them.")


class Budget(Section):
    """What the model may cost, in US dollars or tokens."""

    run: Dollars | None = Field(default=None, description="The most a run may cost. Left out: no limit.")
    tokens: Annotated[StrictInt, Field(ge=0)] | None = Field(
        default=None, description="The most tokens of a run, in and out together. Left out: no limit."
    )
    pull: Dollars | None = Field(
        default=None, description="The most a pull request may cost, all its pushes together. Left out: no limit."
    )
    month: Dollars | None = Field(
        default=None, description="The most a calendar month (UTC) may cost. Left out: no limit."
    )
    month_tokens: Annotated[StrictInt, Field(ge=0)] | None = Field(
        default=None,
        description="The most tokens of a calendar month, in and out together, for models without a price too. Left "
        "out: no limit.",
    )


class Verify(Section):
    """The second look at what the reviewer claims, by a model that is asked to refute it."""

    enabled: StrictBool = Field(default=True, description="false: claims stand as the reviewer makes them.")
    model: str | None = Field(
        default=None,
        description="The model. Left out: the operator's `ASSAY_LLM_VERIFY_MODEL`, or else the reviewer's.",
    )
    run_tests: StrictBool = Field(
        default=True,
        description="Where a claim can be executed, write a test and run it in the sandbox; never for a stranger's "
        "commit.",
    )


class Risk(Section):
    """A run of this risk or more, 0 to 100, fails the reviewer."""

    risk: Annotated[StrictInt, Field(ge=1, le=100)] = Field(description="1 to 100.")


class ReviewConfig(AgentConfig):
    """Asks a language model to review the change."""

    fail_on: Annotated[
        Annotated[FailOn, Tag("<severity>")] | Annotated[Risk, Tag("<section>")],
        Discriminator(lambda value: "<section>" if isinstance(value, dict | Risk) else "<severity>"),
    ] = Field(  # type: ignore[assignment]  # the one agent that also takes the risk of the whole run
        default="never",
        description="The lowest severity that fails the agent, or `{risk: N}`: the risk of the whole run that does.",
    )
    instructions: str = Field(default="", description="What the reviewer should know or look for.")
    rules: tuple[ReviewRule, ...] = Field(
        default=(), max_length=_MAX_ENTRIES, description="Instructions for some files: `paths` and `instructions` each."
    )
    never_send: Globs = Field(
        default=(),
        description="Globs of files that no model is ever shown, beside the operator's `ASSAY_LLM_NEVER_SEND`. They "
        "are listed as not read.",
    )
    max_comments: Annotated[StrictInt, Field(ge=0, le=50)] = Field(
        default=5, description="Inline comments that a run posts at most, 0 to 50."
    )
    budget: Budget = Field(default=Budget(), description="What the model may cost, in US dollars or tokens.")
    model: str | None = Field(
        default=None,
        description="The model, of those that the operator allows (`ASSAY_LLM_MODELS`). Left out: `ASSAY_LLM_MODEL`.",
    )
    max_rounds: Annotated[StrictInt, Field(ge=1, le=100)] = Field(
        default=5,
        description="Pushes by bots to a pull request that are reviewed in a row, 1 to 100. The next waits until a "
        "person presses Re-run or pushes.",
    )
    verify: Verify = Field(default=Verify(), description="The second look at what the reviewer claims.")
    wait_for_provider: Annotated[
        StrictInt, BeforeValidator(parse_duration), Field(ge=0, le=_LONGEST_WAIT), _span_schema(0, _LONGEST_WAIT)
    ] = Field(
        default=6 * 3600,
        description="How long it waits, and so does the second look, for a provider that is away or limits the rate, "
        "before what there is counts: like 30m, 6h, 2d; `0s` for not at all. At most 30d.",
    )


class CommandConfig(AgentConfig):
    """Any command: an agent of its own name."""

    report: Report = Field(default="all", description="As for every agent; all by default.")
    setup: str | None = Field(default=None, description="A shell command run before, such as `npm ci`.")
    run: Annotated[str, Field(min_length=1)] = Field(description="A shell command.")
    env_secrets: EnvSecrets = Field(default=(), description=_ENV_SECRETS)
    format: Format = Field(default="exit-code", description="How to read its standard output.")
    output: str | None = Field(default=None, description="A file it writes, to read instead of standard output.")
    errorformat: tuple[Annotated[str, Field(min_length=1, max_length=_MAX_GLOB)], ...] = Field(
        default=("%f:%l:%c: %m", "%f:%l: %m"),
        max_length=20,
        description="With `format: errorformat`: what lines look like, in the words of Vim's `errorformat`.",
    )


RESERVED = ("config",)
NAME = re.compile(r"[a-z][a-z0-9_-]{0,38}")

BUILT_IN: dict[str, type[AgentConfig]] = {
    "test": TestConfig,
    "lint": LintConfig,
    "security": SecurityConfig,
    "review": ReviewConfig,
}


class ExtensionConfig(AgentConfig):
    """An agent that another package brings, by the name of its entry point in the group `assay.agents`."""

    model_config = ConfigDict(frozen=True, extra="allow")

    uses: Annotated[str, Field(min_length=1)] = Field(
        description="The entry point's name. Further keys are the agent's own settings."
    )


def _agent_name(name: str) -> str:
    if not NAME.fullmatch(name) or name in RESERVED:
        raise ValueError(
            "cannot name an agent: use lower-case letters, digits, - and _ (at most 39, a letter first), "
            f"and not {', '.join(RESERVED)}"
        )
    return name


def _flavour(value: object) -> str:
    uses = "uses" in value if isinstance(value, dict) else isinstance(value, ExtensionConfig)
    return "<extension>" if uses else "<command>"


AgentName = Annotated[str, AfterValidator(_agent_name)]
Custom = Annotated[
    Annotated[CommandConfig, Tag("<command>")] | Annotated[ExtensionConfig, Tag("<extension>")], Discriminator(_flavour)
]


class Agents(Section):
    """The agents by name: the four built-in ones, and any command or extension under a name of its own."""

    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[AgentName, Custom]

    test: TestConfig = Field(default=TestConfig(), description="Runs the tests.")
    lint: LintConfig = Field(default=LintConfig(), description="Runs linters.")
    security: SecurityConfig = Field(default=SecurityConfig(), description="Looks for secrets and insecure code.")
    review: ReviewConfig = Field(default=ReviewConfig(), description="Asks a language model to review the change.")

    @model_validator(mode="after")
    def _not_too_many(self) -> Agents:
        if len(self.__pydantic_extra__) > _MAX_OWN_AGENTS:
            raise ValueError(f"at most {_MAX_OWN_AGENTS} agents of your own; join some of their commands")
        return self

    def by_name(self) -> dict[str, AgentConfig]:
        """Every agent, the built-in ones first."""
        built_in: dict[str, AgentConfig] = {name: getattr(self, name) for name in BUILT_IN}
        return built_in | dict(self.__pydantic_extra__)


# The words of design section 6 that other parts of Assay will act on. They are checked for shape, so that one file
# serves all versions, and `not_acted_on` names them, so that nobody trusts in what does not happen.


class Schedule(Section):
    """A run by the clock."""

    cron: str = Field(description="Five fields, as in crontab.")
    agents: Globs = Field(default=(), description="The agents to run. Empty: all.")


class Triggers(Section):
    """What starts a run. A push to a branch outside `push` runs only when it belongs to a pull request."""

    push: Globs | None = Field(
        default=None, description="Globs of branches checked on push. Left out: the default branch; `[]`: none."
    )
    pull_request: Annotated[
        Annotated[PullRequestTrigger, Tag("<section>")] | Annotated[bool, Field(strict=True), Tag("<switch>")],
        Discriminator(lambda value: "<section>" if isinstance(value, dict | PullRequestTrigger) else "<switch>"),
    ] = Field(default=PullRequestTrigger(), description="Which pull requests are checked; `false`: none.")
    merge_group: StrictBool = Field(default=True, description="Check merge queue entries.")
    every_commit: Globs | None = Field(
        default=None,
        description="Globs of branches of which every pushed commit keeps its verdict. On others, as in pull requests, "
        "a newer head cancels what is unfinished of the older. Left out: the default branch; `[]`: none.",
    )
    debounce: Duration | None = Field(
        default=None,
        description="How long heads that follow on one another quickly wait, so that only the last of them is checked. "
        "The first starts at once, and so does what a person asks for. Left out: none waits.",
    )
    schedule: tuple[Schedule, ...] = Field(default=(), max_length=_MAX_ENTRIES, description="Not acted on yet.")


def _not_a_switch(value: object) -> object:
    if isinstance(value, bool):  # which equals 1
        raise ValueError("a version is a number")  # noqa: TRY004 - pydantic reports ValueError only
    return value


class Ignore(Section):
    """A finding that is not to be raised."""

    fingerprint: Annotated[str, Field(pattern="^[0-9a-f]{8,64}$")] = Field(
        description="The finding's, as `/assay ignore --always` and `assay check --format json` name it."
    )
    reason: Annotated[str, Field(max_length=500)] = Field(default="", description="Why, for those who come later.")


Login = Annotated[str, Field(pattern="^[A-Za-z0-9_-]{1,100}$")]
Slug = Annotated[str, Field(pattern="^[a-z0-9_-]{1,100}$")]
Bot = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,100}\[bot\]$")]


class Trusted(Section):
    """Whose pull requests from forks are executed unasked, beside those of people who may write. It counts in the
    configuration of the base branch only."""

    people: Annotated[
        tuple[Login, ...],
        BeforeValidator(_as_list, json_schema_input_type=Login | list[Login]),
        Field(max_length=_MAX_ENTRIES),
    ] = Field(default=(), description="Logins of people.")
    teams: Annotated[
        tuple[Slug, ...],
        BeforeValidator(_as_list, json_schema_input_type=Slug | list[Slug]),
        Field(max_length=_MAX_ENTRIES),
    ] = Field(
        default=(),
        description="Teams of the organisation that owns the repository, by the names in their addresses. Takes the "
        "App's permission `members: read`; without it they count for nothing.",
    )
    bots: Annotated[
        tuple[Bot, ...],
        BeforeValidator(_as_list, json_schema_input_type=Bot | list[Bot]),
        Field(max_length=_MAX_ENTRIES),
    ] = Field(default=(), description="Logins of Apps, such as `renovate[bot]`.")


class Orders(Section):
    """Orders in comments, and the buttons of checks: Approve, and Re-run, GitHub's own too."""

    who: Literal["write", "maintain", "admin", "nobody"] = Field(
        default="write",
        description="The permission that it takes, by the configuration of the base branch. Where that cannot be read, "
        "`admin`.",
    )


class Approvals(Section):
    """What a stranger's commit needs before anything of it is executed. It counts in the configuration of the base
    branch only."""

    fork_run: Literal["always"] = Field(
        default="always", description="A stranger's commit is executed after an approval only; there is no other word."
    )
    carry_over: Literal["never", "sources"] = Field(
        default="never",
        description="`sources`: an approval carries over to the next push of the pull request where that leaves alone "
        "all files of build, dependencies, tests' configuration and CI, and whoever gave it still may. `never`: each "
        "push asks anew.",
    )
    expire: Days = Field(
        default=14 * _DAY,
        description="For how long an approval holds, and for how long it is asked for: then Re-run asks anew. 14 days; "
        "at most 30d.",
    )
    remind: Days = Field(
        default=3 * _DAY,
        description="After how long without an answer the check reminds of it, once, on itself. 3 days.",
    )
    apply_fix: str = Field(default="", description="Not acted on yet.")


class RepositoryConfig(Section):
    """The whole file."""

    version: Annotated[Literal[1], BeforeValidator(_not_a_switch, json_schema_input_type=Literal[1])] = Field(
        default=1, description="The version of this format."
    )
    triggers: Triggers = Field(default=Triggers(), description="What starts a run.")
    agents: Agents = Field(default=Agents(), description="The agents by name.")
    image: Annotated[str, Field(pattern=r"^([a-z0-9][A-Za-z0-9._/:@-]{0,254})?$")] = Field(
        default="",
        description="The container image that all commands run in, where Assay runs them in Docker or Podman: one that "
        "its operator allows, made from Assay's own. Left out: the operator's.",
    )
    ignore: tuple[Ignore, ...] = Field(
        default=(),
        max_length=500,
        description="Findings that are not held against any change: `fingerprint`, `reason`.",
    )
    code_scanning: StrictBool = Field(
        default=False,
        description="Tell GitHub's code scanning what was found. It takes the App's permission `security_events: "
        "write`, and counts in a pull request only where the base branch says so, too.",
    )
    trusted: Trusted = Field(default=Trusted(), description="Who is trusted beside people who may write.")
    commands: Orders = Field(
        default=Orders(), description="Who may give orders in comments, press Re-run, and approve."
    )
    approvals: Approvals = Field(default=Approvals(), description="What a stranger's commit waits for.")
    notify: tuple[dict[str, str], ...] = Field(default=(), description="Not acted on yet.")
    workflows: dict[str, dict[str, Any]] = Field(default={}, description="Not acted on yet.")

    def not_acted_on(self) -> tuple[str, ...]:
        """The keys of this file that this version of Assay understands but does not act on."""
        ahead = [key for key in ("notify", "workflows") if getattr(self, key)]
        if self.approvals.apply_fix:
            ahead.append("approvals.apply_fix")
        if self.triggers.schedule:
            ahead.append("triggers.schedule")
        return tuple(ahead)
