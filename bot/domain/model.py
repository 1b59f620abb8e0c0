"""What every value of the domain is made of: a frozen pydantic model that refuses unknown fields."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, PlainSerializer


def _well_formed(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


# Text that may hold the name of a file, and so, by `surrogateescape`, bytes that are no UTF-8. JSON cannot carry those:
# there they are spelled out.
Text = Annotated[str, PlainSerializer(_well_formed, return_type=str, when_used="json")]


_set = object.__setattr__


class Frozen(BaseModel):
    """An immutable value. Serialises to JSON and back without loss.

    A field that is new in something that Redis keeps (runs, events, publications, jobs) gets a default that is empty:
    None, false, 0, or nothing in it. `stored.py` says why; a test compares with what the last version wrote.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:  # noqa: ARG002 - pydantic's
        """The same with some fields changed; the new values are not checked.

        pydantic's own copies the names of the fields that were ever set as well, which of a finding take more memory
        than all that is in it. Nobody asks for them, and what is immutable needs no deep copy.
        """
        copy = type(self).__new__(type(self))
        _set(copy, "__dict__", {**self.__dict__, **(update or {})})
        _set(copy, "__pydantic_fields_set__", self.__pydantic_fields_set__)
        _set(copy, "__pydantic_extra__", None)
        _set(copy, "__pydantic_private__", None)
        return copy
