"""GitHub's GraphQL API: where it is, and what an answer of it says. Pure."""

from __future__ import annotations

import re
from typing import Any

from bot.errors import AssayError, Gone, Refused, Unavailable


def url(api_url: str) -> str:
    """On an Enterprise Server GraphQL lives beside the REST API's `/api/v3`, not below it."""
    enterprise = re.sub(r"/api/v3/?$", "/api/graphql", api_url)
    return enterprise if enterprise != api_url else "/graphql"


def data_of(answer: Any) -> dict[str, Any]:
    """The `data` of a decoded answer. One with errors is an error, even where it has data too: raises Gone or Refused
    for it, and Unavailable for one without data."""
    if not isinstance(answer, dict):
        raise Unavailable("GitHub's GraphQL answer is not an object")
    if answer.get("errors"):
        raise _error(answer["errors"])
    if not isinstance(answer.get("data"), dict):
        raise Unavailable("GitHub's GraphQL answer has no data")
    return dict(answer["data"])


def _error(errors: Any) -> AssayError:
    first = errors[0] if isinstance(errors, list) and isinstance(errors[0], dict) else {}
    text = str(first.get("message", "no reason given"))[:500]
    match first.get("type"):
        case "NOT_FOUND":
            return Gone(f"GitHub does not know what a GraphQL query asks for: {text}")
        case "FORBIDDEN":
            return Refused(f"GitHub refuses a GraphQL query: {text}", 403)
        case _:
            return Refused(f"GitHub refuses a GraphQL query: {text}", 422)
