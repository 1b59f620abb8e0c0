"""clippy: mistakes in Rust, and what the compiler says. https://doc.rust-lang.org/clippy/

It compiles the packages that files lie in, with the crates they depend on, and no others of a workspace: build scripts
and macros of the repository are executed. What is only clippy's warning is advice where the repository does not
configure it; what it denies by default is a mistake.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from bot.domain.findings import Finding, Severity
from bot.errors import ToolFailed
from workers.agent import Output, Reader, Reading, Tool
from workers.tools.edits import Edit, with_fix
from workers.tools.output import check_exit, mapping, mappings, number, span, string, words
from workers.tools.rustfmt import manifest

# The last message of a build that came to its end.
_FINISHED = '"reason":"build-finished"'


def argv(files: Sequence[str], config: str | None) -> list[str]:  # noqa: ARG001 - it looks at packages
    return ["cargo", "clippy", "--quiet", "--no-deps", "--all-targets", "--message-format=json"]


def options(read: Reader, folder: str) -> list[str]:
    """Of a workspace's own package: where cargo is started there, it looks at the workspace's default members, too."""
    package = mapping(manifest(read, folder).get("package"))
    name, version = string(package.get("name")), string(package.get("version"))
    return [f"--package={name}:{version}" if version else f"--package={name}"]


def parse(output: Output) -> Reading:
    """A JSON message a line. One for the tests of a library says again what one for the library said."""
    check_exit("clippy", output.completed, (0, 101))
    name = string(mapping(manifest(output.read).get("package")).get("name"))
    wanted = {file.removeprefix("./") for file in output.files}
    messages = [message for message in _messages(output.completed.stdout) if _is_of(message, name)]
    read = {finding: None for message in messages for finding in _findings(message, wanted, output)}
    if output.completed.exit_code and not read:
        raise ToolFailed(f"clippy failed: {words(output.completed)}")
    if not output.completed.exit_code and _FINISHED not in output.completed.stdout:
        raise ToolFailed(f"clippy did not say that it has finished: {words(output.completed)}")
    return Reading(findings=list(read))


def _messages(text: str) -> Iterator[Mapping[str, Any]]:
    for line in text.splitlines():
        try:
            message = mapping(json.loads(line))
        except (ValueError, RecursionError):
            continue  # what a build script printed
        if message.get("reason") == "compiler-message":
            yield message


def _is_of(message: Mapping[str, Any], name: str) -> bool:
    """Whether it is about the package of that name, not one that this depends on. Its id ends in `#name@1.0`, or in
    `#1.0` where its folder has its name."""
    source, _, end = string(message.get("package_id")).rpartition("#")
    return (end.partition("@")[0] if "@" in end else source.rpartition("/")[2]) == name


def _findings(message: Mapping[str, Any], wanted: set[str], output: Output) -> Iterator[Finding]:
    said = mapping(message.get("message"))
    place = next((one for one in mappings(said.get("spans")) if one.get("is_primary")), None)
    path = _path(string(place.get("file_name")), message, wanted) if place else None
    if place is None or path is None:
        return
    rule = string(mapping(said.get("code")).get("code")) or "compile"
    finding = Finding(
        tool="clippy",
        rule=rule,
        severity=_severity(string(said.get("level")), rule, output),
        message=string(said.get("message")),
        path=path,
        url=_url(rule),
        **span(place.get("line_start"), place.get("line_end"), place.get("column_start"), place.get("column_end")),
    )
    yield with_fix(finding, _edits(said, string(place.get("file_name"))), output.read(path))


def _path(name: str, message: Mapping[str, Any], wanted: set[str]) -> str | None:
    """Files are named from the workspace's folder, which is the package's or above it."""
    folder = PurePosixPath(string(message.get("manifest_path"))).parent
    for top in (folder, *folder.parents):
        file = top / name
        if file.is_relative_to(folder) and str(file.relative_to(folder)) in wanted:
            return str(file.relative_to(folder))
    return None


def _severity(level: str, rule: str, output: Output) -> Severity:
    if level.startswith("error"):
        return Severity.HIGH
    return Severity.LOW if rule.startswith("clippy::") and output.config is None else Severity.MEDIUM


def _url(rule: str) -> str | None:
    name = rule.removeprefix("clippy::")
    if name != rule:
        return f"https://rust-lang.github.io/rust-clippy/stable/index.html#{name}"
    return f"https://doc.rust-lang.org/error_codes/{rule}.html" if rule[:1] == "E" and rule[1:].isdigit() else None


def _edits(said: Mapping[str, Any], name: str) -> list[Edit]:
    """What rustc itself holds to be right to apply, where it is of this one file."""
    spans = [one for child in mappings(said.get("children")) for one in mappings(child.get("spans"))]
    fixes = [one for one in spans if one.get("suggestion_applicability") == "MachineApplicable"]
    if any(one.get("file_name") != name for one in fixes):
        return []
    return [_edit(one) for one in fixes]


def _edit(fix: Mapping[str, Any]) -> Edit:
    places = (number(fix.get(key)) or 0 for key in ("line_start", "column_start", "line_end", "column_end"))
    line, column, end_line, end_column = places
    return Edit(line, column, end_line, end_column, string(fix.get("suggested_replacement")))


TOOL = Tool(
    name="clippy",
    applies=lambda path: path.endswith(".rs"),
    argv=argv,
    parse=parse,
    version=("cargo-clippy", "--version"),
    languages="Rust",
    licence="Apache-2.0 or MIT",
    configs={"clippy.toml": "", ".clippy.toml": "", "Cargo.toml": "lints.clippy"},
    searches=True,
    executes_code=True,
    optional=True,
    projects={"Cargo.toml": "[package]"},
    options=options,
    alone=False,
    setup="cargo test",
)
