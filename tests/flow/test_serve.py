"""`assay serve` with real processes: what it starts, what it survives, and what it leaves behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import httpx
import psutil
import pytest
from redis import Redis

from bot.demo.github import StandInGitHub
from bot.redis.embedded import EmbeddedRedis
from tests.servers import free_port, get, gone, leave_asleep, until
from workers.sandbox.choice import choose
from workers.sandbox.views import why_no_views

REPOSITORY = "octo/demo"
QUICK = "agents:\n  test: {enabled: false}\n  security: {enabled: false}\n  review: {enabled: false}\n"
HERE = Path(__file__).parents[2]
PATIENCE = 30.0
# Redis, ten roles, and a keeper and a work-horse for each of the six that are agents.
PROCESSES = 1 + 10 + 6 * 2


class Serve:
    """`assay serve` as somebody starts it in a terminal. Its log goes to a file."""

    def __init__(self, github: StandInGitHub, folder: Path) -> None:
        self.github = github
        self.data = folder / "data"
        self.log = folder / "log"
        self.port = free_port()
        github.webhook_url = f"http://127.0.0.1:{self.port}/webhook"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ASSAY_", "OPENAI_"))}
        self.environment = kept | {
            "ASSAY_GITHUB_APP_ID": str(github.app_id),
            "ASSAY_GITHUB_PRIVATE_KEY": github.private_key,
            "ASSAY_GITHUB_WEBHOOK_SECRET": github.webhook_secret,
            "ASSAY_GITHUB_API_URL": github.api_url,
            "ASSAY_GITHUB_URL": github.url,
            "ASSAY_DATA_DIR": str(self.data),
            "ASSAY_PORT": str(self.port),
            "PYTHONPATH": str(HERE),
        }
        self.folder = folder
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, **extra: str) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "bot.cli", "serve"],
                env=self.environment | extra,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.started.append(process)
        self.until("an answer", lambda: self.status("healthz") == 200 or process.poll() is not None)
        assert process.poll() is None, self.log.read_text()
        return process

    def until(self, what: str, true: Callable[[], object]) -> None:
        """Wait for something that another process does."""
        until(what, true, PATIENCE, self.log.read_text)

    def logged(self, text: str) -> bool:
        return text in self.log.read_text()

    def run(self, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
        """Another command of Assay's with the same settings."""
        command = [sys.executable, "-m", "bot.cli", *arguments]
        environment = self.environment | extra
        return subprocess.run(
            command, env=environment, cwd=self.folder, capture_output=True, text=True, timeout=PATIENCE
        )

    def status(self, page: str) -> int:
        try:
            return get(f"http://127.0.0.1:{self.port}/{page}", timeout=5).status_code
        except httpx.TransportError:
            return 0

    def tree(self) -> list[psutil.Process]:
        """The running supervisor's descendants."""
        return psutil.Process(self.started[-1].pid).children(recursive=True)

    def child(self, name: str) -> psutil.Process:
        """A child by what it does: forks all look alike, but they are started in the order of the roles."""
        roles = ["web", "sweep", "intake", "publish", "test", "lint", "security", "review", "command", "extension"]
        python = [child for child in psutil.Process(self.started[-1].pid).children() if "redis" not in child.name()]
        return sorted(python, key=lambda child: child.pid)[roles.index(name)]

    def conclusion(self, sha: str) -> str | None:
        checks = [check for check in self.github.checks(REPOSITORY, sha) if check.name == "assay"]
        return checks[0].conclusion if checks else None

    def await_verdict(self, sha: str) -> str | None:
        self.until("a verdict", lambda: self.conclusion(sha))
        return self.conclusion(sha)

    def push(self, text: str) -> str:
        return self.github.push(REPOSITORY, "main", {"demo.py": text})

    def push_answers(self) -> list[int]:
        """What the webhook answered to each push."""
        return [delivery.status_code for delivery in self.github.deliveries if delivery.event == "push"]

    def clear(self) -> None:
        """End what a test left running, whether it failed or not."""
        for process in self.started:
            if process.poll() is None:
                tree = psutil.Process(process.pid).children(recursive=True)
                process.kill()
                for one in tree:
                    try:
                        one.kill()
                    except psutil.NoSuchProcess:
                        continue
            process.wait()


@pytest.fixture
def serve() -> Iterator[Serve]:
    # Not pytest's own folder: a unix socket's path must be short.
    with (
        tempfile.TemporaryDirectory(prefix="assay-t-", ignore_cleanup_errors=True) as folder,
        StandInGitHub() as github,
    ):
        github.add_repository(REPOSITORY, {".github/assay.yml": QUICK, "demo.py": "A = 1\n"})
        made = Serve(github, Path(folder))
        try:
            yield made
        finally:
            made.clear()


def command(serve: Serve, run: str) -> str:
    """Have an agent of the repository run that, and push."""
    config = QUICK + f"  lint: {{enabled: false}}\n  slow: {{run: '{run}', required: true}}\n"
    return serve.github.push(REPOSITORY, "main", {".github/assay.yml": config})


def test_webhook_leads_to_a_verdict_and_a_restart_remembers_it(serve: Serve) -> None:
    process = serve.start()
    serve.until("readiness", lambda: serve.status("readyz") == 200)
    sha = serve.push("import os\n")
    assert serve.await_verdict(sha) == "failure"
    tree = serve.tree()
    assert len(tree) == PROCESSES
    process.terminate()
    assert process.wait(PATIENCE) == 0
    assert [child for child in tree if child.is_running()] == []
    shown = serve.run("runs")
    assert f"{REPOSITORY}@{sha[:12]}" in shown.stdout
    serve.start()
    assert serve.await_verdict(serve.push("A = 2\n")) == "success"
    assert f"{REPOSITORY}@{sha[:12]}" in serve.run("runs").stdout
    log = serve.log.read_text()
    assert serve.environment["ASSAY_GITHUB_WEBHOOK_SECRET"] not in log
    assert "PRIVATE KEY" not in log
    assert "Traceback" not in log


def test_killed_children_are_replaced_and_no_webhook_is_lost(serve: Serve) -> None:
    serve.start()
    serve.until("readiness", lambda: serve.status("readyz") == 200)
    if sandboxed := not choose("bubblewrap", os.environ["PATH"]).why_not:
        leave_asleep("sleep", "62.8126")
    for name, role in (("lint", "lint-1"), ("intake", "intake-1"), ("web", "web")):
        serve.child(name).kill()
        serve.until(f"the end of {name}", partial(serve.logged, f"{role} was ended by SIGKILL"))
    # The socket is the supervisor's: whoever connects now is answered by the next web process.
    sha = serve.push("A = 2\n")
    assert serve.push_answers() == [202]
    assert serve.await_verdict(sha) == "success"
    serve.until("all to be back", lambda: len(serve.tree()) == PROCESSES)
    if sandboxed:
        serve.until("the end of what a killed one left", partial(gone, "62.8126"))


def test_killed_redis_is_replaced_with_its_data(serve: Serve) -> None:
    serve.start()
    sha = serve.push("A = 2\n")
    serve.await_verdict(sha)
    (redis,) = [child for child in serve.tree() if "redis" in child.name()]
    redis.kill()
    serve.until("another Redis", lambda: "starting it again" in serve.log.read_text())
    serve.until("readiness", lambda: serve.status("readyz") == 200)
    assert serve.await_verdict(serve.push("A = 3\n")) == "success"
    assert f"{REPOSITORY}@{sha[:12]}" in serve.run("runs").stdout


def test_ctrl_c_finishes_the_job_in_hand_once(serve: Serve, tmp_path: Path) -> None:
    """As a terminal does it: SIGINT to the whole foreground group."""
    process = serve.start(ASSAY_SANDBOX="none")
    sha = command(serve, f"echo x >> {tmp_path}/begun; sleep 1.5; echo x >> {tmp_path}/ended")
    serve.until("the job's begin", (tmp_path / "begun").exists)
    tree = serve.tree()
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(PATIENCE) == 0
    assert (tmp_path / "ended").exists()
    assert [child for child in tree if child.is_running()] == []
    serve.start(ASSAY_SANDBOX="none")
    assert serve.await_verdict(sha) == "success"
    assert (tmp_path / "begun").read_text() == "x\n"


def test_what_a_command_writes_lies_over_the_shared_files(serve: Serve) -> None:
    """As `assay serve` does it: each job has a view that is gone with it."""
    if why_not := choose("bubblewrap", os.environ["PATH"]).why_not or why_no_views(serve.data / "work"):
        pytest.skip(f"no views here: {why_not}")
    serve.start()
    for number in range(2):
        run = f"test ! -e made && date > made && test $(stat -f -c %T .) = overlayfs && echo {number}"
        assert serve.await_verdict(command(serve, run)) == "success", serve.log.read_text()
    shared = list((serve.data / "work").glob("*/*/kept/files"))
    assert len(shared) >= 2
    assert not [folder for folder in shared if (folder / "made").exists()]
    serve.until("the end of the views", lambda: not list((serve.data / "work").glob("runs/*")))


def test_second_ctrl_c_ends_the_job_in_hand(serve: Serve, tmp_path: Path) -> None:
    process = serve.start(ASSAY_SANDBOX="none")
    command(serve, f"touch {tmp_path}/begun; sleep 60")
    serve.until("the job's begin", (tmp_path / "begun").exists)
    tree = serve.tree()
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(1.2)
    assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(10) == 0
    assert [child for child in tree if child.is_running()] == []
    assert "command-1 is killed" in serve.log.read_text()


def test_killed_supervisor_takes_everything_along(serve: Serve) -> None:
    process = serve.start()
    serve.until("readiness", lambda: serve.status("readyz") == 200)
    tree = serve.tree()
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(tree, timeout=PATIENCE)
    assert alive == []
    serve.start()
    serve.until("readiness", lambda: serve.status("readyz") == 200)


def test_second_serve_is_refused(serve: Serve) -> None:
    process = serve.start()
    same_port = serve.run("serve", ASSAY_DATA_DIR=f"{serve.data}-2")
    assert same_port.returncode == 2
    assert f"assay: cannot listen on 127.0.0.1, port {serve.port}: Address already in use" in same_port.stderr
    same_data = serve.run("serve", ASSAY_PORT=str(free_port()))
    assert same_data.returncode == 2
    assert f"another Assay is running with the data directory {serve.data.resolve()}" in same_data.stderr
    assert process.poll() is None
    assert serve.status("readyz") == 200


def test_missing_settings_are_told_all_at_once(serve: Serve) -> None:
    del serve.environment["ASSAY_GITHUB_APP_ID"]
    del serve.environment["ASSAY_GITHUB_PRIVATE_KEY"]
    ended = serve.run("serve")
    assert ended.returncode == 2
    first, app_id, key = ended.stderr.splitlines()
    assert first == "assay: settings have to be mended:"
    assert app_id.startswith("  ASSAY_GITHUB_APP_ID is missing: ")
    assert key.startswith("  ASSAY_GITHUB_PRIVATE_KEY is missing: ")
    assert not serve.data.exists()


def test_redis_elsewhere_may_come_later_and_go_for_a_while(serve: Serve) -> None:
    redis = EmbeddedRedis(serve.folder / "redis")
    process = serve.start(ASSAY_REDIS_URL=redis.url)
    assert serve.status("readyz") == 503
    serve.push("A = 2\n")
    assert serve.push_answers() == [503]
    with redis:
        serve.until("readiness", lambda: serve.status("readyz") == 200)
        assert serve.await_verdict(serve.push("A = 3\n")) == "success"
    serve.until("the outage to be seen", lambda: serve.log.read_text().count("Redis is away, webhooks") == 2)
    time.sleep(2.5)
    with redis:
        assert serve.await_verdict(serve.push("A = 4\n")) == "success"
        assert Redis.from_url(redis.url).ping()
        process.terminate()
        assert process.wait(PATIENCE) == 0
    about_redis = [line for line in serve.log.read_text().splitlines() if "edis" in line]
    assert len(about_redis) < 15, "\n".join(about_redis)
