"""What lies between two lock files, and names that look alike."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.agents.dependencies.compare import compare
from workers.agents.dependencies.lookalikes import imitated
from workers.agents.dependencies.package import Package


def npm(name: str, version: str, integrity: str = "") -> Package:
    return Package("npm", name, version, integrity=integrity)


def told(old: list[Package], new: list[Package]) -> list[str]:
    return [str(change) for change in compare(old, new)]


def test_every_kind_of_change() -> None:
    old = [npm("same", "1.0.0"), npm("up", "1.9.0"), npm("down", "2.0.0"), npm("gone", "1.0.0")]
    new = [npm("same", "1.0.0"), npm("up", "1.10.0"), npm("down", "1.0.0"), npm("came", "1.0.0")]
    assert told(old, new) == [
        "upgraded npm up 1.9.0 → 1.10.0",
        "downgraded npm down 2.0.0 → 1.0.0",
        "added npm came 1.0.0",
        "removed npm gone 1.0.0",
    ]


def test_several_versions_of_one_package() -> None:
    old, new = [npm("a", "1.0.0"), npm("a", "2.0.0")], [npm("a", "2.0.0"), npm("a", "1.1.0"), npm("a", "3.0.0")]
    assert told(old, new) == ["upgraded npm a 1.0.0 → 1.1.0", "added npm a 3.0.0"]


@pytest.mark.parametrize(
    ("one", "other", "changed"),
    [
        ("sha512-a", "sha512-b", True),
        ("sha1-a", "sha512-b", False),
        ("", "sha512-b", False),
        ("8/ab", "10c0/cd", False),
    ],
)
def test_the_same_version_with_another_checksum(one: str, other: str, changed: bool) -> None:
    assert told([npm("a", "1.0.0", one)], [npm("a", "1.0.0", other)]) == ["changed npm a 1.0.0 → 1.0.0"] * changed


PACKAGES = st.lists(st.builds(npm, st.sampled_from("abc"), st.sampled_from(["", "1.0.0", "2.0.0", "x", "1.0.0-a"])))


@given(PACKAGES, PACKAGES)
def test_the_changes_lead_from_one_to_the_other(old: list[Package], new: list[Package]) -> None:
    changes = compare(old, new)
    packages = set(old)
    packages -= {change.old for change in changes if change.old}
    packages |= {change.new for change in changes if change.new}
    assert packages == set(new)


@given(PACKAGES)
def test_nothing_lies_between_equal_files(packages: list[Package]) -> None:
    assert compare(packages, list(reversed(packages))) == []


@pytest.mark.parametrize(
    ("ecosystem", "name", "other"),
    [
        ("npm", "loadsh", "lodash"),
        ("npm", "expresss", "express"),
        ("PyPI", "reqeusts", "requests"),
        ("PyPI", "python_dateutils", "python-dateutil"),
        ("crates.io", "serd", ""),
        ("crates.io", "serde_jso", "serde_json"),
        ("RubyGems", "activesuport", "activesupport"),
        ("Packagist", "symfony/consle", ""),
        ("Packagist", "guzzlehtp/guzzle", "guzzlehttp/guzzle"),
        ("Go", "github.com/strechr/testify", "github.com/stretchr/testify"),
        ("npm", "lodash", ""),
        ("npm", "my-very-own-package", ""),
        ("Maven", "anything:at-all", ""),
        ("npm", "@types/expresss", ""),
    ],
)
def test_look_alikes(ecosystem: str, name: str, other: str) -> None:
    assert imitated(ecosystem, name) == other
