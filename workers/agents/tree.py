"""Reading the files of a tree that a stranger wrote: nothing outside it, no links, nothing too large."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

from bot.domain.findings import Finding

# A larger file is not looked at; bytes.
LARGEST = 10_000_000

Text = Literal["text", "binary", "not UTF-8", "too large", "missing", "a link", "a folder"]


def relative(root: Path, path: str) -> str | None:
    """A path that a tool named, relative to the root and without `.` and `..`; None when it is outside."""
    if not path or "\0" in path:
        return None
    if path.startswith("/"):
        tops = (str(root), os.path.realpath(root))
        top = next((top for top in tops if path.startswith(top.rstrip("/") + "/")), None)
        if top is None:
            return None
        path = path[len(top) :].lstrip("/")
    path = os.path.normpath(path)
    return None if path == "." or path.split("/", 1)[0] == ".." else path


def within(root: Path, path: str) -> Path | None:
    """The regular file of that relative path; None when there is none, or when a link is on the way."""
    clean = relative(root, path)
    if clean is None:
        return None
    top, file = os.path.realpath(root), root / clean
    try:
        if os.path.realpath(file) != str(Path(top, clean)) or not stat.S_ISREG(file.lstat().st_mode):
            return None
    except OSError:
        return None
    return file


_SNIFFED = 8_000


def kind(root: Path, path: str) -> Text:
    """What a file is to those who read text."""
    file = within(root, path)
    if file is None:
        return _no_file(root / path)
    with file.open("rb") as opened:
        # An image is no text at any size; git asks the same of the first 8,000 bytes.
        if b"\0" in opened.read(_SNIFFED):
            return "binary"
    if file.stat().st_size > LARGEST:
        return "too large"
    data = file.read_bytes()
    if b"\0" in data:
        return "binary"
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return "not UTF-8"
    return "text"


def _no_file(path: Path) -> Text:
    if path.is_dir() and not path.is_symlink():
        return "a folder"  # a submodule
    return "a link" if path.is_symlink() or path.exists() else "missing"


# `#!/usr/bin/env -S FOO=1 python3 -u`: env's options and variables come before the program.
_SHEBANG = re.compile(rb"#!\s*(?:\S*/)?(?:env\s+(?:-\S+\s+|\w+=\S*\s+)*(?:\S*/)?)?([A-Za-z][\w+-]*)")


def interpreter(root: Path, path: str) -> str:
    """The program that a script's first line names, without the digits of its version; empty where it names none."""
    file = within(root, path)
    if file is None:
        return ""
    with file.open("rb") as script:
        match = _SHEBANG.match(script.readline(256))
    return match[1].decode("ascii").rstrip("0123456789") if match else ""


def reader(root: Path) -> Callable[[str], Sequence[str]]:
    """Gives the lines of a file, without their ends; none for what cannot be read. Remembers the last few."""

    @lru_cache(maxsize=64)
    def read(path: str) -> tuple[str, ...]:
        file = within(root, path)
        if file is None or file.stat().st_size > LARGEST:
            return ()
        text = file.read_bytes().decode("utf-8", "replace")
        return tuple(text.removesuffix("\n").split("\n")) if text else ()

    return read


def tidy(finding: Finding, root: Path, redact: Callable[[str], str]) -> Finding:
    """A finding with its path inside the tree, or of the whole run, and with its texts bounded and without secrets."""
    path = relative(root, finding.path)
    lost = {"start_line": None, "end_line": None, "start_column": None, "end_column": None, "replacement": None}
    evidence = redact(finding.evidence)
    return finding.model_copy(
        update={
            "path": path or "",
            "rule": finding.rule[:200],
            "tool": finding.tool[:80],
            "message": redact(finding.message)[:2000],
            "evidence": evidence if len(evidence) <= 6000 else "…" + evidence[-6000:],
            **(lost if path is None else {}),
        }
    )
