"""The stand-in provider is as strict as OpenAI's documentation, and the package's own client can talk to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from bot.demo.model import KEY, MODEL, ScriptedModel
from bot.demo.model_wire import Failed, Reply, strict_faults
from bot.demo.reviewer import Planted, demo_reviewer

HELLO: Any = [{"role": "user", "content": "Say hello in JSON."}]


@pytest.fixture
def server() -> Iterator[ScriptedModel]:
    with ScriptedModel(lambda request: Reply("hello " * 20)) as running:
        yield running


@pytest.fixture
def package(server: ScriptedModel) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key=KEY, base_url=server.base_url, max_retries=0) as client:
        yield client


def test_the_package_reads_a_whole_answer(package: openai.OpenAI) -> None:
    done = package.chat.completions.create(model=MODEL, messages=HELLO)
    assert done.choices[0].message.content == "hello " * 20
    assert done.usage
    assert done.usage.total_tokens == done.usage.prompt_tokens + done.usage.completion_tokens


def test_the_package_reads_a_streamed_answer(package: openai.OpenAI) -> None:
    stream = package.chat.completions.create(
        model=MODEL, messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert said == "hello " * 20
    assert chunks[-1].usage
    assert chunks[-2].choices[0].finish_reason == "stop"


def test_models_are_listed_and_shown(package: openai.OpenAI) -> None:
    assert [card.id for card in package.models.list()] == [MODEL]
    assert package.models.retrieve(MODEL).id == MODEL
    with pytest.raises(openai.NotFoundError):
        package.models.retrieve("nowhere")


def test_a_wrong_key_is_401(server: ScriptedModel) -> None:
    with openai.OpenAI(api_key="no", base_url=server.base_url) as client, pytest.raises(openai.AuthenticationError):
        client.chat.completions.create(model=MODEL, messages=HELLO)


@pytest.mark.parametrize(
    "wrong",
    [
        {"messages": []},
        {"messages": [{"role": "robot", "content": "x"}]},
        {"messages": [{"role": "user", "content": None}]},
        {"extra_body": {"colour": "red"}},
        {"response_format": {"type": "xml"}},
        {"response_format": {"type": "json_schema"}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a b", "schema": {"type": "object"}}}},
        {"response_format": {"type": "json_object"}, "messages": [{"role": "user", "content": "hi"}]},
    ],
)
def test_what_openai_refuses_is_400(package: openai.OpenAI, server: ScriptedModel, wrong: dict[str, Any]) -> None:
    with pytest.raises(openai.BadRequestError):
        package.chat.completions.create(**{"model": MODEL, "messages": HELLO} | wrong)
    assert len(server.refused) == 1


# -- the Responses API


def test_the_package_reads_a_whole_response(package: openai.OpenAI) -> None:
    done = package.responses.create(model=MODEL, input=HELLO)
    assert (done.status, done.output_text) == ("completed", "hello " * 20)
    assert done.usage
    assert done.usage.total_tokens == done.usage.input_tokens + done.usage.output_tokens


def test_the_package_follows_a_streamed_response(package: openai.OpenAI) -> None:
    with package.responses.stream(model=MODEL, input=HELLO) as stream:
        said = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        done = stream.get_final_response()
    assert said == done.output_text == "hello " * 20


@pytest.mark.parametrize(
    ("answer", "status", "reason"),
    [
        (Reply("half", finish_reason="length"), "incomplete", "max_output_tokens"),
        (Reply("", finish_reason="content_filter"), "incomplete", "content_filter"),
        (Failed("server_error", "Sorry."), "failed", None),
    ],
)
def test_the_package_is_told_how_a_response_ended(answer: Reply | Failed, status: str, reason: str | None) -> None:
    with (
        ScriptedModel(lambda _: answer) as server,
        openai.OpenAI(api_key=KEY, base_url=server.base_url, max_retries=0) as client,
    ):
        done = client.responses.create(model=MODEL, input=HELLO)
        *_, last = client.responses.create(model=MODEL, input=HELLO, stream=True)
    assert done.status == status
    assert (done.incomplete_details.reason if done.incomplete_details else None) == reason
    assert last.type == f"response.{status}"


@pytest.mark.parametrize(
    "wrong",
    [
        {"input": []},
        {"input": [{"role": "robot", "content": "x"}]},
        {"input": [{"role": "user", "content": None}]},
        {"model": "nowhere"},
        {"extra_body": {"messages": HELLO}},
        {"text": {"format": {"type": "xml"}}},
        {"text": {"format": {"type": "json_schema"}}},
        {"text": {"format": {"type": "json_schema", "name": "a b", "schema": {"type": "object"}}}},
        {"text": {"format": {"type": "json_schema", "name": "a", "strict": True, "schema": {"type": "object"}}}},
        {"text": {"format": {"type": "json_object"}}, "input": "hi", "instructions": "Say it in JSON."},
    ],
)
def test_what_openai_refuses_as_a_response_is_400(
    package: openai.OpenAI, server: ScriptedModel, wrong: dict[str, Any]
) -> None:
    with pytest.raises(openai.BadRequestError):
        package.responses.create(**{"model": MODEL, "input": HELLO} | wrong)
    assert len(server.refused) == 1


OPEN = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
CLOSED = OPEN | {"additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "fault"),
    [
        (OPEN, "additionalProperties"),
        (CLOSED | {"required": []}, "required"),
        (CLOSED | {"properties": {"a": {"type": "string", "default": "x"}}}, "'default' is not permitted"),
        (CLOSED | {"properties": {"a": {"type": "string", "maxLength": 3}}}, "'maxLength' is not permitted"),
        (CLOSED | {"properties": {"a": {}}}, "'type'"),
        (CLOSED | {"properties": {"a": OPEN}}, "properties', 'a'"),
        (CLOSED | {"properties": {"a": {"type": "array", "items": OPEN}}}, "items"),
        (CLOSED | {"properties": {"a": {"anyOf": [{"type": "null"}, OPEN]}}}, "anyOf"),
        (CLOSED | {"$defs": {"B": OPEN}}, "$defs"),
    ],
)
def test_a_schema_outside_the_strict_subset_is_refused(schema: dict[str, Any], fault: str) -> None:
    assert any(fault in one for one in strict_faults(schema))


def test_a_schema_within_it_is_taken() -> None:
    assert list(strict_faults(CLOSED)) == []


def test_a_script_that_has_ended_says_so() -> None:
    with (
        ScriptedModel([]) as server,
        openai.OpenAI(api_key=KEY, base_url=server.base_url, max_retries=0) as client,
        pytest.raises(openai.InternalServerError, match="at its end"),
    ):
        client.chat.completions.create(model=MODEL, messages=HELLO)


def test_the_demo_reviewer_reads_only_added_lines() -> None:
    text = "--- a.py (modified)\n@@ -1,2 +1,2 @@\n     1  planted()\n       -planted()\n     2 +planted(3)"
    review = demo_reviewer(Planted(r"planted\((\d?)\)", "T", "E", "S", replacement=r"mended(\1)"), summary="S")
    with (
        ScriptedModel(review) as server,
        openai.OpenAI(api_key=KEY, base_url=server.base_url, max_retries=0) as client,
    ):
        done = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": text}])
    content = done.choices[0].message.content or ""
    assert '"start_line": 2' in content
    assert '"replacement": "mended(3)"' in content
    assert content.count('"path"') == 1
