"""Trees that GitHub would not take, made with git's own plumbing, and written as agents' jobs have them written."""

from __future__ import annotations

import os
import subprocess
from functools import cache
from pathlib import Path

from workers.agent import Sandbox
from workers.sandbox.choice import choose, for_files
from workers.trees import Scribe, Trees


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


@cache
def sandbox() -> Sandbox:
    """What git writes files in on this machine."""
    return for_files(choose("auto", os.environ["PATH"]), os.environ["PATH"])


def scribe(folder: Path, inside: Sandbox | None = None) -> Scribe:
    """One that leaves git's index in a folder."""
    return Scribe(inside or sandbox(), folder / "git" / "index")


def write(trees: Trees, tree: str, folder: Path) -> None:
    """Have a tree written into a new folder."""
    folder.parent.mkdir(exist_ok=True)
    trees.write(tree, folder, scribe(folder.parent))
