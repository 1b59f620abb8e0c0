"""zizmor: GitHub Actions workflows. https://docs.zizmor.sh/

What it is not sure of counts one step less. Without a configuration of the repository, an action named by a tag is
advice, the more so one of GitHub's own: most workflows do, and every update of a version would bring it up anew.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from bot.domain.findings import Finding, NotCovered, Severity
from workers.agent import Completed, Output, Reading, Tool
from workers.tools.output import check_exit, load_json, mapping, mappings, span, string

_SEVERITY = {"High": Severity.HIGH, "Medium": Severity.MEDIUM, "Low": Severity.LOW, "Informational": Severity.INFO}
_STEPS = (Severity.INFO, Severity.LOW, Severity.MEDIUM, Severity.HIGH)
_GITHUBS = re.compile(r"""\buses:\s*["']?(actions|github)/""")
_WORKFLOW = re.compile(r"^\.github/workflows/[^/]+\.ya?ml$|(^|/)action\.ya?ml$")
_COMPLETED = re.compile(r" completed (.+)$", re.MULTILINE)
_NO_INPUTS = 3


def argv(files: Sequence[str], config: str | None) -> list[str]:
    own = f"--config={config}" if config else "--no-config"
    switches = ["--offline", "--no-exit-codes", "--no-progress", "--color=never", "--format=json-v1"]
    return ["zizmor", *switches, own, "--", *files]


def parse(output: Output) -> Reading:
    """A file that it cannot parse it passes over with a warning that may not name it; those it audited it does name."""
    completed = output.completed
    check_exit("zizmor", completed, (0, _NO_INPUTS))
    audited = set(_COMPLETED.findall(completed.stderr))
    unread = [
        NotCovered(what=file, why=f"zizmor could not read it: {_why(completed)}")
        for file in output.files
        if file not in audited
    ]
    results = load_json("zizmor", completed.stdout) if completed.exit_code == 0 else []
    findings = [_finding(result, output) for result in mappings(results) if not result.get("ignored")]
    return Reading(findings=findings, unread=unread)


def _why(completed: Completed) -> str:
    warnings = [line.partition("::input: ")[2] for line in completed.stderr.splitlines() if " WARN " in line]
    return "; ".join(filter(None, warnings))[:300] or "no reason given"


def _finding(result: Mapping[str, Any], output: Output) -> Finding:
    determinations = mapping(result.get("determinations"))
    locations = list(mappings(result.get("locations")))
    primary = next((one for one in locations if mapping(one.get("symbolic")).get("kind") == "Primary"), None)
    symbolic = mapping((primary or {}).get("symbolic"))
    concrete = mapping(mapping((primary or {}).get("concrete")).get("location"))
    start, end = mapping(concrete.get("start_point")), mapping(concrete.get("end_point"))
    annotation = string(symbolic.get("annotation"))
    finding = Finding(
        tool="zizmor",
        rule=string(result.get("ident")),
        severity=_severity(determinations),
        message=": ".join(filter(None, (string(result.get("desc")), annotation))),
        path=string(mapping(mapping(symbolic.get("key")).get("Local")).get("verbatim_path")),
        url=string(result.get("url")) or None,
        **span(
            _from_zero(start.get("row")),
            _from_zero(end.get("row")),
            _from_zero(start.get("column")),
            _from_zero(end.get("column")),
        ),
    )
    if finding.rule != "unpinned-uses" or output.config:
        return finding
    line = "".join(output.read(finding.path)[(finding.start_line or 1) - 1 : finding.start_line])
    return finding.model_copy(update={"severity": Severity.LOW if _GITHUBS.search(line) else Severity.MEDIUM})


def _severity(determinations: Mapping[str, Any]) -> Severity:
    severity = _SEVERITY.get(string(determinations.get("severity")), Severity.MEDIUM)
    unsure = determinations.get("confidence") == "Low"
    return _STEPS[max(_STEPS.index(severity) - unsure, 0)]


def _from_zero(value: Any) -> int | None:
    return value + 1 if isinstance(value, int) else None


TOOL = Tool(
    name="zizmor",
    applies=lambda path: _WORKFLOW.search(path) is not None,
    argv=argv,
    parse=parse,
    version=("zizmor", "--version"),
    languages="GitHub Actions",
    licence="MIT",
    configs={"zizmor.yml": "", "zizmor.yaml": "", ".github/zizmor.yml": "", ".github/zizmor.yaml": ""},
)
