"""A language model behind an OpenAI-compatible API, Chat Completions or Responses, through the `openai` package.

Answers are streamed, because only those end, and cost no more, when whoever reads them hangs up; a server that does not
stream is asked without. The body is read by hand, as bytes, because the package bounds neither its size nor the time a
server may take to drip it, and does not check its types.
"""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import cache
from threading import Event
from typing import Any, Literal, NamedTuple, TypeVar

import httpx2
import openai
from pydantic import BaseModel

from bot.domain.findings import Cost, joined
from bot.errors import Misconfigured, Refused, Theirs, Unavailable
from workers.agent import CutOff, Paid
from workers.llm import chat, responses
from workers.llm.events import Streamed
from workers.llm.failures import FIRST, FormRefused, Place, explain
from workers.llm.prices import CONTEXT, Prices, estimate, price_of, room_of
from workers.llm.question import Form, Question, Way
from workers.llm.reply import Reply, Unfit, cost_of, paid, parse_reply, read_answer
from workers.llm.waiting import GivenUp, wait_for

Answer = TypeVar("Answer", bound=BaseModel)

RETRIES = 2
REPAIRS = 1
BACKOFF = 0.5
# The longest pause between two tries, in seconds. A provider that wants more is away, and its caller is told.
LONGEST_WAIT = 60.0
CONNECT_TIMEOUT = 10.0
LARGEST_REPLY = 8_000_000
# What is said where nobody waits for an answer any more.
_STOPPED = "nobody waits for the answer any more"

# Whom a client believes. Reading all the authorities takes 50 ms, so a process does it once, not at every question.
_authorities = cache(httpx2.create_ssl_context)


class Api(NamedTuple):
    """One of the two ways in which a provider is spoken to."""

    ask: Callable[
        [openai.AsyncOpenAI, str, Question, Way, openai.Timeout],
        AbstractAsyncContextManager[openai.AsyncAPIResponse[Any]],
    ]
    parse: Callable[[bytes], Reply]
    streamed: Callable[[], Streamed]


APIS = {
    "chat": Api(chat.ask, parse_reply, chat.ChatStream),
    "responses": Api(responses.ask, responses.parse_reply, responses.ResponseStream),
}


class OpenAIModel:
    """`workers.agent.Model` over HTTP. Safe to share between threads.

    `timeout` is what one answer may take, in seconds. `base_url` None means the package's default. `prices` are for the
    providers that state none. `place` says where all this is set.

    Raises bot.errors.Misconfigured for a key or URL that can never work.
    """

    def __init__(
        self,
        api_key: str,
        base_url: str | None,
        model: str,
        timeout: float,
        prices: Prices | None = None,
        place: Place = FIRST,
        api: Literal["chat", "responses"] = "chat",
    ) -> None:
        if not (api_key and api_key.isascii() and api_key.isprintable()):
            raise Misconfigured(f"{place.key} is empty or holds characters that no key has: set it anew")
        if base_url and not base_url.startswith(("http://", "https://")):
            raise Misconfigured(f"{place.url} must start with http:// or https://")
        # At DEBUG the package logs whole requests: prompts and code.
        logging.getLogger("openai").setLevel(logging.WARNING)
        self._api_key = api_key
        self._base_url = base_url or None
        self._stop = Event()
        self._hear: Callable[[int], None] = lambda _: None
        self._model = model
        self._timeout = timeout
        self._prices = prices or {}
        self._place = place
        self._api = APIS[api]
        self._ways: dict[str, Way] = {}

    @property
    def name(self) -> str:
        return self._model

    def named(self, model: str) -> OpenAIModel:
        """Another model of the same provider."""
        other = copy.copy(self)
        other._model = model
        return other

    def until(self, stop: Event) -> OpenAIModel:
        """The same, asked only until that is set: then what is under way ends at once."""
        other = copy.copy(self)
        other._stop = stop
        return other

    def heard_by(self, hear: Callable[[int], None]) -> OpenAIModel:
        """The same, which tells of the characters of its answers as they come: how many more there are."""
        other = copy.copy(self)
        other._hear = hear
        return other

    @property
    def room(self) -> int:
        price = price_of(self._prices, self._model)
        return room_of(price.context if price else CONTEXT)

    def estimate(self, system: str, user: str) -> Cost:
        """See `workers.agent.Model.estimate`."""
        return estimate(self._model, price_of(self._prices, self._model), system, user)

    def ask(self, system: str, user: str, answer: type[Answer], *, timeout: float) -> tuple[Answer, Cost]:
        """See `workers.agent.Model.ask`. `timeout` bounds the whole: tries, pauses and the repair."""
        deadline = time.monotonic() + timeout
        question = Question(system, user, answer)
        costs: list[Cost] = []
        try:
            for last in (False,) * REPAIRS + (True,):
                try:
                    reply = self._reply(question, deadline, costs)
                    costs.append(cost_of(reply, self.estimate(system, user), price_of(self._prices, self._model)))
                    return read_answer(reply, answer, last=last), together(costs)
                except Unfit as unfit:
                    if last:
                        raise
                    question = question.repaired(unfit)
        except (Unavailable, Refused, Theirs) as failure:
            # What came to nothing is paid for all the same.
            used = (*costs, failure.cost) if isinstance(failure, Paid) else tuple(costs)
            if not used:
                raise
            raise paid(failure, together(used)) from None
        raise AssertionError("unreachable")

    def _reply(self, question: Question, deadline: float, costs: list[Cost]) -> Reply:
        """Ask in the strictest way the server takes, and remember that one while this process lives."""
        form, streams = self._ways.get(self._model, Way(Form.SCHEMA, streamed=True))
        forms = list(Form)
        ways = [Way(one, streamed=streams) for one in forms[forms.index(form) :]]
        first: FormRefused | None = None
        while ways:
            way = ways.pop(0)
            try:
                reply = self._persist(question, way, deadline, costs)
            except FormRefused as refusal:
                # If no way is taken, the first words are those about the request itself.
                first = first or refusal
                if way.streamed and "stream" in str(refusal).lower():
                    ways = [Way(one.form, streamed=False) for one in (way, *ways)]
            else:
                self._ways[self._model] = way
                return reply
        assert first is not None
        raise first

    def _persist(self, question: Question, way: Way, deadline: float, costs: list[Cost]) -> Reply:
        """Try again while the provider is away. What tries cost that came to nothing is put to `costs`.

        Not the package's own retries: those sleep up to two minutes each whatever the caller's deadline.
        """
        tries = 0
        while True:
            try:
                return self._read(question, way, deadline)
            except Unavailable as failure:
                wait = failure.retry_after or BACKOFF * 2**tries
                tries += 1
                if tries > RETRIES or wait > min(LONGEST_WAIT, deadline - time.monotonic()) or self._stop.wait(wait):
                    raise
                if isinstance(failure, CutOff):
                    costs.append(failure.cost)

    def _read(self, question: Question, way: Way, deadline: float) -> Reply:
        seconds = min(self._timeout, deadline - time.monotonic())
        if seconds <= 0:
            raise Unavailable("no time was left to ask the model")
        if self._stop.is_set():
            raise CutOff(_STOPPED, Cost(model=self._model, usd=0.0))
        heard = self._api.streamed()
        try:
            return wait_for(self._listen(question, way, heard), seconds, self._stop)
        except GivenUp as end:
            why = _STOPPED if end.stopped else "the model provider did not answer in time"
            raise CutOff(why, self._used(question, heard)) from None
        except Unavailable as failure:
            if not heard.written:
                raise
            raise CutOff(str(failure), self._used(question, heard), failure.retry_after) from failure

    def _used(self, question: Question, heard: Streamed) -> Cost:
        """What it has cost until now, of which no provider tells."""
        price = price_of(self._prices, self._model)
        return estimate(self._model, price, question.system, question.user, written=heard.written)

    async def _listen(self, question: Question, way: Way, heard: Streamed) -> Reply:
        try:
            http = openai.DefaultAsyncHttpxClient(verify=_authorities())
            async with openai.AsyncOpenAI(
                api_key=self._api_key, base_url=self._base_url, max_retries=0, http_client=http
            ) as client:
                # How long it may take in all is for the caller to watch.
                timeout = openai.Timeout(None, connect=CONNECT_TIMEOUT)
                async with self._api.ask(client, self._model, question, way, timeout) as response:
                    body = await _read_into(heard, response, self._hear)
        except (openai.APIError, httpx2.HTTPError) as error:
            raise explain(error, self._model, self._api_key, self._place) from error
        return heard.reply() if body is None else self._api.parse(body)


async def _read_into(
    heard: Streamed, response: openai.AsyncAPIResponse[Any], hear: Callable[[int], None]
) -> bytes | None:
    """Read what is streamed into `heard`; the body of what is not."""
    body, size = bytearray(), 0
    streamed = response.headers.get("content-type", "").startswith("text/event-stream")
    async for chunk in response.iter_bytes():
        size += len(chunk)
        if size > LARGEST_REPLY:
            raise Unfit(f"the provider's answer is larger than {LARGEST_REPLY} bytes")
        if not streamed:
            body += chunk
            continue
        before = heard.written
        heard.feed(chunk)
        hear(heard.written - before)
        if heard.done:
            # Some servers hold the connection.
            break
    return None if streamed else bytes(body)


def together(costs: Sequence[Cost]) -> Cost:
    """What they cost together, of one or more."""
    whole = joined(costs)
    assert whole is not None
    return whole
