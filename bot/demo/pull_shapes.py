"""The JSON shapes of pull requests, their comments and their reviews."""

from __future__ import annotations

from bot.demo.diffs import changed_files, moved_line
from bot.demo.github_state import Comment, Pull, Repository, Review, ReviewComment, Thread, User, World
from bot.demo.shapes import Json, full_repository, node, stamp, user


def association(world: World, repo: Repository, account: User) -> str:
    """The author's `author_association` with that repository."""
    if account is repo.owner:
        return "OWNER"
    if repo.collaborators.get(account.login, "none") != "none":
        return "MEMBER" if repo.owner.type == "Organization" else "COLLABORATOR"
    merged = any(pull.merged_at and pull.author is account for pull in world.pulls_of(repo.full_name))
    return "CONTRIBUTOR" if merged else "NONE"


def three_dot(world: World, pull: Pull) -> tuple[str, str]:
    """The two commits that the pull request's diff lies between: the merge base and the head."""
    git = world.repositories[pull.repo].git
    return git.merge_base(pull.base_sha, pull.head_sha) or pull.base_sha, pull.head_sha


def reference(world: World, pull: Pull) -> Json:
    """The short form that check runs and check suites carry."""
    base, head = world.repositories[pull.repo], world.repositories[pull.head_repo]
    return {
        "id": pull.id,
        "number": pull.number,
        "url": f"{world.api}/repos/{pull.repo}/pulls/{pull.number}",
        "head": {"ref": pull.head_ref, "sha": pull.head_sha, "repo": _tiny(world, head)},
        "base": {"ref": pull.base_ref, "sha": pull.base_sha, "repo": _tiny(world, base)},
    }


def pull_request(world: World, pull: Pull) -> Json:
    """The form of lists."""
    repo = world.repositories[pull.repo]
    api, web = f"{world.api}/repos/{pull.repo}", f"{world.url}/{pull.repo}/pull/{pull.number}"
    url, issue = f"{api}/pulls/{pull.number}", f"{api}/issues/{pull.number}"
    links = {
        "self": url,
        "html": web,
        "issue": issue,
        "comments": f"{issue}/comments",
        "review_comments": f"{url}/comments",
        "review_comment": f"{api}/pulls/comments{{/number}}",
        "commits": f"{url}/commits",
        "statuses": f"{api}/statuses/{pull.head_sha}",
    }
    return {
        "id": pull.id,
        "node_id": node("PR", pull.id),
        "number": pull.number,
        "url": url,
        "html_url": web,
        "diff_url": f"{web}.diff",
        "patch_url": f"{web}.patch",
        "issue_url": issue,
        **{f"{name}_url": links[name] for name in ("commits", "review_comments", "review_comment", "comments")},
        "statuses_url": links["statuses"],
        "_links": {name: {"href": href} for name, href in links.items()},
        "state": pull.state,
        "locked": False,
        "title": pull.title,
        "user": user(world, pull.author),
        "body": pull.body,
        "created_at": stamp(pull.created_at),
        "updated_at": stamp(pull.updated_at),
        "closed_at": stamp(pull.closed_at),
        "merged_at": stamp(pull.merged_at),
        "merge_commit_sha": pull.merge_sha,
        "assignee": None,
        "assignees": [],
        "requested_reviewers": [],
        "requested_teams": [],
        "labels": [],
        "milestone": None,
        "draft": pull.draft,
        "head": _side(world, pull.head_repo, pull.head_ref, pull.head_sha),
        "base": _side(world, pull.repo, pull.base_ref, pull.base_sha),
        "author_association": association(world, repo, pull.author),
        "auto_merge": None,
        "active_lock_reason": None,
    }


def full_pull_request(world: World, pull: Pull) -> Json:
    """The form of `GET /pulls/{number}` and of webhooks: with its counts, which cost a diff."""
    git = world.repositories[pull.repo].git
    base, head = three_dot(world, pull)
    files = changed_files(git, base, head)
    mergeable = None if pull.state == "closed" else pull.merge_sha is not None
    return {
        **pull_request(world, pull),
        "merged": pull.merged_at is not None,
        "mergeable": mergeable,
        "rebaseable": mergeable,
        "mergeable_state": {None: "unknown", True: "clean", False: "dirty"}[mergeable],
        "merged_by": user(world, pull.merged_by) if pull.merged_by else None,
        "comments": sum((c.repo, c.number) == (pull.repo, pull.number) for c in world.comments.values()),
        "review_comments": len(comments_of(world, pull)),
        "maintainer_can_modify": pull.from_fork,
        "commits": git.count(f"{base}..{head}"),
        "additions": sum(file.additions for file in files),
        "deletions": sum(file.deletions for file in files),
        "changed_files": len(files),
    }


def issue_comment(world: World, comment: Comment) -> Json:
    api = f"{world.api}/repos/{comment.repo}/issues"
    return {
        "id": comment.id,
        "node_id": node("IC", comment.id),
        "url": f"{api}/comments/{comment.id}",
        "html_url": f"{world.url}/{comment.repo}/pull/{comment.number}#issuecomment-{comment.id}",
        "issue_url": f"{api}/{comment.number}",
        "user": user(world, comment.author),
        "created_at": stamp(comment.created_at),
        "updated_at": stamp(comment.updated_at),
        "author_association": association(world, world.repositories[comment.repo], comment.author),
        "body": comment.body,
        "reactions": _reactions(f"{api}/comments/{comment.id}"),
        "performed_via_github_app": None,
    }


def review(world: World, made: Review) -> Json:
    pull = f"{world.api}/repos/{made.repo}/pulls/{made.number}"
    web = f"{world.url}/{made.repo}/pull/{made.number}#pullrequestreview-{made.id}"
    shape: Json = {
        "id": made.id,
        "node_id": node("PRR", made.id),
        "user": user(world, made.author),
        "body": made.body,
        "state": made.state,
        "html_url": web,
        "pull_request_url": pull,
        "author_association": association(world, world.repositories[made.repo], made.author),
        "_links": {"html": {"href": web}, "pull_request": {"href": pull}},
        "commit_id": made.commit_id,
    }
    return shape if made.state == "PENDING" else {**shape, "submitted_at": stamp(made.submitted_at)}


def review_comment(world: World, comment: ReviewComment) -> Json:
    pull = world.pulls[comment.repo, comment.number]
    url = f"{world.api}/repos/{comment.repo}/pulls/comments/{comment.id}"
    parent = f"{world.api}/repos/{comment.repo}/pulls/{comment.number}"
    web = f"{world.url}/{comment.repo}/pull/{comment.number}#discussion_r{comment.id}"
    line, start = line_now(world, comment), _start_now(world, comment)
    shape: Json = {
        "url": url,
        "pull_request_review_id": comment.review,
        "id": comment.id,
        "node_id": node("PRRC", comment.id),
        "diff_hunk": comment.diff_hunk,
        "path": comment.path,
        "position": 1 if line is not None or comment.line is None else None,
        "original_position": 1,
        "commit_id": pull.head_sha if line is not None else comment.original_commit,
        "original_commit_id": comment.original_commit,
        "user": user(world, comment.author),
        "body": comment.body,
        "created_at": stamp(comment.created_at),
        "updated_at": stamp(comment.updated_at),
        "html_url": web,
        "pull_request_url": parent,
        "author_association": association(world, world.repositories[comment.repo], comment.author),
        "_links": {"self": {"href": url}, "html": {"href": web}, "pull_request": {"href": parent}},
        "reactions": _reactions(url),
        "start_line": start,
        "original_start_line": comment.start_line,
        "start_side": comment.start_side,
        "line": line,
        "original_line": comment.line,
        "side": comment.side,
        "subject_type": "line" if comment.line else "file",
    }
    return shape if comment.in_reply_to is None else {**shape, "in_reply_to_id": comment.in_reply_to}


def line_now(world: World, comment: ReviewComment) -> int | None:
    """Where the comment's line lies at the pull request's head; None once it was changed."""
    return _now(world, comment, comment.line)


def _start_now(world: World, comment: ReviewComment) -> int | None:
    return _now(world, comment, comment.start_line) if line_now(world, comment) is not None else None


def _now(world: World, comment: ReviewComment, line: int | None) -> int | None:
    if line is None or comment.side == "LEFT":
        return line
    head = world.pulls[comment.repo, comment.number].head_sha
    return moved_line(world.repositories[comment.repo].git, comment.path, line, comment.original_commit, head)


def comments_of(world: World, pull: Pull) -> list[ReviewComment]:
    """The review comments that were published, oldest first."""
    pending = {id_ for id_, made in world.reviews.items() if made.state == "PENDING"}
    mine = [c for c in world.review_comments.values() if (c.repo, c.number) == (pull.repo, pull.number)]
    return [comment for comment in mine if comment.review not in pending]


def threads_of(world: World, pull: Pull) -> list[Thread]:
    """The review threads, oldest first."""
    comments = comments_of(world, pull)
    threads = []
    for root in (comment for comment in comments if comment.in_reply_to is None):
        line = line_now(world, root)
        threads.append(
            Thread(
                id=node("PRRT", root.id),
                path=root.path,
                line=line,
                resolved=root.id in world.resolved,
                outdated=root.line is not None and line is None,
                comments=[comment for comment in comments if comment.root == root.id],
            )
        )
    return threads


def _side(world: World, full_name: str, ref: str, sha: str) -> Json:
    repo = world.repositories.get(full_name)
    login = full_name.split("/")[0]
    return {
        "label": f"{login}:{ref}",
        "ref": ref,
        "sha": sha,
        "user": user(world, world.users[login]),
        "repo": full_repository(world, repo) if repo else None,
    }


def _tiny(world: World, repo: Repository) -> Json:
    return {"id": repo.id, "url": f"{world.api}/repos/{repo.full_name}", "name": repo.name}


def _reactions(url: str) -> Json:
    kinds = ("+1", "-1", "laugh", "hooray", "confused", "heart", "rocket", "eyes")
    return {"url": f"{url}/reactions", "total_count": 0, **dict.fromkeys(kinds, 0)}
