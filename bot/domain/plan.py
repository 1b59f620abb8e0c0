"""What will run for a commit, and why: repository configuration + trigger -> plan."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from bot.domain.findings import Ignored, Severity, parse_severity
from bot.domain.glob import matches_any
from bot.domain.model import Frozen
from bot.domain.triggers import MergeGroup, Pull, Push, Trigger
from config.problems import Problem
from config.repository import (
    AgentConfig,
    Approvals,
    CommandConfig,
    ExtensionConfig,
    FailOn,
    PullRequestTrigger,
    Report,
    RepositoryConfig,
    ReviewConfig,
    Risk,
)


class AgentPlan(Frozen):
    """One agent's orders. `kind` is the queue it runs on and the implementation that runs: a built-in name, `command`,
    or `extension`; `settings` is its part of the configuration. `fail_on` None: findings never fail it. `reuse` lets an
    earlier result of the same look do. `skip` says why it will not run at all, `hold` why it does not run before a
    person asks for it. `verifies` names the agent whose findings it judges: it starts by itself when there are any.
    `fail_risk`: a run of that risk or more fails it. `away` is for how many seconds it waits at most for a service that
    it needs, None for as long as ever. `image` is the repository's own for commands, empty for the operator's."""

    name: str
    kind: str
    required: bool
    fail_on: Severity | None
    report: Report
    timeout: int
    paths: tuple[str, ...] = ()
    paths_ignore: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    settings: dict[str, Any] = Field(default_factory=dict)
    reuse: bool = True
    skip: str = ""
    hold: str = ""
    verifies: str = ""
    fail_risk: int | None = None
    away: int | None = None
    image: str = ""

    @property
    def executes(self) -> bool:
        """Whether it executes what the commit holds; of the linters and scanners some do."""
        return self.kind in ("test", "lint", "security", "command", "extension")


class Patience(Frozen):
    """How long people's answers are waited for, and how long an approval holds, `expire`; and after how long people are
    reminded; seconds."""

    expire: int = Approvals().expire
    remind: int = Approvals().remind


class Plan(Frozen):
    """The agents of a run. `source` says where the configuration came from; with `problems` nothing runs.
    `code_scanning`: GitHub's is told what was found. `patience` is there for a stranger's commit, and where it is
    not as ever."""

    agents: tuple[AgentPlan, ...] = ()
    source: str = "built-in defaults"
    problems: tuple[Problem, ...] = ()
    notices: tuple[str, ...] = ()
    max_comments: int = 5
    ignored: tuple[Ignored, ...] = ()
    code_scanning: bool = False
    patience: Patience | None = None


def why_not(config: RepositoryConfig, trigger: Trigger, default_branch: str) -> str:
    """Why this trigger starts no run under this configuration; empty when it does."""
    triggers = config.triggers
    match trigger:
        case Push():
            wanted = triggers.push if triggers.push is not None else (default_branch,)
            if not matches_any(wanted, trigger.branch):
                return f"triggers.push ({', '.join(wanted) or 'none'}) does not name the branch {trigger.branch}"
        case Pull():
            if triggers.pull_request is False:
                return "triggers.pull_request is false"
            pulls = PullRequestTrigger() if isinstance(triggers.pull_request, bool) else triggers.pull_request
            if trigger.draft and not pulls.drafts:
                return "the pull request is a draft and triggers.pull_request.drafts is false"
            if not matches_any(pulls.branches, trigger.base_ref):
                return f"triggers.pull_request.branches does not name the base branch {trigger.base_ref}"
        case MergeGroup():
            if not triggers.merge_group:
                return "triggers.merge_group is false"
    return ""


def keeps_every_commit(config: RepositoryConfig, branch: str, default_branch: str) -> bool:
    """Whether each commit of a branch keeps its verdict, whatever is pushed next."""
    globs = config.triggers.every_commit
    return matches_any((default_branch,) if globs is None else globs, branch)


def plan(config: RepositoryConfig, trigger: Trigger, source: str = "built-in defaults") -> Plan:
    """The agents to run for a trigger that `why_not` lets through, in the order of the file."""
    agents = tuple(
        _agent(name, settings, trigger.event) for name, settings in config.agents.by_name().items() if settings.enabled
    )
    if config.agents.review.enabled and config.agents.review.verify.enabled:
        at = [agent.name for agent in agents].index("review") + 1
        agents = (*agents[:at], _verifier(agents[at - 1], config.agents.review), *agents[at:])
    names = {agent.name for agent in agents}
    agents = tuple(
        a.model_copy(update={"after": tuple(n for n in a.after if n in names and n != a.name), "image": config.image})
        for a in agents
    )
    ahead = config.not_acted_on()
    notices = (f"This version of Assay does not act on: {', '.join(ahead)}.",) if ahead else ()
    ignored = tuple(Ignored(fingerprint=one.fingerprint, by=source, reason=one.reason) for one in config.ignore)
    return Plan(
        agents=agents,
        source=source,
        notices=notices,
        max_comments=config.agents.review.max_comments,
        ignored=ignored,
        code_scanning=config.code_scanning,
    )


def _agent(name: str, config: AgentConfig, event: str) -> AgentPlan:
    if isinstance(config, ExtensionConfig):
        kind = "extension"
    elif isinstance(config, CommandConfig):
        kind = "command"
    else:
        kind = name
    own = config.model_dump(mode="json", exclude=set(AgentConfig.model_fields))
    fail_on: FailOn | Risk = config.fail_on
    return AgentPlan(
        name=name,
        kind=kind,
        required=config.required,
        fail_on=None if isinstance(fail_on, Risk) or fail_on == "never" else parse_severity(fail_on),
        fail_risk=fail_on.risk if isinstance(fail_on, Risk) else None,
        report=config.report,
        timeout=config.timeout,
        paths=config.paths,
        paths_ignore=config.paths_ignore,
        after=config.after,
        settings=own,
        reuse=config.reuse,
        away=config.wait_for_provider if isinstance(config, ReviewConfig) else None,
        skip=f"`on` does not name the event {event}" if config.on and event not in config.on else "",
    )


def held(planned: Plan, rounds: int, config: RepositoryConfig) -> Plan:
    """The plan of a pull request whose last `rounds` heads were pushed by bots: a loop of reviews and fixes ends with
    a person."""
    if rounds <= config.agents.review.max_rounds:
        return planned
    why = f"bots have pushed {rounds} times in a row, and {config.agents.review.max_rounds} of them were reviewed"
    agents = tuple(
        agent.model_copy(update={"hold": why}) if agent.kind == "review" else agent for agent in planned.agents
    )
    return planned.model_copy(update={"agents": agents})


# No agent of the configuration can have that name.
VERIFIER = "review/verifier"


def _verifier(review: AgentPlan, config: ReviewConfig) -> AgentPlan:
    """A second look at what the reviewer says. It is no agent that people know of: it speaks through the reviewer."""
    return AgentPlan(
        name=VERIFIER,
        kind="verify",
        required=False,
        fail_on=None,
        report="all",
        timeout=config.timeout,
        after=(review.name,),
        settings=config.verify.model_dump(mode="json", exclude={"enabled"})
        | {"review_model": config.model, "budget": config.budget.model_dump(), "never_send": list(config.never_send)},
        reuse=False,
        skip=review.skip,
        verifies=review.name,
        away=review.away,
    )


def skipped_by_paths(agent: AgentPlan, changed: tuple[str, ...]) -> str:
    """Why the agent's path filters leave it nothing to do for these changed files; empty when it has to run."""
    if not agent.paths and not agent.paths_ignore:
        return ""
    left = [path for path in changed if not matches_any(agent.paths_ignore, path)]
    if agent.paths:
        left = [path for path in left if matches_any(agent.paths, path)]
    if left:
        return ""
    return "no changed file matches its `paths`" if agent.paths else "every changed file matches its `paths_ignore`"
