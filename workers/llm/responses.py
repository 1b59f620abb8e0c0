"""The Responses API: how it is asked, and what it answers, whole or event by event, as the one kind of reply that is
read further.

Nothing is stored at the provider, which by default keeps responses for 30 days. What was said is taken from the last
event, which holds the whole response; gateways that leave it empty there have sent it piece by piece before.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, cast

import openai
from pydantic import BaseModel, Field, ValidationError

from bot.errors import Unavailable
from workers.llm.events import Streamed
from workers.llm.question import Form, Question, Way
from workers.llm.reply import Choice, Details, Message, Reply, Unfit, Usage, checked

if TYPE_CHECKING:
    from openai.types.responses import ResponseInputParam, ResponseTextConfigParam


def ask(
    client: openai.AsyncOpenAI, model: str, question: Question, way: Way, timeout: openai.Timeout
) -> AbstractAsyncContextManager[openai.AsyncAPIResponse[Any]]:
    """The provider's answer, unread, while the context lasts."""
    return client.responses.with_streaming_response.create(
        model=model,
        # Not `instructions`: OpenAI looks for the word JSON in the input alone.
        input=cast("ResponseInputParam", question.messages(way.form)),
        text=_format(question, way.form),
        stream=way.streamed,
        store=False,
        timeout=timeout,
    )


def _format(question: Question, form: Form) -> ResponseTextConfigParam | openai.Omit:
    if form is Form.TEXT:
        return openai.omit
    if form is Form.OBJECT:
        return {"format": {"type": "json_object"}}
    return {"format": {"type": "json_schema", "name": question.name, "strict": True, "schema": question.schema}}


class Piece(BaseModel):
    type: str = ""
    text: str | None = None
    refusal: str | None = None


class Item(BaseModel):
    type: str = ""
    phase: str | None = None
    content: list[Piece] | None = None


class Incomplete(BaseModel):
    reason: str | None = None


class Tokens(BaseModel):
    """`cost` in US dollars is OpenRouter's."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: Details | None = None
    cost: float | None = Field(default=None, ge=0, allow_inf_nan=False)


class Response(BaseModel):
    """The fields of "The response object" (OpenAI API reference) that are used."""

    status: str | None = None
    output: list[Item] | None = None
    usage: Tokens | None = None
    incomplete_details: Incomplete | None = None
    error: Any = None


class Event(BaseModel):
    """The fields of the streaming events that are used. Of an error some say its parts, others the whole."""

    type: str
    delta: str | None = None
    response: Response | None = None
    error: Any = None
    code: str | None = None
    message: str | None = None


_NONE = "the provider's answer is not one of the Responses API: check its URL, and by which API it is asked"


def parse_reply(body: bytes) -> Reply:
    """Parse a 200's body. Raises Unfit when it is no response, and as `failures.within` when it carries an error."""
    try:
        response = Response.model_validate_json(body)
    except ValidationError:
        raise Unfit(_NONE) from None
    if response.output is None and not response.error:
        raise Unfit(_NONE)
    return _reply(response)


def _reply(response: Response, said: str = "", refused: str = "") -> Reply:
    """A reply of what a response says, or, where it says nothing, of what was `said` and `refused` before."""
    messages = [item for item in response.output or () if item.type == "message"]
    # What a model says on the way is not its answer.
    pieces = [piece for item in messages if item.phase != "commentary" for piece in item.content or ()]
    text = _all([piece.text for piece in pieces if piece.type == "output_text"]) or said
    refusal = _all([piece.refusal for piece in pieces]) or refused
    error = response.error or ({"message": response.status} if response.status in ("failed", "cancelled") else None)
    choice = Choice(message=Message(content=text, refusal=refusal or None), finish_reason=_finish(response))
    return checked(Reply(choices=[choice], usage=_usage(response.usage), error=error))


def _all(parts: Sequence[str | None]) -> str:
    return "".join(part for part in parts if part)


def _finish(response: Response) -> str:
    if response.status != "incomplete":
        return "stop"
    reason = response.incomplete_details.reason if response.incomplete_details else None
    return "content_filter" if reason == "content_filter" else "length"


def _usage(tokens: Tokens | None) -> Usage | None:
    if tokens is None:
        return None
    return Usage(
        prompt_tokens=tokens.input_tokens,
        completion_tokens=tokens.output_tokens,
        prompt_tokens_details=tokens.input_tokens_details,
        cost=tokens.cost,
    )


_ENDS = ("response.completed", "response.incomplete", "response.failed")


class ResponseStream(Streamed):
    def __init__(self) -> None:
        super().__init__()
        self._said: list[str] = []
        self._refused: list[str] = []
        self._end: Response | None = None
        self._error: Any = None

    def reply(self) -> Reply:
        if self._error:
            return checked(Reply(error=self._error))
        if self._end is None:
            raise Unavailable("the model provider hung up in the middle of its answer")
        return _reply(self._end, "".join(self._said), "".join(self._refused))

    def _take(self, data: bytes) -> None:
        # OpenAI does not send it, others do.
        if data == b"[DONE]":
            return
        try:
            event = Event.model_validate_json(data)
        except ValidationError:
            raise Unfit(_NONE) from None
        if event.type.endswith(".delta"):
            self._add(event.type, event.delta or "")
        elif event.type in _ENDS:
            self._end, self.done = event.response, True
        elif event.type == "error":
            self._error = event.error or {"code": event.code, "message": event.message}
            self.done = True

    def _add(self, kind: str, delta: str) -> None:
        self.written += len(delta)
        if kind == "response.output_text.delta":
            self._said.append(delta)
        elif kind == "response.refusal.delta":
            self._refused.append(delta)
