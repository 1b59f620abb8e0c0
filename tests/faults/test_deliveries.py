"""None lost, none doubled; `make soak` sends ten thousand."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from redis import Redis

from bot.redis.embedded import EmbeddedRedis
from tests.faults.deliveries import Flood, Letter, flood, mistakes, prepared
from tests.faults.history import History


@pytest.mark.timeout(300)
def test_no_delivery_is_lost_or_doubled_while_web_and_workers_are_restarted(
    redis: Redis, redis_server: EmbeddedRedis, tmp_path: Path
) -> None:
    with prepared(tmp_path, redis_server.url) as system:
        done = flood(system, seed=1, count=400, restarts=4, patience=120)
    assert mistakes(done) == []
    # And it was a flood: repeated, interrupted, and with work in it.
    assert done.answered(200) > 60
    assert done.answered(0) > 0
    assert len(done.history.runs) == 10


LETTERS = [Letter(name, "star", b"{}", "") for name in ("one", "two")]
FINE = Flood(
    letters=LETTERS,
    answers={"one": Counter({202: 1, 200: 1}), "two": Counter({0: 1, 202: 1})},
    history=History(acknowledged=("one", "two"), ledger={"one": "ignored: a star", "two": "ignored: a star"}),
    ledger_size=2,
    seconds=1.0,
    settled_after=1.0,
)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (replace(FINE, answers={**FINE.answers, "one": Counter({202: 2})}), "accepted 2 times"),
        (replace(FINE, ledger_size=3), "3 are remembered"),
        (replace(FINE, history=replace(FINE.history, ledger={"one": "ignored: a star"})), "nobody remembers it"),
        (replace(FINE, history=replace(FINE.history, leftovers={"rq:queue:intake": 1})), "still holds 1"),
    ],
)
def test_judge_sees_what_is_lost_or_doubled(wrong: Flood, words: str) -> None:
    assert mistakes(FINE) == []
    (found,) = mistakes(wrong)
    assert words in found
