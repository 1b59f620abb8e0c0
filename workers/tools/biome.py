"""Biome: JavaScript, TypeScript, JSON, CSS and GraphQL, as the repository configures it. https://biomejs.dev/

It executes nothing of what it reads, but is itself one of the repository's packages. What it finds are the rules that
are broken, and files that its formatter or its order of imports would have otherwise, where these are switched on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from bot.domain.findings import Finding, NotCovered, Severity
from bot.errors import ToolFailed
from workers.agent import Listing, Output, Reading
from workers.tools import reformat
from workers.tools.edits import Edit, with_fix
from workers.tools.offsets import Offsets, in_bytes
from workers.tools.output import check_exit, load_json, mapping, mappings, span, string, words
from workers.tools.web import SCRIPTS, json_line, projects, web_tool

_CONFIGS = ("biome.json", "biome.jsonc", ".biome.json", ".biome.jsonc")
_SEVERITY = {"fatal": Severity.HIGH, "error": Severity.MEDIUM, "warning": Severity.LOW}
# What it could not read.
_FAULT = re.compile(r"^(check|internalError/.*)$")
_RULE = re.compile(r"^lint/[a-z]+/([A-Za-z0-9]+)$")
_LISTED = re.compile(r"^ +- (.+)$", re.MULTILINE)
# Said beside the error itself.
_ABORTED = "Code formatting aborted due to parsing errors"


def argv(files: Sequence[str], config: str | None) -> list[str]:  # noqa: ARG001 - it looks for it by itself
    told = ["--reporter=json", "--colors=off", "--max-diagnostics=none", "--no-errors-on-unmatched"]
    return ["biome", "check", *told, "--", *files]


def parse(output: Output) -> Reading:
    """One line of JSON; it does not name the files that its configuration leaves out."""
    check_exit("biome", output.completed, (0, 1))
    report = mapping(load_json("biome", json_line("biome", output.completed, "{")))
    said = list(mappings(report.get("diagnostics")))
    if not isinstance(report.get("diagnostics"), list) or (output.completed.exit_code and not said):
        raise ToolFailed(f"biome failed: {words(output.completed)}")
    faults = [one for one in said if _FAULT.match(string(one.get("category")))]
    unread = [NotCovered(what=_path(one), why=f"biome: {_message(one)[:200]}") for one in faults]
    found = [one for one in said if one not in faults and not _message(one).startswith(_ABORTED)]
    return Reading(findings=list(dict.fromkeys(_finding(one, output) for one in found)), unread=unread)


def listing(program: str, files: Sequence[str], config: str) -> list[str]:  # noqa: ARG001 - it looks for it by itself
    told = ["--verbose", "--colors=off", "--max-diagnostics=1", "--no-errors-on-unmatched"]
    return [program, "check", *told, "--", *files]


def listed(output: Output) -> list[str]:
    """Said on standard output, for people: a line `- path` for each file that it has read."""
    check_exit("biome", output.completed, (0, 1))
    _, head, rest = output.completed.stdout.rpartition("i Files processed:\n")
    if not head:
        raise ToolFailed(f"biome does not tell which files it reads: {words(output.completed)}")
    return _LISTED.findall(rest.partition(" VERBOSE ")[0])


def _path(said: Mapping[str, Any]) -> str:
    """Before 2.4 the path is an object of its own."""
    path = mapping(said.get("location")).get("path")
    return string(mapping(path).get("file")) if isinstance(path, dict) else string(path)


def _message(said: Mapping[str, Any]) -> str:
    return string(said.get("description")) or string(said.get("message"))


def _finding(said: Mapping[str, Any], output: Output) -> Finding:
    path, rule = _path(said), string(said.get("category")) or "biome"
    lines = output.read(path)
    known = _RULE.match(rule)
    finding = Finding(
        tool="biome",
        rule=rule,
        severity=_severity(rule, string(said.get("severity"))),
        message="biome would write this in another way." if rule == reformat.RULE else _message(said),
        path=path,
        url=f"https://biomejs.dev/linter/rules/{_kebab(known[1])}/" if known else None,
        **_place(mapping(said.get("location")), lines),
    )
    return with_fix(finding, list(_edits(said, lines)), lines)


def _severity(rule: str, level: str) -> Severity:
    if rule == "parse":
        return Severity.HIGH
    if rule == reformat.RULE or rule.startswith("assist/"):
        return Severity.LOW
    return _SEVERITY.get(level, Severity.INFO)


def _kebab(name: str) -> str:
    return re.sub(r"(?<!^)([A-Z])", r"-\1", name).lower()


def _place(location: Mapping[str, Any], lines: Sequence[str]) -> Mapping[str, int | None]:
    """Before 2.4 in bytes from the beginning."""
    if "span" not in location:
        start, end = mapping(location.get("start")), mapping(location.get("end"))
        return span(start.get("line"), end.get("line"), start.get("column"), end.get("column"))
    first, last = map(Offsets(lines, in_bytes).place, _pair(location["span"]))
    return span(first[0], last[0], first[1], last[1]) if first and last else {}


def _edits(said: Mapping[str, Any], lines: Sequence[str]) -> Sequence[Edit]:
    """What it holds to be safe, which follows on words that say so. From 2.4 on it has to be asked for its fixes."""
    is_safe = False
    for advice in mappings(mapping(said.get("advices")).get("advices")):
        if "log" in advice:
            is_safe = "Safe fix" in str(advice["log"])
        elif is_safe and "diff" in advice:
            return _changes(mapping(advice["diff"]), lines)
    return ()


def _changes(diff: Mapping[str, Any], lines: Sequence[str]) -> Sequence[Edit]:
    """The edits of a diff, whose texts are ranges of a dictionary, in bytes; none where it is not of this file."""
    dictionary = string(diff.get("dictionary")).encode("utf-8", "surrogatepass")
    source, offsets = "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogatepass"), Offsets(lines, in_bytes)
    edits: list[Edit | None] = []
    at = 0
    for step in mappings(diff.get("ops")):
        kind, operand = next(iter(mapping(step.get("diffOp")).items()), ("", None))
        start, end = (number if isinstance(number, int) else -1 for number in _pair(mapping(operand).get("range")))
        if kind not in ("equal", "insert", "delete") or not 0 <= start <= end:
            return ()
        text = dictionary[start:end]
        if kind == "insert":
            edits.append(offsets.edit(at, at, text.decode("utf-8", "replace")))
            continue
        if source[at : at + len(text)] != text:
            return ()
        if kind == "delete":
            edits.append(offsets.edit(at, at + len(text), ""))
        at += len(text)
    return [edit for edit in edits if edit] if all(edits) and at == len(source) else ()


def _pair(value: object) -> tuple[object, object]:
    return (value[0], value[1]) if isinstance(value, list) and len(value) == 2 else (None, None)


TOOL = web_tool(
    name="biome",
    applies=lambda path: path.endswith((*SCRIPTS, ".json", ".jsonc", ".css", ".graphql", ".gql")),
    argv=argv,
    parse=parse,
    version=("biome", "--version"),
    languages="JavaScript, TypeScript, JSON, CSS, GraphQL",
    licence="MIT or Apache-2.0",
    configs=dict.fromkeys(_CONFIGS, ""),
    projects=projects("@biomejs/biome", _CONFIGS),
    known_as=("@biomejs/biome",),
    mending=reformat.mending("biome", '"$0" check --write --stdin-file-path="$file" < "$file"'),
    listing=Listing(listing, listed),
)
