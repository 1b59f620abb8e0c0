"""The JSON shapes of accounts, repositories, commits, the App and its installations, as GitHub's API gives them."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

from bot.demo.bare import Commit
from bot.demo.diffs import ChangedFile
from bot.demo.github_state import Move, Repository, Status, Token, User, World

Json = dict[str, Any]

_USER_URLS = {
    "followers_url": "/followers",
    "following_url": "/following{/other_user}",
    "gists_url": "/gists{/gist_id}",
    "starred_url": "/starred{/owner}{/repo}",
    "subscriptions_url": "/subscriptions",
    "organizations_url": "/orgs",
    "repos_url": "/repos",
    "events_url": "/events{/privacy}",
    "received_events_url": "/received_events",
}
_REPOSITORY_URLS = {
    "forks_url": "/forks",
    "keys_url": "/keys{/key_id}",
    "collaborators_url": "/collaborators{/collaborator}",
    "teams_url": "/teams",
    "hooks_url": "/hooks",
    "issue_events_url": "/issues/events{/number}",
    "events_url": "/events",
    "assignees_url": "/assignees{/user}",
    "branches_url": "/branches{/branch}",
    "tags_url": "/tags",
    "blobs_url": "/git/blobs{/sha}",
    "git_tags_url": "/git/tags{/sha}",
    "git_refs_url": "/git/refs{/sha}",
    "trees_url": "/git/trees{/sha}",
    "statuses_url": "/statuses/{sha}",
    "languages_url": "/languages",
    "stargazers_url": "/stargazers",
    "contributors_url": "/contributors",
    "subscribers_url": "/subscribers",
    "subscription_url": "/subscription",
    "commits_url": "/commits{/sha}",
    "git_commits_url": "/git/commits{/sha}",
    "comments_url": "/comments{/number}",
    "issue_comment_url": "/issues/comments{/number}",
    "contents_url": "/contents/{+path}",
    "compare_url": "/compare/{base}...{head}",
    "merges_url": "/merges",
    "archive_url": "/{archive_format}{/ref}",
    "downloads_url": "/downloads",
    "issues_url": "/issues{/number}",
    "pulls_url": "/pulls{/number}",
    "milestones_url": "/milestones{/number}",
    "notifications_url": "/notifications{?since,all,participating}",
    "labels_url": "/labels{/name}",
    "releases_url": "/releases{/id}",
    "deployments_url": "/deployments",
}


def stamp(at: float | None) -> str | None:
    """A time as GitHub writes it; None stays None."""
    return None if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def node(kind: str, id_: int) -> str:
    """A node id: opaque to callers."""
    return f"{kind}_{base64.urlsafe_b64encode(id_.to_bytes(6, 'big')).decode()}"


def user(world: World, account: User) -> Json:
    url = f"{world.api}/users/{account.login}"
    page = f"apps/{account.login.removesuffix('[bot]')}" if account.type == "Bot" else account.login
    return {
        "login": account.login,
        "id": account.id,
        "node_id": node("U", account.id),
        "avatar_url": f"{world.url}/avatars/u/{account.id}",
        "gravatar_id": "",
        "url": url,
        "html_url": f"{world.url}/{page}",
        **{name: url + tail for name, tail in _USER_URLS.items()},
        "type": account.type,
        "user_view_type": "public",
        "site_admin": False,
    }


def full_user(world: World, account: User) -> Json:
    """The form of `GET /users/{login}`."""
    return {
        **user(world, account),
        **dict.fromkeys(("name", "company", "location", "email", "hireable", "bio", "twitter_username")),
        **dict.fromkeys(("public_repos", "public_gists", "followers", "following"), 0),
        **dict.fromkeys(("created_at", "updated_at"), stamp(world.app.created_at)),
        "blog": "",
    }


def repository(world: World, repo: Repository) -> Json:
    """The short form, as it stands inside other things."""
    url = f"{world.api}/repos/{repo.full_name}"
    return {
        "id": repo.id,
        "node_id": node("R", repo.id),
        "name": repo.name,
        "full_name": repo.full_name,
        "private": repo.private,
        "owner": user(world, repo.owner),
        "html_url": f"{world.url}/{repo.full_name}",
        "description": None,
        "fork": repo.fork_of is not None,
        "url": url,
        **{name: url + tail for name, tail in _REPOSITORY_URLS.items()},
    }


def full_repository(world: World, repo: Repository) -> Json:
    """The long form, of `GET /repos/{owner}/{repo}`, of webhooks and of a pull request's two sides."""
    host = world.url.split("://", 1)[1]
    pulls = sum(pull.state == "open" for pull in world.pulls_of(repo.full_name))
    forks = sum(other.fork_of == repo.full_name for other in world.repositories.values())
    return {
        **repository(world, repo),
        "git_url": f"git://{host}/{repo.full_name}.git",
        "ssh_url": f"ssh://git@{host}/{repo.full_name}.git",
        "clone_url": f"{world.url}/{repo.full_name}.git",
        "svn_url": f"{world.url}/{repo.full_name}",
        "mirror_url": None,
        "homepage": None,
        "language": None,
        "license": None,
        "size": 1,
        "default_branch": repo.default_branch,
        "visibility": "private" if repo.private else "public",
        "created_at": stamp(repo.created_at),
        "updated_at": stamp(repo.pushed_at),
        "pushed_at": stamp(repo.pushed_at),
        "topics": [],
        "open_issues": pulls,
        "open_issues_count": pulls,
        "forks": forks,
        "forks_count": forks,
        "network_count": forks,
        **dict.fromkeys(("stargazers_count", "watchers", "watchers_count", "subscribers_count"), 0),
        **dict.fromkeys(("has_issues", "has_projects", "has_wiki", "has_downloads", "allow_forking"), True),
        **dict.fromkeys(("has_pages", "has_discussions", "is_template"), False),
        "archived": repo.archived,
        "disabled": repo.disabled,
        "web_commit_signoff_required": False,
    }


def app(world: World) -> Json:
    record = world.app
    return {
        "id": record.id,
        "client_id": record.client_id,
        "slug": record.slug,
        "node_id": node("A", record.id),
        "owner": user(world, record.owner),
        "name": record.name,
        "description": "",
        "external_url": "https://example.com/",
        "html_url": f"{world.url}/apps/{record.slug}",
        "created_at": stamp(record.created_at),
        "updated_at": stamp(record.created_at),
        "permissions": {"metadata": "read", **record.permissions},
        "events": list(record.events),
    }


def installation(world: World, id_: int) -> Json:
    account, url = world.installations[id_], f"{world.api}/app/installations/{id_}"
    suspended_at = world.suspended_at.get(id_)
    return {
        "id": id_,
        "client_id": world.app.client_id,
        "account": user(world, account),
        "repository_selection": "selected",
        "access_tokens_url": f"{url}/access_tokens",
        "repositories_url": f"{world.api}/installation/repositories",
        "html_url": f"{world.url}/settings/installations/{id_}",
        "app_id": world.app.id,
        "app_slug": world.app.slug,
        "target_id": account.id,
        "target_type": account.type,
        "permissions": {"metadata": "read", **world.app.permissions},
        "events": list(world.app.events),
        "created_at": stamp(world.installed_at[id_]),
        "updated_at": stamp(suspended_at or world.installed_at[id_]),
        "single_file_name": None,
        "has_multiple_single_files": False,
        "single_file_paths": [],
        "suspended_by": None if suspended_at is None else user(world, account),
        "suspended_at": stamp(suspended_at),
    }


def access_token(world: World, token: Token) -> Json:
    chosen = [repo for repo in world.repositories.values() if repo.id in (token.repositories or ())]
    shape: Json = {
        "token": token.value,
        "expires_at": stamp(token.expires_at),
        "permissions": dict(token.permissions),
        "repository_selection": "all" if token.repositories is None else "selected",
    }
    if token.repositories is not None:
        shape["repositories"] = [full_repository(world, repo) for repo in chosen]
    return shape


def commit(world: World, repo: Repository, made: Commit) -> Json:
    url, web = f"{world.api}/repos/{repo.full_name}", f"{world.url}/{repo.full_name}"
    unverified = {"verified": False, "reason": "unsigned", "signature": None, "payload": None, "verified_at": None}
    return {
        "sha": made.sha,
        "node_id": f"C_{made.sha}",
        "commit": {
            "author": _person(made.author),
            "committer": _person(made.committer),
            "message": made.message,
            "tree": {"sha": made.tree, "url": f"{url}/git/trees/{made.tree}"},
            "url": f"{url}/git/commits/{made.sha}",
            "comment_count": 0,
            "verification": unverified,
        },
        "url": f"{url}/commits/{made.sha}",
        "html_url": f"{web}/commit/{made.sha}",
        "comments_url": f"{url}/commits/{made.sha}/comments",
        "author": _account(world, made.author[0]),
        "committer": _account(world, made.committer[0]),
        "parents": [
            {"sha": sha, "url": f"{url}/commits/{sha}", "html_url": f"{web}/commit/{sha}"} for sha in made.parents
        ],
    }


def simple_commit(made: Commit) -> Json:
    """A commit as webhooks and check suites give it."""
    return {
        "id": made.sha,
        "tree_id": made.tree,
        "message": made.message,
        "timestamp": made.committer[2],
        "author": {"name": made.author[0], "email": made.author[1]},
        "committer": {"name": made.committer[0], "email": made.committer[1]},
    }


def changed_file(world: World, repo: Repository, file: ChangedFile, head: str) -> Json:
    web, path = f"{world.url}/{repo.full_name}", file.path
    shape: Json = {
        "sha": file.sha,
        "filename": path,
        "status": file.status,
        "additions": file.additions,
        "deletions": file.deletions,
        "changes": file.additions + file.deletions,
        "blob_url": f"{web}/blob/{head}/{path}",
        "raw_url": f"{web}/raw/{head}/{path}",
        "contents_url": f"{world.api}/repos/{repo.full_name}/contents/{path}?ref={head}",
    }
    if file.patch is not None:
        shape["patch"] = file.patch
    return shape if file.previous is None else {**shape, "previous_filename": file.previous}


def activity(world: World, move: Move) -> Json:
    return {
        "id": move.id,
        "node_id": node("PSH", move.id),
        "before": move.before,
        "after": move.after,
        "ref": move.ref,
        "timestamp": stamp(move.at),
        "activity_type": move.kind,
        "actor": user(world, move.actor),
    }


def status(world: World, made: Status) -> Json:
    return {
        "url": f"{world.api}/repos/{made.repo}/statuses/{made.sha}",
        "avatar_url": f"{world.url}/avatars/in/{world.app.id}",
        "id": made.id,
        "node_id": node("SC", made.id),
        "state": made.state,
        "description": made.description,
        "target_url": made.target_url,
        "context": made.context,
        "created_at": stamp(made.created_at),
        "updated_at": stamp(made.created_at),
        "creator": user(world, made.creator),
    }


def _person(person: tuple[str, str, str]) -> Json:
    return {"name": person[0], "email": person[1], "date": person[2]}


def _account(world: World, name: str) -> Json | None:
    account = world.users.get(name)
    return user(world, account) if account else None
