"""The lock files that are read line by line: pip's requirements, Go's, Bundler's and Gradle's."""

from __future__ import annotations

import re

from packaging.requirements import InvalidRequirement, Requirement

from workers.agents.dependencies.package import Locked, Package, Unreadable, host, locked

_LONGEST_LINE = 4_000


def parse_requirements(text: str) -> Locked:
    """pip's. What is no requirement (an option, a path, a URL) names no package; one that is not pinned by `==` has no
    version."""
    packages, whole, first = [], "", 0
    for number, row in enumerate(text.split("\n"), 1):
        first = first if whole else number
        whole += row.rstrip("\r")[:_LONGEST_LINE]
        if whole.endswith("\\") and len(whole) < _LONGEST_LINE:
            whole = whole[:-1]
            continue
        if package := _requirement(whole, first):
            packages.append(package)
        whole = ""
    return locked(packages)


def _requirement(line: str, number: int) -> Package | None:
    words = re.split(r"(?:^|\s)#|\s--(?:hash|config-settings|global-option)", line[:_LONGEST_LINE])[0].strip()
    if not words or words.startswith(("-", ".", "/")):
        return None
    try:
        wanted = Requirement(words)
    except (InvalidRequirement, ValueError, RecursionError):
        return None
    pins = [one.version for one in wanted.specifier if one.operator in ("==", "===") and "*" not in one.version]
    return Package("PyPI", wanted.name, pins[0] if pins else "", number, source=host(wanted.url or ""))


_GO_REQUIRE = re.compile(r"^(?:require\s+|\s+)([^\s()/]+\.[^\s()]{1,300})\s+(v[^\s/]{1,200})")
_GO_SUM = re.compile(r"^([^\s]{1,300})\s+(v[^\s/]{1,200})\s+(h1:[A-Za-z0-9+/=]{10,100})$")


def parse_go_mod(text: str) -> Locked:
    if not re.search(r"^module\s", text, re.MULTILINE):
        raise Unreadable("it names no module")
    packages, block = [], ""
    for number, line in enumerate(text.split("\n"), 1):
        row = line.split("//")[0].rstrip()
        if match := re.match(r"(\w+)\s*\($", row):
            block = match[1]
        elif row == ")":
            block = ""
        elif (row.startswith("require ") or block == "require") and (found := _GO_REQUIRE.match(row)):
            packages.append(Package("Go", found[1], found[2].removeprefix("v"), number))
    return locked(packages)


def parse_go_sum(text: str) -> Locked:
    """Sums also of versions that were only looked at; those in use stand in go.mod."""
    packages = []
    for number, row in enumerate(text.split("\n"), 1):
        if match := _GO_SUM.match(row.rstrip()):
            packages.append(Package("Go", match[1], match[2].removeprefix("v"), number, integrity=match[3]))
        elif row.strip() and not re.match(r"^\S+ v\S+/go\.mod h1:\S+\s*$", row):
            raise Unreadable(f"line {number} is no sum")
    return locked(packages, installed=False)


_GEM = re.compile(r"^    ([A-Za-z0-9._-]{1,200}) \(([^\s()]{1,100})\)")
# `1.16.0-x86_64-linux`: the version of one platform.
_PLATFORM = re.compile(r"-(?:x86|x64|arm|aarch|java|mingw|mswin|universal|ruby|powerpc).*$")


def parse_gemfile(text: str) -> Locked:
    packages, section = [], ""
    for number, row in enumerate(text.split("\n"), 1):
        if row[:1].isupper():
            section = row.strip()
        elif section in ("GEM", "GIT", "PLUGIN SOURCE") and (match := _GEM.match(row)):
            source = "git" if section == "GIT" else ""
            packages.append(Package("RubyGems", match[1], _PLATFORM.sub("", match[2]), number, source=source))
    if "DEPENDENCIES" not in text and not packages:
        raise Unreadable("it has no section DEPENDENCIES")
    return locked(packages)


_GRADLE = re.compile(r"^([^\s:=#]{1,200}):([^\s:=]{1,200}):([^\s:=]{1,200})=")


def parse_gradle(text: str) -> Locked:
    packages = []
    for number, row in enumerate(text.split("\n"), 1):
        if match := _GRADLE.match(row):
            packages.append(Package("Maven", f"{match[1]}:{match[2]}", match[3], number))
    if not packages and "empty=" not in text:
        raise Unreadable("it names no module")
    return locked(packages)
