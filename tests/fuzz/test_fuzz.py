"""A short campaign against every target, the same one each time; `make fuzz` is the long one."""

from __future__ import annotations

import pytest

from tests.fuzz.campaign import TooSlow, fuzz, fuzz_for
from tests.fuzz.targets import TARGETS, Target


@pytest.mark.parametrize("name", TARGETS)
def test_target_holds(name: str) -> None:
    fuzz(TARGETS[name], examples=15, number=1)


def test_every_target_begins_with_real_texts() -> None:
    assert [name for name, target in TARGETS.items() if not target.seeds] == []


def test_a_parser_that_raises_what_it_does_not_promise_is_found() -> None:
    def brittle(text: str) -> None:
        if "\n" in text:
            raise KeyError(text)

    target = Target("brittle", brittle, ["one line"], (ValueError,))
    with pytest.raises(KeyError):
        fuzz_for(target, seconds=20, number=1)


def test_a_parser_that_takes_too_long_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.fuzz.campaign.SLOWEST", -1.0)
    with pytest.raises(TooSlow):
        fuzz(Target("slow", len, ["text"]), examples=1, number=1)
