"""What a file is, by its name alone: a file's text must not talk itself out of a look. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from bot.domain.diff import FileDiff
from bot.domain.glob import matches_any

_TEST = re.compile(
    r"(?:^|/)(?:tests?|__tests__|spec)/|(?:^|/)test_[^/]*\Z|(?:_test|\.test|\.spec)\.[^/]*\Z"
    r"|(?:Test\.java|Tests\.cs|_spec\.rb)\Z"
)
_CODES = (
    ".py .pyi .js .jsx .mjs .cjs .ts .tsx .go .rs .java .kt .kts .scala .c .h .cc .cpp .hpp .cs .rb .php .swift .m .sh "
    ".bash .sql .ex .exs .erl .hs .ml .lua .pl .r .dart .vue .svelte"
)
_CODE = frozenset(_CODES.split())
_PROSE = frozenset((".md", ".rst", ".txt", ".adoc"))
# Code is what these hold as well: it runs with the rights of whoever builds.
_BUILDS = re.compile(
    r"(?:^|/)\.github/(?:workflows|actions)/|(?:^|/)(?:Dockerfile|Containerfile|Makefile|Jenkinsfile)[^/]*\Z"
)


def is_test(path: str) -> bool:
    return bool(_TEST.search(path))


def is_code(path: str) -> bool:
    return PurePosixPath(path).suffix.lower() in _CODE


def risk_rank(path: str) -> int:
    """How much depends on a file, 0 for the most: code and what builds it, then configuration, tests, prose."""
    if is_test(path):
        return 2
    if is_code(path) or _BUILDS.search(path):
        return 0
    return 3 if PurePosixPath(path).suffix.lower() in _PROSE else 1


def is_kept_back(file: FileDiff, globs: Sequence[str]) -> bool:
    """Whether the file, or the one that it was made of, is never shown to a model."""
    return any(matches_any(globs, path) for path in (file.path, file.old_path) if path)
