"""Colours for a report, where a terminal shows it: `click.echo` takes them out again where none does."""

from __future__ import annotations

import os
import re

import click

_COLOURS = {"✗": "red", "✓": "green", "!": "yellow", "–": "yellow", "-": "yellow"}
_SIGN = re.compile(r"^([✗✓!–-]) ", re.MULTILINE)


def paint(text: str) -> str:
    """The text with the sign at the beginning of a line in its colour. NO_COLOR is honoured (https://no-color.org)."""
    if os.environ.get("NO_COLOR"):
        return text
    return _SIGN.sub(lambda match: click.style(match[1], fg=_COLOURS[match[1]], bold=True) + " ", text)
