from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.diff import parse_diff
from bot.domain.redact import redact
from tests.workers.agents.changes import patch_of
from workers.agents.hunks import Hunk, read_patch, show, visible

SPAN = st.sampled_from(
    ["a", "b", "", "@@ -1 +1 @@", "-- x", "++ x", "diff --git a/x b/x", "\\ no", " @@", "\f", "\u2028"]
)
TEXT = st.lists(SPAN, min_size=1, max_size=40).map("\n".join)


def same(text: str) -> str:
    return text


@given(TEXT, TEXT)
def test_lines_are_numbered_as_they_are_in_the_file(before: str, after: str) -> None:
    """Whatever a hunk holds, each shown line bears the number it has in the new file."""
    for hunk in read_patch(patch_of({"x": before}, {"x": after})).get("x", ()):
        for line in show(hunk, same):
            if line.number:
                assert line.text == f"{line.number:6} {line.text[7]}{visible(after.split(chr(10))[line.number - 1])}"


@given(TEXT, TEXT)
def test_the_same_lines_are_added_as_the_domain_counts(before: str, after: str) -> None:
    patch = patch_of({"x": before}, {"x": after})
    file = parse_diff(patch.split("\n")).files.get("x")
    shown = [line for hunk in read_patch(patch).get("x", ()) for line in show(hunk, same)]
    added = [line.number for line in shown if line.text[7] == "+"]
    expected = [number for first, last in (file.added if file else ()) for number in range(first, last + 1)]
    assert added == expected


def test_git_itself_is_read(tmp_path: Path) -> None:
    old, new = tmp_path / "a", tmp_path / "b"
    for folder, text in ((old, "one\ntwo\nthree"), (new, "one\n--- two\r\nthree\nfour\n")):
        folder.mkdir()
        (folder / "sp ace é.txt").write_text(text)
    command = ["git", "diff", "--no-index", "--no-color", "--no-prefix", "a", "b"]
    patch = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stdout
    ((path, (hunk,)),) = read_patch(patch).items()
    assert path == "sp ace é.txt"
    assert [line.text for line in show(hunk, same)] == [
        "     1  one",
        "       -two",
        "       -three",
        "     2 +--- two",
        "     3 +three",
        "     4 +four",
    ]


@given(st.text(max_size=300))
def test_any_text_is_read_without_a_fault(text: str) -> None:
    read_patch(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\ttext é 你好 🙂", "plain\ttext é 你好 🙂"),
        ("a\u202eb", "a\\u{202e}b"),
        ("a\u200bb\u00ad", "a\\u{200b}b\\u{ad}"),
        ("\U000e0041\ufe0f\U000e0101", "\\u{e0041}\\u{fe0f}\\u{e0101}"),
        ("\u3164\u2800\u2028\x1b[0m", "\\u{3164}\\u{2800}\\u{2028}\\u{1b}[0m"),
        ("a\u00a0b", "a\\u{a0}b"),
        ("\udc80", "\\u{dc80}"),
    ],
)
def test_nothing_is_hidden(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(st.text())
def test_what_is_shown_can_be_sent_and_read(text: str) -> None:
    shown = visible(text)
    shown.encode()
    assert shown.replace("\t", "").isprintable()


def test_a_secret_is_withheld_and_its_line_is_not_exact() -> None:
    token = "ghp_" + "a1B2c3D4e5" * 4
    lines = show(Hunk("@@", 7, ("+x = 1", f"+token = '{token}'", " y")), redact)
    assert token not in str(lines)
    assert [line.exact for line in lines] == [True, False, True]


def test_a_secret_over_many_lines_keeps_the_numbers_of_the_others() -> None:
    key = ["-----BEGIN RSA PRIVATE KEY-----", *["MIIEowIBAAKCAQEAu1SU1LfVLPHCozMxH2Mo" for _ in range(4)]]
    key.append("-----END RSA PRIVATE KEY-----")
    lines = show(Hunk("@@", 1, ("+before", *(f"+{line}" for line in key), "+after")), redact)
    assert "MIIE" not in str(lines)
    assert [line.number for line in lines] == list(range(1, 9))
    assert lines[0].text == "     1 +before"
    assert lines[-1].text == "     8 +after"
    assert not any(line.exact for line in lines[1:-1])
