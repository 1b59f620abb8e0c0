"""Runs one target over many texts, and says which one broke it."""

from __future__ import annotations

import contextlib
import time

from hypothesis import HealthCheck, given, seed, settings

from tests.fuzz.mutations import texts
from tests.fuzz.targets import Target

# Seconds that one text of at most 200,000 characters may take, on a machine that is busy with other things.
SLOWEST = 5.0


class TooSlow(AssertionError):
    """A parser took so long that a stranger could hold a worker up."""


def fuzz(target: Target, examples: int, number: int) -> None:
    """Try `examples` texts, the same ones for the same `number`. Raises what the target must not raise."""

    @seed(number)
    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(texts(target.seeds))
    def attempt(text: str) -> None:
        begun = time.process_time()
        with contextlib.suppress(*target.raises):
            target.run(text)
        took = time.process_time() - begun
        if took > SLOWEST:
            raise TooSlow(f"{target.name} took {took:.1f} s for {len(text)} characters")

    attempt()


def fuzz_for(target: Target, seconds: float, number: int) -> int:
    """Go on until the time is over; how many texts were tried."""
    until, tried = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        fuzz(target, 100, number + tried)
        tried += 100
    return tried
