"""Reading a Chat Completions answer as it is streamed, event by event. Pure.

Server-sent events (WHATWG HTML, "Server-sent events") as providers send them: one line of JSON each, comments between
them, `[DONE]` at the end.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ValidationError

from bot.errors import Unavailable
from workers.llm.reply import Choice, Message, Reply, Unfit, Usage, checked


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


class Streamed:
    """An answer that is still coming. `written` counts the characters of it that came, thoughts included."""

    def __init__(self) -> None:
        self.written = 0
        self._line = bytearray()
        self._content: list[str] = []
        self._refusal: list[str] = []
        self._finish: str | None = None
        self._usage: Usage | None = None
        self._error: Any = None
        self._done = False

    def feed(self, chunk: bytes) -> None:
        """Take in bytes as they come. Raises Unfit for what is no part of a chat completion."""
        first, *others = chunk.split(b"\n")
        self._line += first
        for line in others:
            self._take(bytes(self._line).removesuffix(b"\r"))
            self._line = bytearray(line)

    def reply(self) -> Reply:
        """The whole answer. Raises Unavailable when the provider failed or stopped in the middle of it."""
        message = Message(content="".join(self._content), refusal="".join(self._refusal) or None)
        choices = [Choice(message=message, finish_reason=self._finish)]
        reply = checked(Reply(choices=choices, usage=self._usage, error=self._error))
        if not self._done and self._finish is None:
            raise Unavailable("the model provider hung up in the middle of its answer")
        return reply

    def _take(self, line: bytes) -> None:
        field, _, data = line.partition(b":")
        if field != b"data":
            return
        if data.strip() == b"[DONE]":
            self._done = True
            return
        try:
            event = Event.model_validate_json(data)
        except ValidationError:
            raise Unfit("the provider's answer is not a streamed chat completion: check OPENAI_BASE_URL") from None
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
