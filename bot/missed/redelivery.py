"""Redelivery: webhooks that GitHub could not deliver are asked for again. GitHub never sends them by itself.

GitHub's list of attempts is read from the newest back to where the last reading began, a page at a time. What failed is
remembered, and asked for until it has come: `Deliveries`, the ledger, knows what has. What is asked for comes in by the
front door, under its old GUID, so asking twice costs nothing but a request.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Protocol, cast

from pydantic import Field
from redis import Redis

from bot.domain.model import Frozen
from bot.errors import Gone, Refused
from bot.github.app_hook import DeliverySeen

log = logging.getLogger(__name__)

# For how long GitHub keeps a delivery (docs.github.com, "Redelivering webhooks"); seconds.
KEPT = 3 * 86400.0
# Attempts appear in the list late: each reading begins anew with the last minutes of the one before.
OVERLAP = 300.0
# How often one delivery is asked for, and how long each time is waited for it: the longer the more often, 16 hours in
# all. What does not get through in that time is the reconciliation's.
TRIES = 12
_SHORTEST, _LONGEST = 300.0, 7200.0
# What is remembered at most; the rest is the reconciliation's, too.
MOST = 5_000

_KEY = "assay:redelivery"


class Missed(Frozen):
    """A delivery that failed: one of its attempts, when that was, how often it was asked for, and when it may be asked
    for again. Times are in seconds since the epoch."""

    id: int
    at: float
    asked: int = 0
    due: float = 0.0


class Reading(Frozen):
    """A reading of GitHub's list that is under way: when it began, the next page's cursor, and the GUIDs of deliveries
    that came when they were sent again: their failures are met after that."""

    began: float
    cursor: str = ""
    came: tuple[str, ...] = ()


class Redeliveries(Frozen):
    """What is known. Attempts until `since` have been read; `missed` are by GUID; of them, `lost` are not asked
    for any more. The last reading that came to its end began at `read_at`."""

    since: float
    reading: Reading | None = None
    missed: dict[str, Missed] = Field(default_factory=dict)
    read_at: float | None = None

    @property
    def lost(self) -> int:
        return sum(one.asked >= TRIES for one in self.missed.values())


def begin(known: Redeliveries, now: float, has_come: Callable[[str], bool]) -> Redeliveries:
    """Begin to read the list. What has come, or is too old to be sent again, is forgotten."""
    fresh = {guid: one for guid, one in known.missed.items() if one.at > now - KEPT and not has_come(guid)}
    since = max(min(known.since, now), now - KEPT)
    return known.model_copy(update={"missed": fresh, "since": since, "reading": Reading(began=now)})


def read_page(
    known: Redeliveries, page: Iterable[DeliverySeen], cursor: str, has_come: Callable[[str], bool]
) -> Redeliveries:
    """Take a page in, and the cursor of the next one. `has_come` is asked for failures only."""
    reading = known.reading
    assert reading is not None
    missed, came, ended = dict(known.missed), set(reading.came), not cursor
    for attempt in page:
        if attempt.at < known.since - OVERLAP:
            ended = True
            break
        if attempt.ok and attempt.again:
            came.add(attempt.guid)
        elif not attempt.ok and attempt.guid not in missed and attempt.guid not in came and not has_come(attempt.guid):
            missed[attempt.guid] = Missed(id=attempt.id, at=attempt.at)
    missed = {guid: one for guid, one in list(missed.items())[:MOST] if guid not in came}
    update: dict[str, object] = {"missed": missed}
    if ended:
        update |= {"since": reading.began, "read_at": reading.began, "reading": None}
    else:
        update["reading"] = Reading(began=reading.began, cursor=cursor, came=tuple(sorted(came)))
    return known.model_copy(update=update)


def next_due(known: Redeliveries, now: float) -> str | None:
    """The GUID to ask for now: the newest of those that are due."""
    due = [guid for guid, one in known.missed.items() if one.asked < TRIES and one.due <= now]
    return max(due, key=lambda guid: known.missed[guid].at, default=None)


def asked(known: Redeliveries, guid: str, now: float) -> Redeliveries:
    """Note that it was asked for."""
    one = known.missed[guid]
    due = now + min(_SHORTEST * 2**one.asked, _LONGEST)
    return _with(known, guid, one.model_copy(update={"asked": one.asked + 1, "due": due}))


def given_up(known: Redeliveries, guid: str) -> Redeliveries:
    """Do not ask for it any more. It is still remembered, for its failures may be met again."""
    return _with(known, guid, known.missed[guid].model_copy(update={"asked": TRIES}))


def _with(known: Redeliveries, guid: str, one: Missed) -> Redeliveries:
    return known.model_copy(update={"missed": known.missed | {guid: one}})


def dropped(known: Redeliveries, guid: str) -> Redeliveries:
    """Forget one that has come."""
    return known.model_copy(update={"missed": {other: one for other, one in known.missed.items() if other != guid}})


class Hook(Protocol):
    """GitHub's side."""

    def deliveries(self, cursor: str = "") -> tuple[tuple[DeliverySeen, ...], str]: ...
    def redeliver(self, delivery_id: int) -> None: ...


class Redelivery:
    """`step` does one small thing; whoever calls it sees to it that nobody else does.

    `has_come(guid)` is the ledger's word; `has_room()` says whether another delivery would be taken. `first` is how far
    back the very first reading goes, in seconds.
    """

    def __init__(
        self,
        redis: Redis,
        hook: Hook,
        has_come: Callable[[str], bool],
        has_room: Callable[[], bool],
        interval: float,
        first: float,
    ) -> None:
        self._redis = redis
        self._hook = hook
        self._has_come = has_come
        self._has_room = has_room
        self._interval = interval
        self._first = first
        self._at_once = True

    def wake(self) -> None:
        """Read the list at the next step, however short a time ago it was read."""
        self._at_once = True

    def step(self, now: float) -> bool:
        """Read a page, or ask for one delivery; whether something was done. Raises AssayError; then nothing changed."""
        known = load(self._redis) or Redeliveries(since=now - self._first)
        if known.reading is None and (self._at_once or now >= (known.read_at or 0.0) + self._interval):
            known = begin(known, now, self._has_come)
        if known.reading is not None:
            page, cursor = self._hook.deliveries(known.reading.cursor)
            self._save(read_page(known, page, cursor, self._has_come))
            self._at_once = False
            return True
        guid = next_due(known, now) if self._has_room() else None
        if guid is None:
            return False
        self._save(self._ask(known, guid, now))
        return True

    def _ask(self, known: Redeliveries, guid: str, now: float) -> Redeliveries:
        if self._has_come(guid):
            return dropped(known, guid)
        try:
            self._hook.redeliver(known.missed[guid].id)
            log.info("delivery %s never came, GitHub is asked to send it again", guid)
        except (Gone, Refused) as error:
            log.warning("delivery %s never came, and GitHub does not send it again: %s", guid, error)
            return given_up(known, guid)
        return asked(known, guid, now)

    def _save(self, known: Redeliveries) -> None:
        self._redis.set(_KEY, known.model_dump_json())


def load(redis: Redis) -> Redeliveries | None:
    """What is remembered of all this; None before the first time."""
    raw = cast("bytes | None", redis.get(_KEY))
    return Redeliveries.model_validate_json(raw) if raw else None
