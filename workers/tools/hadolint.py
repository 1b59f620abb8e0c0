"""hadolint: Dockerfiles. https://github.com/hadolint/hadolint"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bot.domain.findings import Finding, Severity
from workers.agent import Output, Reading, Tool
from workers.tools.output import check_exit, load_json, mappings, span, string

_SEVERITY = {"error": Severity.HIGH, "warning": Severity.MEDIUM, "info": Severity.LOW, "style": Severity.INFO}


def applies(path: str) -> bool:
    name = path.rpartition("/")[2].lower()
    return name in ("dockerfile", "containerfile") or name.startswith("dockerfile.") or name.endswith(".dockerfile")


def argv(files: Sequence[str], config: str | None) -> list[str]:
    # There is no switch against a configuration file, only another file: an empty one, on standard input.
    return ["hadolint", "--no-color", "--format=json", f"--config={config or '/dev/stdin'}", "--", *files]


def parse(output: Output) -> Reading:
    check_exit("hadolint", output.completed, (0, 1))
    results = load_json("hadolint", output.completed.stdout)
    return Reading(findings=[_finding(result) for result in mappings(results)])


def _finding(result: Mapping[str, Any]) -> Finding:
    code = string(result.get("code"))
    wiki = "https://www.shellcheck.net/wiki/" if code.startswith("SC") else "https://github.com/hadolint/hadolint/wiki/"
    return Finding(
        tool="hadolint",
        rule=code,
        severity=_SEVERITY.get(string(result.get("level")), Severity.MEDIUM),
        message=string(result.get("message")),
        path=string(result.get("file")),
        url=wiki + code,
        **span(result.get("line"), start_column=result.get("column")),
    )


TOOL = Tool(
    name="hadolint",
    applies=applies,
    argv=argv,
    parse=parse,
    version=("hadolint", "--version"),
    languages="Dockerfile",
    licence="GPL-3.0",
    configs={".hadolint.yaml": "", ".hadolint.yml": ""},
    stdin="ignored: []\n",
)
