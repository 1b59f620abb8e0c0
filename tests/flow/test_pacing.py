"""Writes keep to GitHub's pace, over all processes, and verdicts come first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from bot.demo.github import StandInGitHub
from bot.demo.limits import Limits
from bot.domain.publication import ANNOUNCED_AFTER
from bot.domain.run import RunKey
from bot.github.pacing import Limit
from bot.store import Store
from tests.flow.desk import PublishingDesk, sixty

AGENTS = ("test", "lint", "security", "review")
GITHUB = (Limit(80, 60.0), Limit(500, 3600.0))


@pytest.fixture(scope="module")
def github() -> Iterator[StandInGitHub]:
    # Its clock stands still beside ours, so it must not count.
    with StandInGitHub(
        limits=Limits(hourly=10**6, writes_a_minute=10**6, writes_an_hour=10**6), echo=False
    ) as stand_in:
        yield stand_in


@pytest.fixture
def desk(github: StandInGitHub, store: Store, request: pytest.FixtureRequest) -> Iterator[PublishingDesk]:
    store.redis.config_set("appendfsync", "no")
    made = PublishingDesk(github, store, f"{request.node.name.replace('_', '-')[5:40]}/demo", GITHUB)
    yield made
    made.app.close()
    store.redis.config_set("appendfsync", "always")


def use_up(desk: PublishingDesk, but: int = 0) -> None:
    """As though others had written, so that only so many writes may go at once."""
    while desk.budget.pause(desk.installation, but + 1) == 0:
        desk.budget.take(desk.installation)


def finish_all(desk: PublishingDesk, key: RunKey) -> None:
    for agent in AGENTS:
        desk.finish(key, agent=agent)


def most(times: list[float], period: float) -> int:
    """The most of these times that lie within one period."""
    return max(sum(at <= other < at + period for other in times[first:]) for first, at in enumerate(times))


def shown(desk: PublishingDesk) -> list[str]:
    """What was written, in order: a check by its name and status, else the path."""

    def name(body: Any, path: str) -> str:
        return f"{body['name']} {body['status']}" if "status" in body else path.rpartition("/")[2]

    return [name(answered.call.body, answered.call.path) for answered in desk.writes()]


def test_run_is_published_at_once(desk: PublishingDesk) -> None:
    began, key = desk.clock.time(), desk.open_pull(*AGENTS)
    desk.publish(key)
    assert desk.writes() == []
    assert desk.due(key) == pytest.approx(began + ANNOUNCED_AFTER, abs=0.01)
    desk.publish_next()
    finish_all(desk, key)
    desk.publish(key)
    assert desk.due(key) is None
    assert len(desk.writes()) == 5 + 5 + 1
    assert desk.clock.time() == pytest.approx(began + ANNOUNCED_AFTER, abs=0.01)


def test_run_whose_agents_are_quick_is_shown_with_its_results_only(desk: PublishingDesk) -> None:
    key = desk.open_pull(*AGENTS)
    desk.publish(key)
    finish_all(desk, key)
    desk.publish(key)
    assert len(desk.writes()) == 5 + 1
    desk.publish_next()
    assert len(desk.writes()) == 5 + 1


def test_many_runs_keep_to_the_minute_and_to_the_hour(desk: PublishingDesk) -> None:
    runs = [desk.commit(f"commit_{number}", *AGENTS) for number in range(40)]
    for key in runs:
        finish_all(desk, key)
        desk.publish(key)
    tries = len(runs)
    while desk.publish_next():
        tries += 1
    assert all(set(desk.conclusions(key).values()) == {"success"} for key in runs)
    times = [answered.at for answered in desk.writes()]
    assert len(times) == 40 * 5
    assert most(times, 60) <= 80
    assert most(times, 3600) <= 500
    assert tries <= len(times) + len(runs)
    assert desk.clock.pauses == [], "a worker slept"


def test_verdicts_of_all_go_before_other_results_of_any(desk: PublishingDesk) -> None:
    use_up(desk)
    runs = [desk.commit(f"commit_{number}", *AGENTS) for number in range(6)]
    for key in runs:
        finish_all(desk, key)
        desk.publish(key)
    while desk.publish_next():
        pass
    assert [name == "assay completed" for name in shown(desk)] == [True] * 6 + [False] * 24
    verdicts = [answered.call.body["head_sha"] for answered in desk.writes()[:6]]
    assert verdicts == [key.sha for key in runs], "first come, first served"


def test_verdict_goes_first_and_the_rest_when_there_is_room(desk: PublishingDesk) -> None:
    key = desk.open_pull(*AGENTS)
    desk.publish(key)
    finish_all(desk, key)
    use_up(desk, but=1)
    before = len(desk.writes())
    desk.publish(key)
    assert shown(desk)[before:] == ["assay completed"]
    due = desk.due(key)
    assert due is not None
    assert due - desk.clock.time() == pytest.approx(1, abs=0.02)
    desk.settle(key)
    assert set(desk.conclusions(key).values()) == {"success"}
    assert shown(desk)[-1] == "comments"


def test_progress_leaves_room_for_results(desk: PublishingDesk) -> None:
    use_up(desk, but=10)
    key = desk.open_pull(*AGENTS)
    desk.publish(key)
    assert desk.writes() == []
    due = desk.due(key)
    assert due is not None
    assert due > desk.clock.time()
    finish_all(desk, key)
    desk.publish(key)
    assert shown(desk)[0] == "assay completed"
    assert all(state.endswith("completed") for state in shown(desk)[:5])


def test_progress_that_was_put_off_is_shown_once_there_is_room(desk: PublishingDesk) -> None:
    use_up(desk)
    key = desk.open_pull(*AGENTS)
    desk.settle(key)
    assert shown(desk)[0] == "assay queued"
    assert set(shown(desk)) == {"assay queued", *(f"assay / {agent} queued" for agent in AGENTS)}


def test_nothing_is_asked_of_github_while_nothing_may_be_written(desk: PublishingDesk) -> None:
    use_up(desk)
    key = desk.open_pull(*AGENTS)
    finish_all(desk, key)
    asked = len(desk.answers)
    desk.publish(key)
    assert [answered.call.path for answered in desk.answers[asked:]] in ([], ["/app"])
    assert desk.due(key) is not None


def test_many_annotations_go_on_where_they_stopped(desk: PublishingDesk) -> None:
    key = desk.open_pull()
    desk.publish(key)
    desk.finish(key, *sixty())
    use_up(desk, but=2)
    desk.publish(key)
    assert desk.noted(key) == list(range(1, 51))
    assert desk.github.check(desk.repository, key.sha, "assay / lint").status == "in_progress"
    desk.settle(key)
    assert desk.noted(key) == list(range(1, 61))
    assert desk.conclusions(key)["assay / lint"] == "failure"


def test_partial_results_appear_as_each_agent_ends(desk: PublishingDesk) -> None:
    key = desk.open_pull(*AGENTS)
    desk.publish(key)
    for number, agent in enumerate(AGENTS, start=1):
        desk.pass_time(5)
        desk.finish(key, agent=agent)
        desk.publish(key)
        ended = [name for name, conclusion in desk.conclusions(key).items() if conclusion and name != "assay"]
        assert len(ended) == number
    assert desk.conclusions(key)["assay"] == "success"


def test_what_a_quick_run_has_left_behind_is_not_written(desk: PublishingDesk) -> None:
    """It is looked at anew before every write."""
    key = desk.open_pull(*AGENTS)
    real = desk.app.connection.send

    def ends_meanwhile(*args: Any) -> Any:
        answer = real(*args)
        if args[0].method == "POST" and args[0].path.endswith("/check-runs") and desk.store.load(key):
            finish_all(desk, key)
        return answer

    desk.app.connection.send = ends_meanwhile  # type: ignore[method-assign,assignment]  # agents end while it writes
    desk.pass_time(ANNOUNCED_AFTER)
    desk.publish(key)
    names = shown(desk)
    assert names[:2] == ["assay queued", "assay completed"]
    assert names[2:6] == [f"assay / {agent} completed" for agent in AGENTS]
