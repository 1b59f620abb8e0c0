"""What is asked of GitHub again, and when: the choices, and the steps against a real Redis."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis

from bot.errors import Gone, Unavailable
from bot.github.app_hook import DeliverySeen
from bot.missed.redelivery import (
    KEPT,
    MOST,
    OVERLAP,
    TRIES,
    Redeliveries,
    Redelivery,
    asked,
    begin,
    load,
    next_due,
    read_page,
)

NOW = 1_800_000_000.0


def seen(number: int, guid: str, at: float = NOW, *, ok: bool = False, again: bool = False) -> DeliverySeen:
    return DeliverySeen(id=number, guid=guid, at=at, ok=ok, again=again)


def nobody(_: str) -> bool:
    return False


def read(known: Redeliveries, *page: DeliverySeen, now: float = NOW, cursor: str = "") -> Redeliveries:
    return read_page(begin(known, now, nobody), page, cursor, nobody)


def new() -> Redeliveries:
    return Redeliveries(since=NOW - 3600)


def test_what_failed_is_missed() -> None:
    known = read(new(), seen(2, "b", ok=True), seen(1, "a"))
    assert list(known.missed) == ["a"]
    assert (known.since, known.reading, known.read_at) == (NOW, None, NOW)


def test_what_came_later_is_not_missed() -> None:
    assert read(new(), seen(2, "a", ok=True, again=True), seen(1, "a")).missed == {}


def test_what_came_later_is_not_missed_on_a_page_after_that_either() -> None:
    known = read(new(), seen(2, "a", ok=True, again=True), cursor="next")
    assert known.reading is not None
    known = read_page(known, [seen(1, "a")], "", nobody)
    assert (known.missed, known.reading) == ({}, None)


def test_what_came_after_it_was_missed_is_missed_no_more() -> None:
    known = read(new(), seen(1, "a"))
    assert read(known, seen(2, "a", ok=True, again=True)).missed == {}


def test_what_the_ledger_knows_is_not_missed() -> None:
    known = read_page(begin(new(), NOW, nobody), [seen(1, "a"), seen(2, "b")], "", lambda guid: guid == "a")
    assert list(known.missed) == ["b"]


def test_reading_ends_where_the_last_one_began() -> None:
    known = read(new(), seen(1, "a"), seen(0, "old", NOW - 3600 - OVERLAP - 1), cursor="more")
    assert list(known.missed) == ["a"]
    assert known.reading is None


def test_reading_goes_back_no_further_than_github_remembers() -> None:
    assert begin(Redeliveries(since=0), NOW, nobody).since == NOW - KEPT


def test_clock_that_was_set_back_does_not_hide_anything() -> None:
    known = read(Redeliveries(since=NOW + 9999), seen(1, "a"))
    assert list(known.missed) == ["a"]


def test_what_github_has_let_go_is_forgotten() -> None:
    known = read(new(), seen(1, "a"))
    assert begin(known, NOW + KEPT, nobody).missed == {}


def test_what_has_come_is_forgotten() -> None:
    known = asked(read(new(), seen(2, "b"), seen(1, "a")), "a", NOW)
    assert list(begin(known, NOW, lambda guid: guid == "a").missed) == ["b"]


def test_memory_is_bounded() -> None:
    known = read(new(), *(seen(number, str(number)) for number in range(MOST + 10)))
    assert len(known.missed) == MOST


def test_newest_is_asked_for_first() -> None:
    known = read(new(), seen(2, "new", NOW), seen(1, "old", NOW - 5))
    assert next_due(known, NOW) == "new"
    known = asked(known, "new", NOW)
    assert next_due(known, NOW) == "old"


def test_failure_of_another_attempt_is_not_another_delivery() -> None:
    known = asked(read(new(), seen(1, "a")), "a", NOW)
    known = read(known, seen(2, "a", NOW + 60, again=True), now=NOW + 60)
    assert (known.missed["a"].id, known.missed["a"].asked) == (1, 1)


def test_each_is_asked_for_so_many_times_at_growing_distances() -> None:
    known, times, now = read(new(), seen(1, "a")), list[float](), NOW
    while now < NOW + KEPT:
        if next_due(known, now):
            known = asked(known, "a", now)
            times.append(now - NOW)
        now += 100
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert len(times) == TRIES
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (300, 7200)
    assert known.lost == 1


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.booleans(), st.booleans()), max_size=12), st.integers(1, 5))
def test_pages_however_cut_tell_the_same(attempts: list[tuple[str, bool, bool]], size: int) -> None:
    newest_first = [seen(100 - n, guid, NOW - n, ok=ok, again=again) for n, (guid, ok, again) in enumerate(attempts)]
    whole = read(new(), *newest_first)
    known = begin(new(), NOW, nobody)
    pages = [newest_first[start : start + size] for start in range(0, len(newest_first), size)] or [[]]
    for number, page in enumerate(pages):
        known = read_page(known, page, "more" if number + 1 < len(pages) else "", nobody)
    assert known == whole


# -- the steps


class Hook:
    """GitHub's side, as a list of attempts."""

    def __init__(self, *attempts: DeliverySeen) -> None:
        self.attempts = attempts
        self.asked: list[int] = []
        self.trouble: Exception | None = None

    def deliveries(self, cursor: str = "") -> tuple[tuple[DeliverySeen, ...], str]:
        start = int(cursor or 0)
        more = str(start + 1) if start + 1 < len(self.attempts) else ""
        return self.attempts[start : start + 1], more

    def redeliver(self, delivery_id: int) -> None:
        self.asked.append(delivery_id)
        if self.trouble is not None:
            raise self.trouble


def redelivery(redis: Redis, hook: Hook, *, come: str = "", room: bool = True) -> Redelivery:
    return Redelivery(redis, hook, lambda guid: guid == come, lambda: room, 600, 3600)


def steps(one: Redelivery, now: float) -> int:
    count = 0
    while one.step(now):
        count += 1
    return count


def test_step_is_one_page_or_one_delivery(redis: Redis) -> None:
    hook = Hook(seen(2, "b"), seen(1, "a"))
    assert steps(redelivery(redis, hook), NOW) == 4
    assert hook.asked == [2, 1]


def test_reading_that_was_cut_off_is_gone_on_with(redis: Redis) -> None:
    hook = Hook(seen(3, "c"), seen(2, "b"), seen(1, "a"))
    redelivery(redis, hook).step(NOW)
    steps(redelivery(redis, hook), NOW)
    assert hook.asked == [3, 2, 1]


def test_what_came_meanwhile_is_not_asked_for(redis: Redis) -> None:
    hook = Hook(seen(1, "a"))
    redelivery(redis, hook).step(NOW)
    steps(redelivery(redis, hook, come="a"), NOW)
    assert hook.asked == []
    known = load(redis)
    assert known is not None
    assert known.missed == {}


def test_nothing_is_asked_for_while_there_is_no_room(redis: Redis) -> None:
    hook = Hook(seen(1, "a"))
    assert steps(redelivery(redis, hook, room=False), NOW) == 1
    assert hook.asked == []


def test_what_github_does_not_send_again_is_let_go(redis: Redis) -> None:
    hook = Hook(seen(1, "a"))
    hook.trouble = Gone("too old")
    one = redelivery(redis, hook)
    steps(one, NOW)
    steps(one, NOW + 100_000)
    assert hook.asked == [1]


def test_outage_changes_nothing(redis: Redis) -> None:
    hook = Hook(seen(1, "a"))
    hook.trouble = Unavailable("away")
    one = redelivery(redis, hook)
    one.step(NOW)
    before = load(redis)
    with pytest.raises(Unavailable):
        one.step(NOW)
    assert load(redis) == before
