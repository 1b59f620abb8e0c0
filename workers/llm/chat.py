"""Chat Completions: how it is asked, and its answers, event by event as they are streamed; `[DONE]` is the last.

Only parameters that every model takes are sent: several refuse `temperature` and `max_tokens`.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, cast

import openai
from pydantic import BaseModel, ValidationError

from bot.errors import Unavailable
from workers.llm.events import Streamed
from workers.llm.question import Form, Question, Way
from workers.llm.reply import Choice, Message, Reply, Unfit, Usage, checked

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionMessageParam
    from openai.types.chat.completion_create_params import ResponseFormat


def ask(
    client: openai.AsyncOpenAI, model: str, question: Question, way: Way, timeout: openai.Timeout
) -> AbstractAsyncContextManager[openai.AsyncAPIResponse[Any]]:
    """The provider's answer, unread, while the context lasts."""
    return client.chat.completions.with_streaming_response.create(
        model=model,
        # The package has a type for each role.
        messages=cast("list[ChatCompletionMessageParam]", question.messages(way.form)),
        response_format=_format(question, way.form),
        stream=way.streamed,
        stream_options={"include_usage": True} if way.streamed else openai.omit,
        timeout=timeout,
    )


def _format(question: Question, form: Form) -> ResponseFormat | openai.Omit:
    if form is Form.TEXT:
        return openai.omit
    if form is Form.OBJECT:
        return {"type": "json_object"}
    return {
        "type": "json_schema",
        "json_schema": {"name": question.name, "strict": True, "schema": question.schema},
    }


class Delta(BaseModel):
    """What a part of an answer adds. Thoughts, under either name, are paid for and not used."""

    content: str | None = None
    refusal: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None


class Part(BaseModel):
    index: int = 0
    delta: Delta = Delta()
    finish_reason: str | None = None


class Event(BaseModel):
    """The fields of a "chat completion chunk object" that are used (OpenAI API reference)."""

    choices: list[Part] = []
    usage: Usage | None = None
    error: Any = None


class ChatStream(Streamed):
    def __init__(self) -> None:
        super().__init__()
        self._content: list[str] = []
        self._refusal: list[str] = []
        self._finish: str | None = None
        self._usage: Usage | None = None
        self._error: Any = None

    def reply(self) -> Reply:
        message = Message(content="".join(self._content), refusal="".join(self._refusal) or None)
        choices = [Choice(message=message, finish_reason=self._finish)]
        reply = checked(Reply(choices=choices, usage=self._usage, error=self._error))
        if not self.done and self._finish is None:
            raise Unavailable("the model provider hung up in the middle of its answer")
        return reply

    def _take(self, data: bytes) -> None:
        if data == b"[DONE]":
            self.done = True
            return
        try:
            event = Event.model_validate_json(data)
        except ValidationError:
            raise Unfit("the provider's answer is not a streamed chat completion: check its URL") from None
        self._usage = event.usage or self._usage
        self._error = event.error or self._error
        for part in event.choices:
            if part.index == 0:
                self._add(part)

    def _add(self, part: Part) -> None:
        delta = part.delta
        said = (delta.content, delta.refusal, delta.reasoning or delta.reasoning_content)
        self.written += sum(len(text) for text in said if text)
        self._content.append(delta.content or "")
        self._refusal.append(delta.refusal or "")
        self._finish = part.finish_reason or self._finish
