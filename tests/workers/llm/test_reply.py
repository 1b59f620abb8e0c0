from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from bot.domain.findings import Cost
from bot.errors import AssayError, Refused, Unavailable
from workers.llm.prices import Price
from workers.llm.reply import Unfit, cost_of, parse_reply, read_answer


class Word(BaseModel):
    word: str


def body(content: str | None, **fields: object) -> bytes:
    return json.dumps({"choices": [{"message": {"content": content}, "finish_reason": "stop"}], **fields}).encode()


ESTIMATED = Cost(model="m", input_tokens=500, output_tokens=50, usd=0.7)
PRICE = Price(input=2.0, cached=0.5, output=8.0)


def test_a_stated_price_is_the_cost() -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 2, "cost": 0.003}
    cost = cost_of(parse_reply(body("{}", usage=usage)), ESTIMATED, PRICE)
    assert (cost.input_tokens, cost.output_tokens, cost.usd) == (10, 2, 0.003)


def test_without_a_stated_price_tokens_cost_what_the_table_says() -> None:
    usage = {
        "prompt_tokens": 1_000_000,
        "completion_tokens": 500_000,
        "prompt_tokens_details": {"cached_tokens": 400_000},
    }
    reply = parse_reply(body("{}", usage=usage))
    assert cost_of(reply, ESTIMATED, PRICE).usd == pytest.approx(0.6 * 2 + 0.4 * 0.5 + 0.5 * 8)
    assert cost_of(reply, ESTIMATED, None).usd is None


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": None, "completion_tokens": None}])
def test_a_provider_that_does_not_count_costs_what_was_estimated(usage: object) -> None:
    assert cost_of(parse_reply(body("{}", usage=usage)), ESTIMATED, PRICE) == ESTIMATED


def test_an_error_in_a_200_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="upstream is away"):
        parse_reply(b'{"error": {"code": 502, "message": "upstream is away"}}')


@pytest.mark.parametrize(
    "raw", [b"", b"null", b"[]", b"{}", b'{"choices": []}', b'{"choices": [{"message": 1}]}', b"\xff"]
)
def test_what_is_no_completion_is_unfit(raw: bytes) -> None:
    with pytest.raises(Unfit):
        parse_reply(raw)


def test_faults_are_named_without_the_models_words() -> None:
    with pytest.raises(Unfit) as caught:
        read_answer(parse_reply(body('{"word": ["a secret"]}')), Word)
    assert "word: Input should be a valid string" in str(caught.value)
    assert "a secret" not in str(caught.value)


def test_a_refusal_beats_the_content() -> None:
    reply = parse_reply(b'{"choices": [{"message": {"content": "{}", "refusal": "no"}}]}')
    with pytest.raises(Refused):
        read_answer(reply, Word)


@given(st.text(max_size=200))
def test_any_content_is_an_answer_or_an_error_of_ours(content: str) -> None:
    try:
        read_answer(parse_reply(body(content)), Word)
    except AssayError:
        return


@given(st.text(alphabet="abc,.:`\n []\"'", max_size=50), st.text(max_size=20))
def test_an_object_is_found_between_any_words(words: str, word: str) -> None:
    content = f"{words}{json.dumps({'word': word})}{words}"
    assert read_answer(parse_reply(body(content)), Word).word == word
