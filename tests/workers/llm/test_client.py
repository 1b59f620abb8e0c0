"""The client against a real HTTP server that speaks OpenAI's wire format and breaks in every way a provider does: each
test by both APIs."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from typing import Literal, get_args

import pytest
from pydantic import BaseModel

from bot.demo.model import KEY, MODEL, ScriptedModel
from bot.demo.model_wire import (
    NO_QUOTA,
    RATE_LIMIT,
    SERVER_ERROR,
    TOO_LONG,
    Answer,
    Broken,
    ChatRequest,
    Failed,
    Problem,
    Reply,
)
from bot.errors import Misconfigured, Refused, Theirs, Unavailable
from workers.agent import CutOff, Paid, TooLong
from workers.llm import client
from workers.llm.client import OpenAIModel
from workers.llm.prices import Price, Prices


class Verdict(BaseModel):
    colour: Literal["red", "green"]
    note: str | None = None


GREEN = Reply(json.dumps({"colour": "green", "note": None}))
BAD = Reply(json.dumps({"colour": "blue", "note": None}))


Api = Literal["chat", "responses"]


class Spoken:
    """The API by which this test asks."""

    api: Api = "chat"


@pytest.fixture(autouse=True, params=get_args(Api))
def api(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Api:
    monkeypatch.setattr(client, "BACKOFF", 0.01)
    monkeypatch.setattr(Spoken, "api", request.param)
    spoken: Api = request.param
    return spoken


def at(
    url: str | None, timeout: float = 5, key: str = KEY, name: str = MODEL, prices: Prices | None = None
) -> OpenAIModel:
    return OpenAIModel(key, url, name, timeout, prices, api=Spoken.api)


def model(server: ScriptedModel, timeout: float = 5, key: str = KEY, name: str = MODEL) -> OpenAIModel:
    return at(server.base_url, timeout, key, name)


def ask(server: ScriptedModel, timeout: float = 5) -> Verdict:
    return model(server).ask("Judge.", "A change.", Verdict, timeout=timeout)[0]


def test_an_answer_comes_typed_and_with_its_cost() -> None:
    with ScriptedModel([GREEN]) as server:
        verdict, cost = model(server).ask("Judge.", "A change.", Verdict, timeout=5)
    assert verdict == Verdict(colour="green")
    assert (cost.model, cost.usd) == (MODEL, None)
    assert cost.input_tokens > 0
    assert cost.output_tokens > 0


def test_the_first_question_asks_for_a_strict_schema_and_sends_nothing_that_models_refuse(api: Api) -> None:
    with ScriptedModel([GREEN]) as server:
        ask(server)
    (request,) = server.requests
    assert request.api == api
    if api == "chat":
        assert set(request.body) == {"model", "messages", "response_format", "stream", "stream_options"}
        assert request.body["response_format"]["json_schema"]["strict"] is True
    else:
        assert set(request.body) == {"model", "input", "text", "stream", "store"}
        assert request.body["text"]["format"]["strict"] is True
        assert request.body["store"] is False, "nothing is kept at the provider"
    assert [message["role"] for message in request.messages] == ["system", "user"]


def test_an_answer_that_does_not_fit_is_repaired_once() -> None:
    with ScriptedModel([BAD, GREEN]) as server:
        verdict, cost = model(server).ask("Judge.", "A change.", Verdict, timeout=5)
    assert verdict.colour == "green"
    roles = [message["role"] for message in server.requests[1].messages]
    assert roles == ["system", "user", "assistant", "user"]
    assert "colour" in server.requests[1].messages[3]["content"]
    once = len(server.requests[0].text) // 4
    assert cost.input_tokens > 2 * once, "both rounds are paid for"


def test_a_second_bad_answer_is_theirs() -> None:
    with ScriptedModel([BAD, BAD, GREEN]) as server, pytest.raises(Theirs, match="does not fit: colour"):
        ask(server)
    assert len(server.requests) == 2


@pytest.mark.parametrize("streams", [True, False])
def test_a_tool_that_is_called_though_none_was_offered_is_no_answer(streams: bool) -> None:
    call = Reply(calls="merge_pull_request")
    with ScriptedModel([call, GREEN], streams=streams) as server:
        assert ask(server).colour == "green"
    assert "merge_pull_request" not in server.requests[1].text
    with ScriptedModel([call, call], streams=streams) as server, pytest.raises(Theirs):
        ask(server)


@pytest.mark.parametrize("content", ["", "no JSON", '{"colour": ', "[1, 2]", "[" * 100_000, "{" * 100_000, '"\\ud800"'])
def test_nonsense_is_asked_for_once_more(content: str) -> None:
    with ScriptedModel([Reply(content), GREEN]) as server:
        assert ask(server).colour == "green"


def test_a_null_content_is_asked_for_once_more() -> None:
    with ScriptedModel([Reply(None), GREEN]) as server:
        assert ask(server).colour == "green"


def test_a_body_that_is_no_completion_is_asked_for_once_more_and_then_theirs() -> None:
    with ScriptedModel([Broken("garbage"), GREEN]) as server:
        assert ask(server).colour == "green"
    with ScriptedModel([Broken("garbage")] * 2) as server, pytest.raises(Theirs, match="check its URL"):
        ask(server)


@pytest.mark.parametrize(
    "content",
    [
        '```json\n{"colour": "green"}\n```',
        'Here it is: {"colour": "green"} I hope it helps.',
        '<think>{"colour": "red"}?</think>\n{"colour": "green"}',
    ],
)
def test_json_is_found_in_prose_fences_and_after_thoughts(content: str) -> None:
    with ScriptedModel([Reply(content)]) as server:
        assert ask(server).colour == "green"


def test_a_refusal_is_refused() -> None:
    with (
        ScriptedModel([Reply(refusal="I cannot help with that.")]) as server,
        pytest.raises(Refused, match="cannot help"),
    ):
        ask(server)


def test_a_content_filter_is_refused() -> None:
    with ScriptedModel([Reply("", finish_reason="content_filter")]) as server, pytest.raises(Refused, match="filter"):
        ask(server)


def test_an_answer_cut_off_at_the_length_limit_is_theirs_even_if_it_parses() -> None:
    cut = Reply(GREEN.content, finish_reason="length")
    with ScriptedModel([cut, GREEN]) as server, pytest.raises(Theirs, match="cut off"):
        ask(server)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "fault",
    [
        RATE_LIMIT,
        SERVER_ERROR,
        Problem(503, "overloaded"),
        Problem(408, "slow"),
        Broken("reset"),
        Broken("cut"),
        Broken("half"),
        Failed("server_error", "We are sorry."),
        Failed("rate_limit_exceeded", "Please try again in 20ms.", said='{"colour": "gr'),
    ],
)
def test_a_passing_fault_is_tried_again(fault: Answer) -> None:
    with ScriptedModel([fault, fault, GREEN]) as server:
        assert ask(server).colour == "green"
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    "fault",
    [RATE_LIMIT, SERVER_ERROR, Broken("reset"), Broken("cut"), Broken("half"), Failed("server_error", "Sorry.")],
)
def test_a_lasting_fault_is_unavailable_after_three_tries(fault: Answer) -> None:
    with ScriptedModel(lambda request: fault) as server, pytest.raises(Unavailable):
        ask(server)
    assert len(server.requests) == 3


def test_a_short_retry_after_is_waited_for() -> None:
    limit = Problem(429, "Rate limit reached", retry_after=0.4)
    started = time.monotonic()
    with ScriptedModel([limit, GREEN]) as server:
        ask(server)
    assert time.monotonic() - started >= 0.4


def test_a_retry_after_beyond_the_deadline_is_handed_on_at_once() -> None:
    limit = Problem(429, "Rate limit reached", retry_after=30)
    started = time.monotonic()
    with ScriptedModel([limit, GREEN]) as server, pytest.raises(Unavailable) as caught:
        ask(server, timeout=5)
    assert caught.value.retry_after == 30
    assert time.monotonic() - started < 2
    assert len(server.requests) == 1


def test_a_long_retry_after_is_handed_on_whatever_the_deadline() -> None:
    limit = Problem(429, "Rate limit reached", retry_after=3600)
    with ScriptedModel([limit]) as server, pytest.raises(Unavailable) as caught:
        ask(server, timeout=86_400)
    assert caught.value.retry_after == 3600


def test_a_wait_that_is_told_within_the_answer_is_handed_on() -> None:
    limit = Failed("rate_limit_exceeded", "Rate limit reached. Please try again in 11.5s.")
    with ScriptedModel([limit, GREEN]) as server, pytest.raises(Unavailable, match="Rate limit") as caught:
        ask(server, timeout=5)
    assert caught.value.retry_after == 11.5
    assert len(server.requests) == 1


@pytest.mark.parametrize("streams", [True, False])
@pytest.mark.parametrize(
    ("failed", "status", "words"),
    [
        (Failed("insufficient_quota", "You exceeded your quota."), 429, "used up: You exceeded"),
        (Failed("invalid_prompt", "It was flagged."), 400, "refused the request: It was flagged"),
        (Failed("context_length_exceeded", "Your input exceeds it."), 400, "longer than the model takes: Your input"),
    ],
)
def test_what_is_refused_within_the_answer_is_not_tried_again(
    failed: Failed, status: int, words: str, streams: bool
) -> None:
    with ScriptedModel([failed, GREEN], streams=streams) as server, pytest.raises(Refused, match=words) as caught:
        ask(server)
    assert caught.value.status == status
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("answers", "rounds"),
    [
        ([Reply(refusal="I cannot.")], 1),
        ([Reply("", finish_reason="content_filter")], 1),
        ([Reply(GREEN.content, finish_reason="length")], 1),
        ([BAD, BAD], 2),
        ([BAD, Reply(refusal="I cannot.")], 2),
        ([BAD, Problem(403, "no more")], 1),
    ],
)
def test_what_comes_to_nothing_tells_what_it_cost(answers: list[Answer], rounds: int) -> None:
    with ScriptedModel(answers) as server, pytest.raises(Paid) as caught:
        ask(server)
    cost = caught.value.cost
    once = len(server.requests[0].text) // 4
    assert rounds * once <= cost.input_tokens < (rounds + 1) * once + 100


def test_what_was_never_answered_cost_nothing() -> None:
    with ScriptedModel([Problem(403, "no access")]) as server, pytest.raises(Refused) as caught:
        ask(server)
    assert not isinstance(caught.value, Paid)


def test_an_answer_that_failed_in_the_middle_costs_what_had_come() -> None:
    with ScriptedModel([Failed("server_error", "Sorry.", said="w" * 300)] * 3) as server:
        with pytest.raises(CutOff, match="is failing") as caught:
            ask(server)
        once = model(server).estimate("Judge.", "A change.").input_tokens
    assert caught.value.cost.input_tokens == 3 * once
    assert caught.value.cost.output_tokens == 3 * 100


def test_a_connection_that_is_held_after_the_answer_is_not_waited_for() -> None:
    held = Reply(GREEN.content, hold=20)
    started = time.monotonic()
    with ScriptedModel([held]) as server:
        assert ask(server).colour == "green"
        assert time.monotonic() - started < 2


def test_a_server_without_that_api_is_told_of(api: Api) -> None:
    others = tuple(one for one in get_args(Api) if one != api)
    with ScriptedModel([GREEN], apis=others) as server, pytest.raises(Refused, match="ASSAY_LLM_API") as caught:
        ask(server)
    assert caught.value.status == 404


def test_a_used_up_account_is_refused_and_not_tried_again() -> None:
    with ScriptedModel([NO_QUOTA, GREEN]) as server, pytest.raises(Refused, match="used up") as caught:
        ask(server)
    assert caught.value.status == 429
    assert len(server.requests) == 1


def test_a_dripping_server_cannot_outlast_the_deadline() -> None:
    started = time.monotonic()
    with ScriptedModel([Broken("drip", seconds=20)]) as server, pytest.raises(Unavailable, match="in time"):
        ask(server, timeout=0.5)
    assert time.monotonic() - started < 3


def test_a_silent_server_cannot_outlast_the_deadline() -> None:
    started = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        silent = at(f"http://127.0.0.1:{listener.getsockname()[1]}/v1", 60)
        with pytest.raises(Unavailable, match="in time"):
            silent.ask("Judge.", "A change.", Verdict, timeout=0.5)
    assert time.monotonic() - started < 3


def test_one_answer_may_take_no_longer_than_the_models_timeout() -> None:
    drip = Broken("drip", seconds=20)
    with ScriptedModel([drip, GREEN]) as server:
        verdict, _ = model(server, timeout=0.3).ask("Judge.", "A change.", Verdict, timeout=60)
    assert verdict.colour == "green"


def test_no_time_left_asks_nothing() -> None:
    with ScriptedModel([GREEN]) as server, pytest.raises(Unavailable, match="no time"):
        ask(server, timeout=0)
    assert not server.requests


def test_a_closed_port_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    gone = at(f"http://127.0.0.1:{port}/v1", 2)
    with pytest.raises(Unavailable, match="check its URL"):
        gone.ask("Judge.", "A change.", Verdict, timeout=5)


def test_an_oversized_reply_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "LARGEST_REPLY", 10_000)
    with ScriptedModel([Reply("x" * 100_000)] * 2) as server, pytest.raises(Theirs, match="larger than"):
        ask(server)


def test_a_wrong_key_names_the_setting_and_not_the_key() -> None:
    with ScriptedModel([GREEN]) as server, pytest.raises(Refused, match="OPENAI_API_KEY") as caught:
        model(server, key="sk-wrong-but-secret").ask("Judge.", "A change.", Verdict, timeout=5)
    assert caught.value.status == 401
    assert "sk-wrong" not in str(caught.value)


def test_a_provider_that_quotes_the_key_does_not_spread_it() -> None:
    with ScriptedModel([Problem(403, f"Key {KEY} may not")]) as server, pytest.raises(Refused) as caught:
        ask(server)
    assert KEY not in str(caught.value)
    assert caught.value.status == 403


def test_an_unknown_model_is_named() -> None:
    with ScriptedModel([GREEN]) as server, pytest.raises(Refused, match="gpt-nowhere") as caught:
        model(server, name="gpt-nowhere").ask("Judge.", "A change.", Verdict, timeout=5)
    assert caught.value.status == 404


def test_a_wrong_base_url_is_named() -> None:
    with ScriptedModel([GREEN]) as server, pytest.raises(Refused, match="OPENAI_BASE_URL"):
        at(server.base_url + "/v2").ask("Judge.", "A change.", Verdict, timeout=5)


def test_a_request_that_is_too_long_is_refused_without_trying_other_forms() -> None:
    with ScriptedModel([TOO_LONG, GREEN]) as server, pytest.raises(TooLong, match="longer than"):
        ask(server)
    assert len(server.requests) == 1


@pytest.mark.parametrize("forms", [("json_object",), ("text",), ()])
def test_a_server_without_schemas_is_asked_in_words(forms: tuple[str, ...]) -> None:
    with ScriptedModel([GREEN, GREEN], forms=forms) as server:
        spoken = model(server)
        assert spoken.ask("Judge.", "A change.", Verdict, timeout=5)[0].colour == "green"
        refusals = len(server.refused)
        assert spoken.ask("Judge.", "A change.", Verdict, timeout=5)[0].colour == "green"
    assert refusals > 0
    assert len(server.refused) == refusals, "the form that works is remembered"
    system = server.requests[0].messages[0]["content"]
    assert '"colour"' in system, "without a response format, the schema is in the prompt"


def test_a_request_refused_in_every_form_says_why_it_was_refused_first() -> None:
    answers = iter([Problem(400, "bad image"), Problem(400, "no json_object"), Problem(400, "still no")])

    def script(request: ChatRequest) -> Answer:
        return next(answers)

    with ScriptedModel(script) as server, pytest.raises(Refused, match="bad image") as caught:
        ask(server)
    assert caught.value.status == 400
    assert [request.form for request in server.requests] == ["json_schema", "json_object", "text"]


def test_a_server_that_does_not_stream_is_asked_without() -> None:
    with ScriptedModel([GREEN, GREEN], forms=("json_object",), streams=False) as server:
        spoken = model(server)
        _, cost = spoken.ask("Judge.", "A change.", Verdict, timeout=5)
        refusals = len(server.refused)
        assert spoken.ask("Judge.", "A change.", Verdict, timeout=5)[0].colour == "green"
    assert cost.output_tokens < 50, "as the server counted them"
    assert not any(request.stream for request in server.requests)
    assert refusals == len(server.refused) == 2, "what works is remembered"


LONG = Reply(json.dumps({"colour": "green", "note": "w" * 40_000}), pause=0.05)


def cut_off(spoken: OpenAIModel, timeout: float = 30) -> tuple[CutOff, float]:
    started = time.monotonic()
    with pytest.raises(CutOff) as caught:
        spoken.ask("Judge.", "A change.", Verdict, timeout=timeout)
    return caught.value, time.monotonic() - started


def wait_until_hung_up(server: ScriptedModel) -> None:
    until = time.monotonic() + 2
    while not server.hung_up:
        assert time.monotonic() < until, "the server went on"
        time.sleep(0.01)


@pytest.mark.parametrize("price", [Price(input=1.0, output=10.0), None])
def test_a_stop_ends_the_answer_at_once_and_costs_what_was_used(price: Price | None) -> None:
    stop, stopped = threading.Event(), list[float]()

    def end() -> None:
        stopped.append(time.monotonic())
        stop.set()

    def script(request: ChatRequest) -> Answer:
        threading.Timer(0.6, end).start()
        return LONG

    with ScriptedModel(script) as server:
        spoken = at(server.base_url, 60, prices={MODEL: price} if price else {}).until(stop)
        cut, _ = cut_off(spoken)
        wait_until_hung_up(server)
        assert time.monotonic() - stopped[0] < 2
        assert 0 < cut.cost.output_tokens < 1_000, "of some 13,000"
        estimated = spoken.estimate("Judge.", "A change.")
        assert cut.cost.input_tokens == estimated.input_tokens
        if price:
            assert cut.cost.usd == pytest.approx(price.of(cut.cost.input_tokens, 0, cut.cost.output_tokens))
        else:
            assert cut.cost.usd is None
        again, _ = cut_off(spoken)
    assert (again.cost.input_tokens, again.cost.usd) == (0, 0.0)
    assert len(server.requests) == 1, "nothing is asked any more"


def test_a_stop_ends_the_wait_for_a_silent_server() -> None:
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        silent = at(f"http://127.0.0.1:{listener.getsockname()[1]}/v1", 60).until(stop)
        timer = threading.Timer(0.3, stop.set)
        timer.start()
        assert cut_off(silent)[1] < 1.3


def test_a_stop_ends_the_pause_before_another_try() -> None:
    stop = threading.Event()

    def script(request: ChatRequest) -> Answer:
        threading.Timer(0.3, stop.set).start()
        return Problem(429, "Rate limit reached", retry_after=20)

    with ScriptedModel(script) as server:
        started = time.monotonic()
        with pytest.raises(Unavailable, match="limits the rate|nobody waits"):
            model(server, timeout=60).until(stop).ask("Judge.", "A change.", Verdict, timeout=60)
    assert time.monotonic() - started < 5
    assert len(server.requests) == 1


def test_an_answer_that_is_over_its_time_is_hung_up_on_and_costs_what_was_used() -> None:
    with ScriptedModel([LONG]) as server:
        cut, seconds = cut_off(model(server, timeout=60), timeout=1.5)
        wait_until_hung_up(server)
    assert seconds < 3
    assert "in time" in str(cut)
    assert 0 < cut.cost.output_tokens < 1_000


def test_a_try_that_was_cut_off_is_paid_for_beside_the_one_that_was_not() -> None:
    with ScriptedModel([LONG, GREEN]) as server:
        _, cost = model(server, timeout=1.5).ask("Judge.", "A change.", Verdict, timeout=60)
        once = model(server).estimate("Judge.", "A change.").input_tokens
    assert cost.input_tokens > once


def test_another_model_is_of_the_same_provider_and_learns_for_itself() -> None:
    with ScriptedModel([GREEN, GREEN], models=(MODEL, "small")) as server:
        first = model(server)
        first.ask("Judge.", "A change.", Verdict, timeout=5)
        small = first.named("small")
        _, cost = small.ask("Judge.", "A change.", Verdict, timeout=5)
    assert (first.name, small.name, cost.model) == (MODEL, "small", "small")
    assert [request.model for request in server.requests] == [MODEL, "small"]


def test_neither_key_nor_prompt_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with ScriptedModel([RATE_LIMIT, GREEN]) as server:
        model(server).ask("Judge.", "A-secret-change.", Verdict, timeout=5)
    assert KEY not in caplog.text
    assert "A-secret-change" not in caplog.text


@pytest.mark.parametrize("key", ["", "sk-\u00e9", "sk-a\nb"])
def test_a_key_that_cannot_be_sent_is_misconfigured(key: str) -> None:
    with pytest.raises(Misconfigured, match="OPENAI_API_KEY"):
        OpenAIModel(key, None, MODEL, 5)


def test_a_base_url_without_a_scheme_is_misconfigured() -> None:
    with pytest.raises(Misconfigured, match="http"):
        OpenAIModel(KEY, "localhost:8000/v1", MODEL, 5)
