"""Streamed answers: the same whatever their bytes are cut into, and never taken for whole when they are not."""

from __future__ import annotations

import json
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.demo.model_wire import ChatRequest, chunks
from bot.demo.model_wire import Reply as Scripted
from bot.errors import Unavailable
from workers.llm.chat import ChatStream
from workers.llm.reply import Reply, Unfit

REQUEST = ChatRequest(
    {"model": "m", "messages": [{"role": "user", "content": "x"}], "stream_options": {"include_usage": True}}
)
SAID = 'größe \u2028 {"a": 1}\n\n' * 9


def streamed(*pieces: bytes) -> Reply:
    answer = ChatStream()
    for piece in pieces:
        answer.feed(piece)
    return answer.reply()


def event(**fields: object) -> bytes:
    return f"data: {json.dumps(fields)}\n\n".encode()


def delta(**fields: object) -> bytes:
    return event(choices=[{"index": 0, "delta": fields}])


@given(st.lists(st.integers(0, 4_000), max_size=40))
def test_an_answer_is_the_same_whatever_it_is_cut_into(cuts: list[int]) -> None:
    whole = "".join(chunks(REQUEST, Scripted(SAID), 1)).encode()
    edges = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    reply = streamed(*(whole[start:end] for start, end in pairwise(edges)))
    assert reply.choices[0].message.content == SAID
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage
    assert reply.usage.completion_tokens


def test_comments_events_names_and_other_choices_are_passed_over() -> None:
    other = event(choices=[{"index": 1, "delta": {"content": "no"}}])
    reply = streamed(b": PROCESSING\r\n\r\nevent: x\r\nid: 1\r\n", delta(content="yes"), other, b"data:[DONE]\r\n")
    assert reply.choices[0].message.content == "yes"


def test_a_refusal_is_one() -> None:
    reply = streamed(delta(refusal="I "), delta(refusal="cannot."), b"data: [DONE]\n")
    assert reply.choices[0].message.refusal == "I cannot."


def test_thoughts_are_counted_and_not_told() -> None:
    answer = ChatStream()
    answer.feed(delta(reasoning="hmm") + delta(reasoning_content="hm") + delta(content="yes") + b"data: [DONE]\n")
    assert answer.written == 8
    assert answer.reply().choices[0].message.content == "yes"


def test_half_an_answer_is_none() -> None:
    with pytest.raises(Unavailable, match="in the middle"):
        streamed(delta(content='{"a": 1}'))
    with pytest.raises(Unavailable, match="in the middle"):
        streamed()


def test_an_error_within_the_stream_is_the_providers() -> None:
    with pytest.raises(Unavailable, match="overloaded"):
        streamed(delta(content="x"), event(error={"message": "overloaded"}), b"data: [DONE]\n")


@pytest.mark.parametrize("data", [b"no JSON", b"[]", b'{"choices": 1}', b'{"choices": [{"delta": []}]}', b"{" * 90_000])
def test_what_is_no_completion_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(Unfit, match="check its URL"):
        streamed(b"data: " + data + b"\n")


@given(st.lists(st.binary() | st.sampled_from([b"data: {}\n", b"data: [DONE]\n", b"\r\n", delta(content="x")])))
def test_any_bytes_can_be_fed(pieces: list[bytes]) -> None:
    with suppress(Unavailable, Unfit):
        assert streamed(*pieces).choices
