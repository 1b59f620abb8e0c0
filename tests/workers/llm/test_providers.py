"""Several providers, each a real server, of which some fail in the ways that providers do."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from pydantic import BaseModel, SecretStr

from bot.demo.model import KEY, MODEL, ScriptedModel
from bot.demo.model_wire import NO_QUOTA, RATE_LIMIT, SERVER_ERROR, TOO_LONG, Answer, Broken, Failed, Problem, Reply
from bot.errors import Refused, Theirs, Unavailable
from config.settings import load
from workers.agent import CutOff, Paid
from workers.kit import make_kit, make_model
from workers.llm import client
from workers.llm.client import APIS, OpenAIModel
from workers.llm.prices import CONTEXT, Price, Prices, room_of
from workers.llm.providers import Member, Providers
from workers.sandbox.process import ProcessSandbox


class Verdict(BaseModel):
    colour: str


GREEN, RED = (Reply(json.dumps({"colour": colour})) for colour in ("green", "red"))
OTHER_KEY = "sk-of-the-other"
# Nobody else's answer is used by accident.
OTHER = "other-model"
SLOW = Reply(json.dumps({"colour": "w" * 40_000}), pause=0.05)


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "BACKOFF", 0.01)


class Pair:
    """Two servers, of which the second has another key and knows another model."""

    def __init__(self, stack: ExitStack) -> None:
        self.first_says: list[Answer] = []
        self.second_says: list[Answer] = []
        self.first = stack.enter_context(ScriptedModel(lambda _: _next(self.first_says)))
        self.second = stack.enter_context(
            ScriptedModel(lambda _: _next(self.second_says), models=(OTHER, "larger"), key=OTHER_KEY)
        )

    def model(self, prices: Prices | None = None, key: str = KEY, timeout: float = 5) -> Providers:
        members = [
            Member("the first provider", OpenAIModel(key, self.first.base_url, MODEL, timeout, prices)),
            Member(
                "backup",
                OpenAIModel(OTHER_KEY, self.second.base_url, MODEL, timeout, prices),
                own=OTHER,
                models={"big": "larger"},
            ),
        ]
        return Providers(members, MODEL)

    @property
    def asked(self) -> tuple[int, int]:
        return len(self.first.requests), len(self.second.requests)


def _next(answers: list[Answer]) -> Answer:
    return answers.pop(0) if len(answers) > 1 else answers[0]


@pytest.fixture
def pair() -> Iterator[Pair]:
    with ExitStack() as stack:
        yield Pair(stack)


def ask(model: Providers, timeout: float = 20) -> tuple[str, str]:
    """The answer, and who gave it in the place of whom."""
    said, cost = model.ask("Judge.", "A change.", Verdict, timeout=timeout)
    return said.colour, cost.fallback


def test_first_is_asked_alone_while_it_answers(pair: Pair) -> None:
    pair.first_says = [GREEN]
    said, cost = pair.model().ask("Judge.", "A change.", Verdict, timeout=5)
    assert (said.colour, cost.model, cost.fallback) == ("green", MODEL, "")
    assert pair.asked == (1, 0)


@pytest.mark.parametrize(
    ("fault", "tries", "words"),
    [
        (SERVER_ERROR, 3, "is failing (500)"),
        (Problem(503, "overloaded"), 3, "is failing (503): overloaded"),
        (RATE_LIMIT, 3, "limits the rate (429)"),
        (Problem(429, "slow down", retry_after=600), 1, "limits the rate (429)"),
        (Broken("reset"), 3, "hung up"),
        (Broken("cut"), 3, "hung up"),
        (Broken("garbage"), 2, "not a chat completion"),
        (NO_QUOTA, 1, "used up"),
        (Problem(403, "not for you"), 1, "may not use model"),
        (Problem(404, "no such model", code="model_not_found"), 1, f"no model {MODEL}"),
        (Problem(400, "no such model", code="model_not_found"), 1, f"no model {MODEL}"),
        (Failed("server_error", "We are sorry."), 3, "is failing: We are sorry."),
        (Failed("insufficient_quota", "Pay first."), 1, "used up: Pay first."),
    ],
)
def test_next_is_asked_when_the_first_fails_after_its_tries(
    pair: Pair, fault: Answer, tries: int, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    pair.first_says, pair.second_says = [fault], [RED]
    colour, instead = ask(pair.model())
    assert colour == "red"
    assert instead.startswith("answered by backup, for the first provider failed: ")
    assert words in instead
    assert pair.asked == (tries, 1)
    assert pair.second.requests[0].model == OTHER
    (told,) = [record for record in caplog.records if record.name == "workers.llm.providers"]
    assert "the first provider failed" in told.getMessage()
    assert "asking backup" in told.getMessage()
    assert told.levelno == (logging.ERROR if tries < 3 and "rate" not in words else logging.WARNING)


def test_wrong_key_is_said_loudly_without_the_key(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    pair.second_says = [RED]
    colour, instead = ask(pair.model(key="sk-wrong-but-secret"))
    assert (colour, pair.asked) == ("red", (0, 1))
    assert "does not accept the key (401): check OPENAI_API_KEY" in instead
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "sk-wrong" not in caplog.text + instead


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (Reply(refusal="I cannot help with that."), Refused, "cannot help"),
        (TOO_LONG, Refused, "longer than"),
        (Problem(400, "no"), Refused, "refused the request"),
        (Reply("no JSON"), Theirs, "does not fit"),
        (Reply("{}", finish_reason="length"), Theirs, "cut off"),
    ],
)
def test_answer_of_a_model_is_taken_for_one_and_nobody_else_is_asked(
    pair: Pair, answer: Answer, error: type[Exception], words: str
) -> None:
    pair.first_says, pair.second_says = [answer], [RED]
    with pytest.raises(error, match=words):
        ask(pair.model())
    assert len(pair.second.requests) == 0


def test_who_failed_is_asked_last_for_as_long_as_it_says(pair: Pair) -> None:
    pair.first_says = [Problem(429, "slow down", retry_after=100), GREEN]
    pair.second_says = [RED]
    model = pair.model()
    assert [ask(model)[0] for _ in range(3)] == ["red"] * 3
    assert pair.asked == (1, 3)
    pair.second_says = [Problem(404, "gone")]
    assert ask(model) == ("green", ""), "whoever rests is asked when nobody else is left"


def test_who_failed_is_asked_first_again_after_its_rest(pair: Pair) -> None:
    pair.first_says, pair.second_says = [Problem(429, "slow down", retry_after=70), GREEN], [RED]
    model = pair.model()
    ask(model)
    for key, failure in model._failed.items():
        model._failed[key] = failure._replace(until=time.monotonic())
    assert ask(model) == ("green", "")


def test_all_away_is_unavailable_until_the_first_of_them_is_back(pair: Pair) -> None:
    pair.first_says = [Problem(429, "slow down", retry_after=500)]
    pair.second_says = [Problem(503, "overloaded", retry_after=200)]
    with pytest.raises(Unavailable, match=r"the first provider: .*slow down; backup: .*overloaded") as caught:
        ask(pair.model())
    assert caught.value.retry_after == 200
    pair.second_says = [SERVER_ERROR]
    with pytest.raises(Unavailable) as caught:
        ask(pair.model())
    assert caught.value.retry_after is None, "one of them did not say"


def test_one_away_and_one_refusing_is_worth_another_try(pair: Pair) -> None:
    pair.first_says, pair.second_says = [Problem(403, "not for you")], [Problem(503, "overloaded", retry_after=200)]
    with pytest.raises(Unavailable, match=r"not for you; backup: .*overloaded") as caught:
        ask(pair.model())
    assert caught.value.retry_after == 200


def test_all_refusing_is_refused(pair: Pair) -> None:
    pair.first_says, pair.second_says = [NO_QUOTA], [Problem(403, "not for you")]
    with pytest.raises(Refused, match=r"used up.*; backup: .*not for you") as caught:
        ask(pair.model())
    assert caught.value.status == 429


def test_slow_provider_leaves_time_for_the_next_and_is_paid_for_too(pair: Pair) -> None:
    pair.first_says, pair.second_says = [SLOW], [RED]
    prices = {MODEL: Price(input=1.0, output=1.0), OTHER: Price(input=10.0, output=10.0)}
    model = pair.model(prices, timeout=60)
    began = time.monotonic()
    said, cost = model.ask("Judge.", "A change.", Verdict, timeout=3)
    assert said.colour == "red"
    assert 1 < time.monotonic() - began < 3
    assert cost.model == f"{MODEL}, {OTHER}"
    once = OpenAIModel(KEY, None, MODEL, 1).estimate("Judge.", "A change.").input_tokens
    assert cost.input_tokens > once
    own = cost.input_tokens - once
    assert cost.usd is not None
    assert cost.usd > (once + own * 10) / 1_000_000, "each at its own price"


def test_what_failed_on_the_way_is_paid_for_when_all_fail(pair: Pair) -> None:
    pair.first_says, pair.second_says = [SLOW], [SERVER_ERROR]
    with pytest.raises(CutOff, match=r"in time; backup: .*failing") as caught:
        ask(pair.model(timeout=60), timeout=2)
    assert 0 < caught.value.cost.output_tokens < 1_000


def test_refusal_in_the_place_of_who_failed_is_paid_for_with_it(pair: Pair) -> None:
    pair.first_says, pair.second_says = [SLOW], [Reply(refusal="I cannot.")]
    prices = {MODEL: Price(input=1.0, output=1.0), OTHER: Price(input=10.0, output=10.0)}
    with pytest.raises(Paid) as caught:
        ask(pair.model(prices, timeout=60), timeout=2)
    assert isinstance(caught.value, Refused)
    assert caught.value.cost.model == f"{MODEL}, {OTHER}"


def test_stop_ends_it_at_once_and_nobody_else_is_asked(pair: Pair) -> None:
    stop = threading.Event()
    pair.first_says, pair.second_says = [SLOW], [RED]
    timer = threading.Timer(0.5, stop.set)
    timer.start()
    began = time.monotonic()
    with pytest.raises(CutOff, match="nobody waits") as caught:
        ask(pair.model(timeout=60).until(stop))
    assert time.monotonic() - began < 2
    assert caught.value.cost.output_tokens > 0
    assert pair.asked == (1, 0)


def test_no_time_asks_nobody_and_holds_it_against_nobody(pair: Pair) -> None:
    pair.first_says, pair.second_says = [GREEN], [RED]
    model = pair.model()
    with pytest.raises(Unavailable, match="no time"):
        ask(model, timeout=0)
    assert pair.asked == (0, 0)
    assert ask(model) == ("green", "")


@pytest.mark.parametrize(("asked", "gets"), [("big", "larger"), (MODEL, OTHER), ("unheard-of", OTHER)])
def test_fallback_is_asked_for_its_own_model(pair: Pair, asked: str, gets: str) -> None:
    pair.first_says, pair.second_says = [SERVER_ERROR], [RED]
    model = pair.model().named(asked)
    assert model.name == asked
    assert model.ask("Judge.", "A change.", Verdict, timeout=20)[1].model == gets


def test_estimate_is_of_the_dearest_and_unknown_where_one_is(pair: Pair) -> None:
    cheap, dear = Price(input=1.0, output=1.0), Price(input=5.0, output=5.0)
    estimate = pair.model({MODEL: cheap, OTHER: dear}).estimate("Judge.", "A change.")
    assert (estimate.model, estimate.usd) == (OTHER, dear.of(estimate.input_tokens, 0, estimate.output_tokens))
    assert pair.model({MODEL: cheap}).estimate("Judge.", "A change.").usd is None


def test_room_is_that_of_the_smallest(pair: Pair) -> None:
    small, large = Price(input=1.0, output=1.0, context=8_192), Price(input=1.0, output=1.0, context=400_000)
    assert pair.model({MODEL: large, OTHER: small}).room == room_of(8_192)
    assert pair.model({MODEL: large}).room == room_of(CONTEXT)


@pytest.mark.parametrize(
    ("model", "allowed"), [("gpt-5", True), ("gpt-5-mini", False), ("llama-4", True), ("llama", False), (MODEL, False)]
)
def test_only_models_that_are_allowed_may_be_named(pair: Pair, model: str, allowed: bool) -> None:
    within = pair.model().within(("gpt-5", "llama-*"))
    assert within.name == MODEL
    if allowed:
        assert within.named(model).name == model
    else:
        with pytest.raises(Theirs, match=rf"does not allow the model {model}, but gpt-5, llama-\*"):
            within.until(threading.Event()).named(model)


def test_kit_allows_the_operator_s_own_models_and_those_of_the_list() -> None:
    given = {"OPENAI_API_KEY": KEY, "ASSAY_LLM_MODELS": "gpt-5,o3-*", "ASSAY_LLM_VERIFY_MODEL": "gpt-5.5"}
    kit = make_kit(load(given), lambda _: ProcessSandbox())(lambda _: None, threading.Event())
    assert kit.model is not None
    assert kit.verify_model == "gpt-5.5"
    assert [kit.model.named(one).name for one in ("gpt-5", "o3-mini", "gpt-5.4-mini", "gpt-5.5")]
    with pytest.raises(Theirs, match="does not allow"):
        kit.model.named("gpt-5-pro")
    free = make_kit(load({"OPENAI_API_KEY": KEY}), lambda _: ProcessSandbox())(lambda _: None, threading.Event())
    assert free.model is not None
    assert free.model.named("gpt-5-pro").name == "gpt-5-pro"


def test_operator_names_providers_in_their_order(pair: Pair) -> None:
    pair.first_says, pair.second_says = [SERVER_ERROR], [RED]
    fallbacks = f"""
        [away]
        url = "{pair.first.base_url}"
        key = "sk-not-the-right-one"
        [backup]
        url = "{pair.second.base_url}"
        key = "{OTHER_KEY}"
        model = "{OTHER}"
    """
    environ = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": pair.first.base_url, "ASSAY_LLM_MODEL": MODEL}
    chosen = load(environ | {"ASSAY_LLM_FALLBACKS": fallbacks})
    assert OTHER_KEY in chosen.secrets()
    model = make_model(chosen)
    assert model is not None
    colour, instead = ask(model)
    assert (colour, instead.partition(",")[0]) == ("red", "answered by backup")
    pair.second_says = [SERVER_ERROR]
    with pytest.raises(Unavailable, match=r"check the key of \[away\] in ASSAY_LLM_FALLBACKS"):
        ask(model)


@pytest.mark.parametrize(
    ("given", "by"),
    [
        ({}, "responses"),
        ({"OPENAI_BASE_URL": "https://api.openai.com/v1"}, "responses"),
        ({"OPENAI_BASE_URL": "https://llm.example.com/v1"}, "chat"),
        ({"ASSAY_LLM_API": "chat"}, "chat"),
        ({"OPENAI_BASE_URL": "https://llm.example.com/v1", "ASSAY_LLM_API": "responses"}, "responses"),
    ],
)
def test_openai_is_asked_by_its_responses_api_and_others_by_chat_unless_told(given: dict[str, str], by: str) -> None:
    model = make_model(load({"OPENAI_API_KEY": KEY, **given}))
    assert model is not None
    (member,) = model._members
    assert member.model._api is APIS[by]


def test_each_provider_is_asked_by_its_own_api(pair: Pair) -> None:
    pair.first_says, pair.second_says = [SERVER_ERROR], [RED]
    table = f'[backup]\nurl = "{pair.second.base_url}"\nkey = "{OTHER_KEY}"\nmodel = "{OTHER}"\napi = "responses"'
    chosen = load({"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": pair.first.base_url, "ASSAY_LLM_FALLBACKS": table})
    model = make_model(chosen)
    assert model is not None
    assert ask(model.named(MODEL))[0] == "red"
    assert ([one.api for one in pair.first.requests], [one.api for one in pair.second.requests]) == (
        ["chat"] * 3,
        ["responses"],
    )


def test_without_a_first_key_the_fallbacks_are_asked_and_one_may_need_none() -> None:
    with ScriptedModel([GREEN], key="no-key-needed") as server:
        chosen = load({"ASSAY_LLM_MODEL": MODEL, "ASSAY_LLM_FALLBACKS": f'[own]\nurl = "{server.base_url}"'})
        model = make_model(chosen)
        assert model is not None
        assert ask(model) == ("green", "")
    assert make_model(load({})) is None
    assert chosen.llm_fallbacks == SecretStr(f'[own]\nurl = "{server.base_url}"')
