"""Reading what GitHub answers."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from bot.errors import Unavailable


class Seen(BaseModel):
    """The part of an answer that is used. Validation errors do not show what was answered: it may be a token."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)


Part = TypeVar("Part", bound=Seen)


def read(model: type[Part], data: Any) -> Part:
    """The part of an answer that `model` names. Raises Unavailable for an answer of another shape."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise Unavailable(f"GitHub's answer is not what its documentation says: {error}") from None


def decoded(content: bytes) -> Any:
    """The JSON value, None for an empty body. Raises Unavailable for what is no JSON."""
    if not content:
        return None
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Unavailable("GitHub answered something that is not JSON") from error
