"""The JSON shapes of check runs and check suites."""

from __future__ import annotations

from typing import Any

from bot.demo.github_state import CheckRun, CheckSuite, Pull, World
from bot.demo.pull_shapes import reference
from bot.demo.shapes import Json, app, node, repository, simple_commit, stamp

# The worst of these is the suite's conclusion.
_GRAVITY = ("failure", "timed_out", "cancelled", "action_required", "stale", "success", "neutral", "skipped")


def pulls_with_head(world: World, repo: str, sha: str) -> list[Pull]:
    """Open pull requests of this head. Those from forks are not told to checks, as on GitHub."""
    return [p for p in world.pulls_of(repo) if p.state == "open" and p.head_sha == sha and not p.from_fork]


def check_run(world: World, run: CheckRun) -> Json:
    repo = world.repositories[run.repo]
    url, web = f"{world.api}/repos/{run.repo}/check-runs/{run.id}", f"{world.url}/{run.repo}/runs/{run.id}"
    return {
        "id": run.id,
        "name": run.name,
        "node_id": node("CR", run.id),
        "head_sha": run.head_sha,
        "external_id": run.external_id,
        "url": url,
        "html_url": web,
        "details_url": run.details_url or web,
        "status": run.status,
        "conclusion": run.conclusion,
        "started_at": stamp(run.started_at),
        "completed_at": stamp(run.completed_at),
        "output": {
            "title": run.title,
            "summary": run.summary,
            "text": run.output.get("text"),
            "annotations_count": len(run.annotations),
            "annotations_url": f"{url}/annotations",
        },
        "check_suite": {"id": run.suite},
        "app": app(world),
        "pull_requests": [reference(world, pull) for pull in pulls_with_head(world, repo.full_name, run.head_sha)],
    }


def annotation(world: World, run: CheckRun, made: dict[str, Any]) -> Json:
    optional = ("start_column", "end_column", "title", "raw_details")
    return {
        **dict.fromkeys(optional),
        **made,
        "blob_href": f"{world.url}/{run.repo}/blob/{run.head_sha}/{made['path']}",
    }


def latest_runs(world: World, suite: CheckSuite) -> list[CheckRun]:
    """The newest check run of each name."""
    newest = dict[str, CheckRun]()
    for run in reversed(world.runs.values()):
        if run.id < suite.id:
            # It was made before, as all that are left.
            break
        if run.suite == suite.id:
            newest.setdefault(run.name, run)
    return list(newest.values())


def standing(world: World, suite: CheckSuite) -> tuple[str, str | None]:
    """The suite's status and conclusion, from its newest check runs."""
    runs = latest_runs(world, suite)
    if not runs or suite.rerequested:
        return "queued", None
    if any(run.status != "completed" for run in runs):
        started = any(run.status != "queued" for run in runs)
        return ("in_progress" if started else "queued"), None
    found = {run.conclusion for run in runs}
    return "completed", next(conclusion for conclusion in _GRAVITY if conclusion in found)


def check_suite(world: World, suite: CheckSuite) -> Json:
    repo = world.repositories[suite.repo]
    url = f"{world.api}/repos/{suite.repo}/check-suites/{suite.id}"
    state, conclusion = standing(world, suite)
    return {
        "id": suite.id,
        "node_id": node("CS", suite.id),
        "head_branch": suite.head_branch,
        "head_sha": suite.head_sha,
        "status": state,
        "conclusion": conclusion,
        "url": url,
        "before": suite.before,
        "after": suite.head_sha,
        "pull_requests": [reference(world, pull) for pull in pulls_with_head(world, suite.repo, suite.head_sha)],
        "app": app(world),
        "repository": repository(world, repo),
        "created_at": stamp(suite.created_at),
        "updated_at": stamp(suite.updated_at),
        "rerequestable": True,
        "runs_rerequestable": True,
        "latest_check_runs_count": len(latest_runs(world, suite)),
        "check_runs_url": f"{url}/check-runs",
        "head_commit": simple_commit(repo.git.commit(suite.head_sha)),
    }
