"""Whose a webhook is, and whether it asks for anything: the little of a payload that admission reads.

What a payload means is `payloads.py`'s business. msgspec passes over what is not asked for: it takes 0.6 of the time of
pydantic, which builds a tree of it. A quarter of that is enough for most, whose last parts say whose they are.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

from msgspec import DecodeError, Meta, Struct, ValidationError
from msgspec.json import Decoder

# Of these events GitHub tells an App at every check that it writes. Only these actions of theirs ask for anything.
ASKING = {"check_run": ("rerequested", "requested_action"), "check_suite": ("requested", "rerequested")}
# A payload of 25 MB has a value every 20 bytes or more. One of nothing but values takes a dozen times its size to read.
_MOST_PARTS = 3_000_000
# Where GitHub's payloads begin to say whose they are, and how many bytes that and what follows have at most.
_LAST_PARTS, _LONGEST = b',"repository":{', 16 * 1024


class Tenant(NamedTuple):
    """Who a payload is about, and what was done, where that decides anything; what is not said is 0 and empty."""

    installation: int = 0
    repository: str = ""
    action: str = ""


class _Installation(Struct):
    id: Annotated[int, Meta(ge=0, le=2**63 - 1)]


class _Repository(Struct):
    full_name: Annotated[str, Meta(max_length=200)]


class _Envelope(Struct):
    installation: _Installation | None = None
    repository: _Repository | None = None
    action: Annotated[str, Meta(max_length=100)] | None = None


class _Nothing(Struct):
    pass


_DECODER, _NOTHING = Decoder(_Envelope), Decoder(_Nothing)
# What is wrong with a part is told with its place.
_PART = " - at `$."


def read_tenant(body: bytes, event: str) -> Tenant:
    """Raises ValueError for what is not a JSON object, unless only its first parts are not, or holds more than GitHub
    would ever send. One with an odd installation or repository is nobody's. What is wrong is told where it is read."""
    if len(body) > _MOST_PARTS and _parts(body) > _MOST_PARTS:
        raise ValueError("the payload has more parts than any of GitHub's")
    return (_read_end(body) if event not in ASKING else None) or _read_all(body)


def _read_end(body: bytes) -> Tenant | None:
    """What the last parts say, where they say all of it.

    No string of JSON has these quotes, so here begins an object's part; and what is an object to the body's end, and
    ends there, is the outermost.
    """
    begin = body.rfind(_LAST_PARTS, -_LONGEST)
    if begin < 0:
        return None
    try:
        found = _decode(b"{" + body[begin + 1 :])
    except ValueError:
        return None
    return _tenant(found) if found.installation and found.repository else None


def _read_all(body: bytes) -> Tenant:
    try:
        return _tenant(_decode(body))
    except ValidationError as error:
        if _PART not in str(error) or not _is_json(body):
            raise ValueError("the payload is not a JSON object") from None
        return Tenant()
    except ValueError:
        raise ValueError("the payload is not a JSON object") from None


def _decode(text: bytes) -> _Envelope:
    """Raises ValidationError for odd parts, another ValueError for what is no JSON."""
    # What is passed over may hold anything between its quotes.
    if not text.isascii():
        text.decode()
    try:
        return _DECODER.decode(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _tenant(found: _Envelope) -> Tenant:
    return Tenant(
        found.installation.id if found.installation else 0,
        found.repository.full_name if found.repository else "",
        found.action or "",
    )


def _is_json(body: bytes) -> bool:
    """Whether it is that to its end. The decoder stops at a part that is odd."""
    try:
        _NOTHING.decode(body)
    except (DecodeError, RecursionError):
        return False
    return True


def _parts(body: bytes) -> int:
    """About how much memory it takes to go through a text, by its commas and brackets; those in strings count too."""
    return body.count(b",") + 4 * body.count(b"{") + 2 * body.count(b"[")


def nothing_asked(event: str, action: str) -> str:
    """Why such a webhook asks for nothing, whatever else it says; empty where it may ask for something."""
    asking = ASKING.get(event)
    return "" if asking is None or action in asking else f"{event}.{action} only reports what was done"
