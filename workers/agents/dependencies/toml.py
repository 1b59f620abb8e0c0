"""The lock files that are TOML: poetry, uv, pdm and pylock for Python, Cargo for Rust. And Pipfile.lock, which is
JSON."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from workers.agents.dependencies.npm import load_json
from workers.agents.dependencies.package import Locked, Package, Parser, Unreadable, host, locked

_FIELD = re.compile(r'^(name|version)\s*=\s*"([^"\\]{1,300})"')
# What is the project's own, and comes from nowhere.
_OWN = ("virtual", "editable", "directory", "path")


def toml_parser(ecosystem: str, *tables: str) -> Parser:
    """Reads files of `[[package]]` tables with a name and a version; of these names where they are other ones."""

    def parse(text: str) -> Locked:
        try:
            document = tomllib.loads(text)
        except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
            raise Unreadable(f"it is no TOML: {str(error)[:200]}") from None
        entries = [document[table] for table in tables if isinstance(document.get(table), list)]
        if not entries and not any(key in document for key in ("version", "metadata", "lock-version")):
            raise Unreadable(f"it has no [[{tables[0]}]]")
        lines = _lines(text)
        return locked([_package(ecosystem, entry, lines) for every in entries for entry in every if _foreign(entry)])

    return parse


def _lines(text: str) -> Mapping[tuple[str, str], int]:
    """Where the version of a package stands."""
    lines: dict[tuple[str, str], int] = {}
    name = ""
    for number, row in enumerate(text.split("\n"), 1):
        match = _FIELD.match(row)
        if match and match[1] == "name":
            name = match[2]
        elif match and name:
            lines.setdefault((name, match[2]), number)
            name = ""
    return lines


def _foreign(entry: object) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        return False
    source = entry.get("source")
    return not (isinstance(source, dict) and any(own in source for own in _OWN))


def _package(ecosystem: str, entry: Mapping[str, Any], lines: Mapping[tuple[str, str], int]) -> Package:
    name, version = entry["name"], entry.get("version")
    version = version if isinstance(version, str) else ""
    files = list(_files(entry))
    return Package(
        ecosystem,
        name,
        version,
        lines.get((name, version)),
        integrity=_text(entry.get("checksum")) or _only(files),
        source=_source(entry.get("source")),
        published=min((day for one in files if (day := _text(one.get("upload-time"))[:10])), default=""),
    )


def _files(entry: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for value in (entry.get("files"), entry.get("wheels"), [entry.get("sdist")]):
        yield from (one for one in value if isinstance(one, dict)) if isinstance(value, list) else ()


def _only(files: list[Mapping[str, Any]]) -> str:
    """The hash of the one file; several come and go within a version, as wheels are added to it."""
    return _text(files[0].get("hash")) if len(files) == 1 else ""


def _source(source: object) -> str:
    if isinstance(source, dict):  # poetry and uv
        url = _text(source.get("url")) or _text(source.get("registry")) or _text(source.get("git"))
        return "git" if "git" in source or source.get("type") == "git" else host(url)
    return host(_text(source).removeprefix("registry+"))  # Cargo


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


_PIPFILE_ENTRY = re.compile(r'^\s*"([^"\\]{1,300})":\s*\{')
_PIPFILE_VERSION = re.compile(r'^\s*"version":\s*"==([^"\\]{1,300})"')


def parse_pipfile(text: str) -> Locked:
    document = load_json(text)
    if "_meta" not in document:
        raise Unreadable("`_meta` is missing")
    lines, name = dict[tuple[str, str], int](), ""
    for number, row in enumerate(text.split("\n"), 1):
        if match := _PIPFILE_ENTRY.match(row):
            name = match[1]
        elif match := _PIPFILE_VERSION.match(row):
            lines.setdefault((name, match[1]), number)
    packages = []
    for group in ("default", "develop"):
        entries = document.get(group)
        for key, entry in entries.items() if isinstance(entries, dict) else ():
            if isinstance(entry, dict):
                version = _text(entry.get("version")).removeprefix("==")
                source = "git" if "git" in entry else ""
                packages.append(Package("PyPI", key, version, lines.get((key, version)), source=source))
    return locked(packages)
