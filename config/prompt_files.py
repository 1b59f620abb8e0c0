"""The prompts that Assay ships, `config/prompts/*.md`."""

from __future__ import annotations

from importlib.resources import files


def load_prompt(name: str) -> str:
    """The text of `config/prompts/{name}.md`.

    Raises FileNotFoundError for a name that is not there.
    """
    return (files("config") / "prompts" / f"{name}.md").read_text(encoding="utf-8")
