"""typos: spelling, of words that are known to be wrong, so that names and jargon are let be.
https://github.com/crate-ci/typos

It reads every text; that it did so is no reason to call a file looked at.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from bot.domain.findings import Finding, Severity
from bot.errors import ToolFailed
from workers.agent import Listing, Output, Reading, Tool
from workers.tools.edits import Edit, with_fix
from workers.tools.output import check_exit, load_json, mapping, number, span, string, words


def argv(files: Sequence[str], config: str | None) -> list[str]:
    # Excluded files stay excluded though they are named; without the repository's configuration nobody's is read.
    own = ["--force-exclude"] if config else ["--isolated"]
    return ["typos", "--format=json", "--color=never", *own, "--", *files]


def listing(program: str, files: Sequence[str], config: str) -> list[str]:  # noqa: ARG001 - it looks beside each file
    return [program, "--files", "--format=json", "--color=never", "--force-exclude", "--", *files]


def listed(output: Output) -> list[str]:
    """One JSON message a line, one of the type `file` for each that it would read."""
    check_exit("typos", output.completed, (0,))
    messages = [mapping(load_json("typos", line)) for line in output.completed.stdout.split("\n") if line.strip()]
    return [string(message.get("path")) for message in messages if message.get("type") == "file"]


def parse(output: Output) -> Reading:
    """One JSON message a line, of which those of the type `typo` are findings. Names of files count, too."""
    check_exit("typos", output.completed, (0, 2))
    messages = [mapping(load_json("typos", line)) for line in output.completed.stdout.split("\n") if line.strip()]
    found = [_finding(message, output) for message in messages if message.get("type") == "typo"]
    if output.completed.exit_code and not found:
        raise ToolFailed(f"typos failed: {words(output.completed)}")
    return Reading(findings=found)


def _finding(message: Mapping[str, Any], output: Output) -> Finding:
    path, line, word = string(message.get("path")), number(message.get("line_num")), string(message.get("typo"))
    said = message.get("corrections")
    better = [one for one in said if isinstance(one, str)] if isinstance(said, list) else []
    finding = Finding(
        tool="typos",
        rule="typo",
        severity=Severity.LOW,
        message=f"{json.dumps(word, ensure_ascii=False)} is no word"
        + (f"; {' or '.join(better)} is meant." if better else "."),
        path=path,
        **span(line),
    )
    lines, offset = output.read(path), message.get("byte_offset")
    if len(better) != 1 or line is None or not isinstance(offset, int) or not 1 <= line <= len(lines):
        return finding
    before = lines[line - 1].encode()[: max(offset, 0)].decode(errors="replace")
    column = len(before) + 1
    if lines[line - 1][column - 1 : column - 1 + len(word)] != word:
        return finding
    return with_fix(finding, [Edit(line, column, line, column + len(word), better[0])], lines)


TOOL = Tool(
    name="typos",
    applies=lambda _path: True,
    argv=argv,
    parse=parse,
    version=("typos", "--version"),
    languages="any text",
    licence="Apache-2.0 or MIT",
    configs={
        "typos.toml": "",
        "_typos.toml": "",
        ".typos.toml": "",
        "pyproject.toml": "[tool.typos",
        "Cargo.toml": "metadata.typos",
    },
    searches=True,
    taste=True,
    covers=False,
    listing=Listing(listing, listed),
)
