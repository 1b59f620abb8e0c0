"""What every value of the domain is made of: a frozen pydantic model that refuses unknown fields."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, PlainSerializer


def _well_formed(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


# Text that may hold the name of a file, and so, by `surrogateescape`, bytes that are no UTF-8. JSON cannot carry those:
# there they are spelled out.
Text = Annotated[str, PlainSerializer(_well_formed, return_type=str, when_used="json")]


class Frozen(BaseModel):
    """An immutable value. Serialises to JSON and back without loss.

    A field that is new in something that Redis keeps (runs, events, publications, jobs) gets a default that is empty:
    None, false, 0, or nothing in it. `stored.py` says why; a test compares with what the last version wrote.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
