from __future__ import annotations

import pytest

from bot.patience import GIVE_UP, pause


@pytest.mark.parametrize(
    ("age", "asked", "wait"),
    [
        (0.0, None, 3.0),
        (100.0, None, 50.0),
        (GIVE_UP, None, 900.0),
        (0.0, 60.0, 60.0),
        (0.0, 3600.0, 3600.0),
        (0.0, 1e9, 3600.0),
        (GIVE_UP + 1, 60.0, None),
    ],
)
def test_waits_the_longer_the_longer_it_lasts_and_at_least_what_was_asked(
    age: float, asked: float | None, wait: float | None
) -> None:
    assert pause(age, asked) == wait
