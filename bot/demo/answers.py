"""What the stand-in answers: a reply, or a refusal in GitHub's words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

DOCS = "https://docs.github.com/rest"


@dataclass(frozen=True)
class Reply:
    """A successful answer: JSON in `body`, or bytes in `raw` with their media type."""

    body: Any = None
    status: int = 200
    raw: bytes | None = None
    media_type: str = "application/json; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


class Problem(Exception):
    """A refusal: its HTTP status, GitHub's `message` and, for a failed validation, the `errors` list."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        errors: list[Any] | None = None,
        docs: str = DOCS,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.errors = errors
        self.docs = docs
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = {"message": self.message, "documentation_url": self.docs, "status": str(self.status)}
        if self.errors is not None:
            body["errors"] = self.errors
        return body


def not_found() -> Problem:
    """What GitHub says of things that are not there, and of things the caller may not know of."""
    return Problem(404, "Not Found")


def invalid(message: str, **fields: str) -> Problem:
    """A 422 in the shape of GitHub's model validations."""
    error = {"code": "custom", "message": message, **fields}
    return Problem(422, f"Validation Failed: {message}", errors=[error])
