"""What Assay keeps, as another version of it may have written it.

While one version takes the place of another, process by process, each reads what the other has written. What is new in
a model has a default that is empty, so the newer one reads the older one's. And a field that this version does not know
and that is empty says nothing which this version would have to know: it is left out. Any other means something. Nobody
may act on half of it, let alone write it back: the work is left to the newer version.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from bot.errors import OtherVersion

T = TypeVar("T")


def understood(kind: TypeAdapter[T], text: bytes, what: str) -> T:
    """The value that was kept as JSON; `what` it is, for people.

    Raises OtherVersion for one that this version does not understand in full.
    """
    try:
        return kind.validate_json(text)
    except ValidationError as error:
        unknown = error.errors(include_url=False, include_context=False)
    try:
        value = from_json(text)
        for field in unknown:
            if field["type"] != "extra_forbidden" or field["input"]:
                break
            _leave_out(value, field["loc"])
        else:
            return kind.validate_json(to_json(value))
    except ValueError:
        # Damaged, or strange in more than one way.
        pass
    where = "; ".join(f"{'.'.join(map(str, field['loc']))}: {field['type']}" for field in unknown[:3])
    raise OtherVersion(f"{what} was written by another version of Assay, which this one does not understand ({where})")


def _leave_out(value: object, place: tuple[int | str, ...]) -> None:
    """Remove a field. Its place names, besides fields and positions, the kinds of what lies on the way."""
    *way, name = place
    here: Any = value
    for step in way:
        # Whatever leads nowhere is the name of a kind.
        with suppress(KeyError, TypeError):
            here = here[step]
    here.pop(name, None)
