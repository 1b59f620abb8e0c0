"""The operator's secrets for the commands of repositories: a TOML text, a table a repository or owner.

    ["octo/site"]
    DEPLOY_TOKEN = "..."
    ["octo/*"]
    NPM_TOKEN = "..."

Messages repeat nothing of a value.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping

Table = Mapping[str, Mapping[str, str]]

NAME = r"[A-Z][A-Z0-9_]{0,99}"
_OWNER = re.compile(r"[A-Za-z0-9_-]{1,100}/([A-Za-z0-9._-]{1,100}|\*)")
# A shorter one could not be masked, for it would mask ordinary words.
_SHORTEST = 8
# What these mean to programs is not the repository's to choose, though it names them only.
_NOT_THESE = re.compile(r"ASSAY_.*|LD_.*|PATH|HOME|IFS|ENV|BASH_ENV|SHELLOPTS|PYTHON(PATH|HOME|STARTUP)|NODE_OPTIONS")


def parse_env_secrets(text: str) -> Table:
    """The secrets by repository (`OWNER/NAME` or `OWNER/*`, in lower case) and name. Raises ValueError."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"\(at .*\)", str(error))
        raise ValueError(f"is no TOML {place[0] if place else ''}".rstrip()) from None
    return {repository.lower(): _secrets(repository, named) for repository, named in table.items()}


def _secrets(repository: str, named: object) -> Mapping[str, str]:
    if not _OWNER.fullmatch(repository) or not isinstance(named, dict):
        raise ValueError('must be tables by repository, such as ["octo/site"] or ["octo/*"], of NAME = "value"')
    for name, value in named.items():
        if not re.fullmatch(NAME, name) or _NOT_THESE.fullmatch(name):
            raise ValueError(f"[{repository}] has a name that is not allowed: use capitals, digits and _")
        if not isinstance(value, str) or len(value.strip()) < _SHORTEST or "\0" in value:
            raise ValueError(f"[{repository}] {name} must be a text of {_SHORTEST} characters or more")
    return named


def env_secrets_of(table: Table, repository: str) -> dict[str, str]:
    """What commands of a repository may be given; its own before its owner's."""
    name = repository.lower()
    return {**table.get(f"{name.partition('/')[0]}/*", {}), **table.get(name, {})}
