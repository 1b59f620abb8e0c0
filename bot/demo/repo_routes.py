"""The API's part about repositories, their commits and their files, answered from real git objects.

https://docs.github.com/rest/repos and https://docs.github.com/rest/commits
"""

from __future__ import annotations

import base64
import textwrap
from itertools import dropwhile
from urllib.parse import quote

from bot.demo import shapes
from bot.demo.answers import Problem, Reply, not_found
from bot.demo.bare import Entry
from bot.demo.diffs import changed_files
from bot.demo.github_state import Repository
from bot.demo.routing import Call, Route, read

FILES_LIMIT, COMMITS_LIMIT = 300, 250
INLINE_LIMIT, RAW_LIMIT = 1 << 20, 100 << 20  # bytes
_ROLES = {"admin": "admin", "maintain": "write", "write": "write", "triage": "read", "read": "read", "none": "none"}
_KINDS = {"120000": "symlink", "160000": "submodule", "040000": "dir"}


def get_repository(call: Call) -> Reply:
    return Reply(shapes.full_repository(call.world, call.repo))


def get_contents(call: Call) -> Reply:
    repo, path = call.repo, call.arguments.get("path", "").strip("/")
    ref = call.query.get("ref") or repo.default_branch
    sha = repo.git.resolve(ref)
    if sha is None:
        raise Problem(404, f"No commit found for the ref {ref}")
    entry = repo.git.entry(sha, path)
    if entry is None:
        raise not_found()
    if entry.kind != "tree":
        return _file(call, repo, ref, entry)
    listed = sorted(repo.git.listing(entry.sha), key=lambda item: item.path)
    under = f"{path}/" if path else ""
    return Reply([_described(call, repo, ref, item, under + item.path) for item in listed])


def _file(call: Call, repo: Repository, ref: str, entry: Entry) -> Reply:
    shape = _described(call, repo, ref, entry, entry.path)
    if entry.kind == "commit":
        return Reply({**shape, "submodule_git_url": None})
    if entry.size > RAW_LIMIT:
        raise Problem(403, "This API returns blobs up to 100 MB in size.")
    data = repo.git.blob(entry.sha)
    if "raw" in call.accept:
        return Reply(raw=data, media_type="application/vnd.github.raw+json; charset=utf-8")
    if shape["type"] == "symlink":
        return Reply({**shape, "target": data.decode(errors="replace")})
    if entry.size > INLINE_LIMIT:
        return Reply({**shape, "encoding": "none", "content": ""})
    encoded = "\n".join(textwrap.wrap(base64.b64encode(data).decode(), 60))
    return Reply({**shape, "encoding": "base64", "content": encoded + "\n" if encoded else ""})


def _described(call: Call, repo: Repository, ref: str, entry: Entry, path: str) -> shapes.Json:
    api, web = f"{call.world.api}/repos/{repo.full_name}", f"{call.world.url}/{repo.full_name}"
    kind, name = _KINDS.get(entry.mode, "file"), quote(path)
    url, page = f"{api}/contents/{name}?ref={quote(ref)}", f"{web}/blob/{quote(ref)}/{name}"
    git = f"{api}/git/{'trees' if kind == 'dir' else 'blobs'}/{entry.sha}"
    return {
        "type": kind,
        "size": entry.size,
        "name": path.rsplit("/", 1)[-1],
        "path": path,
        "sha": entry.sha,
        "url": url,
        "git_url": git,
        "html_url": page,
        "download_url": f"{web}/raw/{quote(ref)}/{name}" if kind == "file" else None,
        "_links": {"self": url, "git": git, "html": page},
    }


def compare(call: Call) -> Reply:
    repo, git, world = call.repo, call.repo.git, call.world
    names = call.arguments["basehead"].split("...")
    # A side may name its owner: `octo:main`.
    shas = [git.resolve(name.rpartition(":")[2]) for name in names]
    if len(shas) != 2 or shas[0] is None or shas[1] is None:
        raise not_found()
    base, head = shas[0], shas[1]
    middle = git.merge_base(base, head)
    if middle is None:
        raise Problem(404, f"No common ancestor between {names[0]} and {names[1]}.")
    ahead, behind = git.count(f"{base}..{head}"), git.count(f"{head}..{base}")
    status = {(0, 0): "identical", (1, 0): "ahead", (0, 1): "behind", (1, 1): "diverged"}[min(ahead, 1), min(behind, 1)]
    commits = call.page(git.commits(f"{base}..{head}", COMMITS_LIMIT), lambda made: shapes.commit(world, repo, made))
    # Files come with the first page only.
    files = changed_files(git, middle, head)[:FILES_LIMIT] if call.query.get("page", "1") == "1" else []
    web = f"{world.url}/{repo.full_name}/compare/{names[0]}...{names[1]}"
    body = {
        "url": f"{world.api}{call.path}",
        "html_url": web,
        "permalink_url": web,
        "diff_url": f"{web}.diff",
        "patch_url": f"{web}.patch",
        "base_commit": shapes.commit(world, repo, git.commit(base)),
        "merge_base_commit": shapes.commit(world, repo, git.commit(middle)),
        "status": status,
        "ahead_by": ahead,
        "behind_by": behind,
        "total_commits": ahead,
        "commits": commits.body,
        "files": [shapes.changed_file(world, repo, file, head) for file in files],
    }
    return Reply(body, headers=commits.headers)


def get_commit(call: Call) -> Reply:
    repo, ref = call.repo, call.arguments["ref"]
    sha = repo.git.resolve(ref)
    if sha is None:
        raise Problem(422, f"No commit found for SHA: {ref}")
    if "sha" in call.accept:
        return Reply(raw=sha.encode(), media_type="application/vnd.github.sha; charset=utf-8")
    made = repo.git.commit(sha)
    before = made.parents[0] if made.parents else repo.git.line("hash-object", "-t", "tree", "--stdin")
    files = changed_files(repo.git, before, sha)[:FILES_LIMIT]
    added, removed = sum(file.additions for file in files), sum(file.deletions for file in files)
    return Reply(
        {
            **shapes.commit(call.world, repo, made),
            "stats": {"total": added + removed, "additions": added, "deletions": removed},
            "files": [shapes.changed_file(call.world, repo, file, sha) for file in files],
        }
    )


def get_branch(call: Call) -> Reply:
    repo, name = call.repo, call.arguments["branch"]
    sha = repo.git.resolve(f"refs/heads/{name}")
    if sha is None:
        raise Problem(404, "Branch not found")
    api = f"{call.world.api}/repos/{repo.full_name}/branches/{name}"
    return Reply(
        {
            "name": name,
            "commit": shapes.commit(call.world, repo, repo.git.commit(sha)),
            "_links": {"self": api, "html": f"{call.world.url}/{repo.full_name}/tree/{name}"},
            "protected": False,
            "protection": {"enabled": False},
            "protection_url": f"{api}/protection",
        }
    )


def list_activity(call: Call) -> Reply:
    """The moves of branches, the newest first. A cursor names the last one of the page before."""
    query, wanted = call.query, call.query.get("ref", "")
    moves = [move for move in reversed(call.world.moves) if move.repo == call.repo.full_name]
    if wanted:
        moves = [move for move in moves if wanted in (move.ref, move.ref.removeprefix("refs/heads/"))]
    if (kind := query.get("activity_type")) is not None:
        moves = [move for move in moves if move.kind == kind]
    if query.get("direction", "desc") == "asc":
        moves.reverse()
    if (after := query.get("after")) is not None:
        moves = [*dropwhile(lambda move: str(move.id) != after, moves)][1:]
    size = min(int(query.get("per_page", "30")), 100)
    more = len(moves) > size
    links = {"Link": f'<{call.link(after=str(moves[size - 1].id))}>; rel="next"'} if more else {}
    return Reply([shapes.activity(call.world, move) for move in moves[:size]], headers=links)


def get_ref(call: Call) -> Reply:
    repo, ref = call.repo, f"refs/{call.arguments['ref']}"
    sha = repo.git.resolve(ref, "object")
    if sha is None:
        raise not_found()
    api = f"{call.world.api}/repos/{repo.full_name}/git"
    kind = repo.git.line("cat-file", "-t", sha)
    target = {"sha": sha, "type": kind, "url": f"{api}/{kind}s/{sha}"}
    return Reply({"ref": ref, "node_id": f"REF_{sha}", "url": f"{api}/{ref}", "object": target})


def get_collaborator_permission(call: Call) -> Reply:
    world, repo, login = call.world, call.repo, call.arguments["login"]
    if login not in world.users:
        raise not_found()
    role = repo.collaborators.get(login, "none" if repo.private else "read")
    if world.users[login] is repo.owner:
        role = "admin"
    person = {**shapes.user(world, world.users[login]), "role_name": role}
    return Reply({"permission": _ROLES[role], "role_name": role, "user": person})


def get_team_membership(call: Call) -> Reply:
    slug = f"{call.arguments['org']}/{call.arguments['team']}"
    active = call.world.teams.get(slug, {}).get(call.arguments["login"])
    if active is None:
        raise not_found()
    url = f"{call.world.api}{call.path}"
    return Reply({"url": url, "role": "member", "state": "active" if active else "pending"})


_REPO = "/repos/{owner}/{repo}"
REPO_ROUTES: list[Route] = [
    read(_REPO, get_repository, "metadata"),
    read(f"{_REPO}/contents", get_contents, "contents"),
    read(f"{_REPO}/contents/{{path:path}}", get_contents, "contents"),
    read(f"{_REPO}/compare/{{basehead:path}}", compare, "contents"),
    read(f"{_REPO}/commits/{{ref:path}}", get_commit, "contents"),
    read(f"{_REPO}/activity", list_activity, "contents"),
    read(f"{_REPO}/branches/{{branch:path}}", get_branch, "contents"),
    read(f"{_REPO}/git/ref/{{ref:path}}", get_ref, "contents"),
    read(f"{_REPO}/collaborators/{{login}}/permission", get_collaborator_permission, "metadata"),
    read("/orgs/{org}/teams/{team}/memberships/{login}", get_team_membership, "members"),
]
