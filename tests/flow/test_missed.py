"""Missed webhooks: failed deliveries are sent again, what GitHub never told is found, and no check stays unfinished."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

import bot.wiring
from bot.deliveries import Deliveries
from bot.demo.deliveries import Delivery
from bot.demo.github import StandInGitHub
from bot.domain.events import AgentStarted
from bot.domain.findings import Outcome
from bot.domain.run import RunKey
from bot.domain.verdict import Conclusion
from bot.locks import lock
from bot.missed import reconciliation, redelivery
from bot.missed.lookout import ABSENT, PACE, Lookout
from bot.missed.reconciliation import ON_ITS_WAY
from bot.telemetry.metrics import Tally
from tests.flow.assay import CLEAN, CONFIG, DIRTY, QUICK, REPOSITORY, Assay

HOUR = 3600.0
DAY = 24 * HOUR


def a_lookout() -> Lookout:
    """That of a process which has just started."""
    return bot.wiring.make_lookout(bot.wiring.settings(), Tally())


def be_absent(assay: Assay) -> None:
    """For long enough that no webhook is on its way any more."""
    assay.clock.ahead += ON_ITS_WAY + ABSENT


def come_back(assay: Assay) -> None:
    """What the lookout does after a time in which nobody was there, with all that follows from it."""
    be_absent(assay)
    lookout = a_lookout()
    while lookout.once() == PACE:
        pass
    assay.github.hook.settle()
    assay.settle()


@contextmanager
def silent(github: StandInGitHub) -> Iterator[None]:
    """GitHub sends nothing: the webhook is switched off, or its address wrong."""
    url, github.webhook_url = github.webhook_url, None
    yield
    github.webhook_url = url


def come_again(assay: Assay, lookout: Lookout, seconds: float) -> None:
    """Let time pass with the lookout there."""
    for _ in range(int(seconds / 50)):
        assay.clock.ahead += 50
        while lookout.once() == PACE:
            pass


def opened(github: StandInGitHub, branch: str = "feature", *, draft: bool = False) -> tuple[int, str]:
    sha = github.commit(REPOSITORY, branch, {"demo.py": DIRTY + f"\n\n# {branch}\n"})
    return github.open_pull(REPOSITORY, branch, draft=draft), sha


def asked_for(github: StandInGitHub) -> list[str]:
    """The GUIDs of deliveries that Assay had sent again."""
    ids = [request.path.split("/")[-2] for request in github.requests if request.path.endswith("/attempts")]
    by_id = {str(delivery.id): delivery.guid for delivery in github.deliveries}
    return [by_id[one] for one in ids]


def unfinished(github: StandInGitHub, sha: str) -> list[str]:
    return [check.name for check in github.checks(REPOSITORY, sha) if check.status != "completed"]


def stand_ins(assay: Assay) -> list[str]:
    """What became of the webhooks that the reconciliation made."""
    return [delivery.outcome for delivery in Deliveries(assay.redis).recent() if "missed-" in delivery.guid]


# -- deliveries that failed


def test_delivery_that_failed_is_sent_again(assay: Assay, github: StandInGitHub) -> None:
    come_back(assay)
    github.lose_deliveries(1)
    number, sha = opened(github)
    assay.settle()
    assert not assay.has_run(sha)
    come_back(assay)
    assert assay.verdict(sha) is Conclusion.FAILURE
    assert sha[:7] in assay.comment(number)
    assert asked_for(github) == [github.deliveries[0].guid]
    assert {delivery.guid for delivery in github.deliveries if delivery.event == "pull_request"} == set(
        asked_for(github)
    )


def test_delivery_is_looked_for_again_after_some_minutes_only(assay: Assay, github: StandInGitHub) -> None:
    lookout = a_lookout()
    while lookout.once() == PACE:
        pass
    asked = len(github.requests)
    come_again(assay, lookout, 550)
    assert len(github.requests) == asked
    come_again(assay, lookout, 100)
    assert [request.path for request in github.requests[asked:]] == ["/app/hook/deliveries"]


def test_delivery_that_came_although_its_answer_was_lost_is_not_asked_for(assay: Assay, github: StandInGitHub) -> None:
    _, sha = opened(github)
    (delivery,) = github.hook.log
    github.hook.log = [replace(delivery, status_code=0, status="timed out")]
    come_back(assay)
    assert assay.verdict(sha) is Conclusion.FAILURE
    assert asked_for(github) == []


def test_delivery_that_somebody_has_sent_again_is_not_asked_for(assay: Assay, github: StandInGitHub) -> None:
    opened(github)
    (delivery,) = github.hook.log
    failed = replace(delivery, id=delivery.id - 1, status_code=502)
    github.hook.log = [failed, replace(delivery, redelivery=True)]
    # Not even where the ledger is lost.
    assay.redis.flushall()
    come_back(assay)
    assert asked_for(github) == []


def test_deliveries_of_many_pages_are_all_sent_again_the_newest_first(assay: Assay, github: StandInGitHub) -> None:
    github.lose_deliveries(104)
    pings = [github.ping() for _ in range(104)]
    come_back(assay)
    assert asked_for(github) == [ping.guid for ping in reversed(pings) if ping is not None]
    assert assay.outcomes().count("accepted: ping") == 50
    assert len({delivery.guid for delivery in github.deliveries if delivery.ok}) == 104


def test_delivery_that_github_has_let_go_is_not_asked_for_again(assay: Assay, github: StandInGitHub) -> None:
    github.lose_deliveries(1)
    delivery = github.ping()
    assert delivery is not None
    lookout = a_lookout()
    lookout.once()
    github.hook.log = [_older(delivery, 4 * DAY)]
    assert lookout.once() == PACE
    assay.clock.ahead += HOUR
    come_back(assay)
    assert len([request for request in github.requests if request.path.endswith("/attempts")]) == 1


def _older(delivery: Delivery, seconds: float) -> Delivery:
    return replace(delivery, delivered_at=delivery.delivered_at - seconds)


def test_rate_limit_of_the_app_is_waited_out(assay: Assay, github: StandInGitHub) -> None:
    github.fail("secondary", path="/app/", seconds=900, times=2)
    lookout = a_lookout()
    lookout.once()
    asked = len(github.requests)
    assay.clock.ahead += 800
    lookout.once()
    assert len(github.requests) == asked
    assay.clock.ahead += 101
    lookout.once()
    assert len(github.requests) > asked


# -- what GitHub never told


def test_pull_request_that_nobody_told_of_is_found(assay: Assay, github: StandInGitHub) -> None:
    come_back(assay)
    with silent(github):
        number, sha = opened(github)
    come_back(assay)
    assert assay.verdict(sha) is Conclusion.FAILURE
    assert sha[:7] in assay.comment(number)
    assert stand_ins(assay) == [f"accepted: {REPOSITORY}@{sha}"]


def test_push_that_nobody_told_of_is_found(assay: Assay, github: StandInGitHub) -> None:
    come_back(assay)
    with silent(github):
        before = github.head(REPOSITORY, "main")
        sha = github.push(REPOSITORY, "main", {"demo.py": DIRTY})
    come_back(assay)
    assert assay.verdict(sha) is Conclusion.FAILURE
    assert assay.run(sha).base_sha == before


def test_closing_that_nobody_told_of_lets_the_run_go(assay: Assay, github: StandInGitHub) -> None:
    number, sha = opened(github)
    assay.settle("intake", "publish")
    with silent(github):
        github.close_pull(REPOSITORY, number)
    come_back(assay)
    assert assay.verdict(sha) is Conclusion.CANCELLED
    assert unfinished(github, sha) == []


def test_pull_request_that_moved_on_unheard_leaves_the_old_head(assay: Assay, github: StandInGitHub) -> None:
    number, old = opened(github)
    assay.settle("intake", "publish")
    with silent(github):
        new = github.push(REPOSITORY, "feature", {"demo.py": CLEAN + "\n\nX = 1\n"})
    come_back(assay)
    assert (assay.verdict(old), assay.verdict(new)) == (Conclusion.CANCELLED, Conclusion.SUCCESS)
    assert new[:7] in assay.comment(number)


def test_draft_that_became_ready_unheard_is_looked_at(assay: Assay, github: StandInGitHub) -> None:
    number, sha = opened(github, draft=True)
    assay.settle()
    with silent(github):
        github.mark_ready(REPOSITORY, number)
    come_back(assay)
    assert assay.verdict(sha) is Conclusion.FAILURE


def test_fork_is_checked_by_the_configuration_of_the_base(assay: Assay, github: StandInGitHub) -> None:
    come_back(assay)
    with silent(github):
        fork = github.fork(REPOSITORY, "mallory")
        sha = github.commit(fork, "evil", {"demo.py": DIRTY, CONFIG: "agents: {lint: {enabled: false}}\n"})
        github.open_pull(REPOSITORY, "evil", head_repo=fork, author="mallory")
    come_back(assay)
    assert not assay.run(sha).trusted
    assert assay.verdict(sha) is Conclusion.FAILURE


def test_what_is_known_is_not_told_again(assay: Assay, github: StandInGitHub) -> None:
    opened(github)
    github.push(REPOSITORY, "main", {"notes.txt": "x"})
    assay.settle()
    runs = {run.key.sha for run in assay.store.recent()}
    writes = [request for request in github.requests if request.method != "GET"]
    come_back(assay)
    come_back(assay)
    assert stand_ins(assay) == []
    assert {run.key.sha for run in assay.store.recent()} == runs
    new = [request.path for request in github.requests if request.method != "GET"][len(writes) :]
    assert [path for path in new if not path.endswith("/access_tokens")] == []


def test_pull_requests_are_found_where_github_does_not_tell_of_pushes(assay: Assay, github: StandInGitHub) -> None:
    come_back(assay)
    with silent(github):
        github.push(REPOSITORY, "main", {"notes.txt": "x"})
        _, sha = opened(github)
    github.fail(path="/activity", status=404)
    come_back(assay)
    assert assay.verdict(sha) is Conclusion.FAILURE


def test_what_may_be_on_its_way_is_left_to_the_next_pass(assay: Assay, github: StandInGitHub) -> None:
    with silent(github):
        _, sha = opened(github)
    lookout = a_lookout()
    while lookout.once() == PACE:
        pass
    assert stand_ins(assay) == []
    come_back(assay)
    assert assay.verdict(sha) is Conclusion.FAILURE


def test_what_nobody_wants_checked_is_told_once(assay: Assay, github: StandInGitHub) -> None:
    come_back(assay)
    with silent(github):
        opened(github, draft=True)
    for _ in range(3):
        come_back(assay)
    (outcome,) = stand_ins(assay)
    assert "drafts is false" in outcome


def test_first_start_leaves_old_pull_requests_alone(assay: Assay, github: StandInGitHub) -> None:
    with silent(github):
        number, old = opened(github)
        _, new = opened(github, "another")
    github.world.pulls[REPOSITORY, number].updated_at -= 2 * HOUR
    github.world.installed_at[github.installation("octo")] -= DAY
    come_back(assay)
    assert not assay.has_run(old)
    assert assay.verdict(new) is Conclusion.FAILURE


def test_what_was_there_before_the_app_is_left_alone(assay: Assay, github: StandInGitHub) -> None:
    with silent(github):
        _, sha = opened(github)
    github.world.installed_at[github.installation("octo")] += 60
    come_back(assay)
    assert not assay.has_run(sha)


@pytest.mark.parametrize("how", ["archived", "suspended"])
def test_what_is_asleep_is_left_alone(assay: Assay, github: StandInGitHub, how: str) -> None:
    with silent(github):
        _, sha = opened(github)
        if how == "archived":
            github.archive(REPOSITORY)
        else:
            github.announce_installation("octo", "suspend")
    come_back(assay)
    assert not assay.has_run(sha)
    last = reconciliation.load(assay.redis)
    assert last is not None
    assert (last.seen, last.ended is not None) == (0, True)


def test_pass_that_is_cut_off_is_gone_on_with(assay: Assay, github: StandInGitHub) -> None:
    for number in range(2):
        github.add_repository(f"octo/other-{number}", {CONFIG: QUICK})
    come_back(assay)
    with silent(github):
        shas = [github.push(f"octo/other-{number}", "main", {"demo.py": DIRTY}) for number in range(2)]
    be_absent(assay)
    for _ in range(6):
        # Each of them dies after one step.
        a_lookout().once()
    assay.settle()
    assert all(assay.has_run(sha) for sha in shas)
    last = reconciliation.load(assay.redis)
    assert last is not None
    assert (last.seen, last.told) == (3, 2)


def test_repository_that_cannot_be_read_does_not_keep_the_others_waiting(assay: Assay, github: StandInGitHub) -> None:
    github.add_repository("octo/aaa", {CONFIG: QUICK})
    come_back(assay)
    with silent(github):
        _, sha = opened(github)
    github.fail(path="/repos/octo/aaa/pulls", status=403, times=1)
    come_back(assay)
    assert assay.verdict(sha) is Conclusion.FAILURE


def test_installation_at_its_rate_limit_does_not_keep_the_others_waiting(assay: Assay, github: StandInGitHub) -> None:
    github.add_repository("acme/tool", {CONFIG: QUICK})
    come_back(assay)
    with silent(github):
        held = github.push(REPOSITORY, "main", {"demo.py": DIRTY})
        free = github.push("acme/tool", "main", {"demo.py": DIRTY})
    github.exhaust("octo", resets_in=300)
    be_absent(assay)
    lookout = a_lookout()
    for _ in range(10):
        lookout.once()
    assay.settle()
    assert (assay.has_run(free), assay.has_run(held)) == (True, False)
    with github.world.lock:
        github.api.meter.accounts.clear()
    assay.clock.ahead += 310
    while lookout.once() == PACE:
        pass
    assay.settle()
    assert assay.has_run(held)


def test_one_lookout_works_at_a_time(assay: Assay, github: StandInGitHub) -> None:
    with lock(assay.redis, "lookout", 10):
        assert a_lookout().once() != PACE
    assert github.requests == []


def test_full_queue_is_not_filled_further(assay: Assay, github: StandInGitHub, monkeypatch: pytest.MonkeyPatch) -> None:
    come_back(assay)
    with silent(github):
        _, sha = opened(github)
    monkeypatch.setenv("ASSAY_INTAKE_LIMIT", "4")
    bot.wiring.safe.cache_clear()
    for number in range(2):
        github.deliver("ping", {"zen": str(number)})
    be_absent(assay)
    lookout = a_lookout()
    while lookout.once() == PACE:
        pass
    assert stand_ins(assay) == []
    assay.settle()
    while lookout.once() == PACE:
        pass
    assay.settle()
    assert assay.verdict(sha) is Conclusion.FAILURE


# -- no check stays unfinished, whatever died


def test_check_of_a_run_whose_job_is_lost_ends(assay: Assay, github: StandInGitHub) -> None:
    _, sha = opened(github)
    assay.settle("intake", "publish")
    assay.redis.delete("rq:queue:lint", "assay:waiting:lint")
    assay.wait(7 * HOUR)
    assay.settle()
    assert unfinished(github, sha) == []
    assert assay.verdict(sha) is Conclusion.FAILURE


def test_check_of_an_agent_whose_worker_is_gone_ends(assay: Assay, github: StandInGitHub) -> None:
    _, sha = opened(github)
    assay.settle("intake", "publish")
    key = RunKey(repository=REPOSITORY, sha=sha)
    assay.redis.delete("rq:queue:lint", "assay:waiting:lint")
    assay.store.update(key, AgentStarted(at=assay.clock.time(), agent="lint", attempt=1))
    assay.settle("publish")
    assert unfinished(github, sha)
    assay.wait(HOUR)
    assay.settle()
    agent = assay.run(sha).agent("lint")
    assert agent is not None
    assert agent.outcome is Outcome.TIMED_OUT
    assert unfinished(github, sha) == []


def test_check_whose_last_publication_is_lost_ends(assay: Assay, github: StandInGitHub) -> None:
    _, sha = opened(github)
    assay.settle("intake", "publish")
    assay.settle("lint")
    _lose_publishing(assay)
    assert unfinished(github, sha)
    assay.wait(120)
    assay.settle()
    assert unfinished(github, sha) == []


def _lose_publishing(assay: Assay) -> None:
    names = [*assay.redis.scan_iter("*publish")]
    assay.redis.delete(*names)


def test_check_whose_publication_was_given_up_ends(assay: Assay, github: StandInGitHub) -> None:
    come_back(assay)
    _, sha = opened(github)
    assay.settle("intake", "publish")
    fault = github.fail(path="/check-runs", times=10_000, status=403)
    assay.settle()
    assert assay.run(sha).complete
    assert unfinished(github, sha)
    fault.times = 0
    assay.clock.ahead += 2 * HOUR
    come_back(assay)
    assert unfinished(github, sha) == []
    assert assay.verdict(sha) is Conclusion.FAILURE


def test_check_of_a_pull_request_that_closed_in_an_absence_ends(assay: Assay, github: StandInGitHub) -> None:
    number, sha = opened(github)
    assay.settle("intake", "publish")
    github.lose_deliveries(1)
    github.close_pull(REPOSITORY, number)
    assay.clock.ahead += 0.5 * HOUR
    come_back(assay)
    assert unfinished(github, sha) == []


def test_check_is_taken_over_by_a_new_run_when_all_data_is_lost(assay: Assay, github: StandInGitHub) -> None:
    number, sha = opened(github)
    assay.settle("intake", "publish")
    assert unfinished(github, sha)
    assay.redis.flushall()
    come_back(assay)
    assert unfinished(github, sha) == []
    assert assay.verdict(sha) is Conclusion.FAILURE
    assert sha[:7] in assay.comment(number)
    assert sorted(check.name for check in github.checks(REPOSITORY, sha)) == ["assay", "assay / lint"]


def test_check_of_an_older_commit_is_ended_with_a_word_when_all_data_is_lost(
    assay: Assay, github: StandInGitHub
) -> None:
    number, sha = opened(github)
    assay.settle("intake", "publish")
    assay.redis.flushall()
    github.world.pulls[REPOSITORY, number].updated_at -= 2 * DAY
    github.world.installed_at[github.installation("octo")] -= 3 * DAY
    come_back(assay)
    assert not assay.has_run(sha)
    assert unfinished(github, sha) == []
    assert {check.conclusion for check in github.checks(REPOSITORY, sha)} == {"cancelled"}
    assert "its data was lost" in str(assay.check(sha).output["summary"])


def test_check_that_nobody_knows_of_is_ended(assay: Assay, github: StandInGitHub) -> None:
    _, sha = opened(github)
    assay.settle()
    with github.world.lock:
        known = next(iter(github.world.runs.values()))
        twin = replace(known, id=known.id + 999_999, status="in_progress", conclusion=None, completed_at=None)
        github.world.runs[twin.id] = twin
    come_back(assay)
    assert unfinished(github, sha) == []
    assert github.check(REPOSITORY, sha, known.name).title == "No longer part of this run"


def test_check_that_shows_less_than_was_written_is_written_again(assay: Assay, github: StandInGitHub) -> None:
    _, sha = opened(github)
    assay.settle()
    with github.world.lock:
        known = next(iter(github.world.runs.values()))
        known.status, known.conclusion, known.completed_at = "in_progress", None, None
    come_back(assay)
    assert unfinished(github, sha) == []
    assert assay.verdict(sha) is Conclusion.FAILURE


def test_check_waits_for_github_to_come_back(assay: Assay, github: StandInGitHub) -> None:
    number, sha = opened(github)
    assay.settle("intake", "publish")
    assay.redis.flushall()
    github.world.pulls[REPOSITORY, number].updated_at -= 2 * DAY
    github.world.installed_at[github.installation("octo")] -= 3 * DAY
    fault = github.fail(method="PATCH", path="/check-runs", times=10_000)
    come_back(assay)
    assert unfinished(github, sha)
    fault.times = 0
    assay.wait(HOUR)
    assay.settle()
    assert unfinished(github, sha) == []


def test_what_was_found_is_remembered(assay: Assay, github: StandInGitHub) -> None:
    come_back(assay)
    github.lose_deliveries(1)
    opened(github)
    come_back(assay)
    known = redelivery.load(assay.redis)
    assert known is not None
    assert (len(known.missed), known.lost) == (1, 0)
    come_back(assay)
    known = redelivery.load(assay.redis)
    assert known is not None
    assert known.missed == {}
