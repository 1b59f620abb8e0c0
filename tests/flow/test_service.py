"""Whom the operator lets be served: everybody else's webhooks are refused, and it is said why."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis

import bot.wiring
from bot.deliveries import Deliveries
from bot.demo.github import StandInGitHub
from bot.domain.service import Service
from bot.missed.overview import Overview
from bot.telemetry.metrics import COUNTS, REFUSED, parse_hash
from config.settings import load
from tests.flow.assay import DIRTY, REPOSITORY, Assay


def limited(monkeypatch: pytest.MonkeyPatch, **settings: str) -> None:
    """Have the jobs that come next go by these settings."""
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    for cached in (bot.wiring.safe, bot.wiring.control):
        cached.cache_clear()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ASSAY_SERVE_INSTALLATIONS", "4711,4712"),
        ("ASSAY_SERVE_REPOSITORIES", "acme/*, octo/other"),
        ("ASSAY_SERVE_EVENTS", "pull_request"),
    ],
)
def test_what_is_not_served_is_refused_with_the_reason(
    assay: Assay, github: StandInGitHub, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    limited(monkeypatch, **{name: value})
    sha = github.push(REPOSITORY, "main", {"demo.py": DIRTY})
    assay.settle()
    pushes = [one for one in Deliveries(assay.redis).recent() if one.event == "push"]
    assert pushes
    assert all(one.outcome.startswith(f"ignored: {name} does not name ") and not one.body for one in pushes)
    assert github.checks(REPOSITORY, sha) == []
    assert refusals(assay.redis) >= len(pushes)


def test_what_is_served_is_checked(assay: Assay, github: StandInGitHub, monkeypatch: pytest.MonkeyPatch) -> None:
    number = github.installation("octo")
    limited(
        monkeypatch,
        ASSAY_SERVE_INSTALLATIONS=str(number),
        ASSAY_SERVE_REPOSITORIES="Octo/*",
        ASSAY_SERVE_EVENTS="push,check_suite",
    )
    sha = github.push(REPOSITORY, "main", {"demo.py": DIRTY})
    assay.settle()
    assert assay.verdict(sha) is not None
    assert refusals(assay.redis) == 0


def test_what_was_missed_is_not_looked_for_where_nobody_is_served(
    assay: Assay, github: StandInGitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited(monkeypatch, ASSAY_SERVE_REPOSITORIES="acme/*")
    assert assay.store
    overview = Overview(bot.wiring.make_app(chosen := bot.wiring.settings()), bot.wiring.make_service(chosen))
    (installation,) = overview.installations()
    assert overview.repositories(installation.id, 1) == ((), False)


def refusals(redis: Redis) -> float:
    counted = parse_hash(redis.hgetall(COUNTS))
    return float(sum(amount for key, amount in counted.items() if key[0] == REFUSED.name))


NAMES = st.from_regex(r"[A-Za-z0-9-]{1,10}/[A-Za-z0-9._-]{1,10}", fullmatch=True)


@given(st.integers(0, 9), NAMES, st.sampled_from(["push", "pull_request", "merge_group"]))
def test_no_restriction_serves_everybody_and_a_name_serves_in_any_case(number: int, name: str, event: str) -> None:
    assert Service().why_not(number, name, event) == ""
    assert Service(repositories=(name.lower(),)).why_not(number, name, event) == ""
    assert Service(installations=(10,)).why_not(number, name, event)


def test_a_restriction_that_is_misspelt_stops_the_start() -> None:
    with pytest.raises(ValueError, match="ASSAY_SERVE_EVENTS"):
        load({"HOME": "/home/ada", "ASSAY_SERVE_EVENTS": "pushes"})
    with pytest.raises(ValueError, match="ASSAY_SERVE_REPOSITORIES"):
        load({"HOME": "/home/ada", "ASSAY_SERVE_REPOSITORIES": "acme"})
