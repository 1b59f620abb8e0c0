"""The wire format of OpenAI's Chat Completions, and what both of its APIs have in common: what a request must look
like, and what is answered. Pure.

From OpenAI's API reference ("Create chat completion") and its guides on Structured Outputs and error codes. It refuses
what OpenAI refuses, so that a client which passes here does not fail there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Json = dict[str, Any]


def words(text: str) -> frozenset[str]:
    """A set of words, written as a text."""
    return frozenset(text.split())


_PARAMETERS = words(
    "messages model audio frequency_penalty function_call functions logit_bias logprobs max_completion_tokens "
    "max_tokens metadata modalities moderation n parallel_tool_calls prediction presence_penalty prompt_cache_key "
    "prompt_cache_retention reasoning_effort response_format safety_identifier seed service_tier stop store stream "
    "stream_options temperature tool_choice tools top_logprobs top_p user verbosity web_search_options"
)
_ROLES = words("developer system user assistant tool function")
_KEYWORDS = words(
    "$defs $ref additionalProperties anyOf const description enum exclusiveMaximum exclusiveMinimum format items "
    "maxItems maximum minItems minimum multipleOf pattern properties required title type"
)
_DEPTH, _PROPERTIES = 10, 5_000
# About what English takes; near enough for a stand-in.
_CHARACTERS_A_TOKEN = 4


@dataclass(frozen=True)
class Reply:
    """What the model says, or the name of the tool that it `calls` instead. `cost` is the price in US dollars that some
    gateways state with it, `pause` the seconds between the events in which it is streamed, `hold` those for which the
    connection is held after the last one."""

    content: str | None = None
    refusal: str | None = None
    finish_reason: str = "stop"
    cost: float | None = None
    pause: float = 0.0
    hold: float = 0.0
    calls: str | None = None


@dataclass(frozen=True)
class Failed:
    """An error in the middle of an answer, after some of it was `said`: the status was 200 already."""

    code: str
    message: str
    said: str = ""


@dataclass(frozen=True)
class Problem:
    """An error answer. `retry_after` is the header, in seconds."""

    status: int
    message: str
    type: str = "invalid_request_error"
    code: str | None = None
    param: str | None = None
    retry_after: float | None = None

    def body(self) -> Json:
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}


@dataclass(frozen=True)
class Broken:
    """A fault of the wire: the connection is reset; the body is cut off, no JSON, or dripped for `seconds`; of what is
    streamed `half` is sent, and the connection closed in good order."""

    how: Literal["reset", "cut", "garbage", "drip", "half"]
    seconds: float = 0.0


Answer = Reply | Failed | Problem | Broken

RATE_LIMIT = Problem(429, "Rate limit reached for requests", "requests", "rate_limit_exceeded", retry_after=0.05)
NO_QUOTA = Problem(429, "You exceeded your current quota", "insufficient_quota", "insufficient_quota")
SERVER_ERROR = Problem(500, "The server had an error while processing your request", "server_error")
TOO_LONG = Problem(
    400,
    "This model's maximum context length is 8192 tokens. Please reduce the length of the messages.",
    code="context_length_exceeded",
    param="messages",
)


@dataclass(frozen=True)
class ChatRequest:
    """A request that passed the checks, of either API."""

    body: Json
    api: Literal["chat", "responses"] = "chat"

    @property
    def model(self) -> str:
        return str(self.body["model"])

    @property
    def stream(self) -> bool:
        return bool(self.body.get("stream"))

    @property
    def form(self) -> str:
        """The type of its response format."""
        given = self.body.get("response_format") or (self.body.get("text") or {}).get("format")
        return str((given or {"type": "text"})["type"])

    @property
    def messages(self) -> list[Json]:
        """What was said, turn by turn."""
        given = self.body["messages"] if self.api == "chat" else self.body["input"]
        return [{"role": "user", "content": given}] if isinstance(given, str) else given

    @property
    def text(self) -> str:
        """All that was said."""
        return "\n\n".join(_text(message.get("content")) for message in self.messages)


def check(body: object, models: tuple[str, ...], forms: tuple[str, ...]) -> ChatRequest | Problem:
    """The request, or what is wrong with it. `forms` are the response formats that the server knows."""
    if not isinstance(body, dict):
        return Problem(400, "We could not parse the JSON body of your request.")
    if unknown := sorted(set(body) - _PARAMETERS):
        return Problem(400, f"Unrecognized request argument supplied: {unknown[0]}", param=unknown[0])
    if not isinstance(body.get("model"), str):
        return Problem(400, "you must provide a model parameter")
    if body["model"] not in models:
        return Problem(404, f"The model `{body['model']}` does not exist", code="model_not_found")
    if body.get("stream_options") is not None and not body.get("stream"):
        return Problem(
            400, "The 'stream_options' parameter is only allowed when 'stream' is enabled.", param="stream_options"
        )
    problem = _messages(body.get("messages")) or _format(body.get("response_format"), body["messages"], forms)
    return Problem(400, problem[1], param=problem[0]) if problem else ChatRequest(body)


def _messages(messages: object) -> tuple[str, str] | None:
    if not isinstance(messages, list) or not messages:
        return "messages", "[] is too short - 'messages'"
    for index, message in enumerate(messages):
        where = f"messages[{index}]"
        if not isinstance(message, dict) or message.get("role") not in _ROLES:
            return f"{where}.role", f"Invalid value for '{where}.role'"
        if not isinstance(message.get("content"), str | list) or not message["content"]:
            return f"{where}.content", f"Invalid value for '{where}.content': expected a string, got null."
    return None


def _format(given: object, messages: list[Json], forms: tuple[str, ...]) -> tuple[str, str] | None:
    if given is None:
        return None
    kind = given.get("type") if isinstance(given, dict) else None
    if not isinstance(given, dict) or kind not in forms:
        return "response_format", f"Invalid parameter: 'response_format' of type '{kind}' is not supported"
    if kind == "json_object" and not says_json(messages):
        return "messages", "'messages' must contain the word 'json' in some form, to use 'response_format'"
    if kind == "json_schema":
        return check_schema(given.get("json_schema"), "response_format.json_schema")
    return None


def says_json(messages: list[Json]) -> bool:
    """Whether the word is there without which OpenAI refuses to answer with any object."""
    return any("json" in _text(one.get("content")).lower() for one in messages)


def check_schema(given: object, where: str) -> tuple[str, str] | None:
    """What is wrong with a schema for the answer that stands `where`: the parameter, and why."""
    if not isinstance(given, dict) or not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", str(given.get("name", ""))):
        return f"{where}.name", f"Invalid '{where}.name'"
    schema = given.get("schema")
    if not isinstance(schema, dict) or schema.get("type") != "object":
        return f"{where}.schema", "schema must be a JSON Schema of 'type: \"object\"'"
    fault = next(strict_faults(schema), None) if given.get("strict") else None
    if fault:
        return f"{where}.schema", f"Invalid schema for response_format '{given['name']}': {fault}"
    return None


def strict_faults(schema: Json) -> Iterator[str]:
    """What strict mode refuses in a schema ("Supported schemas" of the guide)."""
    if "anyOf" in schema:
        yield "In context=(), 'anyOf' is not permitted at the root."
    for where, node, depth in _nodes(schema, (), 0):
        for fault in _node_faults(node):
            yield f"In context={where}, {fault}"
        if depth > _DEPTH:
            yield f"In context={where}, the schema is nested more than {_DEPTH} levels deep."
    if sum(len(node.get("properties", {})) for _, node, _ in _nodes(schema, (), 0)) > _PROPERTIES:
        yield f"The schema has more than {_PROPERTIES} properties."


def _node_faults(node: Json) -> Iterator[str]:
    if unknown := sorted(set(node) - _KEYWORDS):
        yield f"'{unknown[0]}' is not permitted."
    if "$ref" in node and len(node) > 1:
        yield "$ref cannot have keywords beside it."
    if not {"type", "anyOf", "$ref", "enum", "const"} & set(node):
        yield "schema must have a 'type' key."
    if "object" not in _types(node):
        return
    if node.get("additionalProperties") is not False:
        yield "'additionalProperties' is required to be supplied and to be false."
    if set(node.get("required", [])) != set(node.get("properties", {})):
        yield "'required' is required to be supplied and to include every key in properties."


def _nodes(node: Json, where: tuple[str, ...], depth: int) -> Iterator[tuple[tuple[str, ...], Json, int]]:
    yield where, node, depth
    below = depth + ("object" in _types(node))
    for key in ("properties", "$defs"):
        for name, child in node.get(key, {}).items():
            yield from _nodes(child, (*where, key, name), below)
    if "items" in node:
        yield from _nodes(node["items"], (*where, "items"), below)
    for index, child in enumerate(node.get("anyOf", ())):
        yield from _nodes(child, (*where, "anyOf", str(index)), below)


def _types(node: Json) -> tuple[str, ...]:
    kind = node.get("type", ())
    return (kind,) if isinstance(kind, str) else tuple(kind)


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(str(part.get("text", "")) for part in parts if isinstance(part, dict))


def completion(request: ChatRequest, reply: Reply, number: int) -> Json:
    """The chat completion object."""
    message: Json = {"role": "assistant", "content": reply.content, "refusal": reply.refusal, "annotations": []}
    if reply.calls:
        message["tool_calls"] = [tool_call(reply.calls, number)]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(reply)}
    return _head(request, number, "chat.completion") | {"choices": [choice], "usage": _usage(request, reply)}


def tool_call(name: str, number: int) -> Json:
    """A call of a tool, without arguments."""
    return {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": "{}"}}


def _finish(reply: Reply) -> str:
    return "tool_calls" if reply.calls else reply.finish_reason


def cut(text: str) -> Iterator[str]:
    """The pieces in which a text is streamed."""
    return (text[at : at + 40] for at in range(0, len(text), 40))


def chunks(request: ChatRequest, answer: Reply | Failed, number: int) -> Iterator[str]:
    """The server-sent events of a streamed answer."""
    reply = Reply(answer.said) if isinstance(answer, Failed) else answer
    said = reply.content or reply.refusal or ""
    key = "content" if reply.refusal is None else "refusal"
    deltas: list[tuple[Json, str | None]] = [({"role": "assistant", key: ""}, None)]
    deltas += [({key: piece}, None) for piece in cut(said)]
    deltas += [({"tool_calls": [{"index": 0, **tool_call(reply.calls, number)}]}, None)] if reply.calls else []
    deltas += [] if isinstance(answer, Failed) else [({}, _finish(reply))]
    for delta, finish in deltas:
        choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
        yield _event(_head(request, number, "chat.completion.chunk") | {"choices": choices})
    if isinstance(answer, Failed):
        yield _event(failure(answer))
        return
    if (request.body.get("stream_options") or {}).get("include_usage"):
        usage = {"choices": [], "usage": _usage(request, reply)}
        yield _event(_head(request, number, "chat.completion.chunk") | usage)
    yield "data: [DONE]\n\n"


def _head(request: ChatRequest, number: int, kind: str) -> Json:
    return {"id": f"chatcmpl-{number}", "object": kind, "created": 1_750_000_000, "model": request.model}


def failure(failed: Failed) -> Json:
    """An error as gateways send it once they have answered 200."""
    return {"error": {"code": failed.code, "message": failed.message}}


def token_counts(request: ChatRequest, reply: Reply) -> tuple[int, int]:
    """The tokens of what was asked, and of what was said."""
    said = reply.content or reply.refusal or ""
    return 1 + len(request.text) // _CHARACTERS_A_TOKEN, 1 + len(said) // _CHARACTERS_A_TOKEN


def _usage(request: ChatRequest, reply: Reply) -> Json:
    asked, said = token_counts(request, reply)
    price = {} if reply.cost is None else {"cost": reply.cost}
    return {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said, **price}


def _event(data: Mapping[str, object]) -> str:
    return f"data: {json.dumps(data)}\n\n"
