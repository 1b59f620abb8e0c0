"""The Test Anything Protocol, https://testanything.org: a line a test, with a block of YAML or comments after it."""

from __future__ import annotations

import re

from bot.domain.findings import NotCovered
from workers.agent import Case
from workers.tools.traces import frames

_TRACE = 20_000
_RESULT = re.compile(
    r"^(?P<indent> *)(?P<not>not )?ok\b *(?P<number>\d+)?(?: - | )?(?P<name>.*?)"
    r"(?:#\s*+(?P<directive>skip|todo)\b\s*(?P<why>.*))?$",
    re.IGNORECASE,
)
_PLAN = re.compile(r"^1\.\.(?P<number>\d{1,9}) *(?:#.*)?$", re.MULTILINE)
_BAIL_OUT = re.compile(r"^Bail out!(?P<why>.*)$", re.MULTILINE)
_SUITE = re.compile(r"^[^\S\n]+type: 'suite'$|^ +1\.\.\d+$", re.MULTILINE)
_MESSAGE = re.compile(r"^[^\S\n]*(?:error|message): (?:\|-?\n\s*)?['\"]?(?P<text>.+?)['\"]?$", re.MULTILINE)
_LOCATION = re.compile(
    r"^[^\S\n]*location: ['\"]?(?:file://)?(?P<path>[^'\"\n]+?):(?P<line>\d{1,7})(?::\d+)?['\"]?$", re.MULTILINE
)
_PERL = re.compile(r"^#\s+at (?P<path>\S+) line (?P<line>\d{1,7})\.", re.MULTILINE)
# `# (in test file test/a.bats, line 5)`, perhaps with the functions that it was in before that; and what failed there.
_BATS = re.compile(r"^#.*\bin test file (?P<path>[^\n]+?), line (?P<line>\d{1,7})\)$", re.MULTILINE)
_BATS_SAID = re.compile(r"^# {3}(?P<text>`.+' failed.*)$", re.MULTILINE)
# What is not a test of its own, but comes before or after all tests of a file, or of all files.
_BATS_HOOK = re.compile(r"^(?P<hook>(?:setup|teardown)_(?:file|suite))(?: failed)?$")
_NODE = re.compile(r"(?<![^\s(])(?:file://)?(?P<path>/[^\s()]+?):(?P<line>\d{1,7}):\d+\)?$", re.MULTILINE)


def is_tap(text: str) -> bool:
    """Whether something printed is TAP: it has a version or a plan, and results."""
    planned = text.lstrip().startswith("TAP version") or _PLAN.search(text)
    return bool(planned and re.search(r"^(not )?ok\b", text, re.MULTILINE))


def parse(text: str) -> list[Case]:
    """The tests; of those that hold subtests only these. None where there are no such lines."""
    found: list[tuple[re.Match[str], list[str]]] = []
    for line in text.splitlines():
        if match := _RESULT.match(line):
            found.append((match, []))
        elif found:
            found[-1][1].append(line)
    # A subtest comes before the test that it is part of, and is indented more.
    outer = {
        index
        for index, (match, _) in enumerate(found)
        if index and len(found[index - 1][0]["indent"]) > len(match["indent"])
    }
    return [_case(match, lines) for index, (match, lines) in enumerate(found) if index not in outer]


def unfinished(text: str) -> NotCovered | None:
    """What is missing of the tests that were planned; None where all of them came to an end."""
    plans = [int(match["number"]) for match in _PLAN.finditer(text)]
    ended = sum(1 for line in text.splitlines() if (match := _RESULT.match(line)) and _is_planned(match))
    if bail_out := _BAIL_OUT.search(text):
        return NotCovered(
            what="the other tests", why=f"the runner gave up: {bail_out['why'].strip() or 'Bail out!'}"[:300]
        )
    if not plans and ended:
        return NotCovered(what="the other tests", why="the runner ended before it said how many there are")
    lost = sum(plans) - ended
    return NotCovered(what=f"{lost} of {sum(plans)} tests", why="planned, but they did not run") if lost > 0 else None


def _is_planned(match: re.Match[str]) -> bool:
    return not match["indent"] and not (match["not"] and _BATS_HOOK.match(match["name"].strip()))


def _case(match: re.Match[str], lines: list[str]) -> Case:
    block = "\n".join(lines)
    bad = bool(match["not"])
    directive = (match["directive"] or "").lower()
    trace = block.strip()[:_TRACE] if bad and not directive else ""
    bats = _BATS.search(trace)
    if bats and (hook := _BATS_HOOK.match(match["name"].strip())):
        return _hook(hook["hook"], trace, bats)
    place = _LOCATION.search(trace) or _PERL.search(trace)
    said = _MESSAGE.search(trace) or (_BATS_SAID.search(trace) if bats else None)
    return Case(
        name=match["name"].strip() or f"test {match['number'] or ''}".strip(),
        status="skipped" if directive else "failed" if bad else "passed",
        message=said["text"] if said else "",
        trace=trace,
        path=place["path"] if place else "",
        line=int(place["line"]) if place else None,
        # What a script under Bats printed may name places of all kinds.
        frames=((bats["path"], int(bats["line"])),)
        if bats
        else frames(trace) or tuple((one["path"], int(one["line"])) for one in _NODE.finditer(trace)),
    )


def _hook(name: str, trace: str, place: re.Match[str]) -> Case:
    """Several files may have one."""
    said = _BATS_SAID.search(trace)
    return Case(
        name=name,
        status="error",
        classname=place["path"],
        message=said["text"] if said else "",
        trace=trace,
        frames=((place["path"], int(place["line"])),),
    )
