"""Approvals of strangers' commits: what one would run, and what changed since the last one. Pure.

What decides what is executed counts as weighty: files of build, dependencies, tests' configuration and CI. They are
told by their names, in any folder and in doubt rather than not: what is missing here would be carried over unseen.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from bot.domain.plan import AgentPlan
from bot.domain.run import Run
from bot.domain.triggers import Since

# Paths that are named of a change, and their length.
NAMED = 50
_LONGEST_PATH = 300
_COMMANDS = ("setup", "run")
_FOLDERS = re.compile(
    r"\..*|node_modules|vendor|third_party|bin|scripts?|tools|ci|build|buildsrc|gradle|cmake|docker|deps|hooks|plugins|"
    r"macros"
)
# Configuration, scripts, and what is loaded unread; and files without an ending.
_ENDINGS = re.compile(
    r"|ac|am|bash|bat|bazel|bzl|cfg|cmake|cmd|conf|csproj|dll|dylib|egg|env|fish|gemspec|gradle|in|ini|jar|json[5c]?|"
    r"kts|lock|lockb|lockfile|m4|mak|mk|nix|node|podspec|properties|props|ps1|pth|pyc|sbt|sh|so|sum|targets|toml|wasm|"
    r"whl|xml|ya?ml|zsh"
)
_NAMES = re.compile(
    r"(gnu)?makefile.*|cmakelists\.txt|meson.*|build|workspace|.*dockerfile.*|containerfile.*|jenkinsfile.*|"
    r"justfile|rakefile|gemfile.*|podfile.*|procfile|vagrantfile|gruntfile.*|gulpfile.*|configure.*|"
    r"setup\.py|conftest\.py|noxfile\.py|tasks\.py|fabfile\.py|manage\.py|sitecustomize\.py|usercustomize\.py|"
    r"build\.rs|go\.(mod|work)|pipfile.*|(.*[-_])?(requirements|constraints).*|mvnw.*|gradlew.*|"
    r"(spec|rails)_helper\.rb|.*\.(config|conf|setup|rc)\.[a-z]+|.*rc\.[cm]?[jt]s|bootstrap\.php|test_helper\.(rb|exs)|mix\.exs|"
    r"global[-_]?(setup|teardown)\.[cm]?[jt]s|setup[-_]?tests?\.[cm]?[jt]sx?|package\.swift"
)


def is_weighty(path: str, plans: Iterable[AgentPlan] = ()) -> bool:
    """Whether a file decides what is executed, rather than being executed as part of it: by its name, or because an
    agent's command names it. In doubt it does."""
    *folders, name = path.lower().split("/")
    stem, *endings = name.split(".")
    if name.startswith(".") or any(_FOLDERS.fullmatch(folder) for folder in folders):
        return True
    if any(map(_ENDINGS.fullmatch, endings or ("",))) or _NAMES.fullmatch(name):
        return True
    orders = [str(plan.settings[key]).lower() for plan in plans for key in _COMMANDS if plan.settings.get(key)]
    # `./check/all.py` as much as `-m check.all`.
    return any(name in order or stem in re.split(r"\W+", order) for order in orders)


def since(approved: Since, paths: Iterable[str], plans: Iterable[AgentPlan], *, complete: bool) -> Since:
    """What is told of the files that differ from an approved commit's, the weighty ones first; bounded."""
    known, agents = sorted(set(paths)), tuple(plans)
    weight = {path: is_weighty(path, agents) for path in known}
    named = tuple(path[:_LONGEST_PATH] for path in sorted(known, key=lambda path: not weight[path])[:NAMED])
    return approved.model_copy(
        update={"files": named, "weighty": sum(weight.values()), "total": len(known), "complete": complete}
    )


def carries_over(changed: Since, at: float) -> bool:
    """Whether the approval may hold for the next commit, where that is allowed: it is still good, all that changed is
    known, and nothing weighty did."""
    return at < changed.until and changed.complete and not changed.weighty


def waiting(run: Run) -> list[tuple[str, list[str]]]:
    """What an approval would run: each agent with its commands, as far as the configuration names them."""
    if not run.awaits_approval:
        return []
    return [(agent.plan.name, commands(agent.plan.settings)) for agent in run.shown if agent.held_back]


def commands(settings: Mapping[str, object]) -> list[str]:
    return [str(settings[name])[:200] for name in _COMMANDS if settings.get(name)]


def shown(run: Run) -> tuple[str, ...]:
    """What the check says to whoever approves, for the log."""
    would = [": ".join(filter(None, (name, ", then ".join(given)))) for name, given in waiting(run)]
    told = [f"an approval would run {one}" for one in would[:40]]
    told += [since_words(pull.since) for pull in run.pulls if pull.live and pull.since]
    return tuple(told)


def since_words(changed: Since) -> str:
    """In a line: `3 files changed since c0ffee0, which alice approved: Makefile, ...`."""
    number = f"{'' if changed.complete else 'at least '}{changed.total:,} file{'' if changed.total == 1 else 's'}"
    weighty = f", {changed.weighty:,} of which decide what is executed" if changed.weighty else ""
    named = f": {', '.join(changed.files[:20])}" if changed.files else ""
    return f"{number} changed since {changed.sha[:7]}, which {changed.by} approved{weighty}{named}"
