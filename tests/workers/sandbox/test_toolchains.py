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
    assert {environment.parent, other} <= set(folders)
    assert other.parent not in folders


def test_a_folder_that_is_seen_within_another_is_not_shown_once_more(tmp_path: Path) -> None:
    outer, elsewhere = tmp_path / "tools", tmp_path / "elsewhere"
    inner, linked, beside = outer / "bin", outer / "linked", tmp_path / "tools-too"
    for folder in (inner, elsewhere, beside):
        folder.mkdir(parents=True)
    linked.symlink_to(elsewhere)
    folders = Toolchains.of(f"{inner}:{linked}:{beside}:{outer}").folders
    assert {linked, beside, outer} <= set(folders)
    assert inner not in folders


def test_a_folder_that_a_link_leads_to_is_shown_once(tmp_path: Path) -> None:
    (tmp_path / "tools" / "bin").mkdir(parents=True)
    link = tmp_path / "link"
    link.symlink_to("tools")
    folders = Toolchains.of(f"{link / 'bin'}:{link}").folders
    assert link in folders
    assert link / "bin" not in folders
