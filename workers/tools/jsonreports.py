"""The JSON reports of jest and vitest, mocha, and RSpec: one file a run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from bot.errors import ToolFailed
from workers.agent import Case
from workers.tools.output import load_json, mapping, mappings, number, string
from workers.tools.traces import frames

Status = Literal["passed", "failed", "error", "skipped"]

_TRACE = 20_000
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_JEST: dict[str, Status] = {"passed": "passed", "failed": "failed"}
_RSPEC: dict[str, Status] = {"passed": "passed", "failed": "failed", "pending": "skipped"}


def _report(name: str, text: str, key: str) -> Mapping[str, Any]:
    report = mapping(load_json(name, text))
    if not isinstance(report.get(key), list):
        raise ToolFailed(f"{name} wrote JSON, but no report: it has no {key!r}")
    return report


def _plain(text: str) -> str:
    return _COLOUR.sub("", text).strip()[:_TRACE]


def _headline(text: str) -> str:
    """A failure's words without the lines that only say where."""
    lines = (line.strip() for line in text.splitlines() if not line.lstrip().startswith("at "))
    return "\n".join(line for line in lines if line)[:2_000]


def parse_jest(text: str) -> list[Case]:
    """Of jest `--json` and of vitest's reporter `json`. A file that could not be loaded is an error.

    Raises ToolFailed for anything else.
    """
    cases: list[Case] = []
    for file in mappings(_report("the test run", text, "testResults")["testResults"]):
        path = string(file.get("name"))
        tests = list(mappings(file.get("assertionResults")))
        cases += (_jest(test, path) for test in tests)
        if not tests and file.get("status") == "failed":
            said = _plain(string(file.get("message")))
            place = frames(said) or ((path, 1),)
            words = _headline(said.removeprefix("● Test suite failed to run"))
            cases.append(Case(_base(path), "error", message=words, trace=said, path=path, frames=place))
    return cases


def _jest(test: Mapping[str, Any], path: str) -> Case:
    said = _plain("\n\n".join(text for text in test.get("failureMessages") or () if isinstance(text, str)))
    duration = test.get("duration")
    return Case(
        name=string(test.get("fullName")).strip() or string(test.get("title")) or "unnamed",
        status=_JEST.get(string(test.get("status")), "skipped"),
        classname=_base(path),
        seconds=float(duration) / 1000 if isinstance(duration, int | float) else 0.0,
        message=_headline(said),
        trace=said,
        path=path,
        line=number(mapping(test.get("location")).get("line")),
        frames=frames(said),
    )


def _base(path: str) -> str:
    return path.rpartition("/")[2]


def parse_mocha(text: str) -> list[Case]:
    """Of mocha's reporter `json`. Raises ToolFailed for anything else."""
    report = _report("mocha", text, "tests")
    pending = {_title(test) for test in mappings(report.get("pending"))}
    tests = list(mappings(report["tests"]))
    # Hooks that failed are no tests, and those that share a title are several.
    titles = {_title(test) for test in tests}
    tests += [one for one in mappings(report.get("failures")) if _title(one) not in titles]
    return [_mocha(test, skipped=_title(test) in pending and "speed" not in test) for test in tests]


def _title(test: Mapping[str, Any]) -> tuple[str, str]:
    return string(test.get("file")), string(test.get("fullTitle"))


def _mocha(test: Mapping[str, Any], *, skipped: bool) -> Case:
    error, path, duration = mapping(test.get("err")), string(test.get("file")), test.get("duration")
    trace = _plain(string(error.get("stack")) or string(error.get("message")))
    return Case(
        name=string(test.get("fullTitle")).strip() or "unnamed",
        status="failed" if error else "skipped" if skipped else "passed",
        classname=_base(path),
        seconds=float(duration) / 1000 if isinstance(duration, int | float) else 0.0,
        message=_headline(_plain(string(error.get("message")))),
        trace=trace,
        path=path,
        frames=frames(trace),
    )


def parse_rspec(text: str) -> list[Case]:
    """Of RSpec's formatter `json`. Raises ToolFailed for anything else."""
    report = _report("rspec", text, "examples")
    cases = [_rspec(example) for example in mappings(report["examples"])]
    if mapping(report.get("summary")).get("errors_outside_of_examples_count"):
        said = "\n".join(_outside(report))[:_TRACE]
        cases.append(Case("outside of the examples", "error", message=_headline(said), trace=said, frames=frames(said)))
    return cases


def _outside(report: Mapping[str, Any]) -> Iterator[str]:
    messages = report.get("messages")
    yield from (_plain(text) for text in (messages if isinstance(messages, list) else ()) if isinstance(text, str))


def _rspec(example: Mapping[str, Any]) -> Case:
    exception = mapping(example.get("exception"))
    told = exception.get("backtrace")
    trace = [
        line for line in (told if isinstance(told, list) else ()) if isinstance(line, str) and "/gems/" not in line
    ]
    path, seconds = string(example.get("file_path")).removeprefix("./"), example.get("run_time")
    message = _plain(string(exception.get("message")))
    return Case(
        name=string(example.get("full_description")).strip() or "unnamed",
        status=_RSPEC.get(string(example.get("status")), "error"),
        classname=path,
        seconds=float(seconds) if isinstance(seconds, int | float) else 0.0,
        message=_headline(message),
        trace=_plain("\n".join([message, *trace])) if exception else "",
        path=path,
        line=number(example.get("line_number")),
        frames=frames("\n".join(trace)),
        id=string(example.get("id")),
    )
