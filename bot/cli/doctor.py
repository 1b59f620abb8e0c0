"""`assay doctor`: checks the installation, one line a check, and says how to mend what is wrong."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Literal, cast

import click
import httpx
from redis.exceptions import RedisError
from rich.console import Console
from rich.markup import escape

from bot.embedded import EmbeddedRedis, redis_server
from bot.errors import AssayError, Misconfigured
from bot.github.client import AppInfo
from bot.wiring import connect, make_app, redis_folder, settings
from config.settings import Settings, SettingsError
from workers.agent import Command
from workers.registry import TOOLS
from workers.sandbox.process import ProcessSandbox

# What the App must be allowed, and be told of (README, "Install the App").
PERMISSIONS = {"checks": "write", "contents": "read", "metadata": "read", "pull_requests": "write"}
OPTIONAL_PERMISSIONS = {"merge_queues": "read"}
EVENTS = ("pull_request", "push")
# `check_run` and `check_suite` are sent to every App that may write checks, whether it subscribes or not.
OPTIONAL_EVENTS = ("merge_group",)
_LEVELS = ("", "read", "write", "admin")
_GIT = (2, 31)
_CLOCK_SKEW = 30.0


@dataclass(frozen=True)
class Report:
    """One check's result. `remedy` is what to do about a `warn` or a `fail`."""

    state: Literal["ok", "warn", "fail"]
    what: str
    remedy: str = ""


@click.command()
def doctor() -> int:
    """Check settings, Redis, git, tools, the App's key, its permissions and events, and the clock.

    Exit code 1 when something must be mended before Assay can serve.
    """
    console = Console(highlight=False)
    signs = {"ok": "[green]✓[/]", "warn": "[yellow]![/]", "fail": "[red]✗[/]"}
    failed = False
    for report in _examine():
        failed = failed or report.state == "fail"
        console.print(f"{signs[report.state]} {escape(report.what)}", soft_wrap=True)
        if report.remedy:
            console.print(f"    {escape(report.remedy)}", soft_wrap=True)
    return 1 if failed else 0


def _examine() -> Iterator[Report]:
    try:
        chosen = settings()
    except SettingsError as error:
        for problem in error.problems:
            yield Report("fail", "settings", problem)
        return
    yield Report("ok", f"settings are valid; data in {chosen.data_dir}")
    for check in (_redis, _git, _tools, _sandbox, _model, _app, _clock):
        yield from check(chosen)


def _redis(chosen: Settings) -> Iterator[Report]:
    if chosen.redis_url is None:
        try:
            program = redis_server()
            server = EmbeddedRedis(redis_folder(chosen))
        except Misconfigured as error:
            yield Report("fail", "embedded Redis", str(error))
            return
        try:
            running = bool(connect(chosen).ping())
        except RedisError:
            running = False
        if not running:
            try:
                with server:
                    yield from _durability(chosen, f"embedded Redis ({program}) starts")
            except AssayError as error:
                yield Report("fail", "embedded Redis", str(error))
            return
    yield from _durability(chosen, "Redis answers")


def _durability(chosen: Settings, what: str) -> Iterator[Report]:
    redis = connect(chosen)
    try:
        version = str(cast("Mapping[str, object]", redis.info("server"))["redis_version"])
        found = cast("Mapping[str, str]", redis.config_get("append*", "maxmemory-policy"))
    except RedisError as error:
        yield Report("fail", f"Redis: {error}", "start it, or correct ASSAY_REDIS_URL")
        return
    yield Report("ok", f"{what}, version {version}")
    if found.get("appendonly") != "yes":
        remedy = "set `appendonly yes` in redis.conf: without it a restart loses every delivery and run"
        yield Report("warn", "Redis is not durable", remedy)
    elif found.get("appendfsync") != "always":
        remedy = "`appendfsync always` loses nothing; with everysec a crash may lose the last second"
        yield Report("warn", f"Redis writes to disk {found.get('appendfsync')}", remedy)
    if found.get("maxmemory-policy") not in ("noeviction", None):
        remedy = "set `maxmemory-policy noeviction`, or Redis may throw runs away"
        yield Report("warn", f"Redis evicts keys ({found['maxmemory-policy']})", remedy)


def _git(_: Settings) -> Iterator[Report]:
    program = shutil.which("git")
    if program is None:
        yield Report("fail", "git is not installed", "install git 2.31 or later")
        return
    words = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10).stdout.split()
    version = words[2] if len(words) > 2 else "0"
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if numbers < _GIT:
        yield Report("fail", f"git {version}", "install git 2.31 or later")
    else:
        yield Report("ok", f"git {version}")


def _tools(_: Settings) -> Iterator[Report]:
    sandbox = ProcessSandbox()
    for tool in TOOLS:
        if sandbox.which(tool.version[0]) is None:
            remedy = f"install {tool.name} where Assay's workers run; until then {tool.languages} is not covered"
            yield Report("warn", f"{tool.name} is not installed", remedy)
            continue
        done = sandbox.run(Command(argv=tool.version, cwd=Path.home(), timeout=30))
        yield Report("ok", f"{tool.name}: {(done.stdout or done.stderr).strip().splitlines()[-1]}")


def _sandbox(_: Settings) -> Iterator[Report]:
    level = ProcessSandbox().level
    remedy = "the code of trusted pull requests runs as Assay's own user; code from forks is not run"
    yield Report("warn", f"sandbox: {level}", remedy)


def _model(chosen: Settings) -> Iterator[Report]:
    if chosen.openai_api_key is None:
        yield Report("warn", "no model: the review agent does not run", "set OPENAI_API_KEY")
    else:
        yield Report("ok", f"model {chosen.llm_model}")


def _app(chosen: Settings) -> Iterator[Report]:
    try:
        with make_app(chosen) as app:
            info = app.info
    except SettingsError as error:
        for problem in error.problems:
            yield Report("fail", "GitHub App", problem)
        return
    except AssayError as error:
        yield Report("fail", "GitHub App", str(error))
        return
    yield Report("ok", f"GitHub App {info.name} ({info.slug}); its key is accepted")
    yield from _rights(info)


def _rights(info: AppInfo) -> Iterator[Report]:
    for name, level in (PERMISSIONS | OPTIONAL_PERMISSIONS).items():
        has = info.permissions.get(name, "")
        if has not in _LEVELS or _LEVELS.index(has) < _LEVELS.index(level):
            needed = name in PERMISSIONS
            remedy = f"on the App's page, Permissions: set {name.replace('_', ' ')} to {level}"
            yield Report("fail" if needed else "warn", f"permission {name}: {has or 'none'}", remedy)
    missing = [event for event in (*EVENTS, *OPTIONAL_EVENTS) if event not in info.events]
    for event in missing:
        remedy = f"on the App's page, Subscribe to events: tick {event.replace('_', ' ')}"
        yield Report("fail" if event in EVENTS else "warn", f"event {event} is not subscribed to", remedy)


def _clock(chosen: Settings) -> Iterator[Report]:
    try:
        answer = httpx.head(chosen.github_api_url, timeout=10)
        skew = abs(parsedate_to_datetime(answer.headers["date"]).timestamp() - time.time())
    except (httpx.HTTPError, KeyError, ValueError) as error:
        yield Report("warn", f"the clock could not be compared: {type(error).__name__}", "can the API be reached?")
        return
    if skew > _CLOCK_SKEW:
        yield Report(
            "fail", f"the clock is {skew:.0f} s off", "set it by NTP: GitHub refuses keys signed at another time"
        )
    else:
        yield Report("ok", "the clock agrees with GitHub's")
