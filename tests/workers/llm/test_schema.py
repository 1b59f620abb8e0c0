from __future__ import annotations

from enum import StrEnum
from typing import Literal

import jsonschema
from pydantic import BaseModel, Field

from bot.demo.model_wire import strict_faults
from workers.agents.claims import Review
from workers.llm.schema import strict_schema


class Size(StrEnum):
    BIG = "big"
    SMALL = "small"


class Box(BaseModel):
    size: Size = Field(Size.BIG, description="How big.")
    weight: float = Field(gt=0, le=10)
    tags: list[str] = Field(default=[], max_length=3)


class Shelf(BaseModel):
    boxes: list[Box]
    spare: Box | None = None
    kind: Literal["wood", "steel"] = "wood"


def test_defaults_bounds_and_references_are_gone_and_all_is_required() -> None:
    schema = strict_schema(Shelf)
    assert list(strict_faults(schema)) == []
    assert schema["required"] == ["boxes", "spare", "kind"]
    box = schema["properties"]["boxes"]["items"]
    assert box["additionalProperties"] is False
    assert box["properties"]["size"] == {"type": "string", "enum": ["big", "small"], "description": "How big."}
    assert box["properties"]["weight"] == {"type": "number"}
    assert "$ref" not in str(schema)


def test_what_the_model_dumps_fits_its_schema() -> None:
    shelf = Shelf(boxes=[Box(weight=1)], spare=Box(weight=2, tags=["a"]))
    jsonschema.Draft202012Validator(strict_schema(Shelf)).validate(shelf.model_dump(mode="json"))


def test_the_reviewers_answer_is_within_the_strict_subset() -> None:
    schema = strict_schema(Review)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert list(strict_faults(schema)) == []
