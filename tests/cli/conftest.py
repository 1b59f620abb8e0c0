from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cli.command import Assay, caller
from tests.repository import ENVIRONMENT, Repository

# One quick linter.
QUICK = """\
agents:
  test: {enabled: false}
  lint: {tools: [ruff]}
  security: {enabled: false}
  review: {enabled: false}
"""


@pytest.fixture(autouse=True)
def _nobodys_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("GIT_", "ASSAY_", "OPENAI_")):
            monkeypatch.delenv(name)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def assay(capsys: pytest.CaptureFixture[str]) -> Assay:
    return caller(capsys)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """One that only ruff looks at."""
    made = Repository(tmp_path / "shop")
    made.commit({".github/assay.yml": QUICK, "shop.py": "PRICE = 1\n"})
    return made
