"""Whose a webhook is, and whether it asks for anything: the little of a payload that admission reads, as cheaply as it
checks that it is JSON at all.

What a payload means is `payloads.py`'s business. pydantic goes through the text without making Python values of what is
not asked for: 15 us for 28 kB, where making a dict takes 40.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

# Of these events GitHub tells an App at every check that it writes. Only these actions of theirs ask for anything.
ASKING = {"check_run": ("rerequested", "requested_action"), "check_suite": ("requested", "rerequested")}
# A payload of 25 MB has a value every 20 bytes or more. One of nothing but values takes a dozen times its size to read.
_MOST_PARTS = 3_000_000


class Tenant(NamedTuple):
    """Who a payload is about, and what was done; what it does not say is 0 and empty."""

    installation: int = 0
    repository: str = ""
    action: str = ""


class _Part(BaseModel):
    model_config = ConfigDict(strict=True)


class _Installation(_Part):
    id: Annotated[int, Field(ge=0, lt=2**63)]


class _Repository(_Part):
    full_name: Annotated[str, Field(max_length=200)]


class _Envelope(_Part):
    installation: _Installation | None = None
    repository: _Repository | None = None
    action: Annotated[str, Field(max_length=100)] | None = None


def read_tenant(body: bytes) -> Tenant:
    """Raises ValueError for what is not a JSON object, or holds more than GitHub would ever send. One with an odd
    installation or repository is nobody's: what is wrong with it is told where it is read."""
    if len(body) > _MOST_PARTS and _parts(body) > _MOST_PARTS:
        raise ValueError("the payload has more parts than any of GitHub's")
    try:
        found = _Envelope.model_validate_json(body)
    except ValidationError as error:
        # Told by what is wrong with all of it: to make Python values of 25 MB would take ten times as much.
        if any(not one["loc"] for one in error.errors(include_url=False, include_context=False, include_input=False)):
            raise ValueError("the payload is not a JSON object") from None
        return Tenant()
    return Tenant(
        found.installation.id if found.installation else 0,
        found.repository.full_name if found.repository else "",
        found.action or "",
    )


def _parts(body: bytes) -> int:
    """About how much memory it takes to go through a text, by its commas and brackets; those in strings count too."""
    return body.count(b",") + 4 * body.count(b"{") + 2 * body.count(b"[")


def nothing_asked(event: str, action: str) -> str:
    """Why such a webhook asks for nothing, whatever else it says; empty where it may ask for something."""
    asking = ASKING.get(event)
    return "" if asking is None or action in asking else f"{event}.{action} only reports what was done"
