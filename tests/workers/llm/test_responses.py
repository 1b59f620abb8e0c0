"""The Responses API: the same whatever it is cut into, by its last event or by what came before."""

from __future__ import annotations

import json
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from bot.demo.model_responses import events, failure, response
from bot.demo.model_wire import ChatRequest, Failed
from bot.demo.model_wire import Reply as Scripted
from bot.errors import AssayError, Refused, Unavailable
from workers.llm.reply import Reply, Unfit
from workers.llm.responses import ResponseStream, parse_reply

REQUEST = ChatRequest({"model": "m", "input": [{"role": "user", "content": "x"}]}, "responses")
SAID = 'größe \u2028 {"a": 1}\n\n' * 9
FAILED = Failed("server_error", "We are sorry.", said="half of it")


def streamed(*pieces: bytes) -> Reply:
    answer = ResponseStream()
    for piece in pieces:
        answer.feed(piece)
    return answer.reply()


def event(kind: str, **fields: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def delta(text: str) -> bytes:
    return event("response.output_text.delta", delta=text)


def said(reply: Reply) -> tuple[str | None, str | None]:
    return reply.choices[0].message.content, reply.choices[0].finish_reason


@pytest.mark.parametrize(
    "answer",
    [
        Scripted(SAID),
        Scripted(refusal="I cannot."),
        Scripted("half", finish_reason="length"),
        Scripted("", finish_reason="content_filter"),
        FAILED,
    ],
)
def test_stand_in_says_what_the_package_understands(answer: Scripted | Failed) -> None:
    one: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
    kinds = []
    for number, text in enumerate(events(REQUEST, answer, 1)):
        name, data = text.strip().split("\n")
        read = one.validate_json(data.removeprefix("data: "), strict=True)
        assert (read.type, read.sequence_number) == (name.removeprefix("event: "), number)
        kinds.append(read.type)
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] in ("response.completed", "response.incomplete", "response.failed")
    whole = failure(REQUEST, answer, 1) if isinstance(answer, Failed) else response(REQUEST, answer, 1)
    Response.model_validate(whole)


@given(st.lists(st.integers(0, 9_000), max_size=40))
def test_an_answer_is_the_same_whatever_it_is_cut_into(cuts: list[int]) -> None:
    whole = "".join(events(REQUEST, Scripted(SAID), 1)).encode()
    edges = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    reply = streamed(*(whole[start:end] for start, end in pairwise(edges)))
    assert said(reply) == (SAID, "stop")
    assert reply.usage
    assert reply.usage.completion_tokens


@pytest.mark.parametrize("answer", [Scripted(SAID, cost=0.5), Scripted(refusal="I cannot."), Scripted("", refusal="")])
def test_what_is_streamed_is_what_is_sent_whole(answer: Scripted) -> None:
    parts = streamed("".join(events(REQUEST, answer, 1)).encode())
    assert parts == parse_reply(json.dumps(response(REQUEST, answer, 1)).encode())


@pytest.mark.parametrize(("reason", "finish"), [("length", "length"), ("content_filter", "content_filter")])
def test_what_is_incomplete_says_why(reason: str, finish: str) -> None:
    answer = Scripted("half", finish_reason=reason)
    assert said(streamed("".join(events(REQUEST, answer, 1)).encode())) == ("half", finish)
    assert said(streamed(event("response.incomplete", response={"status": "incomplete"}))) == ("", "length")


def test_tokens_are_read_and_those_that_were_cached() -> None:
    usage = {"input_tokens": 9, "output_tokens": 2, "input_tokens_details": {"cached_tokens": 4}, "cost": 0.25}
    reply = streamed(event("response.completed", response={"status": "completed", "output": [], "usage": usage}))
    assert reply.usage
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens, reply.usage.cost) == (9, 2, 0.25)
    assert reply.usage.prompt_tokens_details
    assert reply.usage.prompt_tokens_details.cached_tokens == 4


def test_gateway_that_leaves_the_last_event_empty_is_understood() -> None:
    end = event("response.completed", response={"status": "completed", "output": []})
    assert said(streamed(delta("ye"), delta("s"), end, b"data: [DONE]\n\n")) == ("yes", "stop")
    refusal = event("response.refusal.delta", delta="I cannot.")
    assert streamed(refusal, end).choices[0].message.refusal == "I cannot."


def test_what_is_said_on_the_way_is_no_part_of_the_answer() -> None:
    def item(phase: str | None, text: str) -> dict[str, object]:
        return {"type": "message", "phase": phase, "content": [{"type": "output_text", "text": text}]}

    output = [{"type": "reasoning", "content": None}, item("commentary", "I look."), item("final_answer", "yes")]
    reply = parse_reply(json.dumps({"object": "response", "status": "completed", "output": output}).encode())
    assert said(reply) == ("yes", "stop")


def test_thoughts_are_counted_and_not_told() -> None:
    answer = ResponseStream()
    answer.feed(event("response.reasoning_summary_text.delta", delta="hmm"))
    answer.feed(event("response.reasoning_text.delta", delta="hm") + delta("yes"))
    assert (answer.written, answer.done) == (8, False)
    answer.feed(event("response.completed", response={"status": "completed"}))
    assert answer.done
    assert said(answer.reply()) == ("yes", "stop")


@pytest.mark.parametrize("pieces", [(), (delta('{"a": 1}'),), (event("response.created", response={"output": []}),)])
def test_half_an_answer_is_none(pieces: tuple[bytes, ...]) -> None:
    with pytest.raises(Unavailable, match="in the middle"):
        streamed(*pieces)


@pytest.mark.parametrize(
    "failed",
    [
        "".join(events(REQUEST, FAILED, 1)).encode(),
        event("error", code="server_error", message="We are sorry."),
        event("error", error={"code": "server_error", "message": "We are sorry."}),
    ],
)
def test_error_within_the_stream_is_the_providers_in_each_of_its_shapes(failed: bytes) -> None:
    with pytest.raises(Unavailable, match=r"is failing: We are sorry\."):
        streamed(failed)


def test_error_without_a_word_is_one() -> None:
    with pytest.raises(Unavailable, match="is failing: failed"):
        streamed(event("response.failed", response={"status": "failed"}))
    with pytest.raises(Unavailable, match="is failing"):
        streamed(event("error"))


def test_whole_answer_that_failed_is_the_providers() -> None:
    with pytest.raises(Unavailable, match="We are sorry"):
        parse_reply(json.dumps(failure(REQUEST, FAILED, 1)).encode())
    refused = {"status": "failed", "error": {"code": "invalid_prompt", "message": "It was flagged."}}
    with pytest.raises(Refused, match="It was flagged"):
        parse_reply(json.dumps(refused).encode())


@pytest.mark.parametrize("raw", [b"", b"null", b"[]", b"{}", b'{"choices": []}', b'{"output": 1}', b"\xff"])
def test_what_is_no_response_is_unfit(raw: bytes) -> None:
    with pytest.raises(Unfit, match="check its URL, and by which API"):
        parse_reply(raw)


@pytest.mark.parametrize("data", [b"no JSON", b"[]", b"{}", b'{"type": 1}', b'{"choices": []}', b"{" * 90_000])
def test_what_is_no_event_of_one_is_unfit(data: bytes) -> None:
    with pytest.raises(Unfit, match="check its URL"):
        streamed(b"data: " + data + b"\n")


_ANY: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 1, "x", [], [None], {}, [{"type": "message"}], [{"content": [{"text": 1}]}]]
)
_KINDS = st.sampled_from(["response.completed", "response.failed", "response.output_text.delta", "error", "x.delta"])
_EVENTS = st.builds(
    event,
    _KINDS,
    delta=_ANY,
    error=_ANY,
    response=_ANY | st.fixed_dictionaries({"output": _ANY, "usage": _ANY, "status": _ANY}),
)


@given(st.lists(st.binary(max_size=20) | _EVENTS, max_size=8))
def test_any_bytes_can_be_fed(pieces: list[bytes]) -> None:
    with suppress(AssayError):
        assert streamed(*pieces).choices
