"""`go test -json`: an event a line, https://pkg.go.dev/cmd/test2json."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from bot.errors import ToolFailed
from workers.agent import Case
from workers.tools.output import string
from workers.tools.traces import Frames

_TRACE = 20_000
_STATUS: dict[str, Literal["passed", "failed", "skipped"]] = {"pass": "passed", "fail": "failed", "skip": "skipped"}
# `    cart_test.go:14: got -1`, and in the trace of a panic `\t/checkout/cart/cart_test.go:14 +0x1d`.
_PLACE = re.compile(r"^[^\S\n]*(?P<path>[^\s:]+\.go):(?P<line>\d{1,7})(?=[:\s])(?P<more>: .*)?", re.MULTILINE)
# `panic: boom`, with the trace that the program ends with.
_PANIC = re.compile(r"^panic: (?P<said>[^\n]*?)(?: \[recovered\])?$(?s:.*?)^goroutine \d+ \[", re.MULTILINE)
# testify says what was wrong below its place, in a table.
_TESTIFY = re.compile(r"^ {1,40}\tError: {1,20}\t(?P<said>.*(?:\n {1,40}\t {12}\t.*)*)", re.MULTILINE)
_UNBUILT = re.compile(r"^FAIL\t\S+ \[(?:build|setup) failed\]$", re.MULTILINE)
_NOISE = re.compile(r"^\s*(?:=== |--- (?:PASS|FAIL|SKIP)|FAIL|exit status )")


def parse(text: str) -> list[Case]:
    """Every test, a table's rows each for themselves, and an error for every package that did not get as far.

    Raises ToolFailed where not one line is an event, unless all say that a package does not build: what does not, has
    no event before Go 1.24.
    """
    output: dict[tuple[str, str], list[str]] = defaultdict(list)
    ends: dict[tuple[str, str], Mapping[str, Any]] = {}
    events = list(_events(text))
    if not events and _UNBUILT.sub("", text).strip():
        raise ToolFailed(f"go test printed no JSON: {text.strip()[:500]!r}")
    for event in events:
        key = (string(event.get("Package")), string(event.get("Test")))
        if event.get("Action") == "output":
            output[key].append(string(event.get("Output")))
        elif event.get("Action") in _STATUS:
            ends[key] = event
    failed = {package for (package, test), end in ends.items() if test and end["Action"] == "fail"}
    # Rows speak for their test, unless it failed and none of them did.
    tables = {(package, above) for package, test in ends for above in _above(test)}
    told = {
        (package, above) for (package, test), end in ends.items() for above in _above(test) if end["Action"] == "fail"
    }
    last = {package: test.partition("/")[0] for package, test in ends if test}
    cases = [
        _case(package, test, end, "".join(output[package, test]), last[package] == test.partition("/")[0])
        for (package, test), end in ends.items()
        if test and ((package, test) not in tables or (end["Action"] == "fail" and (package, test) not in told))
    ]
    return cases + [
        _broken(package, "".join(output[package, ""]))
        for (package, test), end in ends.items()
        if not test and end["Action"] == "fail" and package not in failed
    ]


def _above(test: str) -> Iterator[str]:
    """The tests that one may be a row of; a row's own name may hold slashes, too."""
    names = test.split("/")
    return ("/".join(names[:end]) for end in range(1, len(names)))


def _events(text: str) -> Iterator[Mapping[str, Any]]:
    for line in text.splitlines():
        if not line.startswith("{"):
            continue  # such as `FAIL example.com/shop [build failed]`
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(event, dict) and "Action" in event:
            yield event


def _case(package: str, test: str, end: Mapping[str, Any], output: str, last: bool) -> Case:
    said = "\n".join(line for line in output.splitlines() if not _NOISE.match(line)).strip("\n")[-_TRACE:]
    status = _STATUS[end["Action"]]
    spoken, places = _told(said, last) if status == "failed" else ("", [])
    elapsed = end.get("Elapsed")
    return Case(
        name=test,
        status=status,
        classname=package,
        seconds=float(elapsed) if isinstance(elapsed, int | float) else 0.0,
        message=spoken,
        trace=said if status == "failed" else "",
        frames=_frames(package, places),
    )


def _told(said: str, last: bool) -> tuple[str, list[re.Match[str]]]:
    """What a failed test said, and the places where; a panic that ended the package's tests comes before its log."""
    if panic := _PANIC.search(said):
        ended = "; no test of its package ran after it" if last else ""
        return f"panic: {panic['said']}{ended}", list(_PLACE.finditer(said, panic.start()))
    places = list(_PLACE.finditer(said))
    spoken = next((match["more"][2:].strip() for match in places if match["more"]), "")
    if not spoken and (table := _TESTIFY.search(said)):
        spoken = " ".join(table["said"].partition("Diff:")[0].split())
    return spoken, places


def _frames(package: str, places: list[re.Match[str]]) -> Frames:
    """A test names its file without the folder, which ends like its package."""
    named = ((match["path"], int(match["line"])) for match in places)
    return tuple((path if "/" in path else f"{package}/{path}", line) for path, line in named)


def called(package: str) -> str:
    """A package's last name, without the version of its module."""
    return re.sub(r"/v\d+$", "", package).rpartition("/")[2] or "the package"


def _broken(package: str, output: str) -> Case:
    """A package that does not build, or whose program ended before its tests did."""
    said = "\n".join(line for line in output.splitlines() if not line.startswith("FAIL\t")).strip()[-_TRACE:]
    return Case(
        name=called(package),
        status="error",
        classname=package,
        message=said.splitlines()[0] if said else "it does not build, or its tests did not end",
        trace=said,
        frames=tuple((match["path"], int(match["line"])) for match in _PLACE.finditer(said)),
    )


_COMPILER = re.compile(r"^(?P<path>[^\s:]+\.go):(?P<line>\d{1,7}):\d+: (?P<message>.+)", re.MULTILINE)


def build_errors(stderr: str) -> Mapping[str, tuple[str, Frames]]:
    """By package, what the compiler said on standard error: its words and the places. Before Go 1.24 that is the only
    place where it stands."""
    said: dict[str, tuple[str, Frames]] = {}
    for part in re.split(r"^# ", stderr, flags=re.MULTILINE)[1:]:
        package = part.split(None, 1)[0]
        places = list(_COMPILER.finditer(part))
        said[package] = (part.partition("\n")[2].strip(), tuple((m["path"], int(m["line"])) for m in places))
    return said
