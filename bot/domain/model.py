"""What every value of the domain is made of: a frozen pydantic model that refuses unknown fields."""

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """An immutable value. Serialises to JSON and back without loss."""

    model_config = ConfigDict(frozen=True, extra="forbid")
