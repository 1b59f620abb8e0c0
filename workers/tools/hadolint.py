"""hadolint: Dockerfiles. https://github.com/hadolint/hadolint

Without a configuration of the repository, packages without a version are advice only: distributions drop old versions,
and a pinned one breaks the build.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bot.domain.findings import Finding, Severity
from workers.agent import Output, Reading, Tool
from workers.tools.output import check_exit, load_json, mappings, span, string

_SEVERITY = {"error": Severity.HIGH, "warning": Severity.MEDIUM, "info": Severity.LOW, "style": Severity.INFO}

# apt, apk, pip, npm, gem, yum, dnf, zypper.
_UNPINNED = ("DL3008", "DL3013", "DL3016", "DL3018", "DL3028", "DL3033", "DL3037", "DL3041")

_EMPTY = Path(__file__).parent.parent / "rules" / "hadolint.yml"

# `Dockerfile.dev` is one; these endings say that it is about one, or becomes one.
_ABOUT = re.compile(
    r"\.(dockerignore|md|rst|txt|orig|rej|bak|j2|jinja2?|tmpl|tpl|template|mustache|erb|in|m4|py|go|js|ts|rb|rs|java|kt|"
    r"sh|ya?ml|json|toml)$"
)


def applies(path: str) -> bool:
    name = path.rpartition("/")[2].lower()
    if name.startswith(("dockerfile.", "containerfile.")):
        return not _ABOUT.search(name)
    return name in ("dockerfile", "containerfile") or name.endswith((".dockerfile", ".containerfile"))


def argv(files: Sequence[str], config: str | None) -> list[str]:
    # There is no switch against a configuration file, only another file.
    return ["hadolint", "--no-color", "--format=json", f"--config={config or _EMPTY}", "--", *files]


def parse(output: Output) -> Reading:
    check_exit("hadolint", output.completed, (0, 1))
    results = load_json("hadolint", output.completed.stdout)
    return Reading(findings=[_finding(result, chosen=bool(output.config)) for result in mappings(results)])


def _finding(result: Mapping[str, Any], *, chosen: bool) -> Finding:
    code = string(result.get("code"))
    severity = _SEVERITY.get(string(result.get("level")), Severity.MEDIUM)
    wiki = "https://www.shellcheck.net/wiki/" if code.startswith("SC") else "https://github.com/hadolint/hadolint/wiki/"
    return Finding(
        tool="hadolint",
        rule=code,
        severity=Severity.LOW if code in _UNPINNED and not chosen else severity,
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
    reads=(_EMPTY,),
)
