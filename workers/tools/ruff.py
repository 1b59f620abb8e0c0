"""ruff: Python. https://docs.astral.sh/ruff/

The repository's choice of rules counts as it is. One that never chose any gets those that find mistakes, not taste
(ruff's own defaults, from 0.16 on, hold hundreds of both): what cannot run, pyflakes, and those of bugbear that are
seldom wrong. Star imports and the imports of an `__init__.py` are left out: they are how packages are put together.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from bot.domain.findings import Finding, NotCovered, Severity
from workers.agent import Output, Reading, Tool
from workers.tools.edits import Edit, with_fix
from workers.tools.output import check_exit, excluded_by, load_json, mapping, mappings, number, ours, span, string

# What is broken, not merely unwise: syntax and file errors, names that do not exist, code that raises when it runs.
_BROKEN = re.compile(r"^(invalid-syntax|E9\d\d|F(50|52|62|63|70|82)\d|PLE\d+)$")
_BUGBEAR = (
    "B002", "B003", "B006", "B012", "B015", "B016", "B020", "B022", "B023", "B025", "B026", "B029", "B030", "B031",
    "B032", "B033", "B035", "B039",
)  # fmt: skip
_RULES = ("E722", "E9", "F", "PLE", "T100", "W605", "YTT", *_BUGBEAR)
_DEFAULT = (
    "--isolated",
    f"--select={','.join(_RULES)}",
    "--ignore=F403,F405",
    "--per-file-ignores=__init__.py:F401",
)
# What counts where nobody chose rules: mistakes.
_MISTAKE = re.compile(rf"^([EF]\d+|T100|W605|YTT\d+|{'|'.join(_BUGBEAR)})$")
# An f-string without placeholders works. An import may be there for others, or be a question of what is installed.
_HARMLESS = re.compile(r"^F541$")
_HANDED_ON = re.compile(r"(^|/)(__init__|_?compat|conftest)\.pyi?$")
_PROBED = "importlib.util.find_spec"

# Whether a configuration chooses rules, itself or through another one.
_CHOICE = re.compile(r"^[^\S\n]*(lint\.)?(extend-)?(select|extend)\s*=", re.MULTILINE)

# A configuration with `fix = true` would have it change the files, and say nothing of what it mended.
_CHECK = ("ruff", "check", "--no-cache", "--no-fix", "--no-fix-only", "--output-format=json")
# What it says besides where it is asked to say more, and of each file that no configuration excludes.
_BESIDES = re.compile(r"^\[[^\]]+\]\[[^\]]+\]\[[\w:]+\]\[(?:DEBUG|TRACE)\] .*\n?", re.MULTILINE)
_READ = re.compile(r"\[DEBUG\] Checking: (.+)$", re.MULTILINE)


def argv(files: Sequence[str], config: str | None) -> list[str]:
    # Excluded files stay excluded though they are named; without the repository's configuration nobody's is read.
    own = ["--force-exclude", "--verbose"] if config else ["--quiet", *_DEFAULT]
    return [*_CHECK, *own, "--", *files]


def parse(output: Output) -> Reading:
    check_exit("ruff", replace(output.completed, stderr=_BESIDES.sub("", output.completed.stderr)), (0, 1))
    results = mappings(load_json("ruff", output.completed.stdout))
    chosen = bool(output.config and _CHOICE.search("\n".join(output.read(output.config))))
    return Reading(
        findings=[_finding(result, output, chosen=chosen) for result in results], excluded=list(_excluded(output))
    )


def _excluded(output: Output) -> Iterator[NotCovered]:
    """The files that its configuration keeps from it."""
    said = output.completed.stderr
    read = {ours(path, output) for path in _READ.findall(said)}
    for file in output.files if _BESIDES.search(said) else ():
        if file.removeprefix("./") not in read:
            yield excluded_by("ruff", file)


def _finding(result: Mapping[str, Any], output: Output, *, chosen: bool) -> Finding:
    path = string(result.get("filename"))
    rule = string(result.get("code")) or "invalid-syntax"
    message = string(result.get("message"))
    start, end = mapping(result.get("location")), mapping(result.get("end_location"))
    finding = Finding(
        tool="ruff",
        rule=rule,
        severity=_severity(rule, path, message, chosen=chosen),
        message=message,
        path=path,
        url=string(result.get("url")) or None,
        **span(start.get("row"), end.get("row"), start.get("column"), end.get("column")),
    )
    fix = mapping(result.get("fix"))
    if fix.get("applicability") != "safe" or result.get("cell") is not None:
        return finding
    return with_fix(finding, _edits(fix), output.read(path))


def _severity(rule: str, path: str, message: str, *, chosen: bool) -> Severity:
    if _BROKEN.match(rule):
        return Severity.HIGH
    if chosen:
        return Severity.MEDIUM
    kept = rule == "F401" and (_PROBED in message or _HANDED_ON.search(path))
    return Severity.MEDIUM if _MISTAKE.match(rule) and not kept and not _HARMLESS.match(rule) else Severity.LOW


def _edits(fix: Mapping[str, Any]) -> list[Edit]:
    edits = []
    for edit in mappings(fix.get("edits")):
        start, end = mapping(edit.get("location")), mapping(edit.get("end_location"))
        numbers = [number(n) for n in (start.get("row"), start.get("column"), end.get("row"), end.get("column"))]
        line, column, end_line, end_column = (n or 0 for n in numbers)
        edits.append(Edit(line, column, end_line, end_column, string(edit.get("content"))))
    return edits


TOOL = Tool(
    name="ruff",
    applies=lambda path: path.endswith((".py", ".pyi")),
    argv=argv,
    parse=parse,
    version=("ruff", "--version"),
    languages="Python",
    licence="MIT",
    configs={"ruff.toml": "", ".ruff.toml": "", "pyproject.toml": "[tool.ruff"},
    searches=True,
    interpreters={"python": True},
)
