"""What `assay doctor` looks at, a function a subject."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Literal

import httpx
from redis import Redis
from redis.exceptions import RedisError

from bot.domain.wording import duration
from bot.errors import AssayError, Misconfigured, ToolFailed
from bot.github.client import AppInfo
from bot.missed import reconciliation, redelivery
from bot.redis import soundness
from bot.redis.connection import NONE
from bot.redis.embedded import EmbeddedRedis
from bot.wiring import connect, make_app, redis_folder, redis_url, settings
from config.redis_url import parse_redis_url
from config.settings import ACTING, LISTENING, Settings, SettingsError
from workers.agent import Command, Sandbox, Tool
from workers.kit import make_model
from workers.registry import TOOLS
from workers.sandbox.choice import choose_by
from workers.sandbox.process import ProcessSandbox
from workers.sandbox.views import why_no_views

# What the App must be allowed, and be told of (README, "Install the App").
PERMISSIONS = {"checks": "write", "contents": "read", "metadata": "read", "pull_requests": "write"}
OPTIONAL_PERMISSIONS = {"issues": "read", "merge_queues": "read", "security_events": "write"}
# What GitHub's pages call a permission, where that is not its name in the API.
PERMISSION_LABELS = {"security_events": "Code scanning alerts"}
EVENTS = ("pull_request", "push")
# `check_run` and `check_suite` are sent to every App that may write checks, whether it subscribes or not.
OPTIONAL_EVENTS = ("issue_comment", "merge_group", "pull_request_review_comment", "pull_request_review_thread")
_LEVELS = ("", "read", "write", "admin")
# Settings by the environment are understood from the first on, `safe.bareRepository`, which keeps git out of
# repositories that somebody has hidden in a commit, from the second.
_GIT, _SAFE_GIT = (2, 31), (2, 38)
# GitHub takes a key's time from the last ten minutes; half a minute is still no reason to worry.
_CLOCK_SKEW = 30.0


State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Report:
    """What is known of a subject. `remedy` is what to do about a `warn` or a `fail`."""

    state: State
    subject: str
    what: str
    remedy: str = ""


def examine() -> Iterator[Report]:
    """Look at everything, in the order in which it would be mended."""
    try:
        chosen = settings()
    except SettingsError as error:
        yield from _problems(error)
        return
    yield Report("ok", "Settings", f"valid; data in {chosen.data_dir}")
    for look in (_redis, _missed, _git, _tools, _sandbox, _packages, _model, _clock, _app):
        yield from look(chosen)


def _problems(error: SettingsError) -> Iterator[Report]:
    yield from (Report("fail", "Settings", problem) for problem in error.problems)


# -- this machine


def _redis(chosen: Settings) -> Iterator[Report]:
    try:
        redis = connect(chosen, NONE)
        if chosen.redis_url is not None or _answers(redis):
            yield from _soundness(redis, redis_url(chosen))
            return
        with EmbeddedRedis(redis_folder(chosen)):
            yield from _soundness(redis, redis_url(chosen))
    except Misconfigured as error:
        yield Report("fail", "Redis", str(error))


def _answers(redis: Redis) -> bool:
    try:
        return bool(redis.ping())
    except RedisError:
        return False


def _soundness(redis: Redis, url: str) -> Iterator[Report]:
    try:
        for remark in soundness.examine(redis, parse_redis_url(url)):
            yield Report(remark.state, "Redis", remark.what, remark.remedy)
    except RedisError as error:
        yield Report("fail", "Redis", str(error), "start it, or correct ASSAY_REDIS_URL")


def _missed(chosen: Settings) -> Iterator[Report]:
    """When Assay last looked for what it had missed, where it ever did."""
    try:
        redis, now = connect(chosen, NONE), time.time()
        known, last = redelivery.load(redis), reconciliation.load(redis)
    except (Misconfigured, RedisError):
        return
    if known is not None and known.read_at is not None:
        waiting = len(known.missed) - known.lost
        yield Report("ok", "Missed", f"failed deliveries: looked {_ago(now, known.read_at)}, {waiting} asked for again")
        if known.lost:
            remedy = "can GitHub reach Assay? The App's page, under Advanced, shows how they were answered"
            yield Report("warn", "Missed", f"deliveries that never came, however often asked for: {known.lost}", remedy)
    if last is not None:
        when = _ago(now, last.began if last.ended is None else last.ended)
        yield Report("ok", "Missed", f"repositories: {last.seen} compared {when}, {last.told} webhooks were missing")


def _ago(now: float, then: float) -> str:
    return f"{duration(now - then)} ago"


def _git(_: Settings) -> Iterator[Report]:
    program = shutil.which("git")
    if program is None:
        yield Report("fail", "git", "is not installed", f"install git {_dotted(_SAFE_GIT)} or later")
        return
    words = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10).stdout.split()
    version = words[2] if len(words) > 2 else "of unknown version"
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if numbers >= _SAFE_GIT:
        yield Report("ok", "git", version)
    else:
        state: State = "fail" if numbers < _GIT else "warn"
        yield Report(state, "git", f"{version} is old", f"install git {_dotted(_SAFE_GIT)} or later")


def _dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers))


def _tools(_: Settings) -> Iterator[Report]:
    sandbox = ProcessSandbox(os.environ.get("PATH", os.defpath))
    with ThreadPoolExecutor() as pool:
        found = list(zip(TOOLS, pool.map(lambda tool: _version(tool, sandbox), TOOLS), strict=True))
    versions = [f"{tool.name} {version}" for tool, version in found if version]
    if versions:
        yield Report("ok", "Tools", ", ".join(versions))
    for tool, version in found:
        if not version and not (tool.optional or tool.taste):
            remedy = f"install it where Assay's workers run; until then it cannot look at {tool.languages}"
            yield Report("warn", "Tools", f"{tool.name} does not start", remedy)


def _version(tool: Tool, sandbox: Sandbox) -> str:
    try:
        done = sandbox.run(Command(argv=tool.version, cwd=Path("/"), timeout=30))
    except ToolFailed:
        return ""
    words = f"{done.stdout} {done.stderr}".replace("version:", " ").split()
    return next((word for word in words if word[0].isdigit()), "") if done.exit_code == 0 else ""


def _sandbox(chosen: Settings) -> Iterator[Report]:
    choice = choose_by(chosen, os.environ.get("PATH", os.defpath))
    if choice.why_not:
        yield Report("fail", "Sandbox", f"{choice.why_not}: nothing of a repository is executed", choice.remedy)
    elif not choice.isolates:
        words = "what repositories run sees Assay's key, the network and all that Assay's user may read"
        yield Report("warn", "Sandbox", f"{choice.level}: {words}", "set ASSAY_SANDBOX=auto")
    else:
        why_not = why_no_views(chosen.work_dir) if choice.own_mounts else "no container can be shown a view"
        own = f"a copy: {why_not}" if why_not else "a view of those of all (overlayfs)"
        yield Report("ok", "Sandbox", f"{choice.level}; who may write to a commit's files gets {own}")


def _packages(chosen: Settings) -> Iterator[Report]:
    if chosen.osv_url is not None:
        yield Report("ok", "Packages", f"known vulnerabilities are asked for at {chosen.osv_url} (it is not tried)")
    elif chosen.osv_database is None:
        remedy = "set ASSAY_OSV_URL or ASSAY_OSV_DATABASE (docs/operations.md)"
        yield Report("warn", "Packages", "no database of known vulnerabilities: changed packages are `partial`", remedy)
    elif not chosen.osv_database.exists():
        remedy = "put OSV's export there, or correct ASSAY_OSV_DATABASE"
        yield Report("fail", "Packages", f"{chosen.osv_database} is not there", remedy)
    else:
        yield Report("ok", "Packages", f"known vulnerabilities are looked up in {chosen.osv_database}")


def _model(chosen: Settings) -> Iterator[Report]:
    try:
        model = make_model(chosen)
    except Misconfigured as error:
        yield Report("fail", "Model", str(error))
        return
    if model is None:
        yield Report("warn", "Model", "none, so the review agent does not run", "set OPENAI_API_KEY")
        return
    names = [chosen.llm_model, *([chosen.llm_verify_model] if chosen.llm_verify_model else [])]
    fallbacks = [one.name for one in chosen.fallbacks()]
    then = f"; where it fails, at {', '.join(fallbacks)}" if fallbacks else ""
    yield Report("ok", "Model", f"{', then '.join(names)}{then} (keys are not tried)")
    costs = (model.named(name).estimate("", "") for name in names)
    for unknown in dict.fromkeys(cost.model for cost in costs if cost.usd is None):
        what = f"nobody stated the price of {unknown}: under a limit in dollars it is asked nothing"
        yield Report("warn", "Model", what, "state it in ASSAY_LLM_PRICES")


# -- GitHub


def _clock(chosen: Settings) -> Iterator[Report]:
    try:
        answer = httpx.head(chosen.github_api_url, timeout=10)
        skew = time.time() - parsedate_to_datetime(answer.headers["date"]).timestamp()
    except (httpx.HTTPError, KeyError, ValueError) as error:
        remedy = f"can {chosen.github_api_url} be reached from here (proxy, firewall, ASSAY_GITHUB_API_URL)?"
        yield Report("warn", "Clock", f"could not be compared with GitHub's ({type(error).__name__})", remedy)
        return
    if abs(skew) > _CLOCK_SKEW:
        way = "ahead of" if skew > 0 else "behind"
        remedy = "have it set by NTP: GitHub refuses what is signed at another time"
        yield Report("fail", "Clock", f"{abs(skew):.0f} s {way} GitHub's", remedy)
    else:
        yield Report("ok", "Clock", "agrees with GitHub's")


def _app(chosen: Settings) -> Iterator[Report]:
    try:
        chosen.require(*ACTING, *LISTENING)
        with make_app(chosen) as app:
            info = app.info
    except SettingsError as error:
        yield from _problems(error)
        return
    except Misconfigured as error:
        yield Report("fail", "GitHub App", str(error))
        return
    except AssayError as error:
        yield Report("fail", "GitHub App", str(error), f"can {chosen.github_api_url} be reached from here?")
        return
    yield Report("ok", "GitHub App", f"{info.name} ({info.slug}); its key is accepted")
    yield from _rights(info)
    yield from _events(info)


def _rights(info: AppInfo) -> Iterator[Report]:
    missing = {name: level for name, level in (PERMISSIONS | OPTIONAL_PERMISSIONS).items() if _lacks(info, name, level)}
    for name, level in missing.items():
        label = PERMISSION_LABELS.get(name, name.replace("_", " ").capitalize())
        remedy = f"on the App's page, under Permissions, set {label} to {level}; then accept it where it is installed"
        what = f"{name}: {info.permissions.get(name, 'none')}"
        yield Report("fail" if name in PERMISSIONS else "warn", "Permissions", what, remedy)
    if not missing:
        yield Report("ok", "Permissions", "all that Assay needs")


def _lacks(info: AppInfo, name: str, level: str) -> bool:
    has = info.permissions.get(name, "")
    return has not in _LEVELS or _LEVELS.index(has) < _LEVELS.index(level)


def _events(info: AppInfo) -> Iterator[Report]:
    missing = [event for event in (*EVENTS, *OPTIONAL_EVENTS) if event not in info.events]
    for event in missing:
        label = event.replace("_", " ").capitalize()
        remedy = f"on the App's page, under Subscribe to events, tick {label}"
        yield Report("fail" if event in EVENTS else "warn", "Events", f"{event} is not subscribed to", remedy)
    if not missing:
        yield Report("ok", "Events", "all that Assay acts on")
