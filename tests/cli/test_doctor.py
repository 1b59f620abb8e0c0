"""`assay doctor`, against the stand-in GitHub, real Redis and real tools: what is wrong is told with its remedy."""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from redis import Redis

import bot.wiring
from bot.demo.github import StandInGitHub
from bot.missed.reconciliation import Pass
from bot.missed.redelivery import TRIES, Missed, Redeliveries
from bot.redis.embedded import redis_server
from tests.cli.command import Assay, Ended
from tests.servers import answers, until
from tests.workers.sandbox.engines import install
from workers.registry import TOOLS
from workers.sandbox.choice import choose

Doctor = Callable[..., Ended]


@pytest.fixture
def doctor(assay: Assay, monkeypatch: pytest.MonkeyPatch) -> Iterator[Doctor]:
    """Runs it with the settings of a sound installation, but for those that a test changes (None: unset)."""
    with tempfile.TemporaryDirectory(prefix="assay-t-") as folder, StandInGitHub() as github:
        monkeypatch.chdir(folder)
        # To start them all takes a second, and one test of it is enough.
        monkeypatch.setattr("bot.cli.examination.TOOLS", TOOLS[:1])
        sound = settings_for(github, Path(folder))

        def run(**changes: str | None) -> Ended:
            for name, value in (sound | changes).items():
                if value is None:
                    monkeypatch.delenv(name, raising=False)
                else:
                    monkeypatch.setenv(name, value)
            bot.wiring.safe.cache_clear()
            return assay("doctor")

        yield run
        bot.wiring.safe.cache_clear()


def settings_for(github: StandInGitHub, folder: Path) -> dict[str, str | None]:
    return {
        "ASSAY_GITHUB_APP_ID": str(github.app_id),
        "ASSAY_GITHUB_PRIVATE_KEY": github.private_key,
        "ASSAY_GITHUB_WEBHOOK_SECRET": github.webhook_secret,
        "ASSAY_GITHUB_API_URL": github.api_url,
        "ASSAY_GITHUB_URL": github.url,
        "ASSAY_DATA_DIR": str(folder),
        "COLUMNS": "300",
    }


def lines(ended: Ended, subject: str) -> str:
    """The lines about a subject, and what hangs on them."""
    found, on = [], False
    for line in ended.out.splitlines():
        on = line[2:].startswith(subject) if line[:1].strip() else on
        found += [line.strip()] if on else []
    return "\n".join(found)


def test_sound_installation_can_serve(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.cli.examination.TOOLS", TOOLS)
    ended = doctor(OPENAI_API_KEY="sk-never-shown", ASSAY_OSV_URL="https://osv.example")
    assert ended.code == 0, ended.out
    assert [line for line in ended.out.splitlines() if line.startswith("✗")] == []
    signs = {line.split()[1]: line[0] for line in ended.out.splitlines() if line.startswith(("✓", "!"))}
    assert {subject for subject, sign in signs.items() if sign == "!"} == set()
    assert all(tool.name in lines(ended, "Tools") for tool in TOOLS if not (tool.optional or tool.taste))
    assert ended.out.endswith("\nAssay can serve.\n")
    assert "sk-never-shown" not in ended.out


def test_models_and_what_is_asked_where_they_fail(doctor: Doctor) -> None:
    assert "! Model       none, so the review agent does not run" in lines(doctor(), "Model")
    table = '[backup]\nurl = "https://llm.example.com/v1"\nkey = "sk-never-shown"\nmodel = "own"'
    given = {"OPENAI_API_KEY": "sk-never-shown", "ASSAY_LLM_VERIFY_MODEL": "gpt-5.4", "ASSAY_LLM_FALLBACKS": table}
    ended = doctor(**given)
    assert "gpt-5.4-mini, then gpt-5.4; where it fails, at backup (keys are not tried)" in lines(ended, "Model")
    assert lines(ended, "Model").count("nobody stated the price of own: under a limit in dollars") == 1
    assert "sk-never-shown" not in ended.out
    ended = doctor(OPENAI_API_KEY="sk-never-shown", ASSAY_LLM_PRICES="/nowhere.toml")
    assert (ended.code, lines(ended, "Model").partition(":")[0]) == (1, "✗ Model       ASSAY_LLM_PRICES")


def test_missing_settings(doctor: Doctor) -> None:
    ended = doctor(ASSAY_GITHUB_APP_ID=None, ASSAY_GITHUB_WEBHOOK_SECRET=None)
    assert ended.code == 1
    assert "ASSAY_GITHUB_APP_ID is missing: it stands on the App's page" in ended.out
    assert "ASSAY_GITHUB_WEBHOOK_SECRET is missing: choose" in ended.out
    assert "2 things must be mended before Assay can serve." in ended.out


def test_containers(doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engines = install(tmp_path / "engines", "acme/assay")
    monkeypatch.setenv("PATH", f"{engines.folder}:{os.environ['PATH']}")
    ended = doctor(ASSAY_SANDBOX="docker", ASSAY_SANDBOX_IMAGE="acme/assay")
    assert lines(ended, "Sandbox").startswith("✓ Sandbox     docker (image acme/assay, uid ")
    assert "files gets a copy: no container can be shown a view" in lines(ended, "Sandbox")
    ended = doctor(ASSAY_SANDBOX="podman", ASSAY_SANDBOX_IMAGE="acme/none")
    assert ended.code == 1
    assert "No such image: acme/none" in lines(ended, "Sandbox")
    assert "nothing of a repository is executed\n→ install it and util-linux" in lines(ended, "Sandbox")


def test_how_who_writes_gets_files_is_told(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    if why_not := choose("bubblewrap", os.environ["PATH"]).why_not:
        pytest.skip(f"no sandbox here: {why_not}")
    for why, told in (
        ("", "a view of those of all (overlayfs)"),
        ("mount: not permitted", "a copy: mount: not permitted"),
    ):
        monkeypatch.setattr("bot.cli.examination.why_no_views", lambda _, why=why: why)
        assert lines(doctor(ASSAY_SANDBOX="bubblewrap"), "Sandbox").endswith(
            f"who may write to a commit's files gets {told}"
        )


def test_a_runtime_without_an_image_is_no_sandbox(doctor: Doctor) -> None:
    ended = doctor(ASSAY_SANDBOX_RUNTIME="runsc")
    assert ended.code == 1
    assert "ASSAY_SANDBOX_RUNTIME is runsc, but ASSAY_SANDBOX_IMAGE names no image" in lines(ended, "Sandbox")
    assert "nothing of a repository is executed" in lines(ended, "Sandbox")


def test_bad_setting(doctor: Doctor) -> None:
    ended = doctor(ASSAY_PORTT="80")
    assert ended.code == 1
    assert "✗ Settings    ASSAY_PORTT is not a setting: did you mean ASSAY_PORT?" in ended.out


def test_key_of_another_app(doctor: Doctor) -> None:
    ended = doctor(ASSAY_GITHUB_APP_ID="99")
    assert ended.code == 1
    assert "401" in lines(ended, "GitHub App")
    assert "Check the App's id, its private key" in lines(ended, "GitHub App")


def test_text_that_is_no_key(doctor: Doctor) -> None:
    ended = doctor(ASSAY_GITHUB_PRIVATE_KEY="-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----")
    assert ended.code == 1
    assert "key" in ended.out
    assert "abc" not in ended.out


@pytest.mark.parametrize(
    ("permissions", "code", "told"),
    [
        (
            {"checks": "read"},
            1,
            "✗ Permissions checks: read\n→ on the App's page, under Permissions, set Checks to write",
        ),
        ({"pull_requests": ""}, 1, "✗ Permissions pull_requests: none\n→"),
        ({"issues": ""}, 0, "! Permissions issues: none\n→"),
        ({"merge_queues": ""}, 0, "! Permissions merge_queues: none\n→"),
        ({"security_events": "read"}, 0, "under Permissions, set Code scanning alerts to write"),
        ({"checks": "admin"}, 0, "✓ Permissions all that Assay needs"),
    ],
)
def test_permissions(doctor: Doctor, permissions: dict[str, str], code: int, told: str) -> None:
    whole = {
        "checks": "write",
        "contents": "read",
        "metadata": "read",
        "pull_requests": "write",
        "issues": "read",
        "merge_queues": "read",
        "security_events": "write",
    }
    given = {name: level for name, level in (whole | permissions).items() if level}
    with StandInGitHub(permissions=given) as github:
        ended = doctor(**settings_for(github, Path.cwd()))
    assert ended.code == code, ended.out
    assert told in lines(ended, "Permissions")


def test_events(doctor: Doctor) -> None:
    with StandInGitHub(events=("push",)) as github:
        ended = doctor(**settings_for(github, Path.cwd()))
    assert ended.code == 1
    assert "✗ Events      pull_request is not subscribed to\n→ " in lines(ended, "Events")
    assert "! Events      merge_group is not subscribed to" in lines(ended, "Events")
    assert "tick Pull request" in ended.out


def test_api_that_cannot_be_reached(doctor: Doctor) -> None:
    ended = doctor(ASSAY_GITHUB_API_URL="http://127.0.0.1:1/api/v3")
    assert ended.code == 1
    assert "http://127.0.0.1:1/api/v3 be reached from here" in lines(ended, "GitHub App")
    assert "could not be compared" in lines(ended, "Clock")


@contextmanager
def api_at_another_time(seconds: float) -> Iterator[str]:
    """Answers nothing but what time it has."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(401)
            self.end_headers()

        do_GET = do_HEAD  # noqa: N815

        def date_time_string(self, timestamp: float | None = None) -> str:
            return super().date_time_string(int(time.time() + seconds))

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(("seconds", "told"), [(600, "s behind GitHub's"), (-600, "s ahead of GitHub's")])
def test_clock_that_is_off(doctor: Doctor, seconds: float, told: str) -> None:
    with api_at_another_time(seconds) as url:
        ended = doctor(ASSAY_GITHUB_API_URL=url)
    assert ended.code == 1
    assert told in lines(ended, "Clock")
    assert "NTP" in lines(ended, "Clock")


@contextmanager
def redis_with(folder: Path, *options: str) -> Iterator[str]:
    """Somebody's own Redis; its URL."""
    sock = folder / "own.sock"
    command = [redis_server(), "--port", "0", "--unixsocket", str(sock), "--dir", str(folder), *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        # Its socket is there before it listens.
        with Redis(unix_socket_path=str(sock)) as client:
            until("an answer of Redis", lambda: answers(client))
        yield f"unix://{sock}"
    finally:
        process.terminate()
        process.wait()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--appendonly", "no"), "is not durable (appendonly no)\n→ set `appendonly yes`"),
        (("--appendonly", "yes", "--appendfsync", "everysec"), "writes to disk late (appendfsync everysec)\n→ set"),
        (
            ("--appendonly", "yes", "--maxmemory-policy", "allkeys-lru"),
            "evicts keys when memory is short (allkeys-lru)",
        ),
        (
            ("--appendonly", "yes", "--rename-command", "CONFIG", ""),
            "(appendfsync: unknown)\n→ see that it has `appendonly yes`",
        ),
    ],
    ids=["no AOF", "everysec", "evicting", "managed"],
)
def test_redis_elsewhere_that_may_lose_something(doctor: Doctor, options: tuple[str, ...], told: str) -> None:
    with redis_with(Path.cwd(), *options) as url:
        ended = doctor(ASSAY_REDIS_URL=url)
    assert ended.code == 0
    assert told in lines(ended, "Redis")


def test_redis_that_is_away(doctor: Doctor) -> None:
    ended = doctor(ASSAY_REDIS_URL="redis://:hidden@127.0.0.1:1/0")
    assert ended.code == 1
    assert "→ start it, or correct ASSAY_REDIS_URL" in lines(ended, "Redis")
    assert "hidden" not in ended.out


def test_data_folder_that_cannot_be_used(doctor: Doctor) -> None:
    Path("file").write_text("")
    ended = doctor(ASSAY_DATA_DIR=str(Path("file").absolute()))
    assert ended.code == 1
    assert "set ASSAY_DATA_DIR" in lines(ended, "Redis")


def test_git_that_is_missing_or_old(doctor: Doctor, tmp_path: Path) -> None:
    ended = doctor(PATH=str(tmp_path))
    assert ended.code == 1
    assert "✗ git         is not installed\n→ install git 2.38 or later" in lines(ended, "git")
    for version, sign in (("2.30.2", "✗"), ("2.34.1", "!"), ("2.51.GIT", "✓")):
        (tmp_path / "git").write_text(f"#!/bin/sh\necho git version {version}\n")
        (tmp_path / "git").chmod(0o755)
        assert lines(doctor(PATH=str(tmp_path)), "git").startswith(f"{sign} git         {version}")


def test_tool_that_does_not_start(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = replace(TOOLS[0], version=["ruff-is-missing", "--version"])
    monkeypatch.setattr("bot.cli.examination.TOOLS", (gone,))
    ended = doctor()
    assert ended.code == 0
    assert "! Tools       ruff does not start\n→ install it where Assay's workers run" in lines(ended, "Tools")


def test_what_was_missed_is_told(doctor: Doctor) -> None:
    now = time.time()
    missed = {"a": Missed(id=1, at=now), "b": Missed(id=2, at=now, asked=TRIES)}
    known = Redeliveries(since=now, missed=missed, read_at=now - 190)
    last = Pass(began=now - 500, since=0, checks_since=0, seen=12, told=3, ended=now - 430)
    with redis_with(Path.cwd(), "--appendonly", "yes") as url:
        assert lines(doctor(ASSAY_REDIS_URL=url), "Missed") == ""
        client = Redis.from_url(url)
        client.set("assay:redelivery", known.model_dump_json())
        client.set("assay:reconciliation", last.model_dump_json())
        client.close()
        told = lines(doctor(ASSAY_REDIS_URL=url), "Missed")
    assert "failed deliveries: looked 3 min 1" in told
    assert "1 asked for again" in told
    assert "never came, however often asked for: 1" in told
    assert "repositories: 12 compared 7 min 1" in told
    assert "3 webhooks were missing" in told


def test_where_vulnerabilities_are_looked_up(doctor: Doctor, tmp_path: Path) -> None:
    assert "! Packages    no database of known vulnerabilities" in lines(doctor(), "Packages")
    assert "looked up in" in lines(doctor(ASSAY_OSV_DATABASE=str(tmp_path)), "Packages")
    ended = doctor(ASSAY_OSV_DATABASE=str(tmp_path / "gone"))
    assert "is not there\n→ put OSV's export there" in lines(ended, "Packages")
    assert ended.code == 1
    assert "asked for at https://osv.example" in lines(doctor(ASSAY_OSV_URL="https://osv.example"), "Packages")
