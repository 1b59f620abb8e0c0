"""Several providers of models: where one fails, the next one in the operator's order is asked.

To fail is to be away after all tries, to refuse the account or the model's name, or to answer what is no answer at all.
What a model says, a refusal too, is an answer, and nobody else is asked. Whoever failed is asked last for a while, so
that not every question waits for it anew.
"""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from threading import Event
from typing import Literal, NamedTuple, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, SecretStr

from bot.domain.findings import Cost
from bot.errors import AssayError, Refused, Theirs, Unavailable
from config.settings import Settings
from workers.agent import ACCOUNT, Paid
from workers.llm.client import OpenAIModel, together
from workers.llm.failures import FIRST, Place
from workers.llm.prices import load_prices
from workers.llm.reply import Unfit, paid

log = logging.getLogger(__name__)

Answer = TypeVar("Answer", bound=BaseModel)

# Seconds for which a provider that failed is asked last, where it does not say how long it will be away.
_REST = 60.0


@dataclass(frozen=True)
class Member:
    """A provider by its `name`. `models` are its own names of models that are asked for; any other is `own` there, or,
    where that is None, is called the same."""

    name: str
    model: OpenAIModel
    own: str | None = None
    models: Mapping[str, str] = field(default_factory=dict)

    def named(self, model: str) -> Member:
        return replace(self, model=self.model.named(self.models.get(model) or self.own or model))


class _Failure(NamedTuple):
    """Why a provider failed, and until when it is asked last, on the monotonic clock."""

    until: float
    error: AssayError


class Providers:
    """`workers.agent.Model` of one or more providers, in their order, asked for `model`. Safe to share between
    threads."""

    def __init__(self, members: Sequence[Member], model: str) -> None:
        self._name = model
        self._members = [one.named(model) for one in members]
        self._allowed: Sequence[str] | None = None
        self._failed: dict[tuple[str, str], _Failure] = {}
        self._stop = Event()

    @property
    def name(self) -> str:
        return self._name

    def named(self, model: str) -> Providers:
        """Another model of the same providers. Raises bot.errors.Theirs for one that is not allowed."""
        if self._allowed is not None and not any(_fits(model, one) for one in self._allowed):
            raise Theirs(f"the operator does not allow the model {model}, but {', '.join(self._allowed)}")
        other = copy.copy(self)
        other._name, other._members = model, [one.named(model) for one in self._members]
        return other

    def until(self, stop: Event) -> Providers:
        """The same, asked only until that is set: then what is under way ends at once."""
        other = copy.copy(self)
        other._stop = stop
        other._members = [replace(one, model=one.model.until(stop)) for one in self._members]
        return other

    def within(self, allowed: Sequence[str]) -> Providers:
        """The same, of which only these models may be named; one that ends in `*` stands for all that begin so."""
        other = copy.copy(self)
        other._allowed = allowed
        return other

    def heard_by(self, hear: Callable[[int], None]) -> Providers:
        """The same, which tells of the characters of its answers as they come: how many more there are."""
        other = copy.copy(self)
        other._members = [replace(one, model=one.model.heard_by(hear)) for one in self._members]
        return other

    @property
    def room(self) -> int:
        """That of the smallest of them, for nobody knows who will answer."""
        return min(one.model.room for one in self._members)

    def estimate(self, system: str, user: str) -> Cost:
        """What it costs at the dearest of them, for nobody knows who will answer; without dollars where one price is
        not known."""
        costs = [one.model.estimate(system, user) for one in self._members]
        return max(costs, key=lambda cost: float("inf") if cost.usd is None else cost.usd)

    def ask(self, system: str, user: str, answer: type[Answer], *, timeout: float) -> tuple[Answer, Cost]:
        """See `workers.agent.Model.ask`. Whoever is asked gets an equal share of the time with those after it."""
        deadline = time.monotonic() + timeout
        order, costs, errors = self._order(), list[Cost](), list[AssayError]()
        for number, member in enumerate(order):
            share = (deadline - time.monotonic()) / (len(order) - number)
            if share <= 0:
                errors.append(Unavailable("no time was left to ask the model"))
                break
            try:
                said, cost = member.model.ask(system, user, answer, timeout=share)
            except AssayError as error:
                if isinstance(error, Paid):
                    costs.append(error.cost)
                if self._stop.is_set() or not _failed(error):
                    raise _charged(error, costs) from None
                self._rest(member, error, order[number + 1 :])
                errors.append(error)
            else:
                return said, together([*costs, cost.model_copy(update={"fallback": self._why(member)})])
        raise _charged(self._all_failed(order, errors), costs) from None

    def _order(self) -> list[Member]:
        now = time.monotonic()
        resting = {key for key, failure in list(self._failed.items()) if failure.until > now}
        return sorted(self._members, key=lambda one: _key(one) in resting)

    def _rest(self, member: Member, error: AssayError, others: Sequence[Member]) -> None:
        wait = error.retry_after if isinstance(error, Unavailable) else None
        self._failed[_key(member)] = _Failure(time.monotonic() + (_REST if wait is None else wait), error)
        if len(self._members) > 1:
            # What passes by itself is no fault of the operator's.
            level = logging.WARNING if isinstance(error, Unavailable) else logging.ERROR
            then = f"; asking {others[0].name}" if others else ""
            log.log(level, "model provider: %s failed: %s%s", member.name, error, then)

    def _why(self, answered: Member) -> str:
        """Who answered in the place of whom; empty for the first."""
        first = self._members[0]
        failure = self._failed.get(_key(first))
        if answered is first or failure is None:
            return ""
        return f"answered by {answered.name}, for {first.name} failed: {failure.error}"

    def _all_failed(self, order: Sequence[Member], errors: Sequence[AssayError]) -> AssayError:
        if len(errors) == 1:
            return errors[0]
        words = "; ".join(f"{member.name}: {error}" for member, error in zip(order, errors, strict=False))
        away = [error for error in errors if isinstance(error, Unavailable)]
        if not away:
            # Nobody will be there later, unless the operator mends it.
            return Refused(words, next((one.status for one in errors if isinstance(one, Refused)), 404))
        waits = [error.retry_after for error in away if error.retry_after is not None]
        # Worth another try as soon as one of them is back.
        return Unavailable(words, min(waits) if len(waits) == len(away) else None)


def _fits(model: str, allowed: str) -> bool:
    return model.startswith(allowed[:-1]) if allowed.endswith("*") else model == allowed


def _key(member: Member) -> tuple[str, str]:
    return member.name, member.model.name


def _failed(error: AssayError) -> bool:
    """Whether it is the provider that failed, and another one might do better."""
    if isinstance(error, Refused):
        return error.status in ACCOUNT
    # One that never says anything speaks another protocol, or is a page of somebody in between.
    return isinstance(error, Unavailable) or (isinstance(error, Unfit) and not error.content)


def _charged(error: AssayError, costs: Sequence[Cost]) -> AssayError:
    """The error, with all that was used until then."""
    return paid(error, together(costs)) if costs else error


_OPENAI = "api.openai.com"
_Way = Literal["responses", "chat"]


def make_providers(chosen: Settings) -> Providers:
    """The providers that the operator names, one or more. Raises Misconfigured for prices that cannot be read."""
    prices = load_prices(chosen.llm_prices)

    def model(key: SecretStr | None, url: str | None, api: _Way | None, place: Place) -> OpenAIModel:
        # The package sends a key in any case.
        secret = key.get_secret_value() if key else "no-key-needed"
        way = api or ("responses" if url is None or urlsplit(url).hostname == _OPENAI else "chat")
        return OpenAIModel(secret, url, chosen.llm_model, chosen.llm_timeout, prices, place, way)

    members = []
    if chosen.openai_api_key is not None:
        first = model(chosen.openai_api_key, chosen.openai_base_url, chosen.llm_api, FIRST)
        members.append(Member("the first provider", first))
    for one in chosen.fallbacks():
        place = Place(*(f"the {what} of [{one.name}] in ASSAY_LLM_FALLBACKS" for what in Place._fields))
        members.append(Member(one.name, model(one.key, one.url, one.api, place), one.model, one.models))
    return Providers(members, chosen.llm_model)
