"""The payloads of webhooks, in their full shape.

https://docs.github.com/webhooks/webhook-events-and-payloads
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bot.demo import check_shapes, pull_shapes, shapes
from bot.demo.bare import NO_COMMIT, Commit
from bot.demo.diffs import changed_files
from bot.demo.github_state import CheckRun, CheckSuite, Comment, Pull, Repository, ReviewComment, User, World
from bot.demo.shapes import Json, node

PUSH_COMMITS = 2048


def push(world: World, repo: Repository, ref: str, before: str, after: str, pusher: User) -> Json:
    """`before` or `after` is forty zeros for a ref that was created or deleted."""
    created, deleted = before == NO_COMMIT, after == NO_COMMIT
    branch = ref.removeprefix("refs/heads/")
    commits = _pushed(world, repo, before, after) if ref.startswith("refs/heads/") and not deleted else []
    forced = not created and not deleted and repo.git.merge_base(before, after) != before
    web = f"{world.url}/{repo.full_name}"
    pushed_at = {name: int(at) for name, at in (("created_at", repo.created_at), ("pushed_at", repo.pushed_at))}
    owner = {**shapes.user(world, repo.owner), "name": repo.owner.login, "email": None}
    full = {
        **shapes.full_repository(world, repo),
        **pushed_at,
        "url": web,
        "owner": owner,
        "master_branch": repo.default_branch,
        "stargazers": 0,
    }
    return {
        "ref": ref,
        "before": before,
        "after": after,
        "created": created,
        "deleted": deleted,
        "forced": forced,
        "base_ref": None,
        "compare": f"{web}/compare/{before[:12]}...{after[:12]}" if not created else f"{web}/compare/{branch}",
        "commits": commits,
        "head_commit": None if deleted else _push_commit(world, repo, repo.git.commit(after)),
        "pusher": {"name": pusher.login, "email": f"{pusher.login}@users.noreply.example"},
        **_envelope(world, repo, pusher),
        "repository": full,
    }


def _pushed(world: World, repo: Repository, before: str, after: str) -> list[Json]:
    revisions = after if before == NO_COMMIT else f"{before}..{after}"
    return [_push_commit(world, repo, made) for made in repo.git.commits(revisions, PUSH_COMMITS)]


def _push_commit(world: World, repo: Repository, made: Commit) -> Json:
    files = changed_files(repo.git, made.parents[0], made.sha) if made.parents else []
    simple = shapes.simple_commit(made)
    return {
        **simple,
        "distinct": True,
        "url": f"{world.url}/{repo.full_name}/commit/{made.sha}",
        "author": {**simple["author"], "username": made.author[0]},
        "committer": {**simple["committer"], "username": made.committer[0]},
        "added": [file.path for file in files if file.status == "added"]
        if made.parents
        else repo.git.line("ls-tree", "-r", "--name-only", made.sha).splitlines(),
        "removed": [file.path for file in files if file.status == "removed"],
        "modified": [file.path for file in files if file.status not in ("added", "removed")],
    }


def pull_request(world: World, pull: Pull, action: str, sender: User, **more: Any) -> Json:
    """`more` is what the action adds: `before` and `after`, or `changes`."""
    repo = world.repositories[pull.repo]
    full = pull_shapes.full_pull_request(world, pull)
    settings = {
        "allow_auto_merge": False,
        "allow_update_branch": False,
        "delete_branch_on_merge": False,
        "allow_merge_commit": True,
        "allow_squash_merge": True,
        "allow_rebase_merge": True,
        "use_squash_pr_title_as_default": False,
        "squash_merge_commit_message": "COMMIT_MESSAGES",
        "squash_merge_commit_title": "COMMIT_OR_PR_TITLE",
        "merge_commit_message": "PR_TITLE",
        "merge_commit_title": "MERGE_MESSAGE",
    }
    for side in ("head", "base"):
        if full[side]["repo"]:
            full[side]["repo"] |= settings
    return {"action": action, "number": pull.number, "pull_request": full, **more, **_envelope(world, repo, sender)}


def check_run(world: World, run: CheckRun, action: str, sender: User, **more: Any) -> Json:
    """`more` is `requested_action`, where a button was pressed."""
    repo, suite = world.repositories[run.repo], world.suites[run.suite]
    shape = check_shapes.check_run(world, run)
    shape["check_suite"] = {
        key: value
        for key, value in check_shapes.check_suite(world, suite).items()
        if key not in ("head_commit", "repository", "latest_check_runs_count", "check_runs_url")
    }
    return {"action": action, "check_run": shape, **more, **_envelope(world, repo, sender)}


def check_suite(world: World, suite: CheckSuite, action: str, sender: User) -> Json:
    shape = check_shapes.check_suite(world, suite)
    del shape["repository"]
    repo = world.repositories[suite.repo]
    return {"action": action, "check_suite": shape, **_envelope(world, repo, sender)}


def merge_group(
    world: World, repo: Repository, head: str, ref: str, base: str, branch: str, sender: User, reason: str | None = None
) -> Json:
    """`reason` is why it left the queue; without one, it has entered it."""
    return {
        **({"action": "destroyed", "reason": reason} if reason else {"action": "checks_requested"}),
        "merge_group": {
            "head_sha": head,
            "head_ref": f"refs/heads/{ref}",
            "base_sha": base,
            "base_ref": f"refs/heads/{branch}",
            "head_commit": shapes.simple_commit(repo.git.commit(head)),
        },
        **_envelope(world, repo, sender),
    }


def issue_comment(world: World, comment: Comment, action: str, sender: User) -> Json:
    repo, pull = world.repositories[comment.repo], world.pulls[comment.repo, comment.number]
    body: Json = {
        "action": action,
        "issue": _issue(world, pull),
        "comment": pull_shapes.issue_comment(world, comment),
        **_envelope(world, repo, sender),
    }
    return {**body, "changes": {"body": {"from": ""}}} if action == "edited" else body


def review_comment(world: World, comment: ReviewComment, action: str, sender: User) -> Json:
    repo, pull = world.repositories[comment.repo], world.pulls[comment.repo, comment.number]
    return {
        "action": action,
        "comment": pull_shapes.review_comment(world, comment),
        "pull_request": pull_shapes.pull_request(world, pull),
        **_envelope(world, repo, sender),
    }


def review_thread(world: World, comment: ReviewComment, action: str, sender: User) -> Json:
    """`comment` is any of the thread's."""
    repo, pull = world.repositories[comment.repo], world.pulls[comment.repo, comment.number]
    said = [one for one in pull_shapes.comments_of(world, pull) if one.root == comment.root]
    thread = {
        "node_id": node("PRRT", comment.root),
        "comments": [pull_shapes.review_comment(world, one) for one in said],
    }
    return {
        "action": action,
        "thread": thread,
        "pull_request": pull_shapes.pull_request(world, pull),
        **_envelope(world, repo, sender),
    }


def installation(world: World, id_: int, action: str, repositories: Sequence[Repository], sender: User) -> Json:
    return {
        "action": action,
        "installation": shapes.installation(world, id_),
        "repositories": [_listed(repo) for repo in repositories],
        "requester": None,
        "sender": shapes.user(world, sender),
    }


def ping(world: World, url: str) -> Json:
    """What GitHub sends when the webhook is set up."""
    config = {"url": url, "content_type": "json", "insecure_ssl": "0", "secret": "********"}
    hook = {
        "type": "App",
        "id": 4242,
        "name": "web",
        "active": True,
        "events": list(world.app.events),
        "config": config,
        "updated_at": shapes.stamp(world.app.created_at),
        "created_at": shapes.stamp(world.app.created_at),
        "app_id": world.app.id,
        "deliveries_url": f"{world.api}/app/hook/deliveries",
    }
    return {"zen": "Keep it logically awesome.", "hook_id": 4242, "hook": hook}


def _envelope(world: World, repo: Repository, sender: User) -> Json:
    """What every payload about a repository carries."""
    shape: Json = {"repository": shapes.full_repository(world, repo), "sender": shapes.user(world, sender)}
    if repo.owner.type == "Organization":
        shape["organization"] = _organization(world, repo.owner)
    id_ = world.installation_of(repo)
    if id_ is not None:
        shape["installation"] = {"id": id_, "node_id": node("MDIz", id_)}
    return {**shape, "repository": {**shape["repository"], "custom_properties": {}}}


def _organization(world: World, account: User) -> Json:
    url = f"{world.api}/orgs/{account.login}"
    tails = {
        "repos_url": "/repos",
        "events_url": "/events",
        "hooks_url": "/hooks",
        "issues_url": "/issues",
        "members_url": "/members{/member}",
        "public_members_url": "/public_members{/member}",
    }
    return {
        "login": account.login,
        "id": account.id,
        "node_id": node("O", account.id),
        "url": url,
        **{name: url + tail for name, tail in tails.items()},
        "avatar_url": f"{world.url}/avatars/u/{account.id}",
        "description": "",
    }


def _issue(world: World, pull: Pull) -> Json:
    """The pull request as the issue that it also is."""
    shape = pull_shapes.pull_request(world, pull)
    api, web = shape["issue_url"], shape["html_url"]
    kept = ("id", "node_id", "number", "title", "user", "labels", "state", "locked", "assignee", "assignees")
    times = ("milestone", "created_at", "updated_at", "closed_at", "author_association", "active_lock_reason", "body")
    return {
        **{key: shape[key] for key in (*kept, *times, "draft")},
        "url": api,
        "repository_url": f"{world.api}/repos/{pull.repo}",
        "labels_url": f"{api}/labels{{/name}}",
        "comments_url": f"{api}/comments",
        "events_url": f"{api}/events",
        "html_url": web,
        "comments": sum((c.repo, c.number) == (pull.repo, pull.number) for c in world.comments.values()),
        "pull_request": {
            "url": shape["url"],
            "html_url": web,
            "diff_url": shape["diff_url"],
            "patch_url": shape["patch_url"],
            "merged_at": shape["merged_at"],
        },
        "reactions": {
            "url": f"{api}/reactions",
            "total_count": 0,
            **dict.fromkeys(("+1", "-1", "laugh", "hooray", "confused", "heart", "rocket", "eyes"), 0),
        },
        "timeline_url": f"{api}/timeline",
        "performed_via_github_app": None,
        "state_reason": None,
    }


def _listed(repo: Repository) -> Json:
    return {
        "id": repo.id,
        "node_id": node("R", repo.id),
        "name": repo.name,
        "full_name": repo.full_name,
        "private": repo.private,
    }
