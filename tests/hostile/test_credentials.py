"""The App's credentials under `assay serve`: in which of its processes they are, and in which they never were."""

from __future__ import annotations

import base64
from contextlib import suppress

import psutil
import pytest

from tests.flow.test_serve import Serve, command
from tests.flow.test_serve import serve as _serve
from tests.processes import in_environment, in_files, in_memory

serve = _serve
AGENTS = ("test", "lint", "security", "review", "command", "extension")
ROLES = ("web", "sweep", "intake", "publish", *AGENTS)


def forms(key: str) -> tuple[bytes, ...]:
    """Parts of a private key, as it is written and as it is: the parameters beyond the public ones."""
    lines = key.splitlines()[1:-1]
    return lines[-3].encode(), base64.b64decode(lines[-3])


def own(child: psutil.Process) -> list[int]:
    """A child of the supervisor, its keeper, and its work-horse; not what is in a sandbox."""
    keepers = child.children()
    return [one.pid for one in (child, *keepers, *(horse for keeper in keepers for horse in keeper.children()))]


def holders(serve: Serve, *secrets: bytes) -> dict[bytes, set[str]]:
    """Of each of these the roles in one of whose processes it is in memory."""
    found = {role: {one for pid in own(serve.child(role)) for one in in_memory(pid, secrets)} for role in ROLES}
    return {one: {role for role in ROLES if one in found[role]} for one in secrets}


def under_way(serve: Serve) -> bool:
    """Whether an agent's command is running."""
    for one in serve.child("command").children(recursive=True):
        # It may have ended meanwhile.
        with suppress(psutil.Error):
            if any("62.0417" in word for word in one.cmdline()):
                return True
    return False


@pytest.mark.parametrize("given", ["by the environment", "by .env"])
def test_only_those_hold_the_apps_credentials_that_need_them(serve: Serve, given: str) -> None:
    """All that a process has ever written is looked through. That the look finds what is there is seen by those who do
    hold them."""
    if given == "by .env":
        (serve.folder / "app.pem").write_text(serve.environment.pop("ASSAY_GITHUB_PRIVATE_KEY"))
        secret = serve.environment.pop("ASSAY_GITHUB_WEBHOOK_SECRET")
        text = f"ASSAY_GITHUB_PRIVATE_KEY_FILE=app.pem\nASSAY_GITHUB_WEBHOOK_SECRET={secret}\n"
        (serve.folder / ".env").write_text(text)
    supervisor = serve.start().pid
    written, raw = forms(serve.github.private_key)
    hook = serve.github.webhook_secret.encode()
    assert serve.await_verdict(serve.push("A = 2\n")) == "success"
    command(serve, "sleep 62.0417")
    serve.until("a command to run", lambda: under_way(serve))

    found = holders(serve, written, raw, hook)
    assert found[written] == {"sweep", "intake", "publish"}
    assert found[raw] <= found[written]
    assert found[hook] == {"web"}
    assert in_memory(supervisor, (written, raw, hook)) == set()
    everybody = [supervisor, *(pid for child in psutil.Process(supervisor).children() for pid in own(child))]
    # Redis, ten roles, and a keeper and a work-horse for each of the six that are agents.
    assert len(everybody) == 1 + 1 + len(ROLES) + 2 * len(AGENTS)
    assert [pid for pid in everybody if in_environment(pid, (written, raw, hook))] == []
    # Out of it those take their part who need it: when they start.
    assert [pid for pid in everybody if in_files(pid, (written, raw, hook))] == [supervisor]


def test_one_that_is_started_again_holds_none_either(serve: Serve) -> None:
    serve.start()
    serve.until("readiness", lambda: serve.status("readyz") == 200)
    old = serve.child("lint")
    old.kill()
    serve.until("the end of one", lambda: serve.logged("lint-1 was ended by SIGKILL"))
    assert serve.await_verdict(serve.push("A = 2\n")) == "success"
    # It is the youngest of the supervisor's children now.
    new = max(psutil.Process(serve.started[-1].pid).children(), key=lambda child: child.create_time())
    assert new.pid != old.pid
    key = forms(serve.github.private_key)
    assert [pid for pid in own(new) if in_memory(pid, key) or in_files(pid, key)] == []
