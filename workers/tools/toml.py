"""TOML, by Python's own reader of TOML 1.0. https://docs.python.org/3/library/tomllib.html

It runs where tools run: what a stranger wrote is not read here.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from bot.domain.findings import Finding, Severity
from workers.agent import Output, Reading, Tool
from workers.tools.output import check_exit, load_json, mappings, span, string

# Prints what is wrong with each file, as one JSON list.
_PROGRAM = """\
import json, sys, tomllib
found = []
for path in sys.argv[2:]:
    try:
        with open(path, "rb") as file:
            tomllib.load(file)
    except (ValueError, RecursionError) as error:
        found.append({"path": path, "message": str(error)})
print(json.dumps(found))
"""
_PLACE = re.compile(r" \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$")


def argv(files: Sequence[str], config: str | None) -> list[str]:  # noqa: ARG001 - there is nothing to configure
    return [sys.executable, "-I", "-c", _PROGRAM, "--", *files]


def parse(output: Output) -> Reading:
    check_exit("toml", output.completed, (0,))
    return Reading(findings=[_finding(one, output) for one in mappings(load_json("toml", output.completed.stdout))])


def _finding(one: Mapping[str, Any], output: Output) -> Finding:
    path, message = string(one.get("path")), string(one.get("message"))
    place = _PLACE.search(message)
    line = place["line"] if place else None
    return Finding(
        tool="toml",
        rule="syntax",
        severity=Severity.HIGH,
        message=message[: place.start()] if place else message,
        path=path,
        **span(line or max(len(output.read(path)), 1), start_column=place["column"] if place else None),
    )


TOOL = Tool(
    name="toml",
    applies=lambda path: path.endswith(".toml"),
    argv=argv,
    parse=parse,
    version=(sys.executable, "--version"),
    languages="TOML",
    licence="PSF-2.0",
)
