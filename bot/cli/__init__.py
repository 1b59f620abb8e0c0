"""The command line, the outermost composition root: it alone assembles `bot` and `workers`."""

from bot.cli.main import main

__all__ = ["main"]
