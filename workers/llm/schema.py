"""A pydantic model as the subset of JSON Schema that structured outputs accept.

Strict mode wants every property required and every object closed, and refuses keywords beyond its list (OpenAI's
Structured Outputs guide, "Supported schemas"). References are written out: several compatible servers know none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

Schema = dict[str, Any]


def strict_schema(model: type[BaseModel]) -> Schema:
    """The model's schema; bounds and defaults are left out, so whoever reads the answer must keep them.

    The model must not contain itself.
    """
    schema = model.model_json_schema()
    return _strict(schema, schema.get("$defs", {}))


def _strict(node: Schema, definitions: Mapping[str, Schema]) -> Schema:
    if "$ref" in node:
        target = _strict(definitions[node["$ref"].removeprefix("#/$defs/")], definitions)
        return target | {key: node[key] for key in ("description",) if key in node}
    out: Schema = {key: node[key] for key in ("type", "enum", "const", "description") if key in node}
    if "anyOf" in node:
        out["anyOf"] = [_strict(one, definitions) for one in node["anyOf"]]
    if "items" in node:
        out["items"] = _strict(node["items"], definitions)
    if node.get("type") == "object":
        properties: dict[str, Schema] = node.get("properties", {})
        out["properties"] = {name: _strict(one, definitions) for name, one in properties.items()}
        out["required"] = list(properties)
        out["additionalProperties"] = False
    return out
