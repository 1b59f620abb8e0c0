"""semgrep: insecure code in many languages, where it is installed (`assay[semgrep]`). https://semgrep.dev/

By the rules that come with Assay, and the repository's own in its `.semgrep.yml`. Nothing is fetched from a registry,
and nothing is told to anybody.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bot.domain.findings import Finding, NotCovered, Severity
from bot.errors import ToolFailed
from workers.agent import Output, Reading, Tool
from workers.tools.output import check_exit, load_json, mapping, mappings, number, span, string, words

RULES = Path(__file__).parent.parent / "rules" / "semgrep.yml"
_ENDINGS = (
    *(".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx", ".mts", ".cts", ".go", ".java", ".rb", ".php"),
    *(".c", ".h", ".cc", ".cpp", ".cxx", ".hpp"),
)
_SEVERITY = {
    "CRITICAL": Severity.CRITICAL,
    "HIGH": Severity.HIGH,
    "MEDIUM": Severity.MEDIUM,
    "LOW": Severity.LOW,
    "ERROR": Severity.HIGH,
    "WARNING": Severity.MEDIUM,
    "INFO": Severity.LOW,
}
_SCALE = (Severity.INFO, Severity.LOW, Severity.MEDIUM, Severity.HIGH, Severity.CRITICAL)
# Tests meet no strangers: there it counts one step less.
_TEST = re.compile(r"(^|/)(tests?|spec|__tests__|testdata)/|_test\.\w+$|\.(test|spec)\.\w+$|Tests?\.java$")
_CWE = re.compile(r"CWE-(\d{1,6})")


def argv(files: Sequence[str], config: str | None) -> list[str]:
    own = [f"--config={config}"] if config else []
    quiet = ["--quiet", "--json", "--metrics=off", "--disable-version-check", "--no-git-ignore"]
    # Two at a time, as tools are; a file that takes long is told as one that was not read.
    limits = ["--jobs=2", "--timeout=20", "--timeout-threshold=1", "--max-target-bytes=2000000"]
    return ["semgrep", "scan", *quiet, *limits, f"--config={RULES}", *own, "--", *files]


def parse(output: Output) -> Reading:
    """What it could not read it tells among its errors; a fault of a rule is one of the whole call."""
    completed = output.completed
    check_exit("semgrep", completed, (0, 1, 2))
    if not completed.stdout.strip():
        raise ToolFailed(f"semgrep printed nothing: {words(completed)}")
    report = mapping(load_json("semgrep", completed.stdout))
    if not isinstance(report.get("results"), list):
        raise ToolFailed("semgrep printed JSON, but no `results`")
    unread = []
    for error in mappings(report.get("errors")):
        said = string(error.get("message"))[:200] or string(error.get("type")) or "an error"
        if not (path := string(error.get("path"))):
            raise ToolFailed(f"semgrep: {said}")
        unread.append(NotCovered(what=path, why=f"semgrep: {said}"))
    scanned = mapping(report.get("paths")).get("scanned")
    if isinstance(scanned, list):
        seen = {str(path).removeprefix("./") for path in scanned} | {gap.what.removeprefix("./") for gap in unread}
        missed = (file for file in output.files if file.removeprefix("./") not in seen)
        unread += [NotCovered(what=file, why="semgrep passed it over") for file in missed]
    findings = [_finding(result) for result in mappings(report["results"])]
    return Reading(findings=findings, unread=unread)


def _finding(result: Mapping[str, Any]) -> Finding:
    extra = mapping(result.get("extra"))
    metadata = mapping(extra.get("metadata"))
    start, end = mapping(result.get("start")), mapping(result.get("end"))
    severity = _SEVERITY.get(string(extra.get("severity")), Severity.MEDIUM)
    path = string(result.get("path"))
    steps = (metadata.get("confidence") == "LOW") + (_TEST.search(path) is not None)
    severity = _SCALE[max(_SCALE.index(severity) - steps, 0)]
    return Finding(
        tool="semgrep",
        # It puts the path of the rules before their ids.
        rule=string(result.get("check_id")).rpartition(".")[2],
        severity=severity,
        message=string(extra.get("message")),
        advice=string(metadata.get("advice")),
        path=path,
        url=string(metadata.get("source")) or None,
        cwe=_cwe(metadata.get("cwe")),
        **span(start.get("line"), end.get("line"), start.get("col"), end.get("col")),
    )


def _cwe(value: object) -> int | None:
    words = value if isinstance(value, list) else [value]
    match = _CWE.search(str(words[0])) if words else None
    return number(match[1]) if match else None


TOOL = Tool(
    name="semgrep",
    applies=lambda path: path.endswith(_ENDINGS) and ".min." not in path,
    argv=argv,
    parse=parse,
    # Asked for its version alone it asks the network whether there is a newer one, and waits for an answer.
    version=("semgrep", "--version", "--disable-version-check"),
    languages="JavaScript, TypeScript, Go, Java, Ruby, PHP, C, C++",
    licence="LGPL-2.1 (its rules here are Assay's own, MIT)",
    configs={".semgrep.yml": "rules:", ".semgrep.yaml": "rules:"},
    optional=True,
    reads=(RULES,),
)
