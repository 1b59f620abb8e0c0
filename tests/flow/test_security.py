"""The security agent from the webhook to the verdict: what earlier commits brought, and what a lock file does."""

from __future__ import annotations

import json

from bot.demo.github import StandInGitHub
from bot.domain.findings import Outcome
from bot.domain.verdict import Conclusion
from tests.flow.assay import CLEAN, CONFIG, REPOSITORY, Assay

ONLY = "agents: {{test: {{enabled: false}}, lint: {{enabled: false}}, security: {{tools: [{tools}]{more}}}}}\n"
# Put together here, so that no scanner finds it in this file.
KEY = "AKIA" + "Z7VRSQ5TJN2XMPLW"


def change(github: StandInGitHub, assay: Assay, *commits: dict[str, str], config: str) -> tuple[int, str]:
    github.push(REPOSITORY, "main", {CONFIG: config, "package-lock.json": _lock("1.0.0")})
    assay.settle()
    for files in commits:
        sha = github.commit(REPOSITORY, "feature", files)
    number = github.open_pull(REPOSITORY, "feature")
    assay.settle()
    return number, sha


def _lock(version: str) -> str:
    return json.dumps({"lockfileVersion": 3, "packages": {"node_modules/a": {"version": version}}}, indent=2)


def test_a_secret_that_the_head_does_not_show_fails_the_check_and_can_be_accepted(
    assay: Assay, github: StandInGitHub
) -> None:
    config = ONLY.format(tools="detect-secrets", more="")
    leak, cure = {"demo.py": f'{CLEAN}KEY = "{KEY}"\n'}, {"demo.py": f"{CLEAN}X = 1\n"}
    number, sha = change(github, assay, leak, cure, config=config)
    assert assay.verdict(sha) is Conclusion.FAILURE
    comment = assay.comment(number)
    assert "AWS Access Key in commit" in comment
    assert KEY not in comment + str([one.body for one in github.requests])
    [finding] = assay.run(sha).agents[0].result.findings  # type: ignore[union-attr] # it has ended
    assert finding.identity.startswith("secret-")
    github.push(REPOSITORY, "main", {CONFIG: config.replace("]}", f"], allow: [{finding.identity}]}}")})
    accepted = github.push(REPOSITORY, "feature", {CONFIG: config.replace("]}", f"], allow: [{finding.identity}]}}")})
    assay.settle()
    assert assay.verdict(accepted) is Conclusion.SUCCESS


def test_packages_that_nobody_looked_up_wait_for_a_person(assay: Assay, github: StandInGitHub) -> None:
    config = ONLY.format(tools="dependencies", more="")
    number, sha = change(github, assay, {"package-lock.json": _lock("2.0.0")}, config=config)
    assert assay.verdict(sha) is Conclusion.ACTION_REQUIRED
    assert assay.run(sha).agents[0].outcome is Outcome.PARTIAL
    assert "ASSAY_OSV_URL" in f"{assay.comment(number)} {assay.check(sha, 'assay / security').output}"


def test_a_repository_may_look_elsewhere(assay: Assay, github: StandInGitHub) -> None:
    config = ONLY.format(tools="dependencies", more=", vulnerabilities: false")
    _, sha = change(github, assay, {"package-lock.json": _lock("2.0.0")}, config=config)
    assert assay.verdict(sha) is Conclusion.SUCCESS
