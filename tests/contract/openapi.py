"""GitHub's own OpenAPI description, and requests, answers and webhooks held against it.

The description comes with the npm package `@octokit/openapi`. Where it is not installed, asking for it skips the test
and says so; where `CI` is set it fails instead.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Protocol

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

FILE = Path(__file__).parent / "node_modules" / "@octokit" / "openapi" / "generated" / "api.github.com.json"
MISSING = "`npm ci` in tests/contract brings GitHub's OpenAPI description"
BASE = "urn:github"
_PREFIX = re.compile(r"^/api/v3(?=/)")
Json = dict[str, Any]


class Asked(Protocol):
    """A recorded request. `path` may have an Enterprise Server's prefix; `body` is parsed JSON, None without one."""

    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def query(self) -> Mapping[str, str]: ...
    @property
    def body(self) -> Any: ...


class Answered(Asked, Protocol):
    """A recorded request with its answer's status and parsed JSON."""

    @property
    def status(self) -> int: ...
    @property
    def answer(self) -> Any: ...


class Sent(Protocol):
    """A webhook that was sent."""

    @property
    def event(self) -> str: ...
    @property
    def payload(self) -> Mapping[str, Any]: ...


def validate_requests(requests: Iterable[Asked]) -> list[str]:
    """What is wrong with these requests by GitHub's description: one line each, none if all is well.

    Unknown paths, methods, query parameters and top-level body keys are violations too. GraphQL is not described there
    and is passed over.
    """
    return [f"{one.method} {one.path}: {problem}" for one in requests for problem in _request_problems(one)]


def validate_answers(requests: Iterable[Answered]) -> list[str]:
    """What is wrong with the successful answers to these requests: for the stand-in's own tests."""
    return [f"{one.method} {one.path}: {problem}" for one in requests for problem in _answer_problems(one)]


def validate_payloads(sent: Iterable[Sent]) -> list[str]:
    """What is wrong with these webhooks' payloads: for the stand-in's own tests."""
    return [f"{one.event}: {problem}" for one in sent for problem in _payload_problems(one)]


@dataclass(frozen=True)
class Operation:
    """One method of one path. `pointer` leads to it in the description."""

    pointer: str
    pattern: re.Pattern[str]
    literal: int
    spec: Json


@dataclass(frozen=True, eq=False)
class Description:
    document: Json

    @cached_property
    def registry(self) -> Registry[Any]:
        resource = Resource.from_contents(self.document, default_specification=DRAFT202012)
        registry: Registry[Any] = Registry().with_resource(BASE, resource)
        return registry

    @cached_property
    def operations(self) -> dict[str, list[Operation]]:
        """By method; the most literal path first, so that the first match is the right one."""
        found: dict[str, list[Operation]] = {}
        for template, methods in self.document["paths"].items():
            for method, spec in methods.items():
                found.setdefault(method.upper(), []).append(self._operation(template, method, spec))
        for operations in found.values():
            operations.sort(key=lambda operation: -operation.literal)
        return found

    def _operation(self, template: str, method: str, spec: Json) -> Operation:
        wide = {p["name"] for p in self.parameters(spec) if p.get("x-multi-segment")}

        def group(match: re.Match[str]) -> str:
            # `basehead` holds two branch names, which may have slashes, although the description does not say so.
            tail = ".+" if match[1] in wide or match[1] == "basehead" else "[^/]+"
            return f"(?P<{match[1].replace('-', '_')}>{tail})"

        pattern = re.compile(re.sub(r"\\{([\w-]+)\\}", group, re.escape(template).replace(r"\-", "-")))
        literal = len(re.sub(r"\{[^}]*\}", "", template))
        return Operation(f"/paths/{_escaped(template)}/{method}", pattern, literal, spec)

    def parameters(self, spec: Json) -> list[Json]:
        return [self.follow(parameter) for parameter in spec.get("parameters", [])]

    def follow(self, value: Json) -> Json:
        """The object that a `$ref` leads to; anything else is itself."""
        while "$ref" in value:
            target: Any = self.document
            for part in value["$ref"].removeprefix("#/").split("/"):
                target = target[part.replace("~1", "/").replace("~0", "~")]
            value = target
        return value

    def find(self, method: str, path: str) -> tuple[Operation, Mapping[str, str]] | None:
        for operation in self.operations.get(method, []):
            if match := operation.pattern.fullmatch(path):
                return operation, match.groupdict()
        return None

    @cache  # noqa: B019  one description lives as long as the process
    def validator(self, pointer: str) -> Draft202012Validator:
        return Draft202012Validator({"$ref": f"{BASE}#{pointer}"}, registry=self.registry)

    def check(self, pointer: str, value: Any) -> list[str]:
        errors = self.validator(pointer).iter_errors(value)
        return [f"{error.json_path}: {_shortened(error.message)}" for error in errors]


@cache
def _loaded() -> Description:
    document = json.loads(FILE.read_text(encoding="utf-8"))
    _modernise(document)
    return Description(document)


def description() -> Description:
    """The description; skips the test, or fails it in CI, where the package is not installed."""
    if FILE.is_file():
        return _loaded()
    if os.environ.get("CI"):
        pytest.fail(MISSING)
    pytest.skip(MISSING)


def _request_problems(request: Asked) -> list[str]:
    told = description()
    path = _PREFIX.sub("", request.path)
    if path in ("/graphql", "/api/graphql"):
        return []
    found = told.find(request.method, path)
    if found is None:
        return ["no such operation"]
    operation, arguments = found
    return [*_parameter_problems(told, operation, arguments, request.query), *_body_problems(told, operation, request)]


def _parameter_problems(
    told: Description, operation: Operation, arguments: Mapping[str, str], query: Mapping[str, str]
) -> list[str]:
    known = {(p["in"], p["name"].replace("-", "_")): p for p in told.parameters(operation.spec)}
    given = {("path", name): value for name, value in arguments.items()}
    given |= {("query", name): value for name, value in query.items()}
    problems = []
    for (where, name), value in given.items():
        parameter = known.get((where, name))
        if parameter is None:
            problems.append(f"unknown {where} parameter {name}")
        elif reason := _misfit(told.follow(parameter.get("schema", {})), value):
            problems.append(f"{where} parameter {name}: {reason}")
    wanted = {key for key, parameter in known.items() if parameter.get("required") and key[0] != "header"}
    return problems + [f"missing {where} parameter {name}" for where, name in sorted(wanted - given.keys())]


def _misfit(schema: Json, value: str) -> str | None:
    """Why a parameter, which is always text, does not fit its schema."""
    kinds = schema.get("type", "string")
    typed: Any = int(value) if "integer" in kinds and re.fullmatch(r"-?\d+", value) else value
    if "boolean" in kinds and value in ("true", "false"):
        typed = value == "true"
    error = next(Draft202012Validator(schema, registry=_loaded().registry).iter_errors(typed), None)
    return error.message if error else None


def _body_problems(told: Description, operation: Operation, request: Asked) -> list[str]:
    described = told.follow(operation.spec.get("requestBody", {}))
    content = described.get("content", {}).get("application/json")
    if content is None:
        return [] if not request.body else ["a body where none is described"]
    if request.body is None:
        return ["the body is missing"] if described.get("required") else []
    pointer = f"{operation.pointer}/requestBody/content/application~1json/schema"
    known = _properties(told, content["schema"])
    unknown = [f"unknown key {key} in the body" for key in request.body if known and key not in known]
    return told.check(pointer, request.body) + unknown


def _properties(told: Description, schema: Json) -> set[str]:
    """Every top-level property that the schema or one of its alternatives names."""
    schema = told.follow(schema)
    parts = [part for word in ("oneOf", "anyOf", "allOf") for part in schema.get(word, [])]
    return set(schema.get("properties", {})).union(*(_properties(told, part) for part in parts))


def _answer_problems(request: Answered) -> list[str]:
    told = description()
    found = told.find(request.method, _PREFIX.sub("", request.path))
    if found is None or not 200 <= request.status < 300:
        return []
    operation = found[0]
    responses = operation.spec["responses"]
    if str(request.status) not in responses:
        return [f"status {request.status} is not described"]
    if request.answer is None or "application/json" not in responses[str(request.status)].get("content", {}):
        return []
    return told.check(
        f"{operation.pointer}/responses/{request.status}/content/application~1json/schema", request.answer
    )


def _payload_problems(sent: Sent) -> list[str]:
    told, webhooks = description(), description().document["x-webhooks"]
    action = str(sent.payload.get("action", ""))
    name = "-".join([sent.event, *([action] if action else [])]).replace("_", "-")
    if name not in webhooks:
        return [f"no such webhook as {name}"]
    return told.check(f"/x-webhooks/{name}/post/requestBody/content/application~1json/schema", dict(sent.payload))


def _modernise(value: Any) -> None:
    """OpenAPI 3.0's `nullable`, said as JSON Schema says it; in place, everywhere."""
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in inside:
        _modernise(item)
    if isinstance(value, dict) and value.get("nullable") is True:
        _allow_null(value)


def _allow_null(schema: Json) -> None:
    if isinstance(schema.get("type"), str):
        schema["type"] = [schema["type"], "null"]
    if "enum" in schema:
        schema["enum"] = [*schema["enum"], None]
    for word in ("oneOf", "anyOf"):
        if word in schema:
            schema[word] = [*schema[word], {"type": "null"}]
    if "allOf" in schema:
        schema["anyOf"] = [{"allOf": schema.pop("allOf")}, {"type": "null"}]


def _shortened(message: str) -> str:
    """The value stands at a message's start, the reason at its end."""
    return message if len(message) <= 300 else f"{message[:140]} ... {message[-140:]}"


def _escaped(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1").replace("{", "%7B").replace("}", "%7D")
