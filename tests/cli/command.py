"""The command line, called in this process as the console script calls it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from bot.cli import main


class Ended(NamedTuple):
    code: int
    out: str
    err: str


Assay = Callable[..., Ended]


def caller(capsys: pytest.CaptureFixture[str]) -> Assay:
    def assay(*arguments: object) -> Ended:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main([str(argument) for argument in arguments])
        assert isinstance(end.value.code, int)
        return Ended(end.value.code, *capsys.readouterr())

    return assay
