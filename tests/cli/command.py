"""The command line: in this process, called as the console script calls it, or in one of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from bot.cli import main
from tests.repository import ENVIRONMENT

HERE = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "bot.cli"]


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


def environment(**extra: str) -> dict[str, str]:
    """For a process of its own: this checkout, and nobody's settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "ASSAY_", "OPENAI_"))}
    return kept | ENVIRONMENT | {"PYTHONPATH": str(HERE)} | extra
