from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import Theirs
from bot.github.names import is_repository, to_path


@pytest.mark.parametrize("name", ["octo/spoon", "o/a.b-c_d", "mona_acme/x", "a-b/.github", "o/...", "o/1"])
def test_names_that_github_gives(name: str) -> None:
    assert is_repository(name)


@pytest.mark.parametrize(
    "name", ["", "octo", "/x", "o/", "o/.", "o/..", "o/a/b", "o/a?b", "o/a b", "o/a\n", "ö/x", "o/%2e%2e", "../x"]
)
def test_names_that_nobody_has(name: str) -> None:
    assert not is_repository(name)
    with pytest.raises(Theirs):
        to_path(name)


def test_segments_are_quoted_whole() -> None:
    path = to_path("o/r", "contents", "a b", "c?d#e%f", "g/h", "ü", 7)
    assert path == "/repos/o/r/contents/a%20b/c%3Fd%23e%25f/g%2Fh/%C3%BC/7"


@pytest.mark.parametrize("segment", ["", ".", ".."])
def test_a_path_cannot_climb(segment: str) -> None:
    with pytest.raises(Theirs):
        to_path("o/r", "contents", segment, "x")


@given(st.text(min_size=1).filter(lambda text: text not in (".", "..")))
def test_any_segment_stays_one_segment(segment: str) -> None:
    assert to_path("o/r", segment).count("/") == 4
