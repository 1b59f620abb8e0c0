"""The reference tables of docs/configuration.md, made from the models so that they stay true. Markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from config.repository import (
    AgentConfig,
    Approvals,
    Budget,
    CommandConfig,
    ExtensionConfig,
    Ignore,
    LintConfig,
    Orders,
    PullRequestTrigger,
    ReviewConfig,
    ReviewRule,
    Risk,
    Section,
    SecurityConfig,
    TestConfig,
    Triggers,
    Trusted,
    Verify,
)
from config.schema import json_schema
from config.settings import Settings, variable

_TABLES: dict[str, type[Section]] = {
    "triggers": Triggers,
    "triggers.pull_request": PullRequestTrigger,
    "every agent": AgentConfig,
    "agents.test": TestConfig,
    "agents.lint": LintConfig,
    "agents.security": SecurityConfig,
    "agents.review": ReviewConfig,
    "agents.review.rules[]": ReviewRule,
    "agents.review.budget": Budget,
    "agents.review.verify": Verify,
    "agents.review.fail_on": Risk,
    "ignore[]": Ignore,
    "trusted": Trusted,
    "commands": Orders,
    "approvals": Approvals,
    "agents.NAME with run": CommandConfig,
    "agents.NAME with uses": ExtensionConfig,
}


_KINDS = {
    "boolean": "true, false",
    "integer": "number",
    "number": "number",
    "string": "text",
    "null": "nothing",
    "object": "section",
}


def settings_table() -> str:
    """A row for each process setting: variable, default, meaning."""
    rows = [
        (f"`{variable(name)}`", _told_default(field), field.description or "")
        for name, field in Settings.model_fields.items()
    ]
    return _table(("variable", "default", "meaning"), rows)


def key_tables() -> dict[str, str]:
    """A table for each section of `.github/assay.yml`: key, what it takes, default, meaning. A section of one agent
    tells only what differs from every agent's."""
    sections = {name: section["properties"] for name, section in json_schema()["$defs"].items()}
    return {title: _keys(model, sections) for title, model in _TABLES.items()}


def _keys(model: type[Section], sections: Mapping[str, Mapping[str, Any]]) -> str:
    common = AgentConfig.model_fields if issubclass(model, AgentConfig) and model is not AgentConfig else {}
    shapes = sections[model.__name__ if model is not AgentConfig else "CommandConfig"]
    rows = [
        (f"`{name}`", _kind(shapes[name]), _default(field), field.description or "")
        for name, field in model.model_fields.items()
        if name not in common or common[name].default != field.default
    ]
    return _table(("key", "takes", "default", "meaning"), rows)


def _kind(shape: dict[str, Any]) -> str:
    """What a key takes, in words: `text or list of text`, or the words it chooses from."""
    options = shape.get("anyOf") or shape.get("oneOf")
    if options:
        kinds = dict.fromkeys(kind for option in options if (kind := _kind(option)) != "nothing")
        # "text or list of text" says it twice.
        lists = {f"list of {kind}" for kind in kinds}
        return " or ".join("a list" if kind in lists else kind for kind in kinds)
    if "$ref" in shape:
        return "section"
    if "enum" in shape or "const" in shape:
        return ", ".join(f"`{choice}`" for choice in shape.get("enum", [shape.get("const")]))
    if shape["type"] == "array":
        return f"list of {_kind(shape['items'])}"
    if "smh" in shape.get("pattern", ""):
        return "duration"
    return _KINDS[shape["type"]]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "(needed)"
    if field.default is None or isinstance(field.default, BaseModel):
        return "—"
    if field.default == ():
        return "`[]`"
    return (
        f"`{field.default}`" if isinstance(field.default, str) and field.default else f"`{json.dumps(field.default)}`"
    )


def _told_default(field: FieldInfo) -> str:
    extra = field.json_schema_extra
    if isinstance(extra, dict) and "told" in extra:
        return str(extra["told"])
    if field.default is None:
        return "—"
    return f"`{field.default}`"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ("---",) * len(head), *rows))
