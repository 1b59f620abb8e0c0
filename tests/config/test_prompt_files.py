from __future__ import annotations

import pytest

from config.prompt_files import load_prompt


def test_the_reviewers_prompt_is_shipped() -> None:
    assert "data" in load_prompt("review")


def test_a_missing_prompt_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        load_prompt("nowhere")
