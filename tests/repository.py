"""A git repository of a developer's, for tests: real git, its own identity, nobody's configuration but the test's."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

# Whoever runs the tests may have settings of their own; a test that wants some gives them.
ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Alice",
    "GIT_AUTHOR_EMAIL": "alice@example.com",
    "GIT_COMMITTER_NAME": "Alice",
    "GIT_COMMITTER_EMAIL": "alice@example.com",
}


class Repository:
    """A repository at `root`, on the branch `main`, made when it is not there yet."""

    def __init__(self, root: Path, *init: str) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        if not (root / ".git").exists():
            self.git("init", "--quiet", "--initial-branch=main", *init)

    def git(self, *args: str, env: Mapping[str, str] | None = None) -> str:
        own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        done = subprocess.run(
            ["git", *args], cwd=self.root, env=own | ENVIRONMENT | dict(env or {}), capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().strip()

    def write(self, path: str, content: str | bytes) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    def commit(self, files: Mapping[str, str | bytes] | None = None, message: str = "change") -> str:
        """Write files and commit everything; the commit's SHA."""
        for path, content in (files or {}).items():
            self.write(path, content)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")

    def digest(self) -> str:
        """Of every file in the git directory, with its name."""
        folder = Path(self.git("rev-parse", "--absolute-git-dir"))
        digest = hashlib.sha256()
        for file in sorted(folder.rglob("*")):
            digest.update(f"{file.relative_to(folder)}\0".encode("utf-8", "surrogateescape"))
            digest.update(file.read_bytes() if file.is_file() else b"")
        return digest.hexdigest()
