"""What agents work with, by its digest."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

import workers.toolbox
from workers.toolbox import toolbox


def digest(*folders: Path) -> str:
    toolbox.cache_clear()
    return toolbox(os.pathsep.join(map(str, folders)))


def test_the_same_tools_have_the_same_digest(tmp_path: Path) -> None:
    assert digest(tmp_path) == digest(tmp_path, tmp_path / "missing")


def test_program_that_is_installed_or_replaced_changes_it(tmp_path: Path) -> None:
    seen = {digest(), digest(tmp_path)}
    for content in ("one", "two"):
        time.sleep(0.01)
        (tmp_path / "new").write_text(content)
        (tmp_path / "new").rename(tmp_path / "tool")
        seen.add(digest(tmp_path))
    assert len(seen) == 4


def test_package_of_another_version_changes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest()
    monkeypatch.setattr(workers.toolbox, "_packages", lambda: ["ruff 99.0"])
    assert digest() != before


def test_what_assay_s_own_agents_do_changes_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen = set()
    monkeypatch.setattr(workers.toolbox, "_ROOT", tmp_path)
    (tmp_path / "workers").mkdir()
    for text in ("a = 1", "a = 2"):
        (tmp_path / "workers" / "agent.py").write_text(text)
        seen.add(digest())
    assert len(seen) == 2
