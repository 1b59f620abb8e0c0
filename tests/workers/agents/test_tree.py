"""Reading a stranger's files."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.domain.findings import Finding, Severity
from workers.agents import tree


@pytest.mark.parametrize(
    ("named", "path"),
    [
        ("./a/b.py", "a/b.py"),
        ("././b.py", "b.py"),
        ("a/../b.py", "b.py"),
        ("a/../../b.py", None),
        ("../b.py", None),
        ("/etc/passwd", None),
        ("{root}/a/b.py", "a/b.py"),
        ("{root}2/a.py", None),
        ("{root}/../x", None),
        ("", None),
        (".", None),
        ("a\0b", None),
        ("--x", "--x"),
        ("..x", "..x"),
    ],
)
def test_paths_are_inside_the_tree_or_none(tmp_path: Path, named: str, path: str | None) -> None:
    assert tree.relative(tmp_path, named.format(root=tmp_path)) == path


def test_a_path_by_the_roots_real_name_is_inside(tmp_path: Path) -> None:
    """Tools print real paths; the root may be known by a link."""
    (tmp_path / "real").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "real")
    (tmp_path / "real" / "a.py").write_text("x\n")
    assert tree.relative(link, str(tmp_path / "real" / "a.py")) == "a.py"
    assert tree.reader(link)("a.py") == ("x",)


def test_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "secret").write_text("secret\n")
    (tmp_path / "in" / "file").symlink_to(tmp_path / "secret")
    (tmp_path / "in" / "folder").symlink_to(tmp_path)
    (tmp_path / "in" / "twin").symlink_to("real")
    (tmp_path / "in" / "real").write_text("x\n")
    read = tree.reader(tmp_path / "in")
    assert [read(path) for path in ("file", "folder/secret", "twin", "real")] == [(), (), (), ("x",)]
    assert tree.kind(tmp_path / "in", "file") == "a link"


def test_kinds_of_files(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("grüße\n")
    (tmp_path / "empty").write_text("")
    (tmp_path / "binary").write_bytes(b"\x89PNG\0")
    (tmp_path / "latin").write_bytes(b"gr\xfc\xdfe\n")
    (tmp_path / "large").write_bytes(b"x" * (tree.LARGEST + 1))
    (tmp_path / "module").mkdir()
    names = ("text", "empty", "binary", "latin", "large", "none", "module")
    assert [tree.kind(tmp_path, name) for name in names] == [
        "text",
        "text",
        "binary",
        "not UTF-8",
        "too large",
        "missing",
        "a folder",
    ]


def test_lines_end_at_newlines_only(tmp_path: Path) -> None:
    """Tools count so; a form feed or a Unicode separator ends no line."""
    (tmp_path / "a").write_bytes("one\ftwo\u2028\nthree\r\n".encode())
    assert tree.reader(tmp_path)("a") == ("one\ftwo\u2028", "three\r")


def test_a_finding_outside_belongs_to_the_whole_run_and_shows_no_secret(tmp_path: Path) -> None:
    finding = Finding(
        tool="t",
        rule="r" * 999,
        severity=Severity.LOW,
        message="s3cret " * 999,
        path="/etc/passwd",
        start_line=3,
        replacement="x",
    )
    tidy = tree.tidy(finding, tmp_path, lambda text: text.replace("s3cret", "***"))
    assert (tidy.path, tidy.start_line, tidy.replacement) == ("", None, None)
    assert "s3cret" not in tidy.message
    assert len(tidy.message) <= 2000
    assert len(tidy.rule) <= 200


def test_large_image_is_binary_and_not_a_text_too_large_to_read(tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(b"\x89PNG\0" + b"x" * tree.LARGEST)
    assert tree.kind(tmp_path, "photo.png") == "binary"
