"""What an advisory says of one version."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.findings import Severity
from tests.workers.osv.server import EVIL, JINJA, LODASH
from workers.agents.dependencies import versions
from workers.agents.dependencies.advisory import parse, severity_of
from workers.agents.dependencies.package import Package


def lodash(version: str) -> Package:
    return Package("npm", "lodash", version)


def test_all_that_it_tells() -> None:
    one = parse(LODASH, lodash("4.17.20"))
    assert one
    assert (one.id, one.names) == ("GHSA-35jh-r3h4-6jhm", ("GHSA-35jh-r3h4-6jhm", "CVE-2021-23337"))
    assert (one.severity, one.cwe, one.fixed) == (Severity.HIGH, 77, ("4.17.21",))


@pytest.mark.parametrize(("version", "affected"), [("4.17.20", True), ("4.17.21", False), ("1.0.0-rc.1", True)])
def test_ranges_of_versions(version: str, affected: bool) -> None:
    assert (parse(LODASH, lodash(version)) is not None) is affected


@pytest.mark.parametrize(
    ("version", "affected"),
    [("0.9", False), ("1.0", True), ("1.1", True), ("1.2", False), ("1.9", False), ("2.0", True), ("2.1", True)],
)
def test_ranges_with_a_gap(version: str, affected: bool) -> None:
    events = [{"introduced": "2.0"}, {"introduced": "1.0"}, {"last_affected": "2.1"}, {"fixed": "1.2"}]
    record = {
        **JINJA,
        "affected": [{**JINJA["affected"][0], "versions": [], "ranges": [{"type": "ECOSYSTEM", "events": events}]}],
    }
    assert (parse(record, Package("PyPI", "Jinja2", version)) is not None) is affected


@pytest.mark.parametrize(
    ("ecosystem", "older", "newer"),
    [
        ("npm", "1.0.0-rc.1", "1.0.0"),
        ("PyPI", "1.0rc1", "1.0.post1"),
        ("crates.io", "0.9.0", "0.10.0"),
        ("Go", "0.0.0-20210101000000-abcdefabcdef", "0.0.0-20220101000000-abcdefabcdef"),
        ("RubyGems", "1.0.pre", "1.0"),
        ("Packagist", "1.2.3", "1.10.0"),
        ("Maven", "1.0-SNAPSHOT", "1.0"),
        ("NuGet", "1.0.0.1", "1.0.0.2"),
    ],
)
def test_every_ecosystem_orders_its_versions(ecosystem: str, older: str, newer: str) -> None:
    assert versions.before(ecosystem, older, newer) is True
    assert versions.before(ecosystem, newer, older) is False


def test_what_says_nothing_of_it_is_none() -> None:
    assert parse({**LODASH, "withdrawn": "2024-01-01T00:00:00Z"}, lodash("4.17.20")) is None
    assert parse(LODASH, Package("npm", "underscore", "1.0.0")) is None
    assert parse(LODASH, Package("PyPI", "lodash", "4.17.20")) is None
    assert parse(LODASH, lodash("no version")) is None


def test_a_match_of_the_server_counts() -> None:
    assert parse(LODASH, lodash("no version"), matched=True)


@pytest.mark.parametrize(
    ("fields", "severity"),
    [
        ({}, Severity.HIGH),
        ({"severity": [{"type": "CVSS_V3", "score": "nonsense"}]}, Severity.HIGH),
        ({"database_specific": {"severity": "MODERATE"}}, Severity.MEDIUM),
        ({"severity": [{"type": "CVSS_V2", "score": "AV:L/AC:H/Au:M/C:N/I:P/A:N"}]}, Severity.LOW),
        (
            {
                "severity": [
                    {"type": "CVSS_V4", "score": "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"}
                ]
            },
            Severity.CRITICAL,
        ),
    ],
)
def test_severities(fields: dict[str, Any], severity: Severity) -> None:
    one = parse({**JINJA, **fields}, Package("PyPI", "jinja2", "2.10"))
    assert one
    assert one.severity is severity


def test_malicious_packages_are_as_bad_as_can_be() -> None:
    one = parse(EVIL, Package("npm", "evil", "1.0.0"))
    assert one
    assert (one.severity, one.malicious) == (Severity.CRITICAL, True)


@pytest.mark.parametrize(
    ("score", "severity"), [(9.8, "critical"), (7.0, "high"), (6.9, "medium"), (0.1, "low"), (0, "info")]
)
def test_scores(score: float, severity: str) -> None:
    assert severity_of(score) == severity


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*sorted(LODASH), "package", "events", "ranges", "type", "versions"]), inner, max_size=4
        )
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(sorted(LODASH)), JSON), st.text(max_size=8))
def test_any_record_is_read_or_left(fields: dict[str, Any], version: str) -> None:
    one = parse({**LODASH, **fields}, lodash(version))
    assert one is None or one.id
