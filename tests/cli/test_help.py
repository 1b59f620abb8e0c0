"""`--help` teaches, and costs nothing."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from bot.cli.main import assay as group
from tests.cli.command import HERE, Assay

COMMANDS = list(group.list_commands(click.Context(group)))


def test_help_names_every_command(assay: Assay) -> None:
    ended = assay("--help")
    assert ended.code == 0
    for name in COMMANDS:
        assert f"\n  {name} " in ended.out
    assert "assay check" in ended.out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_that_fits_a_terminal(assay: Assay, name: str) -> None:
    ended = assay(name, "--help")
    assert ended.code == 0
    assert ended.out.startswith("Usage: ")
    assert max(map(len, ended.out.splitlines())) <= 80
    assert "\b" not in ended.out


def test_exit_codes_and_the_hook_are_in_the_help_of_check(assay: Assay) -> None:
    text = assay("check", "--help").out
    assert "  0  clean\n" in text
    assert "  2  something could not be looked at\n" in text
    assert "      chmod +x .git/hooks/pre-push\n" in text or "    chmod +x .git/hooks/pre-push\n" in text


def test_version(assay: Assay) -> None:
    ended = assay("--version")
    assert ended.code == 0
    assert ended.out.startswith("assay ")


@pytest.mark.parametrize(
    "arguments", [("chekc",), ("check", "--frmat", "json"), ("check", "--format", "xml"), ("show",)]
)
def test_misuse_is_2_and_says_what_is_right(assay: Assay, arguments: tuple[str, ...]) -> None:
    ended = assay(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("Usage: ")


def test_help_loads_no_command() -> None:
    """Shells ask for it at every completion."""
    heavy = ("pydantic", "rich", "redis", "githubkit", "openai")
    code = (
        "import sys; from bot.cli.main import main\n"
        "try: main(['--help'])\n"
        f"except SystemExit: print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=HERE, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_reader_that_leaves_early_is_no_error() -> None:
    command = f"{sys.executable} -m bot.cli config schema | head -c 1"
    done = subprocess.run(["bash", "-c", command], cwd=HERE, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("{", "")
