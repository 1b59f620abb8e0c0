"""How long to wait before asking GitHub again. Pure: a response in, seconds out.

Source: docs.github.com, "Rate limits for the REST API" and "Best practices for using the REST API".
"""

from __future__ import annotations

import random
from email.utils import parsedate_to_datetime

import httpx

# Said where a limit was hit and GitHub names no time.
MINUTE = 60.0
# The primary limit's window. A longer wait can only come from a clock that is wrong.
LONGEST = 3600.0

_SECONDARY = ("secondary rate limit", "abuse detection")


def hold(response: httpx.Response, now: float) -> float | None:
    """Seconds to wait where the response says that a rate limit was hit, None where it says something else."""
    if not _limited(response):
        return None
    asked = retry_after(response, now)
    if asked is not None:
        return asked
    reset = response.headers.get("x-ratelimit-reset", "")
    if response.headers.get("x-ratelimit-remaining") == "0" and reset.isascii() and reset.isdigit():
        # One second more: both clocks count in whole seconds.
        return _bounded(int(reset[:12]) - now + 1)
    return MINUTE


def retry_after(response: httpx.Response, now: float) -> float | None:
    """The `Retry-After` header in seconds; None where it is absent or unreadable."""
    value = response.headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return _bounded(float(value[:12]))
    try:
        return _bounded(parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def backoff(attempt: int) -> float:
    """Seconds before the next try, after `attempt` (from 0) failed: 0.5, 1, 2, ... give or take a half of it."""
    return 0.5 * 2.0**attempt * random.uniform(0.5, 1.5)  # noqa: S311 - spreads load, guards nothing


def _limited(response: httpx.Response) -> bool:
    if response.status_code == 429:
        return True
    if response.status_code == 403:
        headers = response.headers
        return "retry-after" in headers or headers.get("x-ratelimit-remaining") == "0" or _mentions_limit(response)
    # GraphQL says it with a 200.
    return response.status_code == 200 and response.url.path.endswith("/graphql") and _rate_limited(response)


def _mentions_limit(response: httpx.Response) -> bool:
    text = response.text[:10_000].lower()
    return any(words in text for words in _SECONDARY)


def _rate_limited(response: httpx.Response) -> bool:
    try:
        body = response.json()
    except ValueError:
        return False
    errors = body.get("errors") if isinstance(body, dict) else None
    if not isinstance(errors, list):
        return False
    return any(
        error.get("type") in ("RATE_LIMIT", "RATE_LIMITED") or _SECONDARY[0] in str(error.get("message", "")).lower()
        for error in errors
        if isinstance(error, dict)
    )


def _bounded(seconds: float) -> float:
    return min(max(seconds, 0.0), LONGEST)
