"""gosec: insecure Go. https://github.com/securego/gosec

It looks at packages, and needs Go and the modules they import: where those are not there, it says which file it could
not read. It does not run what it reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from bot.domain.findings import Finding, NotCovered, Severity
from workers.agent import Output, Reading, Tool
from workers.tools.output import check_exit, load_json, mapping, mappings, number, ours, span, string

_SCALE = (Severity.INFO, Severity.LOW, Severity.MEDIUM, Severity.HIGH)
_STEP = {"LOW": 1, "MEDIUM": 2, "HIGH": 3}


def argv(files: Sequence[str], config: str | None) -> list[str]:
    own = [f"-conf={config}"] if config else []
    folders = sorted({str(PurePosixPath(file).parent) for file in files})
    packages = [folder if folder in (".", "..") else f"./{folder}" for folder in folders]
    return ["gosec", "-quiet", "-no-fail", "-fmt=json", *own, "--", *packages]


def parse(output: Output) -> Reading:
    check_exit("gosec", output.completed, (0, 1))
    report = mapping(load_json("gosec", output.completed.stdout))
    wanted = {file.removeprefix("./") for file in output.files}
    errors = report.get("Golang errors")
    unread = [
        NotCovered(what=ours(path, wanted), why=f"gosec: {string(one.get('error'))[:200]}")
        for path, every in (errors.items() if isinstance(errors, dict) else ())
        for one in mappings(every)
    ]
    findings = [_finding(issue, wanted) for issue in mappings(report.get("Issues")) if not issue.get("nosec")]
    return Reading(findings=[one for one in findings if one.path in wanted], unread=unread)


def _finding(issue: Mapping[str, Any], wanted: set[str]) -> Finding:
    step = _STEP.get(string(issue.get("severity")), 1) - (issue.get("confidence") == "LOW")
    weakness = mapping(issue.get("cwe"))
    first, _, last = string(issue.get("line")).partition("-")
    return Finding(
        tool="gosec",
        rule=string(issue.get("rule_id")),
        severity=_SCALE[max(step, 0)],
        message=string(issue.get("details")),
        advice=string(issue.get("autofix"))[:500],
        path=ours(string(issue.get("file")), wanted),
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
)
