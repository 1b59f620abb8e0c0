"""JUnit XML, which most test runners write. There is no standard; the common ground is described in
https://github.com/testmoapp/junitxml"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal
from xml.etree.ElementTree import Element

from bot.domain.findings import Finding, Severity
from bot.errors import ToolFailed
from workers.agent import Case, Reader
from workers.tools.output import number
from workers.tools.traces import frames
from workers.tools.xml import parse_xml

_TRACE = 20_000  # characters of one trace

_STATUS: dict[str, Literal["failed", "error", "skipped"]] = {
    "failure": "failed",
    "error": "error",
    "skipped": "skipped",
}


def parse(text: str) -> list[Case]:
    """Every test of a report. Raises ToolFailed for what is no JUnit report."""
    root = parse_xml("the test run", text)
    if root.tag not in ("testsuites", "testsuite"):
        raise ToolFailed(f"the test run wrote XML, but no JUnit report: its root is <{root.tag[:80]}>")
    return list(_cases(root, ""))


def _cases(element: Element, suite: str) -> Iterator[Case]:
    for child in element:
        if child.tag == "testsuite":
            yield from _cases(child, child.get("name", ""))
        elif child.tag == "testcase":
            yield _case(child, element.get("name", suite) if element.tag == "testsuite" else suite)


def _case(element: Element, suite: str) -> Case:
    # A test can fail and then fail again in its teardown: the first outcome that is bad counts.
    bad = next((child for tag in ("failure", "error", "skipped") for child in element.iter(tag)), None)
    trace = _trace(element, bad)
    line = number(element.get("line"))
    if suite == "pytest" and element.get("line", "").isdigit():
        line = int(element.get("line", "0")) + 1  # pytest counts from 0
    return Case(
        name=element.get("name") or "unnamed",
        status="passed" if bad is None else "error" if _cannot_start(element, bad) else _STATUS[bad.tag],
        classname=element.get("classname", ""),
        seconds=_seconds(element.get("time", "")),
        message=(bad.get("message") or "").strip()[:_TRACE] if bad is not None else "",
        trace=trace,
        path=element.get("file", ""),
        line=line,
        frames=frames(trace),
    )


def _trace(element: Element, bad: Element | None) -> str:
    if bad is None:
        return ""
    # ctest and others say there what the test printed, and nothing in the failure itself.
    printed = (child.text or "" for tag in ("system-out", "system-err") for child in element.iter(tag))
    return ((bad.text or "").strip() or "\n".join(printed).strip())[-_TRACE:]


def _cannot_start(element: Element, bad: Element) -> bool:
    """ctest calls a test whose program was not built skipped, too."""
    return element.get("status") == "notrun" and (bad.get("message") or "").startswith("Unable to find")


def _seconds(text: str) -> float:
    try:
        return max(0.0, float(text.replace(",", "")))
    except ValueError:
        return 0.0


def parse_findings(text: str, read: Reader) -> list[Finding]:
    """The tests that failed, as findings at the innermost place that is a file of the repository.

    Raises ToolFailed for what is no JUnit report.
    """
    return [to_finding(case, "junit", read) for case in parse(text) if case.status in ("failed", "error")]


_ONLY_A_PLACE = re.compile(r"^\S+:\d+$|^at \S+\(.*\)$|^\.\.\. \d+ more$")


def _words(case: Case) -> str:
    """What a trace says of a test: below its name, where PHPUnit puts that, else the last line that says more than
    where."""
    lines = case.trace.splitlines()
    if len(lines) > 1 and f"::{case.name}" in lines[0]:
        return lines[1].strip()
    said = (line.removeprefix("E ").strip() for line in reversed(lines))
    return next((line for line in said if line and not _ONLY_A_PLACE.match(line)), "")


def to_finding(case: Case, tool: str, read: Reader) -> Finding:
    """A failed test as a finding, where its trace or its report says, as far as `read` knows the file."""
    path, line = next(
        ((path, line) for path, line in (*case.frames, (case.path, case.line)) if path and read(path)), ("", None)
    )
    words = _words(case)
    said = words if case.message == "collection failure" else case.message or words
    return Finding(
        tool=tool,
        rule=".".join(filter(None, (case.classname, case.name))),
        severity=Severity.HIGH,
        message=f"{case.name} {'failed' if case.status == 'failed' else 'broke'}" + (f": {said}" if said else ""),
        path=path,
        start_line=line,
        evidence=case.trace,
    )
