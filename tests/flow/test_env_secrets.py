"""The operator's secrets: to trusted commits' commands, by name, and to nobody else's eyes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from bot.demo.github import StandInGitHub
from bot.domain.findings import Outcome
from bot.domain.run import RunKey
from bot.redis.embedded import EmbeddedRedis
from tests.flow.assay import CLEAN, CONFIG, REPOSITORY, Assay, running
from tests.flow.test_people import opened, outcome, press

SECRET, OTHERS = "canary-7c1e9a40b2", "canary-of-another-repository"
TABLE = f'["{REPOSITORY}"]\nDEPLOY_TOKEN = "{SECRET}"\n["octo/other"]\nOTHER_TOKEN = "{OTHERS}"\n'
TELL = """
agents:
  test: {enabled: false}
  lint: {enabled: false}
  security: {enabled: false}
  review: {enabled: false}
  told:
    setup: echo "setup $DEPLOY_TOKEN"; test -z "$DEPLOY_TOKEN"
    run: >-
      echo "it is $DEPLOY_TOKEN"; printf %s "$DEPLOY_TOKEN" | base64; printf %s "$DEPLOY_TOKEN" | fold -w 5;
      echo "of ${#DEPLOY_TOKEN} letters"; exit 1
    env_secrets: DEPLOY_TOKEN
    required: true
"""


@pytest.fixture
def assay(
    github: StandInGitHub, redis: Redis, redis_server: EmbeddedRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Assay]:
    redis.config_set("appendfsync", "no")
    github.add_repository(REPOSITORY, {CONFIG: TELL, "demo.py": CLEAN}, collaborators={"alice": "write"})
    with running(github, redis, redis_server.url, tmp_path, monkeypatch, ASSAY_ENV_SECRETS=TABLE) as application:
        yield application
    redis.config_set("appendfsync", "always")


def everything_that_left(assay: Assay, github: StandInGitHub, sha: str) -> str:
    """What GitHub was sent, and what the run's log keeps."""
    log = assay.store.log(RunKey(repository=REPOSITORY, sha=sha))
    return "".join(str(request.body) for request in github.requests) + "".join(map(repr, log))


def test_a_trusted_commits_command_gets_what_it_names_and_nobody_sees_it(
    assay: Assay, github: StandInGitHub, caplog: pytest.LogCaptureFixture
) -> None:
    sha = github.push(REPOSITORY, "main", {"demo.py": CLEAN + "\n\nX = 1\n"})
    assay.settle()
    assert outcome(assay, sha, "told") is Outcome.FINDINGS
    left = everything_that_left(assay, github, sha)
    assert f"of {len(SECRET)} letters" in left
    assert "it is [redacted: secret]" in left
    squeezed = "".join((left + caplog.text).replace("\\n", "").split())
    for shown in (SECRET, "Y2FuYXJ5LTdjMWU5YTQwYjI"):
        assert shown not in squeezed


def test_a_strangers_commit_gets_none_not_even_when_it_is_approved(assay: Assay, github: StandInGitHub) -> None:
    github.world.user("mallory")
    fork = github.fork(REPOSITORY, "mallory")
    _, sha = opened(github, assay, fork)
    assert outcome(assay, sha, "told") is Outcome.NOT_RUN
    press(assay, github, sha, "alice")
    assert outcome(assay, sha, "told") is Outcome.FINDINGS
    left = everything_that_left(assay, github, sha)
    assert "of 0 letters" in left
    assert "redacted: secret" not in left


def test_a_secret_of_another_repository_is_none(assay: Assay, github: StandInGitHub) -> None:
    text = TELL.replace("env_secrets: DEPLOY_TOKEN", "env_secrets: [DEPLOY_TOKEN, OTHER_TOKEN]")
    sha = github.push(REPOSITORY, "main", {CONFIG: text})
    assay.settle()
    assert outcome(assay, sha, "told") is Outcome.NOT_RUN
    said = str(assay.check(sha, "assay / told").output)
    assert f"the operator of Assay keeps no secret OTHER_TOKEN for {REPOSITORY}" in said
    assert OTHERS not in everything_that_left(assay, github, sha)


def test_the_test_agents_own_command_gets_it_too(assay: Assay, github: StandInGitHub) -> None:
    text = (
        "agents:\n  test: {run: 'test ${#DEPLOY_TOKEN} = 17', env_secrets: DEPLOY_TOKEN}\n"
        "  lint: {enabled: false}\n  security: {enabled: false}\n  review: {enabled: false}\n"
    )
    sha = github.push(REPOSITORY, "main", {CONFIG: text})
    assay.settle()
    assert outcome(assay, sha, "test") is Outcome.CLEAN
