"""The API's part about check runs, check suites and commit statuses.

https://docs.github.com/rest/checks and https://docs.github.com/rest/commits/statuses
"""

from __future__ import annotations

from bot.demo import check_shapes, payloads, shapes
from bot.demo.answers import Problem, Reply, invalid, not_found
from bot.demo.bodies import CheckBody, CheckChange, NewCheck, NewStatus, NewSuite, parse
from bot.demo.github_state import CheckRun, CheckSuite, Repository, Status, World
from bot.demo.routing import Call, Route, read, write

STATUSES_A_CONTEXT = 1000


def create_check(call: Call) -> Reply:
    body, world, repo = parse(NewCheck, call.body), call.world, call.repo
    if repo.git.resolve(body.head_sha) is None:
        raise Problem(422, f"No commit found for SHA: {body.head_sha}")
    # Before its runs, as its number tells.
    suite = suite_for(world, repo, body.head_sha)
    run = CheckRun(
        id=next(world.ids),
        suite=suite.id,
        repo=repo.full_name,
        head_sha=body.head_sha,
        name=body.name,
        status="queued",
        started_at=world.clock(),
    )
    _apply(world, run, body)
    world.runs[run.id] = run
    world.announce("check_run", payloads.check_run(world, run, "created", world.app.bot))
    _tell_if_completed(world, run, before=None)
    return Reply(check_shapes.check_run(world, run), 201)


def update_check(call: Call) -> Reply:
    body, world, run = parse(CheckChange, call.body), call.world, _run(call)
    before = run.conclusion
    run.name = body.name or run.name
    _apply(world, run, body)
    _tell_if_completed(world, run, before)
    return Reply(check_shapes.check_run(world, run))


def _apply(world: World, run: CheckRun, body: CheckBody) -> None:
    """Annotations are appended; actions, like the output's texts, are replaced."""
    now = world.clock()
    run.writes += 1
    run.details_url = body.details_url or run.details_url
    run.external_id = run.external_id if body.external_id is None else body.external_id
    run.started_at = body.started_at.timestamp() if body.started_at else run.started_at
    if body.conclusion:
        completed = body.completed_at.timestamp() if body.completed_at else now
        run.status, run.conclusion, run.completed_at = "completed", body.conclusion, completed
    elif body.status:
        run.status, run.conclusion, run.completed_at = body.status, None, None
    if body.output:
        run.output = {"title": body.output.title, "summary": body.output.summary, "text": body.output.text}
        run.annotations += [made.model_dump(exclude_unset=True) for made in body.output.annotations]
    if body.actions is not None:
        run.actions = [action.model_dump() for action in body.actions]
    suite = world.suites[run.suite]
    suite.updated_at, suite.rerequested = now, False


def _tell_if_completed(world: World, run: CheckRun, before: str | None) -> None:
    if run.conclusion is None or before is not None:
        return
    world.announce("check_run", payloads.check_run(world, run, "completed", world.app.bot))
    suite = world.suites[run.suite]
    if check_shapes.standing(world, suite)[0] == "completed":
        world.announce("check_suite", payloads.check_suite(world, suite, "completed", world.app.bot))


def get_check(call: Call) -> Reply:
    return Reply(check_shapes.check_run(call.world, _run(call)))


def list_annotations(call: Call) -> Reply:
    run = _run(call)
    return call.page(run.annotations, lambda made: check_shapes.annotation(call.world, run, made))


def list_checks(call: Call) -> Reply:
    sha, repo = _commit(call), call.repo.full_name
    return _list(call, [run for run in call.world.runs.values() if (run.repo, run.head_sha) == (repo, sha)])


def list_suite_checks(call: Call) -> Reply:
    suite = _suite(call)
    return _list(call, [run for run in call.world.runs.values() if run.suite == suite.id])


def _list(call: Call, runs: list[CheckRun]) -> Reply:
    """Newest first. `filter=latest`, the default, shows the newest of each name only."""
    query = call.query
    if query.get("filter", "latest") not in ("latest", "all"):
        raise invalid("filter is not included in the list")
    if query.get("app_id") not in (None, str(call.world.app.id)):
        runs = []
    if query.get("filter", "latest") == "latest":
        runs = list({run.name: run for run in runs}.values())
    if name := query.get("check_name"):
        runs = [run for run in runs if run.name == name]
    if status := query.get("status"):
        runs = [run for run in runs if run.status == status]
    newest = sorted(runs, key=lambda run: -run.id)
    return call.page(newest, lambda run: check_shapes.check_run(call.world, run), "check_runs")


def rerequest_check(call: Call) -> Reply:
    world, run = call.world, _run(call)
    world.suites[run.suite].rerequested = True
    world.announce("check_run", payloads.check_run(world, run, "rerequested", world.app.bot))
    return Reply({}, 201)


def suite_for(world: World, repo: Repository, sha: str) -> CheckSuite:
    """The App's suite of that commit, made on first mention."""
    for suite in world.suites.values():
        if (suite.repo, suite.head_sha) == (repo.full_name, sha):
            return suite
    branches = repo.git.line("for-each-ref", f"--points-at={sha}", "--format=%(refname:short)", "refs/heads").split()
    parents = repo.git.commit(sha).parents
    now = world.clock()
    suite = CheckSuite(
        id=next(world.ids),
        repo=repo.full_name,
        head_sha=sha,
        head_branch=branches[0] if branches else None,
        before=parents[0] if parents else None,
        created_at=now,
        updated_at=now,
    )
    world.suites[suite.id] = suite
    return suite


def create_suite(call: Call) -> Reply:
    body, world, repo = parse(NewSuite, call.body), call.world, call.repo
    if repo.git.resolve(body.head_sha) is None:
        raise Problem(422, f"No commit found for SHA: {body.head_sha}")
    known = any((s.repo, s.head_sha) == (repo.full_name, body.head_sha) for s in world.suites.values())
    suite = suite_for(world, repo, body.head_sha)
    return Reply(check_shapes.check_suite(world, suite), 200 if known else 201)


def get_suite(call: Call) -> Reply:
    return Reply(check_shapes.check_suite(call.world, _suite(call)))


def list_suites(call: Call) -> Reply:
    sha, world = _commit(call), call.world
    suites = [s for s in world.suites.values() if (s.repo, s.head_sha) == (call.repo.full_name, sha)]
    return call.page(suites, lambda suite: check_shapes.check_suite(world, suite), "check_suites")


def rerequest_suite(call: Call) -> Reply:
    world, suite = call.world, _suite(call)
    suite.rerequested = True
    world.announce("check_suite", payloads.check_suite(world, suite, "rerequested", world.app.bot))
    return Reply({}, 201)


def create_status(call: Call) -> Reply:
    body, world, repo, sha = parse(NewStatus, call.body), call.world, call.repo, call.arguments["sha"]
    if repo.git.resolve(sha) != sha:
        raise Problem(422, f"No commit found for SHA: {sha}")
    same = [s for s in _statuses(call, sha) if s.context.lower() == body.context.lower()]
    if len(same) >= STATUSES_A_CONTEXT:
        raise invalid("This SHA and context has reached the maximum number of statuses.")
    made = Status(
        id=next(world.ids),
        repo=repo.full_name,
        sha=sha,
        state=body.state,
        context=body.context,
        description=body.description,
        target_url=body.target_url,
        creator=world.app.bot,
        created_at=world.clock(),
    )
    world.statuses.append(made)
    return Reply(shapes.status(world, made), 201)


def list_statuses(call: Call) -> Reply:
    return call.page(_statuses(call, _commit(call))[::-1], lambda made: shapes.status(call.world, made))


def combined_status(call: Call) -> Reply:
    sha, world, repo = _commit(call), call.world, call.repo
    latest = list({made.context.lower(): made for made in _statuses(call, sha)}.values())
    states = {made.state for made in latest}
    state = "failure" if states & {"error", "failure"} else "success" if states == {"success"} else "pending"
    return Reply(
        {
            "state": state,
            "sha": sha,
            "total_count": len(latest),
            "statuses": [shapes.status(world, made) for made in latest],
            "repository": shapes.repository(world, repo),
            "commit_url": f"{world.api}/repos/{repo.full_name}/commits/{sha}",
            "url": f"{world.api}/repos/{repo.full_name}/commits/{sha}/status",
        }
    )


def _statuses(call: Call, sha: str) -> list[Status]:
    return [made for made in call.world.statuses if (made.repo, made.sha) == (call.repo.full_name, sha)]


def _commit(call: Call) -> str:
    sha = call.repo.git.resolve(call.arguments["ref"])
    if sha is None:
        raise Problem(422, f"No commit found for SHA: {call.arguments['ref']}")
    return sha


def _run(call: Call) -> CheckRun:
    run = call.world.runs.get(call.number("id"))
    if run is None or run.repo != call.repo.full_name:
        raise not_found()
    return run


def _suite(call: Call) -> CheckSuite:
    suite = call.world.suites.get(call.number("id"))
    if suite is None or suite.repo != call.repo.full_name:
        raise not_found()
    return suite


_REPO = "/repos/{owner}/{repo}"
CHECK_ROUTES: list[Route] = [
    write("POST", f"{_REPO}/check-runs", create_check, "checks"),
    write("PATCH", f"{_REPO}/check-runs/{{id}}", update_check, "checks"),
    read(f"{_REPO}/check-runs/{{id}}", get_check, "checks"),
    read(f"{_REPO}/check-runs/{{id}}/annotations", list_annotations, "checks"),
    write("POST", f"{_REPO}/check-runs/{{id}}/rerequest", rerequest_check, "checks"),
    write("POST", f"{_REPO}/check-suites", create_suite, "checks"),
    read(f"{_REPO}/check-suites/{{id}}", get_suite, "checks"),
    read(f"{_REPO}/check-suites/{{id}}/check-runs", list_suite_checks, "checks"),
    write("POST", f"{_REPO}/check-suites/{{id}}/rerequest", rerequest_suite, "checks"),
    read(f"{_REPO}/commits/{{ref:path}}/check-runs", list_checks, "checks"),
    read(f"{_REPO}/commits/{{ref:path}}/check-suites", list_suites, "checks"),
    write("POST", f"{_REPO}/statuses/{{sha}}", create_status, "statuses"),
    read(f"{_REPO}/commits/{{ref:path}}/statuses", list_statuses, "statuses"),
    read(f"{_REPO}/commits/{{ref:path}}/status", combined_status, "statuses"),
]
