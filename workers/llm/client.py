"""A language model behind an OpenAI-compatible API: Chat Completions through the `openai` package.

Chat Completions, because it is what the most servers speak. Only parameters that every model takes are sent: several
refuse `temperature` and `max_tokens`. The body is read by hand, as bytes, because the package bounds neither its size
nor the time a server may take to drip it, and does not check its types.
"""

from __future__ import annotations

import copy
import json
import logging
import time
import weakref
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

import httpx2
import openai
from pydantic import BaseModel

from bot.domain.findings import Cost
from bot.errors import Misconfigured, Unavailable
from workers.llm.failures import FormRefused, explain
from workers.llm.prices import Prices, estimate, price_of
from workers.llm.reply import Reply, Unfit, cost_of, parse_reply, read_answer
from workers.llm.schema import strict_schema

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionMessageParam
    from openai.types.chat.completion_create_params import ResponseFormat

Answer = TypeVar("Answer", bound=BaseModel)

RETRIES = 2
REPAIRS = 1
BACKOFF = 0.5
# The longest pause between two tries, in seconds. A provider that wants more is away, and its caller is told.
LONGEST_WAIT = 60.0
CONNECT_TIMEOUT = 10.0
LARGEST_REPLY = 8_000_000
_ECHO = 20_000


class Form(StrEnum):
    """How a server is told the shape of the answer, the strictest first."""

    SCHEMA = "json_schema"
    OBJECT = "json_object"
    TEXT = "text"


@dataclass(frozen=True)
class _Question:
    """What is asked, and the turns of a repair."""

    system: str
    user: str
    answer: type[BaseModel]
    turns: tuple[ChatCompletionMessageParam, ...] = ()

    def messages(self, form: Form) -> list[ChatCompletionMessageParam]:
        system = self.system
        if form is not Form.SCHEMA:
            # The word JSON must be there: OpenAI refuses json_object without it.
            schema = json.dumps(strict_schema(self.answer))
            system += f"\n\nAnswer with one JSON object and nothing else. It must fit this JSON Schema:\n{schema}"
        return [{"role": "system", "content": system}, {"role": "user", "content": self.user}, *self.turns]

    def response_format(self, form: Form) -> ResponseFormat | openai.Omit:
        if form is Form.TEXT:
            return openai.omit
        if form is Form.OBJECT:
            return {"type": "json_object"}
        schema = strict_schema(self.answer)
        return {
            "type": "json_schema",
            "json_schema": {"name": self.answer.__name__, "strict": True, "schema": schema},
        }

    def repaired(self, unfit: Unfit) -> _Question:
        """The question again, with what was wrong with the answer; unchanged where there was no answer."""
        if not unfit.content:
            return self
        wrong = f"{unfit}. Answer again with the whole corrected JSON object and nothing else."
        turns: tuple[ChatCompletionMessageParam, ...] = (
            {"role": "assistant", "content": unfit.content[:_ECHO]},
            {"role": "user", "content": wrong},
        )
        return replace(self, turns=turns)


class _Lease:
    """Closes the connections as soon as the last model that shares them is gone."""

    def __init__(self, client: openai.OpenAI) -> None:
        weakref.finalize(self, client.close)


class OpenAIModel:
    """`workers.agent.Model` over HTTP. Safe to share between threads.

    `timeout` is what one answer may take, in seconds. `base_url` None means the package's default. `prices` are for the
    providers that state none.

    Raises bot.errors.Misconfigured for a key or URL that can never work.
    """

    def __init__(
        self, api_key: str, base_url: str | None, model: str, timeout: float, prices: Prices | None = None
    ) -> None:
        if not (api_key and api_key.isascii() and api_key.isprintable()):
            raise Misconfigured("OPENAI_API_KEY is empty or holds characters that no key has: set it anew")
        if base_url and not base_url.startswith(("http://", "https://")):
            raise Misconfigured("OPENAI_BASE_URL must start with http:// or https://")
        # At DEBUG the package logs whole requests: prompts and code.
        logging.getLogger("openai").setLevel(logging.WARNING)
        self._client = openai.OpenAI(api_key=api_key, base_url=base_url or None, max_retries=0)
        self._lease = _Lease(self._client)
        self._model = model
        self._timeout = timeout
        self._prices = prices or {}
        self._forms: dict[str, Form] = {}

    @property
    def name(self) -> str:
        return self._model

    def named(self, model: str) -> OpenAIModel:
        """Another model of the same provider, over the same connections."""
        other = copy.copy(self)
        other._model = model
        return other

    def estimate(self, system: str, user: str) -> Cost:
        """See `workers.agent.Model.estimate`."""
        return estimate(self._model, price_of(self._prices, self._model), system, user)

    def ask(self, system: str, user: str, answer: type[Answer], *, timeout: float) -> tuple[Answer, Cost]:
        """See `workers.agent.Model.ask`. `timeout` bounds the whole: tries, pauses and the repair."""
        deadline = time.monotonic() + timeout
        question = _Question(system, user, answer)
        cost: Cost | None = None
        for last in (False,) * REPAIRS + (True,):
            try:
                reply = self._reply(question, deadline)
                cost = _sum(cost, cost_of(reply, self.estimate(system, user), price_of(self._prices, self._model)))
                return read_answer(reply, answer, last=last), cost
            except Unfit as unfit:
                if last:
                    raise
                question = question.repaired(unfit)
        raise AssertionError("unreachable")

    def _reply(self, question: _Question, deadline: float) -> Reply:
        """Ask in the strictest form the server takes, and remember that one while this process lives."""
        forms = list(Form)
        first: FormRefused | None = None
        for form in forms[forms.index(self._forms.get(self._model, Form.SCHEMA)) :]:
            try:
                reply = self._persist(question, form, deadline)
            except FormRefused as refusal:
                # If no form is taken, the first words are those about the request itself.
                first = first or refusal
            else:
                self._forms[self._model] = form
                return reply
        assert first is not None
        raise first

    def _persist(self, question: _Question, form: Form, deadline: float) -> Reply:
        """Try again while the provider is away.

        Not the package's own retries: those sleep up to two minutes each whatever the caller's deadline.
        """
        tries = 0
        while True:
            try:
                return self._read(question, form, deadline)
            except Unavailable as failure:
                wait = failure.retry_after or BACKOFF * 2**tries
                tries += 1
                if tries > RETRIES or wait > min(LONGEST_WAIT, deadline - time.monotonic()):
                    raise
                time.sleep(wait)

    def _read(self, question: _Question, form: Form, deadline: float) -> Reply:
        started = time.monotonic()
        seconds = min(self._timeout, deadline - started)
        if seconds <= 0:
            raise Unavailable("no time was left to ask the model")
        body = bytearray()
        try:
            with self._client.chat.completions.with_streaming_response.create(
                model=self._model,
                messages=question.messages(form),
                response_format=question.response_format(form),
                timeout=openai.Timeout(seconds, connect=min(seconds, CONNECT_TIMEOUT)),
            ) as response:
                for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > LARGEST_REPLY:
                        raise Unfit(f"the provider's answer is larger than {LARGEST_REPLY} bytes")
                    # The package's timeout is for one read; a server that drips keeps inside it for ever.
                    if time.monotonic() - started > seconds:
                        raise Unavailable("the model provider did not answer in time")
        except (openai.APIError, httpx2.HTTPError) as error:
            raise explain(error, self._model, self._client.api_key) from error
        return parse_reply(bytes(body))


def _sum(one: Cost | None, other: Cost) -> Cost:
    if one is None:
        return other
    known = one.usd is not None and other.usd is not None
    return Cost(
        model=other.model,
        input_tokens=one.input_tokens + other.input_tokens,
        output_tokens=one.output_tokens + other.output_tokens,
        usd=(one.usd or 0) + (other.usd or 0) if known else None,
    )
