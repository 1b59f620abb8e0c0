"""oxlint: JavaScript and TypeScript, as the repository configures it. https://oxc.rs/docs/guide/usage/linter

It executes nothing of what it reads but plugins in JavaScript, and is itself one of the repository's packages. Its
report knows no fixes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bot.domain.findings import Finding, NotCovered, Severity
from bot.errors import ToolFailed
from workers.agent import Output, Reading
from workers.tools.offsets import Offsets, in_bytes
from workers.tools.output import check_exit, load_json, mapping, mappings, span, string, words
from workers.tools.web import SCRIPTS, projects, web_tool

_CONFIGS = (".oxlintrc.json", ".oxlintrc.jsonc", "oxlint.config.ts")
_SEVERITY = {"error": Severity.MEDIUM, "warning": Severity.LOW}
_BEGIN = '{ "diagnostics":'


def argv(files: Sequence[str], config: str | None) -> list[str]:  # noqa: ARG001 - it looks beside each file
    # No more than its first version knew: 1.58 does not start with `--no-error-on-unmatched-pattern`.
    return ["oxlint", "--format=json", "--", *files]


def parse(output: Output) -> Reading:
    """One JSON object over some lines; it counts the files that it read. To newer versions it is an error that these
    are none, though its configuration leaves out all that were named."""
    completed = output.completed
    check_exit("oxlint", completed, (0, 1))
    _, begin, rest = completed.stdout.partition(_BEGIN)
    if not begin:
        raise ToolFailed(f"oxlint printed no report: {words(completed)}")
    report = mapping(load_json("oxlint", begin + rest))
    said = list(mappings(report.get("diagnostics")))
    none = report.get("number_of_files") == 0
    if completed.exit_code and not said and not none:
        raise ToolFailed(f"oxlint failed: {words(completed)}")
    return Reading(
        findings=[_finding(one, output) for one in said],
        excluded=[NotCovered(what=file, why="oxlint: ignored") for file in output.files] if none else (),
    )


def _finding(said: Mapping[str, Any], output: Output) -> Finding:
    path, rule = string(said.get("filename")), string(said.get("code"))
    return Finding(
        tool="oxlint",
        rule=rule or "syntax",
        severity=_SEVERITY.get(string(said.get("severity")), Severity.INFO) if rule else Severity.HIGH,
        message=string(said.get("message")),
        advice=string(said.get("help")),
        path=path,
        url=string(said.get("url")) or None,
        **_place(said, output.read(path)),
    )


def _place(said: Mapping[str, Any], lines: Sequence[str]) -> Mapping[str, int | None]:
    """Where its first label lies; its own columns are bytes."""
    label = mapping(next(mappings(said.get("labels")), {}).get("span"))
    offset, length = label.get("offset"), label.get("length")
    if isinstance(offset, int) and isinstance(length, int):
        offsets = Offsets(lines, in_bytes)
        first, last = offsets.place(offset), offsets.place(offset + length)
        if first and last:
            return span(first[0], last[0], first[1], last[1])
    return span(label.get("line"))


TOOL = web_tool(
    name="oxlint",
    applies=lambda path: path.endswith((*SCRIPTS, ".vue", ".svelte", ".astro")),
    argv=argv,
    parse=parse,
    version=("oxlint", "--version"),
    languages="JavaScript, TypeScript, Vue, Svelte, Astro",
    licence="MIT",
    configs=dict.fromkeys(_CONFIGS, ""),
    projects=projects("oxlint", _CONFIGS),
)
