"""Composer's and NuGet's lock files, which are JSON, and Maven's pom.xml."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from workers.agents.dependencies.npm import load_json
from workers.agents.dependencies.package import Locked, Package, Unreadable, host, locked

_NAME = re.compile(r'^\s*"name":\s*"([^"\\]{1,300})"')
_VERSION = re.compile(r'^\s*"version":\s*"([^"\\]{1,300})"')


def parse_composer(text: str) -> Locked:
    document = load_json(text)
    if not isinstance(document.get("packages"), list):
        raise Unreadable("`packages` is missing")
    lines, name = dict[tuple[str, str], int](), ""
    for number, row in enumerate(text.split("\n"), 1):
        if match := _NAME.match(row):
            name = match[1].replace("\\/", "/")
        elif match := _VERSION.match(row):
            lines.setdefault((name, match[1]), number)
    packages = []
    for group in ("packages", "packages-dev"):
        entries = document.get(group)
        every = (entry for entry in entries if isinstance(entry, dict)) if isinstance(entries, list) else ()
        packages += [_of_composer(entry, lines) for entry in every if isinstance(entry.get("name"), str)]
    return locked(packages)


def _of_composer(entry: Mapping[str, Any], lines: Mapping[tuple[str, str], int]) -> Package:
    version, licences = _text(entry.get("version")), entry.get("license")
    dist = entry.get("dist") if isinstance(entry.get("dist"), dict) else {}
    assert isinstance(dist, dict)
    abandoned = entry.get("abandoned")
    return Package(
        "Packagist",
        entry["name"],
        version.removeprefix("v"),
        lines.get((entry["name"], version)),
        licence=" or ".join(one for one in licences if isinstance(one, str))[:100]
        if isinstance(licences, list)
        else "",
        integrity=_text(dist.get("shasum")),
        source=host(_text(dist.get("url"))),
        deprecated="abandoned" if abandoned else "",
        published=_text(entry.get("time"))[:10],
    )


_NUGET_ENTRY = re.compile(r'^\s*"([^"\\]{1,300})":\s*\{')
_RESOLVED = re.compile(r'^\s*"resolved":\s*"([^"\\]{1,300})"')


def parse_nuget(text: str) -> Locked:
    frameworks = load_json(text).get("dependencies")
    if not isinstance(frameworks, dict):
        raise Unreadable("`dependencies` is missing")
    lines, name = dict[tuple[str, str], int](), ""
    for number, row in enumerate(text.split("\n"), 1):
        if match := _NUGET_ENTRY.match(row):
            name = match[1]
        elif match := _RESOLVED.match(row):
            lines.setdefault((name, match[1]), number)
    packages = []
    for entries in frameworks.values():
        for key, entry in entries.items() if isinstance(entries, dict) else ():
            if isinstance(entry, dict) and entry.get("type") != "Project":
                version = _text(entry.get("resolved"))
                line = lines.get((key, version))
                packages.append(Package("NuGet", key, version, line, integrity=_text(entry.get("contentHash"))))
    return locked(packages)


_PROPERTY = re.compile(r"\$\{([^{}]{1,200})\}")


def parse_pom(text: str) -> Locked:
    """The project's own dependencies, with what its properties say; versions that a parent sets are not in the file."""
    try:
        root = fromstring(text)
    except (ParseError, DefusedXmlException, ValueError, RecursionError) as error:
        raise Unreadable(f"it is no XML: {str(error)[:200]}") from None
    _strip(root)
    if root.tag != "project":
        raise Unreadable("it is no <project>")
    properties = {one.tag: (one.text or "").strip() for one in root.findall("properties/*")}
    for tag in ("version", "groupId"):
        own = root.findtext(tag) or root.findtext(f"parent/{tag}") or ""
        properties |= {f"project.{tag}": own.strip()}
    rows = text.split("\n")
    lines = {
        match[1].strip(): number
        for number, row in enumerate(rows, 1)
        if (match := re.search(r"<artifactId>([^<]{1,200})</artifactId>", row))
    }
    packages = []
    for entry in root.iter("dependency"):
        group, name, version = (
            _PROPERTY.sub(lambda match: properties.get(match[1], match[0]), (entry.findtext(tag) or "").strip())
            for tag in ("groupId", "artifactId", "version")
        )
        if group and name:
            exact = "" if "$" in version or version[:1] in "[(" else version
            packages.append(Package("Maven", f"{group}:{name}", exact, _version_line(rows, lines.get(name), exact)))
    return locked(packages)


def _strip(root: Element) -> None:
    for element in root.iter():
        if isinstance(element.tag, str):
            element.tag = element.tag.rpartition("}")[2]


def _version_line(rows: Sequence[str], line: int | None, version: str) -> int | None:
    """The version's own line, which is what changes; it stands next to the name's."""
    if line is None or not version:
        return line
    near = enumerate(rows[line - 1 : line + 3])
    return next((line + offset for offset, row in near if f"<version>{version}" in row), line)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
