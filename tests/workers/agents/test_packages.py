"""The security agent on changes of packages, with a server that speaks OSV's API."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.domain.findings import AgentResult, Finding, Outcome, Severity
from tests.workers.osv.server import EVIL, LODASH, osv
from workers.agent import Advisories, Registry
from workers.agents.security import SecurityAgent
from workers.osv.api import OsvApi
from workers.osv.registry import DepsDev

from ..stage import Stage

AGENT = SecurityAgent(tools=())


def lock(**packages: str | dict[str, Any]) -> str:
    entries = {
        f"node_modules/{name.replace('_', '-')}": {"version": value} if isinstance(value, str) else value
        for name, value in packages.items()
    }
    return json.dumps({"lockfileVersion": 3, "packages": entries}, indent=2) + "\n"


def look(stage: Stage, advisories: Advisories | None = None, registry: Registry | None = None) -> AgentResult:
    return AGENT.run(stage.work(), replace(stage.kit(), advisories=advisories, registry=registry))


def run(
    tmp_path: Path, head: str, base: str | None, advisories: Advisories | None = None, **settings: object
) -> AgentResult:
    files = {"package-lock.json": base} if base else None
    return look(Stage(tmp_path, {"package-lock.json": head}, base=files, settings=settings), advisories)


def rules(result: AgentResult) -> dict[str, Finding]:
    return {finding.rule: finding for finding in result.findings}


def test_a_vulnerable_package_that_a_change_brings(tmp_path: Path) -> None:
    with osv(LODASH) as server:
        result = run(tmp_path, lock(lodash="4.17.20", a="1.0.0"), lock(a="1.0.0"), OsvApi(server.url))
    assert result.outcome is Outcome.FINDINGS
    (one,) = result.findings
    assert (one.rule, one.severity, one.cwe, one.new) == ("known-vulnerability", Severity.HIGH, 77, True)
    assert (one.path, one.start_line) == ("package-lock.json", 5)
    assert "lodash 4.17.20 has a known vulnerability: Command Injection in lodash (GHSA-35jh-r3h4-6jhm" in one.message
    assert one.advice.startswith("Upgrade lodash to 4.17.21 or later.")
    assert result.covered == ("package-lock.json",)
    assert "1 added" in result.summary
    assert "added npm lodash 4.17.20" in result.log
    assert "OSV at 127.0.0.1" in result.tools


def test_what_the_version_before_had_too_is_not_new(tmp_path: Path) -> None:
    with osv(LODASH) as server:
        result = run(tmp_path, lock(lodash="4.17.20"), lock(lodash="4.17.19"), OsvApi(server.url))
    assert [(one.rule, one.new) for one in result.findings] == [("known-vulnerability", False)]


def test_a_lock_file_that_moved_brings_nothing_new(tmp_path: Path) -> None:
    text = lock(lodash="4.17.20")
    head, base = {"web/package-lock.json": text}, {"package-lock.json": text}
    with osv(LODASH) as server:
        result = look(Stage(tmp_path, head, base=base), OsvApi(server.url))
    assert not any(one.new for one in result.findings)


@pytest.mark.parametrize("name", ["GHSA-35jh-r3h4-6jhm", "CVE-2021-23337"])
def test_what_was_accepted_is_not_told(tmp_path: Path, name: str) -> None:
    with osv(LODASH) as server:
        result = run(tmp_path, lock(lodash="4.17.20"), lock(), OsvApi(server.url), allow=(name,))
    assert result.outcome is Outcome.CLEAN


def test_without_a_database_changed_packages_are_partial_and_say_what_to_do(tmp_path: Path) -> None:
    result = run(tmp_path, lock(a="2.0.0"), lock(a="1.0.0"))
    assert result.outcome is Outcome.PARTIAL
    assert "no database of known vulnerabilities is set up" in result.reason
    assert "ASSAY_OSV_URL" in result.remedy
    assert "agents.security.vulnerabilities: false" in result.remedy


def test_without_a_database_nothing_is_missed_where_nothing_came(tmp_path: Path) -> None:
    assert run(tmp_path / "1", lock(a="1.0.0"), lock(a="1.0.0", b="1.0.0")).outcome is Outcome.CLEAN
    assert run(tmp_path / "2", lock(a="2.0.0"), lock(), vulnerabilities=False).outcome is Outcome.CLEAN


def test_a_database_that_is_away_is_partial(tmp_path: Path) -> None:
    with osv() as server:
        server.failures = [500] * 3
        result = run(tmp_path, lock(a="2.0.0"), lock(a="1.0.0"), OsvApi(server.url))
    assert result.outcome is Outcome.PARTIAL
    assert "OSV at 127.0.0.1: it answered 500" in result.reason


def test_a_lock_file_that_cannot_be_read_is_partial(tmp_path: Path) -> None:
    result = run(tmp_path, "<<<<<<< HEAD\n", lock(a="1.0.0"))
    assert result.outcome is Outcome.PARTIAL
    assert "package-lock.json: it is no JSON" in result.reason
    assert result.covered == ()


def test_malicious_packages(tmp_path: Path) -> None:
    with osv(EVIL) as server:
        found = rules(run(tmp_path, lock(evil="1.0.0"), lock(), OsvApi(server.url)))
    assert found["malicious-package"].severity is Severity.CRITICAL
    assert found["malicious-package"].advice.startswith("Remove evil")


@pytest.mark.parametrize(
    ("old", "new", "rule", "severity"),
    [
        (None, {"version": "1.0.0", "hasInstallScript": True}, "install-script", Severity.LOW),
        ({"version": "1.0.0"}, {"version": "1.0.1", "hasInstallScript": True}, "install-script", Severity.MEDIUM),
        (
            {"version": "1.0.0", "license": "MIT"},
            {"version": "1.0.1", "license": "ISC"},
            "licence-changed",
            Severity.LOW,
        ),
        (
            {"version": "1.0.0", "license": "MIT"},
            {"version": "1.0.1", "license": "GPL-3.0"},
            "licence-changed",
            Severity.MEDIUM,
        ),
        ({"version": "2.0.0"}, {"version": "1.0.0"}, "downgrade", Severity.LOW),
        (None, {"version": "1.0.0", "deprecated": "broken"}, "deprecated", Severity.LOW),
        (None, {"version": "1.0.0", "resolved": "http://npm.registry.example/a.tgz"}, "source", Severity.MEDIUM),
        (None, {"version": "1.0.0", "resolved": "git+ssh://git@github.com/o/a.git#0"}, "source", Severity.LOW),
        (
            {"version": "1.0.0", "integrity": "sha512-a"},
            {"version": "1.0.0", "integrity": "sha512-b"},
            "checksum-changed",
            Severity.HIGH,
        ),
    ],
)
def test_what_else_is_told(
    tmp_path: Path, old: dict[str, Any] | None, new: dict[str, Any], rule: str, severity: Severity
) -> None:
    result = run(tmp_path, lock(some=new), lock(**({"some": old} if old else {})), vulnerabilities=False)
    assert {name: one.severity for name, one in rules(result).items()} == {rule: severity}
    assert rules(result)[rule].advice


def test_a_source_that_no_package_came_from_before(tmp_path: Path) -> None:
    usual = {"version": "1.0.0", "resolved": "https://npm.registry.example/a/-/a.tgz"}
    odd = {"version": "1.0.0", "resolved": "https://evil.example/b.tgz"}
    result = run(tmp_path, lock(a=usual, b=odd), lock(a=usual), vulnerabilities=False)
    assert "comes from evil.example" in rules(result)["source"].message


def test_look_alikes_are_told_when_they_come(tmp_path: Path) -> None:
    result = run(tmp_path, lock(loadsh="1.0.0"), lock(), vulnerabilities=False)
    assert "popular package lodash" in rules(result)["look-alike"].message


def test_sums_tell_of_changed_contents_only(tmp_path: Path) -> None:
    base = {"go.sum": "a.example/b v1.0.0 h1:aaaaaaaaaaaa=\n"}
    head = {"go.sum": "a.example/b v1.0.0 h1:bbbbbbbbbbbb=\na.example/c v1.0.0 h1:cccccccccccc=\n"}
    result = look(Stage(tmp_path, head, base=base))
    assert list(rules(result)) == ["checksum-changed"]
    assert result.outcome is Outcome.FINDINGS


def test_a_deleted_lock_file_removes_its_packages(tmp_path: Path) -> None:
    result = look(Stage(tmp_path, {}, base={"package-lock.json": lock(a="1.0.0")}))
    assert (result.outcome, "1 removed" in result.summary) == (Outcome.CLEAN, True)


def test_only_when_it_is_asked_for(tmp_path: Path) -> None:
    assert run(tmp_path / "1", lock(a="2.0.0"), lock(), tools=("dependencies",)).outcome is Outcome.PARTIAL
    assert run(tmp_path / "2", lock(a="2.0.0"), lock(), tools=()).outcome is not Outcome.PARTIAL


def test_a_compact_lock_file_loses_no_finding(tmp_path: Path) -> None:
    """Without a line of its own a finding is one of the whole run: of a file without a line it would be dropped."""
    text = json.dumps({"lockfileVersion": 3, "packages": {"node_modules/loadsh": {"version": "1.0.0"}}})
    (one,) = run(tmp_path, text, lock(), vulnerabilities=False).findings
    assert (one.path, one.start_line) == ("", None)
    assert one.message.startswith("package-lock.json: loadsh")


def test_what_a_registry_tells_of_versions(tmp_path: Path) -> None:
    yesterday = (datetime.now(UTC) - timedelta(days=1)).strftime("%Y-%m-%dT00:00:00Z")
    with osv() as server:
        server.versions = {
            "NPM/packages/a/versions/1.0.0": {"licenses": ["MIT"], "publishedAt": "2020-01-01T00:00:00Z"},
            "NPM/packages/a/versions/2.0.0": {"licenses": ["AGPL-3.0"], "publishedAt": yesterday},
            "NPM/packages/b/versions/1.0.0": {"isDeprecated": True, "deprecatedReason": "yanked"},
        }
        files = {"package-lock.json": lock(a="2.0.0", b="1.0.0")}
        base = {"package-lock.json": lock(a="1.0.0")}
        settings = {"vulnerabilities": False}
        found = rules(look(Stage(tmp_path, files, base=base, settings=settings), registry=DepsDev(server.url)))
    assert set(found) == {"licence-changed", "very-new", "deprecated"}
    assert "1 days ago" in found["very-new"].message
    assert "MIT before, AGPL-3.0 now" in found["licence-changed"].message


def test_a_registry_that_is_away_is_partial(tmp_path: Path) -> None:
    with osv() as server:
        server.failures = [500] * 3
        stage = Stage(tmp_path, {"package-lock.json": lock(a="2.0.0")}, settings={"vulnerabilities": False})
        result = look(stage, registry=DepsDev(server.url))
    assert result.outcome is Outcome.PARTIAL
    assert "deps.dev at 127.0.0.1: it answered 500" in result.reason
