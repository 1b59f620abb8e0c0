"""Calls that come while one is under way share the next."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from bot.batches import Batches
from tests.told import told


class Doubling:
    """Doubles numbers, slowly; `calls` are those it got. A negative number makes a call fail."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.under_way = 0

    async def __call__(self, numbers: Sequence[int]) -> list[int]:
        assert self.under_way == 0
        self.under_way += 1
        self.calls.append(list(numbers))
        await asyncio.sleep(0.001)
        self.under_way -= 1
        if min(numbers) < 0:
            raise ValueError("negative")
        return [number * 2 for number in numbers]


def test_what_comes_at_once_goes_together_and_everybody_gets_his_own() -> None:
    async def main() -> None:
        call = Doubling()
        batches = Batches(call, 10)
        assert await asyncio.gather(*(told(batches.submit, number) for number in range(5))) == [0, 2, 4, 6, 8]
        assert call.calls == [[0, 1, 2, 3, 4]]

    asyncio.run(main())


def test_what_comes_meanwhile_goes_with_the_next_and_never_too_many() -> None:
    async def main() -> None:
        call = Doubling()
        batches = Batches(call, 3)
        first = told(batches.submit, 100)
        while not call.under_way:
            await asyncio.sleep(0)
        assert await asyncio.gather(*(told(batches.submit, number) for number in range(5))) == [0, 2, 4, 6, 8]
        assert await first == 200
        assert call.calls == [[100], [0, 1, 2], [3, 4]]

    asyncio.run(main())


def test_a_failure_is_told_to_all_of_its_batch_and_to_no_other() -> None:
    async def main() -> None:
        batches = Batches(Doubling(), 2)
        results = await asyncio.gather(
            *(told(batches.submit, number) for number in (1, -1, 2, 3)), return_exceptions=True
        )
        assert [str(result) for result in results] == ["negative", "negative", "4", "6"]
        assert await told(batches.submit, 5) == 10

    asyncio.run(main())


def test_who_cannot_be_told_does_not_harm_the_others(caplog: pytest.LogCaptureFixture) -> None:
    def gone(_: object) -> None:
        raise RuntimeError("gone")

    async def main() -> None:
        batches = Batches(Doubling(), 10)
        batches.submit(1, gone)
        assert await told(batches.submit, 2) == 4
        assert await told(batches.submit, 3) == 6

    asyncio.run(main())
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == ["gone"]
