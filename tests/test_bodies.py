"""Reading bodies within bounds, and the payload of a form."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

from bot import bodies
from bot.bodies import LARGEST, Bodies, NoRoom, TooLarge, TooSlow, payload_of


def receiver(chunks: Iterable[bytes], ends: bool = True) -> Receive:
    left = list(chunks)

    async def receive() -> Message:
        if not left:
            if ends:
                return {"type": "http.disconnect"}
            await asyncio.Event().wait()
        chunk = left.pop(0)
        return {"type": "http.request", "body": chunk, "more_body": bool(left) or not ends}

    return receive


def test_a_body_comes_in_pieces() -> None:
    assert asyncio.run(Bodies().read(0, receiver([b"a" * 300_000, b"b", b""]))) == b"a" * 300_000 + b"b"


def test_a_body_is_no_larger_than_it_may_be_whatever_its_head_says() -> None:
    with pytest.raises(TooLarge):
        asyncio.run(Bodies().read(LARGEST + 1, receiver([b""])))
    with pytest.raises(TooLarge):
        asyncio.run(Bodies().read(10, receiver([b"x" * 5_000_000] * 6)))


def test_a_sender_that_leaves_leaves_nothing_behind() -> None:
    reader = Bodies()
    for _ in range(5):
        with pytest.raises(ClientDisconnect):
            asyncio.run(reader.read(0, _gone()))
    assert len(asyncio.run(reader.read(0, receiver([b"x" * LARGEST])))) == LARGEST


def _gone() -> Receive:
    messages: list[Message] = [
        {"type": "http.request", "body": b"x" * 20_000_000, "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Message:
        return messages.pop(0)

    return receive


def test_large_bodies_share_a_room_and_small_ones_always_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "PATIENCE", 0.2)

    async def read_all() -> list[bytes | BaseException]:
        reader = Bodies()
        slow = [reader.read(0, receiver([b"x" * 24_000_000], ends=False)) for _ in range(3)]
        return await asyncio.gather(*slow, reader.read(0, receiver([b"small"])), return_exceptions=True)

    first, second, third, small = asyncio.run(read_all())
    assert [type(first), type(second), type(third)] == [TooSlow, TooSlow, NoRoom]
    assert small == b"small"


@given(st.dictionaries(st.sampled_from(["a", "payload", "x"]), st.text(), max_size=3), st.text())
def test_the_payload_of_a_form_is_what_was_put_in(others: dict[str, str], payload: str) -> None:
    form = urlencode(others | {"payload": payload}, errors="surrogatepass").encode()
    assert payload_of(form) == payload.encode("utf-8", "surrogatepass")


@pytest.mark.parametrize("form", [b"", b"a=b&c=d", b"&" * 10 + b"payload=x", "payload=ä".encode()])
def test_a_form_without_a_payload_is_an_error(form: bytes) -> None:
    with pytest.raises(ValueError, match="no field `payload`"):
        payload_of(form)
