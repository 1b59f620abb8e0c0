"""git over smart HTTP, served by the real `git http-backend`: reading only.

https://git-scm.com/docs/http-protocol
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping

from bot.demo.access import TokenCaller, identify
from bot.demo.answers import Problem, Reply
from bot.demo.bare import clean_environment
from bot.demo.github_state import World

GIT_PATH = re.compile(r"/(?P<repo>[\w.-]+/[\w.-]+)\.git/(?P<rest>.*)")
TIMEOUT = 120  # seconds


def serve_git(world: World, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes) -> Reply:
    """Answer one request of a git client. Raises `Problem` where the caller may not read."""
    match = GIT_PATH.fullmatch(path)
    if match is None:
        raise Problem(404, "Not Found")
    if "git-receive-pack" in (match["rest"], query.removeprefix("service=")):
        raise Problem(403, "Write access to repository not granted.")
    if (match["rest"], query) != ("info/refs", "service=git-upload-pack") and match["rest"] != "git-upload-pack":
        raise Problem(403, "Please upgrade your git client. GitHub.com no longer supports git over dumb-http.")
    with world.lock:
        folder = _readable(world, match["repo"], headers.get("authorization"))
    environment = {
        **clean_environment(),
        "GIT_PROJECT_ROOT": folder,
        "GIT_HTTP_EXPORT_ALL": "1",
        "REQUEST_METHOD": method,
        "PATH_INFO": f"/{match['rest']}",
        "QUERY_STRING": query,
        "CONTENT_TYPE": headers.get("content-type", ""),
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_CONTENT_ENCODING": headers.get("content-encoding", ""),
        "GIT_PROTOCOL": headers.get("git-protocol", ""),
        "REMOTE_ADDR": "127.0.0.1",
    }
    done = subprocess.run(
        ["git", "http-backend"],  # noqa: S607
        input=body,
        capture_output=True,
        env=environment,
        timeout=TIMEOUT,
    )
    return _reply(done.stdout)


def _readable(world: World, full_name: str, authorization: str | None) -> str:
    """The repository's directory, once the caller has shown that it may read it."""
    wanted = world.renamed.get(full_name.lower(), full_name).lower()
    repo = next((r for name, r in world.repositories.items() if name.lower() == wanted), None)
    if repo is not None and not repo.private and authorization is None:
        return str(repo.git.path)
    if authorization is None:
        raise Problem(401, "Authentication required", headers={"WWW-Authenticate": 'Basic realm="GitHub"'})
    caller = identify(world, authorization)
    if repo is None or not isinstance(caller, TokenCaller):
        raise Problem(404, "Repository not found.")
    if not caller.sees(world, repo):
        if repo.private:
            raise Problem(404, "Repository not found.")
    elif not caller.holds("contents", "read"):
        raise Problem(403, "Resource not accessible by integration")
    return str(repo.git.path)


def _reply(output: bytes) -> Reply:
    """A CGI answer, taken apart."""
    head, _, body = output.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode("latin-1").split("\r\n") if ": " in line)
    status = int(headers.pop("Status", "200").split()[0])
    media_type = headers.pop("Content-Type", "text/plain")
    return Reply(status=status, raw=body, media_type=media_type, headers=headers)
