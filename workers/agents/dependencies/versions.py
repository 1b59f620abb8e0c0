"""How versions are ordered, by ecosystem: the rules are univers's."""

from __future__ import annotations

from functools import lru_cache

from univers.versions import (
    ComposerVersion,
    GolangVersion,
    MavenVersion,
    NugetVersion,
    PypiVersion,
    RubygemsVersion,
    SemverVersion,
    Version,
)

_KINDS: dict[str, type[Version]] = {
    "npm": SemverVersion,
    "PyPI": PypiVersion,
    "crates.io": SemverVersion,
    "Go": GolangVersion,
    "RubyGems": RubygemsVersion,
    "Packagist": ComposerVersion,
    "Maven": MavenVersion,
    "NuGet": NugetVersion,
}
_LONGEST = 200


@lru_cache(maxsize=16_384)
def parse(ecosystem: str, text: str) -> Version | None:
    """None for what is no version there."""
    kind = _KINDS.get(ecosystem, SemverVersion)
    if not text or len(text) > _LONGEST:
        return None
    try:
        return kind(text)
    # What is wrong with a version, the library tells by errors of many kinds.
    except Exception:  # noqa: BLE001
        return None


def before(ecosystem: str, one: str, other: str) -> bool | None:
    """Whether the one is the older; None where that cannot be told."""
    first, second = parse(ecosystem, one), parse(ecosystem, other)
    if first is None or second is None:
        return None
    try:
        return bool(first < second)
    except Exception:  # noqa: BLE001 - as above
        return None
