"""Which format of test results is read by what: reports by their text, and what runners print."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from bot.domain.findings import NotCovered
from workers.agent import Case, Completed
from workers.tools import automake, cargo, gotest, jsonreports, junit, pyunit, tap

_CARGO = re.compile(r"^test result: (?:ok|FAILED)\.", re.MULTILINE)
_UNITTEST = re.compile(r"^Ran \d+ tests? in ", re.MULTILINE)
_GO = re.compile(r'^\{"(?:Time|ImportPath|Action)":', re.MULTILINE)


def _go(completed: Completed) -> list[Case]:
    """With what the compiler said beside it: a package that did not build has no event of its own before Go 1.24."""
    cases, broken = gotest.parse(completed.stdout), gotest.build_errors(completed.stderr)
    for package, (said, frames) in broken.items():
        case = Case(
            name=gotest.called(package),
            status="error",
            classname=package,
            message=said.partition("\n")[0] or "it does not build",
            trace=said,
            frames=frames,
        )
        known = next((index for index, one in enumerate(cases) if one.classname == package), None)
        if known is None:
            cases.append(case)
        elif cases[known].status == "error":
            cases[known] = replace(case, name=cases[known].name)
    return cases


def _form(completed: Completed) -> str:
    """The format of what whatever ran behind a script printed; that of unittest where it is none that is known."""
    text = completed.stdout
    if _GO.search(text):
        return "go"
    if _CARGO.search(text):
        return "cargo"
    if automake.is_automake(text):
        return "automake"
    return "tap" if tap.is_tap(text) else "unittest"


def _any(completed: Completed) -> list[Case]:
    """Results of whatever ran behind a script, as far as its output is known; none for other output."""
    form = _form(completed)
    if form != "unittest":
        return PRINTED[form](completed)
    # It prints to standard error, which a runner in between may pass on as its output.
    streams = (stream for stream in (completed.stderr, completed.stdout) if _UNITTEST.search(stream))
    return pyunit.parse(next(streams, ""))


def unfinished(form: str, completed: Completed) -> NotCovered | None:
    """What is missing of the tests that a command said it would run, where its format says that beforehand."""
    form = _form(completed) if form == "any" else form
    return tap.unfinished(completed.stdout) if form == "tap" else None


FILES: Mapping[str, Callable[[str], list[Case]]] = {
    "junit": junit.parse,
    "jest": jsonreports.parse_jest,
    "mocha": jsonreports.parse_mocha,
    "rspec": jsonreports.parse_rspec,
}

PRINTED: Mapping[str, Callable[[Completed], list[Case]]] = {
    "go": _go,
    "automake": lambda completed: automake.parse(completed.stdout),
    "cargo": lambda completed: cargo.parse(completed.stdout),
    "tap": lambda completed: tap.parse(completed.stdout),
    "unittest": lambda completed: pyunit.parse(completed.stderr),
    "any": _any,
}
