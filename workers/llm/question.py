"""What a model is asked: the texts, the shape of the answer, and the turns of a repair. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal, NamedTuple, TypedDict

from pydantic import BaseModel

from workers.llm.reply import Unfit
from workers.llm.schema import Schema, strict_schema

_ECHO = 20_000


class Form(StrEnum):
    """How a server is told the shape of the answer, the strictest first."""

    SCHEMA = "json_schema"
    OBJECT = "json_object"
    TEXT = "text"


class Way(NamedTuple):
    """How a server is asked."""

    form: Form
    streamed: bool


class Message(TypedDict):
    """One turn, as both of OpenAI's APIs take it."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True)
class Question:
    """What is asked, and the turns of a repair."""

    system: str
    user: str
    answer: type[BaseModel]
    turns: tuple[Message, ...] = ()

    @property
    def name(self) -> str:
        return self.answer.__name__

    @property
    def schema(self) -> Schema:
        return strict_schema(self.answer)

    def messages(self, form: Form) -> list[Message]:
        system = self.system
        if form is not Form.SCHEMA:
            # The word JSON must be there: OpenAI refuses json_object without it.
            schema = json.dumps(self.schema)
            system += f"\n\nAnswer with one JSON object and nothing else. It must fit this JSON Schema:\n{schema}"
        return [{"role": "system", "content": system}, {"role": "user", "content": self.user}, *self.turns]

    def repaired(self, unfit: Unfit) -> Question:
        """The question again, with what was wrong with the answer; unchanged where there was no answer."""
        if not unfit.content:
            return self
        wrong = f"{unfit}. Answer again with the whole corrected JSON object and nothing else."
        turns: tuple[Message, ...] = (
            {"role": "assistant", "content": unfit.content[:_ECHO]},
            {"role": "user", "content": wrong},
        )
        return replace(self, turns=turns)
