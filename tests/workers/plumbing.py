"""Trees that GitHub would not take, made with git's own plumbing."""

from __future__ import annotations

import subprocess
from pathlib import Path


def plumb(folder: Path, *arguments: str, stdin: bytes = b"") -> str:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    done = subprocess.run(["git", *who, *arguments], cwd=folder, input=stdin, capture_output=True, check=True)
    return done.stdout.decode().strip()


def tree_of(folder: Path, *entries: tuple[str, str, bytes]) -> str:
    """A tree of (mode, name, content)."""
    lines = b""
    for mode, name, content in entries:
        kind = "commit" if mode == "160000" else "blob"
        sha = content.decode() if kind == "commit" else plumb(folder, "hash-object", "-w", "--stdin", stdin=content)
        lines += f"{mode} {kind} {sha}\t{name}\0".encode()
    return plumb(folder, "mktree", "-z", "--missing", stdin=lines)
