from __future__ import annotations

import httpx
import pytest
from redis import Redis

from bot.domain.findings import AgentResult, Cost, Outcome
from bot.github.connection import Call
from bot.telemetry.metrics import COUNTS, LATEST, Key, parse_hash
from bot.telemetry.observation import Observer

CALL = Call("GET", "/repos/octo/demo", installation=7)
TOLD = {
    "x-ratelimit-limit": "5000",
    "x-ratelimit-remaining": "4321",
    "x-ratelimit-reset": "1800000000",
    "x-ratelimit-resource": "core",
}


def counts(redis: Redis) -> dict[Key, float]:
    """What was counted, but for durations."""
    found = parse_hash(redis.hgetall(COUNTS))
    return {key: value for key, value in found.items() if "seconds" not in key[0]}


def budgets(redis: Redis, headers: dict[str, str]) -> dict[Key, object]:
    """What is known of budgets after a job that got such an answer."""
    observer = Observer(redis)
    with observer.job():
        observer.github(CALL, lambda: httpx.Response(200, headers=headers))
    return parse_hash(redis.hgetall(LATEST))


def test_job_of_an_agent_is_counted_with_its_outcome_and_cost(redis: Redis) -> None:
    cost = Cost(model="m", input_tokens=20, output_tokens=3, usd=0.5)
    with Observer(redis).job() as report:
        report.result(AgentResult(outcome=Outcome.FINDINGS, cost=cost))
    assert counts(redis) == {
        ("assay_jobs_total", "other", "findings"): 1,
        ("assay_model_cost_dollars_total", "other"): 0.5,
        ("assay_model_tokens_total", "other", "input"): 20,
        ("assay_model_tokens_total", "other", "output"): 3,
    }


def test_agent_that_nobody_waited_for_is_dropped(redis: Redis) -> None:
    with Observer(redis).job() as report:
        report.result(None)
    assert counts(redis) == {("assay_jobs_total", "other", "dropped"): 1}


def test_error_is_counted_and_goes_on(redis: Redis) -> None:
    with pytest.raises(ZeroDivisionError), Observer(redis).job():
        raise ZeroDivisionError
    assert counts(redis) == {("assay_jobs_total", "other", "failed"): 1}


def test_metrics_that_cannot_be_sent_fail_no_job() -> None:
    observer = Observer(Redis.from_url("unix:///nowhere/redis.sock"))
    with observer.job():
        pass


def test_budget_is_what_github_said_last(redis: Redis) -> None:
    assert budgets(redis, TOLD) == {("budget", "7", "core"): [4321, 5000, 1800000000]}
    assert budgets(redis, TOLD | {"x-ratelimit-remaining": "4320"})["budget", "7", "core"] == [4320, 5000, 1800000000]


def test_resource_that_nobody_knows_is_other(redis: Redis) -> None:
    assert list(budgets(redis, TOLD | {"x-ratelimit-resource": "octo/secret"})) == [("budget", "7", "other")]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        TOLD | {"x-ratelimit-remaining": ""},
        TOLD | {"x-ratelimit-limit": "-5"},
        TOLD | {"x-ratelimit-reset": "NaN"},
    ],
)
def test_answer_without_a_readable_budget_tells_none(redis: Redis, headers: dict[str, str]) -> None:
    assert budgets(redis, headers) == {}


def test_what_sending_raises_goes_on(redis: Redis) -> None:
    def lost() -> httpx.Response:
        raise httpx.ReadTimeout("too late")

    with pytest.raises(httpx.ReadTimeout):
        Observer(redis).github(CALL, lost)
