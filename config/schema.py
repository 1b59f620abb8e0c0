"""The JSON Schema of `.github/assay.yml`, for editors."""

from __future__ import annotations

from typing import Any

from config.repository import NAME, RESERVED, RepositoryConfig


def json_schema() -> dict[str, Any]:
    """A schema of draft 2020-12 that accepts what `config.reading.read` accepts, but for rules between keys
    (`after` naming agents, the number of agents)."""
    schema = RepositoryConfig.model_json_schema(mode="validation")
    for section in (schema, *schema["$defs"].values()):
        _polish(section)
    agents = schema["$defs"]["Agents"]
    agents["propertyNames"] = {"pattern": f"^{NAME.pattern}$", "not": {"enum": list(RESERVED)}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:assay:repository-config:1",
        **schema,
        "title": "Assay configuration",
        "description": "Which agents look at a commit, and what fails it (.github/assay.yml).",
    }


def _polish(section: dict[str, Any]) -> None:
    """Let a key stand with nothing after it, as the reader does, and drop what only repeats: titles, which
    are the key, and the defaults of sections, which tell their own key by key."""
    needed = section.get("required", ())
    for name, value in section.get("properties", {}).items():
        value.pop("title", None)
        if value.get("default") is None or isinstance(value["default"], dict):
            value.pop("default", None)
        if name not in needed:
            section["properties"][name] = _or_nothing(value)


def _or_nothing(value: dict[str, Any]) -> dict[str, Any]:
    about: dict[str, Any] = {key: value[key] for key in ("description", "default") if key in value}
    shape = {key: item for key, item in value.items() if key not in about}
    if {"type": "null"} in shape.get("anyOf", ()):
        return value
    options = shape["anyOf"] if set(shape) == {"anyOf"} else [shape]
    return {"anyOf": [*options, {"type": "null"}], **about}
