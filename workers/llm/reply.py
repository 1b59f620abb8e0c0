"""Reading a reply: the envelope, what the model said, and the typed answer in it. Pure.

It has the form of a chat completion; `workers/llm/responses.py` makes one of what the Responses API says.
"""

from __future__ import annotations

import re
from typing import Any, TypeVar

from pydantic import BaseModel, Field, ValidationError

from bot.domain.findings import Cost
from bot.errors import AssayError, Refused, Theirs, Unavailable
from workers.agent import LAST_TRY, CutOff, Declined, Paid
from workers.llm.failures import said, within
from workers.llm.prices import Price

Answer = TypeVar("Answer", bound=BaseModel)

_THOUGHTS = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
_FAULTS = 5


class Unfit(Theirs):
    """An answer that another try may mend. `content` is what the model said, empty where it said nothing."""

    def __init__(self, message: str, content: str = "") -> None:
        super().__init__(message)
        self.content = content


class Useless(Unfit, Paid):
    """An answer that no other try mends any more. `content` is as of Unfit."""

    def __init__(self, message: str, content: str, cost: Cost) -> None:
        super().__init__(message, content)
        self.cost = cost


def paid(error: AssayError, cost: Cost) -> AssayError:
    """The error of a question that cost so much in all."""
    match error:
        case Unavailable():
            return CutOff(str(error), cost, error.retry_after)
        case Refused():
            return Declined(str(error), error.status, cost)
        case Unfit():
            return Useless(str(error), error.content, cost)
    # The model did say something: nobody else is to be asked in its place.
    return Useless(str(error), str(error), cost)


class Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class Choice(BaseModel):
    message: Message
    finish_reason: str | None = None


class Details(BaseModel):
    cached_tokens: int | None = None


class Usage(BaseModel):
    """Tokens; `cost` in US dollars is OpenRouter's, and the only price a provider states."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: Details | None = None
    cost: float | None = Field(default=None, ge=0, allow_inf_nan=False)


class Reply(BaseModel):
    """The fields of a chat completion that are used (OpenAI API reference, "The chat completion object")."""

    choices: list[Choice] = []
    usage: Usage | None = None
    error: Any = None


def parse_reply(body: bytes) -> Reply:
    """Parse a 200's body.

    Raises Unfit when it is no chat completion, and as `failures.within` when it carries an error, as gateways that
    answer before their upstream does send it.
    """
    try:
        reply = Reply.model_validate_json(body)
    except ValidationError:
        raise Unfit("the provider's answer is not a chat completion: check its URL") from None
    return checked(reply)


def checked(reply: Reply) -> Reply:
    """A reply with an answer in it. Raises as `parse_reply`."""
    if reply.error or any(choice.finish_reason == "error" for choice in reply.choices):
        raise within(reply.error)
    if not reply.choices:
        raise Unfit("the provider's answer holds no choice")
    return reply


def read_answer(reply: Reply, answer: type[Answer], *, last: bool = True) -> Answer:
    """The typed answer in a reply; `last` says that it is not asked for again.

    Raises Refused when the model or its content filter said no, Theirs when the answer was cut off at its length
    limit, and Unfit when it does not fit the type.
    """
    choice = reply.choices[0]
    if choice.message.refusal:
        raise Refused(f"the model refused: {said(choice.message.refusal, '')}", 200)
    match choice.finish_reason:
        case "content_filter":
            raise Refused("the provider's content filter stopped the answer", 200)
        case "length":
            raise Theirs("the model's answer was cut off at its length limit")
    content = choice.message.content or ""
    try:
        return answer.model_validate_json(_only_json(content), context={LAST_TRY: last})
    except ValidationError as error:
        raise Unfit(f"the model's answer does not fit: {_faults(error)}", content) from None


def cost_of(reply: Reply, estimated: Cost, price: Price | None) -> Cost:
    """What a reply cost: by the provider's word, else by its tokens and their price. Where it does not count tokens, as
    much as was `estimated`."""
    usage = reply.usage or Usage()
    if usage.prompt_tokens is None or usage.completion_tokens is None:
        return estimated if usage.cost is None else estimated.model_copy(update={"usd": usage.cost})
    read, written = max(0, usage.prompt_tokens), max(0, usage.completion_tokens)
    cached = max(0, (usage.prompt_tokens_details or Details()).cached_tokens or 0)
    usd = usage.cost if usage.cost is not None or price is None else price.of(read, cached, written)
    return Cost(model=estimated.model, input_tokens=read, output_tokens=written, usd=usd)


def _only_json(content: str) -> str:
    """The object within prose, a code fence, or after a reasoning model's thoughts."""
    text = _THOUGHTS.sub("", content)
    return text[text.find("{") : text.rfind("}") + 1] or text


def _faults(error: ValidationError) -> str:
    """Where and why, without the input: it is the model's, and may be long."""
    faults = error.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(f"{'.'.join(map(str, one['loc'])) or 'answer'}: {one['msg']}" for one in faults[:_FAULTS])
