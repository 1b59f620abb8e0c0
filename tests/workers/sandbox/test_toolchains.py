"""What of the machine a command is shown, so that its programs work."""

from __future__ import annotations

from pathlib import Path

from workers.sandbox.toolchains import Toolchains


def test_a_program_of_a_virtual_environment_has_the_rest_of_it(tmp_path: Path) -> None:
    environment, other = tmp_path / "environment" / "bin", tmp_path / "other" / "bin"
    for folder in (environment, other):
        folder.mkdir(parents=True)
    (environment.parent / "pyvenv.cfg").touch()
    folders = Toolchains.of(f"{environment}:{other}").folders
    assert {environment, environment.parent, other} <= set(folders)
    assert other.parent not in folders
