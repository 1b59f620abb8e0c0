"""What a failed request to a provider means: whose move it is, in words that say what to do."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import NamedTuple

import httpx2
import openai

from bot.errors import AssayError, Refused, Unavailable
from workers.agent import TooLong

_WORDS = 300
_TOO_LONG = (
    "context_length_exceeded",
    "context length",
    "context window",
    "context size",
    "prompt is too long",
    "too many tokens",
)


# Codes of errors that come within an answer, which has no status of its own any more.
_USED_UP = ("insufficient_quota", "billing_hard_limit_reached")
_NOT_TAKEN = ("invalid_prompt", "invalid_request_error", "content_policy_violation")
# All that OpenAI says there of how long to wait.
_AGAIN = re.compile(r"try again in ([0-9]{1,6}(?:\.[0-9]{1,6})?) ?(ms|s)\b")


class Place(NamedTuple):
    """Where the operator sets a provider's key, its URL and the API by which it is asked."""

    key: str = "OPENAI_API_KEY"
    url: str = "OPENAI_BASE_URL"
    api: str = "ASSAY_LLM_API"


FIRST = Place()


class FormRefused(Refused):
    """A 400 or 422 that may be about the response format: servers have no common words for that."""


def explain(error: openai.APIError | httpx2.HTTPError, model: str, secret: str, place: Place) -> AssayError:
    """The error of ours that stands for one of the package's. `secret` is kept out of the message."""
    if isinstance(error, openai.APIStatusError):
        return _status(error, model, said(error.body, secret), place)
    if isinstance(error, openai.APITimeoutError | httpx2.TimeoutException):
        return Unavailable("the model provider did not answer in time")
    if isinstance(error, openai.APIConnectionError | httpx2.HTTPError):
        cause = type(error.__cause__ or error).__name__
        return Unavailable(f"the model provider cannot be reached or hung up ({cause}); if it stays so, check its URL")
    return Unavailable(f"the model provider failed: {said(error.message, secret)}")


def within(error: object) -> AssayError:
    """The error of ours that stands for one that came in an answer that had begun well."""
    words, code = said(error, ""), str(error.get("code") or error.get("type")) if isinstance(error, Mapping) else ""
    if code in _USED_UP:
        return Refused(f"the account at the model provider is used up: {words}", 429)
    if any(phrase in f"{code} {words}".lower() for phrase in _TOO_LONG):
        return TooLong(f"the request is longer than the model takes: {words}", 400)
    if code in _NOT_TAKEN:
        return Refused(f"the model provider refused the request: {words}", 400)
    again = _AGAIN.search(words)
    wait = float(again[1]) * (0.001 if again[2] == "ms" else 1.0) if again else None
    return Unavailable(f"the model provider is failing: {words}", wait)


def said(body: object, secret: str) -> str:
    """A provider's own words, from an error body of any shape, on one short line."""
    inner = body.get("error", body) if isinstance(body, Mapping) else body
    words = inner.get("message", inner) if isinstance(inner, Mapping) else inner
    text = " ".join(str(words or "no reason given").split())
    return (text.replace(secret, "***") if secret else text)[:_WORDS]


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to wait, from `Retry-After-Ms` or `Retry-After` (RFC 9110 10.2.3: seconds or a date); None without one.

    `now` is the time in seconds since the epoch.
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * unit
        except ValueError:
            continue
        return max(0.0, seconds) if math.isfinite(seconds) else None
    try:
        return max(0.0, parsedate_to_datetime(headers.get("retry-after", "")).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def _status(error: openai.APIStatusError, model: str, words: str, place: Place) -> AssayError:
    status = error.status_code
    match status:
        case 401:
            # Without the provider's words: they quote the key.
            return Refused(f"the model provider does not accept the key (401): check {place.key}", status)
        case 403:
            return Refused(f"the key may not use model {model} (403): check {place.key}. It says: {words}", status)
        case 404 | 400 if status == 404 or error.code == "model_not_found":
            unless = f"{place.url} or {place.api} is wrong"
            # The Responses API says it with a 400.
            return Refused(f"the provider has no model {model}, or {unless} ({status}). It says: {words}", 404)
        case 429 if "insufficient_quota" in (error.code, error.type):
            return Refused(f"the account at the model provider is used up (429): {words}", status)
        case 400 | 422 if not _too_long(error, words):
            return FormRefused(f"the model provider refused the request ({status}): {words}", status)
    if status in (408, 409, 429) or status >= 500:
        wait = retry_after(error.response.headers, time.time())
        what = "limits the rate" if status == 429 else "is failing"
        return Unavailable(f"the model provider {what} ({status}): {words}", wait)
    if status == 413 or _too_long(error, words):
        return TooLong(f"the request is longer than {model} takes ({status}): {words}", status)
    return Refused(f"the model provider refused the request ({status}): {words}", status)


def _too_long(error: openai.APIStatusError, words: str) -> bool:
    text = f"{error.code} {words}".lower()
    return any(phrase in text for phrase in _TOO_LONG)
