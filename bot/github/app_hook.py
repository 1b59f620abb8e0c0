"""The App's webhook as GitHub tells of it: what it delivered, and how that was answered.

Source: docs.github.com, "REST API endpoints for GitHub App webhooks". The App's JWT is all it takes.
"""

from __future__ import annotations

from pydantic import AwareDatetime

from bot.domain.model import Frozen
from bot.github.answers import Seen, read
from bot.github.client import App, Params, items_of

PAGE = 100

_DELIVERIES = "/app/hook/deliveries"


class DeliverySeen(Frozen):
    """One attempt to deliver. Attempts of one delivery share its `guid`; `again`: not the first of them. `at` is in
    seconds since the epoch; `ok`: it was answered with 2xx."""

    id: int
    guid: str
    at: float
    again: bool
    ok: bool


class _Delivery(Seen):
    id: int
    guid: str
    delivered_at: AwareDatetime
    redelivery: bool
    status_code: int


class AppHook:
    """Deliveries of the App's webhook, of all its installations."""

    def __init__(self, app: App) -> None:
        self._app = app

    def deliveries(self, cursor: str = "") -> tuple[tuple[DeliverySeen, ...], str]:
        """A page of attempts, the newest first, and the cursor of the page after it; empty after the last."""
        params: Params = {"per_page": PAGE} | ({"cursor": cursor} if cursor else {})
        answer = self._app.get(_DELIVERIES, params)
        seen = tuple(_to_seen(read(_Delivery, item)) for item in items_of(_DELIVERIES, answer))
        return seen, answer.next_query.get("cursor", "")

    def redeliver(self, delivery_id: int) -> None:
        """Have GitHub deliver it again, under the same GUID. It does so later, and logs another attempt.

        Raises Gone for one that is too old, Refused where GitHub does not want to.
        """
        # Asked twice it comes twice, and the second is known by its GUID.
        self._app.post(f"{_DELIVERIES}/{delivery_id}/attempts", repeatable=True)


def _to_seen(delivery: _Delivery) -> DeliverySeen:
    return DeliverySeen(
        id=delivery.id,
        guid=delivery.guid,
        at=delivery.delivered_at.timestamp(),
        again=delivery.redelivery,
        ok=200 <= delivery.status_code < 300,
    )
