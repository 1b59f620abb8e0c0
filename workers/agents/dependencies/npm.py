"""The lock files of JavaScript: npm (all versions), yarn (classic and berry), pnpm, bun."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from workers.agents.dependencies.package import Locked, Package, Unreadable, host, locked

_NPM = "npm"


# -- npm


def parse_npm(text: str) -> Locked:
    document = load_json(text)
    lines = _npm_lines(text)
    if isinstance(document.get("packages"), dict):
        return locked(list(_flat(document["packages"], lines)))
    if "lockfileVersion" not in document and not isinstance(document.get("dependencies"), dict):
        raise Unreadable("it has neither `packages` nor `dependencies`")
    return locked(list(_nested(document, lines)))


def load_json(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"it is no JSON: {str(error)[:200]}") from None
    if not isinstance(document, dict):
        raise Unreadable("it is JSON, but no object")
    return document


_ENTRY = re.compile(r'^\s*"([^"\\]{1,600})":\s*\{')
_VERSION = re.compile(r'^\s*"version":\s*"([^"\\]{1,300})"')


def _npm_lines(text: str) -> Mapping[tuple[str, str], int]:
    """Where the version of an entry stands, by the entry's key and the version."""
    lines: dict[tuple[str, str], int] = {}
    key = ""
    for number, line in enumerate(text.split("\n"), 1):
        if match := _ENTRY.match(line):
            key = match[1]
        elif key and (match := _VERSION.match(line)):
            lines.setdefault((key, match[1]), number)
    return lines


def _flat(packages: Mapping[str, Any], lines: Mapping[tuple[str, str], int]) -> Iterator[Package]:
    for key, entry in packages.items():
        if not isinstance(entry, dict) or "node_modules/" not in key or entry.get("link"):
            continue  # the project itself, or one of its workspaces
        name = _text(entry.get("name")) or key.rpartition("node_modules/")[2]
        yield _package(name, key, entry, lines)


def _nested(document: Mapping[str, Any], lines: Mapping[tuple[str, str], int]) -> Iterator[Package]:
    waiting = [document]
    while waiting:
        dependencies = waiting.pop().get("dependencies")
        for name, entry in dependencies.items() if isinstance(dependencies, dict) else ():
            if isinstance(entry, dict):
                waiting.append(entry)
                yield _package(name, name, entry, lines)


def _package(name: str, key: str, entry: Mapping[str, Any], lines: Mapping[tuple[str, str], int]) -> Package:
    version = _text(entry.get("version"))
    if version.startswith("npm:"):  # an alias: `npm:other@1.2.3`
        name, _, version = version.removeprefix("npm:").rpartition("@")
    return Package(
        _NPM,
        name,
        "" if "/" in version or ":" in version else version,
        lines.get((key, _text(entry.get("version")))),
        licence=_licence(entry.get("license")),
        integrity=_text(entry.get("integrity")),
        source=host(_text(entry.get("resolved"))),
        deprecated=_text(entry.get("deprecated"))[:300],
        scripts=entry.get("hasInstallScript") is True,
    )


def _licence(value: object) -> str:
    if isinstance(value, dict):
        value = value.get("type")
    return _text(value)[:100]


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


# -- yarn

# `"@babel/core@^7.0.0", "@babel/core@npm:^7.1.0":`
_YARN_KEY = re.compile(r'^"?((?:@[^/\s"]{1,200}/)?[^@\s"/]{1,200})@([^,"]{0,500})')
_YARN_FIELD = re.compile(r'^  "?(version|resolved|resolution|integrity|checksum)"?:? "?([^"\s]{1,1000})"?')


def parse_yarn(text: str) -> Locked:
    if "# yarn lockfile" not in text[:500] and "__metadata:" not in text[:1000]:
        raise Unreadable("it does not begin as a file of yarn's does")
    packages = []
    name, asked, line, fields = "", "", None, dict[str, str]()

    def flush() -> None:
        if name and "version" in fields and not asked.startswith(("workspace:", "link:", "portal:", "file:")):
            packages.append(_of_yarn(name, asked, line, fields))

    for number, row in enumerate(text.split("\n"), 1):
        if row and not row.startswith((" ", "#")):
            flush()
            match = _YARN_KEY.match(row)
            name, asked, line, fields = (match[1], match[2], None, {}) if match else ("", "", None, {})
        elif name and (field := _YARN_FIELD.match(row)):
            fields.setdefault(field[1], field[2])
            line = number if field[1] == "version" else line
    flush()
    return locked(packages)


def _of_yarn(name: str, asked: str, line: int | None, fields: Mapping[str, str]) -> Package:
    resolution = fields.get("resolution", "")  # berry: `real-name@npm:1.2.3`
    real = _YARN_KEY.match(resolution) if resolution else None
    if real is None and asked.startswith("npm:") and "@" in asked[5:]:  # classic: `alias@npm:real-name@^1`
        real = _YARN_KEY.match(asked.removeprefix("npm:"))
    return Package(
        _NPM,
        real[1] if real else name,
        fields["version"],
        line,
        integrity=fields.get("integrity", fields.get("checksum", "")),
        source=host(fields.get("resolved", "")),
    )


# -- pnpm

# `/@babel/core/7.0.0_peer`, `/@babel/core@7.0.0(peer@1)`, `@babel/core@7.0.0`
_PNPM_KEY = re.compile(r"^/?((?:@[^/\s]{1,200}/)?[^@/\s(]{1,200})[@/](\d[^\s(_]{0,200})")
_PNPM_LINE = re.compile(r"^  '?/?((?:@[^/\s]{1,200}/)?[^@/\s(]{1,200})[@/](\d[^\s(_':]{0,200})")
# The C parser, which reads 1 MB/s. It makes neither objects nor copies of what aliases name.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def parse_pnpm(text: str) -> Locked:
    try:
        document = yaml.load(text, _LOADER)  # noqa: S506 - a safe one
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise Unreadable(f"it is no YAML: {str(error)[:200]}") from None
    if not isinstance(document, dict) or "lockfileVersion" not in document:
        raise Unreadable("`lockfileVersion` is missing")
    lines: dict[tuple[str, str], int] = {}
    for number, row in enumerate(text.split("\n"), 1):
        if match := _PNPM_LINE.match(row):
            lines.setdefault((match[1], match[2]), number)
    entries = document.get("packages")
    return locked(list(_of_pnpm(entries, lines))) if isinstance(entries, dict) else locked([])


def _of_pnpm(entries: Mapping[Any, Any], lines: Mapping[tuple[str, str], int]) -> Iterator[Package]:
    for key, entry in entries.items():
        match = _PNPM_KEY.match(str(key))
        if match is None or not isinstance(entry, dict):
            continue
        resolution = entry.get("resolution")
        resolution = resolution if isinstance(resolution, dict) else {}
        yield Package(
            _NPM,
            match[1],
            match[2],
            lines.get((match[1], match[2])),
            integrity=_text(resolution.get("integrity")),
            source=host(_text(resolution.get("tarball"))),
            deprecated=_text(entry.get("deprecated"))[:300],
            scripts=entry.get("requiresBuild") is True,
        )


# -- bun

_BUN_ROW = re.compile(r'^\s*"[^"\\]{1,600}":\s*\["((?:@[^/\s"]{1,200}/)?[^@\s"/]{1,200})@([^"\s]{1,300})"')
_BUN_INTEGRITY = re.compile(r'"(sha\d{3}-[A-Za-z0-9+/=]{20,200})"\]')


def parse_bun(text: str) -> Locked:
    """bun's text format: JSON with commas too many, a package a line."""
    if '"lockfileVersion"' not in text[:500]:
        raise Unreadable("`lockfileVersion` is missing")
    packages = []
    for number, row in enumerate(text.split("\n"), 1):
        match = _BUN_ROW.match(row)
        if match and not match[2].startswith(("workspace:", "link:", "file:")):
            integrity = _BUN_INTEGRITY.search(row)
            version = match[2] if match[2][0].isdigit() else ""
            packages.append(Package(_NPM, match[1], version, number, integrity=integrity[1] if integrity else ""))
    return locked(packages)
