"""Outputs of the real tools, recorded from runs over the small sources below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from workers.agent import Completed, Output, Reader

RECORDED = Path(__file__).with_name("recorded")

PYTHON = """\
import os
import pickle


def f(x):
    if x == None:
        return pickle.loads(x)
    return undefined_name
"""
SHELL = '#!/bin/bash\necho $1\n\techo $2\nx=$(cat "$2" | grep foo)\n'


def recorded(name: str) -> str:
    return (RECORDED / name).read_text(encoding="utf-8")


def reader(files: Mapping[str, str]) -> Reader:
    """Reads files by the name that a tool gave them."""

    def read(path: str) -> Sequence[str]:
        name = path.removeprefix("/checkout/").removeprefix("file:///checkout/").removeprefix("./")
        text = files.get(name, "")
        return text.removesuffix("\n").split("\n") if text else ()

    return read


def output(
    stdout: str,
    stderr: str = "",
    exit_code: int | None = 1,
    files: Sequence[str] = (),
    sources: Mapping[str, str] | None = None,
    config: str | None = None,
) -> Output:
    return Output(Completed(exit_code, stdout, stderr, 0.1), files, config, reader(sources or {}), ("/checkout",))
