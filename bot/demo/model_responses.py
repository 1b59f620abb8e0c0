"""The wire format of OpenAI's Responses API: what a request must look like, and what is answered. Pure.

From OpenAI's API reference ("Create a model response", "Streaming events") and what its servers are known to say.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from bot.demo.model_wire import (
    ChatRequest,
    Failed,
    Json,
    Problem,
    Reply,
    check_schema,
    cut,
    says_json,
    token_counts,
    tool_call,
    words,
)

_PARAMETERS = words(
    "access_programs background context_management conversation image include input instructions max_output_tokens "
    "max_tool_calls metadata model moderation parallel_tool_calls previous_response_id prompt prompt_cache_key "
    "prompt_cache_options prompt_cache_retention reasoning safety_identifier service_tier store stream stream_options "
    "temperature text tool_choice tools top_logprobs top_p truncation user"
)
_ROLES = words("user assistant system developer")


def check(body: object, models: tuple[str, ...], forms: tuple[str, ...]) -> ChatRequest | Problem:
    """The request, or what is wrong with it. `forms` are the text formats that the server knows."""
    if not isinstance(body, dict):
        return Problem(400, "We could not parse the JSON body of your request.")
    if unknown := sorted(set(body) - _PARAMETERS):
        return Problem(400, f"Unknown parameter: '{unknown[0]}'.", code="unknown_parameter", param=unknown[0])
    if not isinstance(body.get("model"), str):
        return Problem(400, "Missing required parameter: 'model'.", code="missing_required_parameter", param="model")
    if body["model"] not in models:
        missing = f"The requested model '{body['model']}' does not exist."
        return Problem(400, missing, code="model_not_found", param="model")
    problem = _input(body.get("input")) or _text(body.get("text"), body, forms)
    return Problem(400, problem[1], param=problem[0]) if problem else ChatRequest(body, "responses")


def _input(given: object) -> tuple[str, str] | None:
    if isinstance(given, str) and given:
        return None
    if not isinstance(given, list) or not given:
        return "input", "Missing required parameter: 'input'."
    for index, item in enumerate(given):
        where = f"input[{index}]"
        if not isinstance(item, dict) or item.get("role") not in _ROLES:
            return f"{where}.role", f"Invalid value: '{where}.role'."
        if not isinstance(item.get("content"), str | list) or not item["content"]:
            return f"{where}.content", f"Invalid type for '{where}.content': expected a string or an array."
    return None


def _text(given: object, body: Json, forms: tuple[str, ...]) -> tuple[str, str] | None:
    form = given.get("format") if isinstance(given, dict) else None
    if form is None:
        return None
    kind = form.get("type") if isinstance(form, dict) else None
    if not isinstance(form, dict) or kind not in forms:
        return "text.format", f"Invalid parameter: 'text.format' of type '{kind}' is not supported with this model."
    if kind == "json_object" and not says_json(ChatRequest(body, "responses").messages):
        lack = "Response input messages must contain the word 'json' in some form to use 'text.format' of type"
        return "input", f"{lack} 'json_object'."
    return check_schema(form, "text.format") if kind == "json_schema" else None


def response(request: ChatRequest, reply: Reply, number: int) -> Json:
    """The response object."""
    status, reason = _ends(reply)
    usage = _usage(request, reply)
    output = [_call(reply.calls, number) if reply.calls else _message(reply, number)]
    return _object(request, number, status, output=output, usage=usage, incomplete_details=reason)


def failure(request: ChatRequest, failed: Failed, number: int) -> Json:
    """The response object of an answer that came to nothing."""
    return _object(request, number, "failed", error={"code": failed.code, "message": failed.message})


def events(request: ChatRequest, answer: Reply | Failed, number: int) -> Iterator[str]:
    """The server-sent events of a streamed answer. There is no `[DONE]`."""
    for at, (kind, fields) in enumerate(_events(request, answer, number)):
        data = json.dumps({"type": kind, "sequence_number": at, **fields})
        yield f"event: {kind}\ndata: {data}\n\n"


def _events(request: ChatRequest, answer: Reply | Failed, number: int) -> Iterator[tuple[str, Json]]:
    begun = {"response": _object(request, number, "in_progress")}
    yield "response.created", begun
    yield "response.in_progress", begun
    if isinstance(answer, Failed):
        yield from _said(Reply(answer.said), number)
        yield "response.failed", {"response": failure(request, answer, number)}
        return
    if answer.calls:
        yield from _called(_call(answer.calls, number))
    else:
        yield from _said(answer, number)
        yield from _done(answer, number)
    yield f"response.{_ends(answer)[0]}", {"response": response(request, answer, number)}


def _called(call: Json) -> Iterator[tuple[str, Json]]:
    yield "response.output_item.added", {"output_index": 0, "item": call | {"status": "in_progress", "arguments": ""}}
    where = {"item_id": call["id"], "output_index": 0}
    yield "response.function_call_arguments.delta", where | {"delta": call["arguments"]}
    yield "response.function_call_arguments.done", where | {"arguments": call["arguments"]}
    yield "response.output_item.done", {"output_index": 0, "item": call}


def _done(reply: Reply, number: int) -> Iterator[tuple[str, Json]]:
    whole = _message(reply, number)
    item = {"item_id": whole["id"], "output_index": 1, "content_index": 0}
    said = whole["content"][0]
    kind = "output_text" if said["type"] == "output_text" else "refusal"
    final = {"text": said["text"], "logprobs": []} if kind == "output_text" else {"refusal": said["refusal"]}
    yield f"response.{kind}.done", item | final
    yield "response.content_part.done", item | {"part": said}
    yield "response.output_item.done", {"output_index": 1, "item": whole}


def _said(reply: Reply, number: int) -> Iterator[tuple[str, Json]]:
    thought = {"id": f"rs_{number}", "type": "reasoning", "summary": []}
    yield "response.output_item.added", {"output_index": 0, "item": thought}
    yield "response.output_item.done", {"output_index": 0, "item": thought}
    whole = _message(reply, number)
    yield "response.output_item.added", {"output_index": 1, "item": whole | {"status": "in_progress", "content": []}}
    said = whole["content"][0]
    key = "text" if "text" in said else "refusal"
    item = {"item_id": whole["id"], "output_index": 1, "content_index": 0}
    yield "response.content_part.added", item | {"part": said | {key: ""}}
    kind = "response.output_text.delta" if key == "text" else "response.refusal.delta"
    more: Json = {"logprobs": []} if key == "text" else {}
    for piece in cut(said[key]):
        yield kind, item | {"delta": piece} | more


def _call(name: str, number: int) -> Json:
    called = tool_call(name, number)
    head: Json = {"id": f"fc_{number}", "type": "function_call", "status": "completed", "call_id": called["id"]}
    head.update(called["function"])
    return head


def _message(reply: Reply, number: int) -> Json:
    said: Json = {"type": "output_text", "text": reply.content or "", "annotations": [], "logprobs": []}
    if reply.refusal is not None:
        said = {"type": "refusal", "refusal": reply.refusal}
    status = "completed" if reply.finish_reason == "stop" else "incomplete"
    return {"id": f"msg_{number}", "type": "message", "role": "assistant", "status": status, "content": [said]}


def _ends(reply: Reply) -> tuple[str, Json | None]:
    reasons = {"length": "max_output_tokens", "content_filter": "content_filter"}
    if reply.finish_reason == "stop":
        return "completed", None
    return "incomplete", {"reason": reasons[reply.finish_reason]}


def _usage(request: ChatRequest, reply: Reply) -> Json:
    asked, said = token_counts(request, reply)
    price = {} if reply.cost is None else {"cost": reply.cost}
    return {
        "input_tokens": asked,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": said,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": asked + said,
        **price,
    }


def _object(request: ChatRequest, number: int, status: str, **fields: object) -> Json:
    body = request.body
    return {
        "id": f"resp_{number}",
        "object": "response",
        "created_at": 1_750_000_000,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "metadata": {},
        "model": request.model,
        "output": [],
        "parallel_tool_calls": True,
        "store": body.get("store", True),
        "text": body.get("text", {"format": {"type": "text"}}),
        "tool_choice": "auto",
        "tools": [],
        "usage": None,
        **fields,
    }
