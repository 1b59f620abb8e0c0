"""gosec: insecure Go. https://github.com/securego/gosec

It looks at packages, and needs Go and the modules they import: where those are not there, it says which file it could
not read. Which files it did read it says, too: those of another module, or of another platform, it passes over without
a word. It does not run what it reads.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from bot.domain.findings import Finding, NotCovered, Severity
from bot.errors import ToolFailed
from workers.agent import Output, Reading, Tool
from workers.tools.output import check_exit, load_json, mapping, mappings, number, ours, span, string, words

_SCALE = (Severity.INFO, Severity.LOW, Severity.MEDIUM, Severity.HIGH)
_STEP = {"LOW": 1, "MEDIUM": 2, "HIGH": 3}
_READ = re.compile(r"^\[gosec\] .*? Checking file: (.+)$", re.MULTILINE)
# What keeps a file from some platforms: a line above its package, an ending of its name.
_CONSTRAINT = re.compile(r"//go:build |// ?\+build ")
_ELSEWHERE = re.compile(
    r"_(aix|android|darwin|dragonfly|freebsd|illumos|ios|js|netbsd|openbsd|plan9|solaris|wasip1|windows|386|amd64|arm|"
    r"arm64|loong64|mips\w*|ppc64\w*|riscv64|s390x|wasm)\.go$"
)


def argv(files: Sequence[str], config: str | None) -> list[str]:
    """Not quietly: that would leave out what it read, and, where nothing was found, the whole report."""
    own = [f"-conf={config}"] if config else []
    folders = sorted({str(PurePosixPath(file).parent) for file in files})
    packages = [folder if folder in (".", "..") else f"./{folder}" for folder in folders]
    return ["gosec", "-no-fail", "-fmt=json", *own, "--", *packages]


def parse(output: Output) -> Reading:
    check_exit("gosec", output.completed, (0,))
    report = load_json("gosec", output.completed.stdout)
    if not isinstance(report, dict) or "Issues" not in report:
        raise ToolFailed(f"gosec printed no report: {words(output.completed)}")
    wanted = [file.removeprefix("./") for file in output.files]
    findings = [_finding(issue, output) for issue in mappings(report.get("Issues")) if not issue.get("nosec")]
    errors = _errors(mapping(report.get("Golang errors")), wanted, output)
    read = {ours(path, output) for path in _READ.findall(output.completed.stderr)}
    passed = [path for path in wanted if path not in read and path not in errors]
    apart = [path for path in passed if _ELSEWHERE.search(path) or any(map(_CONSTRAINT.match, output.read(path)))]
    unread = errors | {path: "did not look at it" for path in passed if path not in apart}
    return Reading(
        findings=[one for one in findings if one.path in wanted],
        unread=[NotCovered(what=path, why=f"gosec: {why}") for path, why in unread.items()],
        excluded=[NotCovered(what=path, why="gosec: of another platform, or another build") for path in apart],
    )


def _errors(told: Mapping[str, Any], wanted: Sequence[str], output: Output) -> dict[str, str]:
    """Why a file's package was not looked at, or not by every rule: the first error in it, be it of another file."""
    errors: dict[str, str] = {}
    for name, every in told.items():
        place = PurePosixPath("." if name in output.folders else ours(name, output))
        folder = place.parent if place.suffix == ".go" else place
        why = next((string(one.get("error"))[:200] for one in mappings(every)), "an error without words")
        errors |= {path: why for path in wanted if PurePosixPath(path).parent == folder and path not in errors}
    return errors


def _finding(issue: Mapping[str, Any], output: Output) -> Finding:
    step = _STEP.get(string(issue.get("severity")), 1) - (issue.get("confidence") == "LOW")
    weakness = mapping(issue.get("cwe"))
    first, _, last = string(issue.get("line")).partition("-")
    return Finding(
        tool="gosec",
        rule=string(issue.get("rule_id")),
        severity=_SCALE[max(step, 0)],
        message=string(issue.get("details")),
        advice=string(issue.get("autofix"))[:500],
        path=ours(string(issue.get("file")), output),
        url="https://github.com/securego/gosec#available-rules",
        cwe=number(weakness.get("id")) or number(weakness.get("ID")),
        **span(first, last or None, issue.get("column")),
    )


TOOL = Tool(
    name="gosec",
    applies=lambda path: path.endswith(".go") and not path.endswith("_test.go"),
    argv=argv,
    parse=parse,
    version=("gosec", "--version"),
    languages="Go",
    licence="Apache-2.0",
    configs={".gosec.json": "", "gosec.json": ""},
    optional=True,
    projects={"go.mod": "", "": ""},
    alone=False,
)
