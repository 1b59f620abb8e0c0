"""Which files lock packages, as a table: by name, and how each is read."""

from __future__ import annotations

import re

from workers.agents.dependencies import documents, lines, npm
from workers.agents.dependencies.package import Locked, Parser, Unreadable
from workers.agents.dependencies.toml import parse_pipfile, toml_parser

LARGEST = 20_000_000

_BY_NAME: dict[str, Parser] = {
    "package-lock.json": npm.parse_npm,
    "npm-shrinkwrap.json": npm.parse_npm,
    "yarn.lock": npm.parse_yarn,
    "pnpm-lock.yaml": npm.parse_pnpm,
    "bun.lock": npm.parse_bun,
    "poetry.lock": toml_parser("PyPI", "package"),
    "uv.lock": toml_parser("PyPI", "package"),
    "pdm.lock": toml_parser("PyPI", "package"),
    "pylock.toml": toml_parser("PyPI", "packages"),
    "Pipfile.lock": parse_pipfile,
    "Cargo.lock": toml_parser("crates.io", "package"),
    "go.mod": lines.parse_go_mod,
    "go.sum": lines.parse_go_sum,
    "Gemfile.lock": lines.parse_gemfile,
    "gems.locked": lines.parse_gemfile,
    "composer.lock": documents.parse_composer,
    "packages.lock.json": documents.parse_nuget,
    "pom.xml": documents.parse_pom,
    "gradle.lockfile": lines.parse_gradle,
}
_REQUIREMENTS = re.compile(
    r"(?:^|/)(?:[\w.-]{0,60}requirements[\w.-]{0,60}|constraints|requirements/[^/]{1,80})\.(?:txt|lock)$"
)


def parser_for(path: str) -> Parser | None:
    """How the file of that name is read; None for one that locks nothing."""
    known = _BY_NAME.get(path.rpartition("/")[2])
    return known or (lines.parse_requirements if _REQUIREMENTS.search(path) else None)


def read(path: str, text: str) -> Locked:
    """What a file locks. Raises Unreadable."""
    parse = parser_for(path)
    assert parse is not None
    if len(text) > LARGEST:
        raise Unreadable(f"it is larger than {LARGEST // 1_000_000} MB")
    found = parse(text)
    # Cargo names the crates of the workspace too, which come from nowhere.
    if path.endswith("Cargo.lock"):
        return Locked(tuple(one for one in found.packages if one.source), found.installed)
    return found
