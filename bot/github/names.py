"""Repository names and request paths. Names come from strangers, so that a path is only ever built here."""

from __future__ import annotations

import re
from urllib.parse import quote

from bot.errors import Theirs

# The underscore occurs in the logins of Enterprise Managed Users.
_REPOSITORY = re.compile(r"[A-Za-z0-9_-]{1,100}/(?!\.{1,2}\Z)[A-Za-z0-9._-]{1,100}")


def is_repository(name: str) -> bool:
    """Whether this is `owner/name` in GitHub's alphabet."""
    return _REPOSITORY.fullmatch(name) is not None


def to_path(repository: str, *segments: str | int) -> str:
    """`/repos/{owner}/{name}/{segment}/...`, each segment quoted, slashes included.

    Raises bot.errors.Theirs for what is no repository name, and for a segment that would climb to another path.
    """
    if not is_repository(repository):
        raise Theirs("a repository's name must look like owner/name")
    texts = [str(segment) for segment in segments]
    if any(text in ("", ".", "..") for text in texts):
        raise Theirs("a name in a request's path is empty, `.` or `..`")
    return "/".join(["/repos", repository, *(quote(text.encode("utf-8", "replace"), safe="") for text in texts)])
