"""bandit: insecure Python. https://bandit.readthedocs.io/

Where the repository configures bandit, all that it says counts. Elsewhere what nearly every program does is left out
(asserts; subprocess called without a shell, or by a program's bare name; importing what is judged again where it is
used: subprocess, pickle, xml), and in tests, which meet no strangers, a finding counts one step less and those of low
severity are left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from os.path import normpath
from typing import Any

from bot.domain.findings import Finding, NotCovered, Severity
from workers.agent import Output, Reading, Tool
from workers.tools.output import check_exit, excluded_by, load_json, mapping, mappings, number, span, string

# By bandit's severity; one step less where it is of low confidence.
_SCALE = (Severity.INFO, Severity.LOW, Severity.MEDIUM, Severity.HIGH)
_STEP = {"LOW": 1, "MEDIUM": 2, "HIGH": 3}

_EVERYBODY = ("B101", "B403", "B404", "B405", "B406", "B407", "B408", "B409", "B410", "B603", "B607")
_PASSWORDS = ("B105", "B106", "B107")
_TEST = re.compile(r"(^|/)(tests?/|test_[^/]*$|conftest\.py$|[^/]*_test\.py$)")


def argv(files: Sequence[str], config: str | None) -> list[str]:
    own: list[str] = []
    if config:
        own = [f"--ini={config}"] if config.endswith(".bandit") else [f"--configfile={config}"]
    return ["bandit", "--quiet", "--format=json", *own, "--", *files]


def parse(output: Output) -> Reading:
    check_exit("bandit", output.completed, (0, 1))
    report = mapping(load_json("bandit", output.completed.stdout))
    unread = [
        NotCovered(what=string(error.get("filename")), why=f"bandit: {string(error.get('reason'))}")
        for error in mappings(report.get("errors"))
    ]
    findings = [_finding(result) for result in mappings(report.get("results"))]
    # What it has read it counts, by file.
    read = {normpath(path) for path in (*mapping(report.get("metrics")), *(gap.what for gap in unread))}
    return Reading(
        findings=findings if output.config else _unusual(findings),
        unread=unread,
        excluded=[excluded_by("bandit", file) for file in output.files if normpath(file) not in read],
    )


def _finding(result: Mapping[str, Any]) -> Finding:
    rule = string(result.get("test_id"))
    step = _STEP.get(string(result.get("issue_severity")), 1) - (result.get("issue_confidence") == "LOW")
    lines = [line for line in result.get("line_range") or [] if number(line)]
    column, end_column = result.get("col_offset"), result.get("end_col_offset")
    return Finding(
        tool="bandit",
        rule=rule,
        severity=_SCALE[max(step, 0)],
        message=_message(string(result.get("issue_text")), rule),
        path=string(result.get("filename")),
        url=string(result.get("more_info")) or None,
        cwe=number(mapping(result.get("issue_cwe")).get("id")),
        **span(
            result.get("line_number"),
            max(lines, default=None),
            column + 1 if isinstance(column, int) else None,
            end_column + 1 if isinstance(end_column, int) else None,
        ),
    )


def _message(text: str, rule: str) -> str:
    """bandit prints the passwords that it finds; we do not."""
    return text.partition(":")[0] if rule in _PASSWORDS else text


def _unusual(findings: Sequence[Finding]) -> list[Finding]:
    kept = []
    for finding in findings:
        rank = _SCALE.index(finding.severity) - (_TEST.search(finding.path) is not None)
        if finding.rule not in _EVERYBODY and rank >= _SCALE.index(Severity.LOW):
            kept.append(finding.model_copy(update={"severity": _SCALE[rank]}))
    return kept


TOOL = Tool(
    name="bandit",
    applies=lambda path: path.endswith(".py"),
    argv=argv,
    parse=parse,
    version=("bandit", "--version"),
    languages="Python",
    licence="Apache-2.0",
    configs={".bandit": "[bandit]", "pyproject.toml": "[tool.bandit", "bandit.yaml": "", "bandit.yml": ""},
    interpreters={"python": True},
)
