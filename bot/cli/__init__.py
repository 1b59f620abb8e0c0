"""The command line, the outermost composition root: it alone assembles `bot` and `workers`."""

import sys
from pathlib import Path

# `python -m` has the current folder come first, where a repository may have a `config`, or a `click.py`, of its own.
if sys.argv[:1] == ["-m"] and not sys.flags.safe_path and Path(sys.path[0]) != Path(__file__).parents[2]:
    del sys.path[0]

from bot.cli.main import main

__all__ = ["main"]
