"""The operator's secrets for repositories' commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.env_secrets import env_secrets_of, parse_env_secrets
from config.settings import SettingsError, load

TEXT = """
["Octo/site"]
DEPLOY_TOKEN = "site-12345"
["octo/*"]
DEPLOY_TOKEN = "octo-12345"
NPM_TOKEN = "npm-12345"
["octopus/site"]
DEPLOY_TOKEN = "other-12345"
"""


@pytest.mark.parametrize(
    ("repository", "given"),
    [
        ("octo/site", {"DEPLOY_TOKEN": "site-12345", "NPM_TOKEN": "npm-12345"}),
        ("OCTO/other", {"DEPLOY_TOKEN": "octo-12345", "NPM_TOKEN": "npm-12345"}),
        ("octopus/site", {"DEPLOY_TOKEN": "other-12345"}),
        ("octopus/other", {}),
        ("mallory/site", {}),
    ],
)
def test_a_repository_gets_its_own_and_its_owners(repository: str, given: dict[str, str]) -> None:
    assert env_secrets_of(parse_env_secrets(TEXT), repository) == given


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('["octo/site"]\nA = "canary-1', "is no TOML (at"),
        ('A = "canary-12345"', "must be tables by repository"),
        ('["*"]\nA = "canary-12345"', "must be tables by repository"),
        ('["*/site"]\nA = "canary-12345"', "must be tables by repository"),
        ('["octo/s*"]\nA = "canary-12345"', "must be tables by repository"),
        ('["octo/site"]\nLD_PRELOAD = "canary-12345"', "a name that is not allowed"),
        ('["octo/site"]\nASSAY_X = "canary-12345"', "a name that is not allowed"),
        ('["octo/site"]\nlower = "canary-12345"', "a name that is not allowed"),
        ('["octo/site"]\nA = "canary"', "a text of 8 characters or more"),
        ('["octo/site"]\nA = 123456789', "a text of 8 characters or more"),
    ],
)
def test_a_mistake_is_told_without_its_value(text: str, words: str) -> None:
    with pytest.raises(SettingsError) as raised:
        load({"ASSAY_ENV_SECRETS": text})
    assert "ASSAY_ENV_SECRETS" in str(raised.value)
    assert words in str(raised.value)
    assert "canary" not in str(raised.value)


def test_they_come_from_a_file_too_and_count_among_all_secrets(tmp_path: Path) -> None:
    file = tmp_path / "secrets.toml"
    file.write_text(TEXT)
    chosen = load({"ASSAY_ENV_SECRETS_FILE": str(file)})
    assert {"site-12345", "octo-12345", "npm-12345", "other-12345"} <= set(chosen.secrets())
    assert "site-12345" not in repr(chosen)
