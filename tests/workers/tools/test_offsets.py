"""Places by offsets, against counting by hand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from workers.tools.edits import Edit
from workers.tools.offsets import Offsets, in_bytes, in_units

LINES = st.lists(st.text(st.sampled_from("ab é€😀"), max_size=6), min_size=1, max_size=4)


@given(LINES, st.data())
def test_a_place_is_where_its_character_is(lines: list[str], data: st.DataObject) -> None:
    text = "".join(f"{line}\n" for line in lines)
    index = data.draw(st.integers(0, len(text)))
    before = text[:index]
    expected = before.count("\n") + 1, index - (before.rfind("\n") + 1) + 1
    assert Offsets(lines, in_bytes).place(len(before.encode())) == expected
    assert Offsets(lines, in_units).place(len(before.encode("utf-16-le")) // 2) == expected


def test_within_a_character_or_outside_is_no_place() -> None:
    offsets = Offsets(["é😀"], in_bytes)
    assert [offsets.place(one) for one in (0, 1, 2, 3, 6, 7, 8, -1, None, True, "1")] == [
        *((1, 1), None, (1, 2), None, (1, 3), (2, 1)),
        *(None,) * 5,
    ]


def test_an_edit_needs_both_places() -> None:
    offsets = Offsets(["let a;", "b"], in_units)
    assert offsets.edit(0, 3, "const") == Edit(1, 1, 1, 4, "const")
    assert offsets.edit(0, 99, "") is None
