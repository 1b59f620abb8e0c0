"""What a reviewer is shown around a hunk."""

from __future__ import annotations

from collections.abc import Sequence

from bot.domain.redact import redact
from tests.workers.agents.changes import patch_of
from workers.agents.hunks import Hunk, read_patch
from workers.agents.outline.outline import Definition, Outline
from workers.agents.surroundings import Context, Source, Surroundings

LINES = [f"line {number}" for number in range(1, 301)]


def changed(*edits: tuple[int, str | None]) -> list[str]:
    """The lines with some of them, by their numbers, replaced, or removed."""
    to = dict(edits)
    return [text for number, line in enumerate(LINES, 1) if (text := to.get(number, line)) is not None]


def hunks_of(head: Sequence[str], base: Sequence[str] = LINES) -> tuple[Hunk, ...]:
    return read_patch(patch_of({"a.py": "\n".join(base)}, {"a.py": "\n".join(head)}))["a.py"]


def around(
    head: Sequence[str], *definitions: Definition, before: Sequence[Definition] = (), base: Sequence[str] = LINES
) -> list[Context]:
    source = {"a.py": Source(Outline(tuple(before)), list(base))} if before else {}
    found = Surroundings({"a.py": Outline(definitions)}, lambda _: head, redact, source)
    return found.of("a.py", hunks_of(head, base))


def numbers(lines: Sequence[tuple[int, str]]) -> list[int]:
    return [number for number, _ in lines]


def test_rest_of_the_function_stands_before_and_after() -> None:
    (context,) = around(changed((50, "new")), Definition("f", 40, 60, 40))
    assert numbers(context.heads) == [40]
    assert numbers(context.before) == list(range(40, 47))
    assert numbers(context.after) == list(range(54, 61))
    assert context.before[0] == (40, "line 40")


def test_of_a_long_function_the_nearest_lines_stand_there_and_its_head() -> None:
    (context,) = around(changed((150, "new")), Definition("f", 10, 290, 11))
    assert numbers(context.before) == [10, 11, *range(87, 147)]
    assert numbers(context.after) == list(range(154, 214))


def test_class_that_holds_others_is_told_by_its_head_alone() -> None:
    whole, method = Definition("C", 40, 100, 40), Definition("C.f", 80, 90, 80)
    (context,) = around(changed((50, "new")), whole, method)
    assert (numbers(context.before), context.after) == ([40], ())


def test_hunks_that_lie_in_one_function_join() -> None:
    one, other = Definition("f", 40, 90, 40), Definition("g", 100, 130, 100)
    found = around(changed((50, "new"), (70, "new"), (110, "new"), (150, "new"), (170, "new")), one, other)
    assert [context.joins for context in found] == [False, True, False, False, False]


def test_hunks_of_a_class_that_holds_others_do_not_join() -> None:
    whole, method = Definition("C", 40, 100, 40), Definition("C.f", 90, 95, 90)
    assert [one.joins for one in around(changed((50, "new"), (70, "new")), whole, method)] == [False, False]


def test_no_line_is_told_twice() -> None:
    first, second = around(changed((50, "new"), (70, "new")), Definition("f", 40, 90, 40))
    assert numbers(first.after) == list(range(54, 67))
    assert numbers(second.before) == [40]
    assert numbers(second.after) == list(range(74, 91))


def test_function_that_lost_lines_is_told_once_as_it_was() -> None:
    was = Definition("f", 40, 90, 40)
    found = around(changed((50, None), (51, None), (70, None)), Definition("f", 40, 87, 40), before=[was])
    assert found[0].was == tuple(LINES[39:90])
    assert found[1].was == ()


def test_of_a_long_function_as_it_was_the_nearest_lines_are_told() -> None:
    was = Definition("f", 1, 300, 1)
    (context,) = around(changed((150, None)), Definition("f", 1, 299, 1), before=[was])
    assert context.was == tuple(LINES[89:210])


def test_function_that_was_changed_or_is_shown_whole_is_not_told_again() -> None:
    whole = Definition("f", 40, 60, 40)
    assert around(changed((50, "new")), whole, before=[whole])[0].was == ()
    small = Definition("f", 49, 52, 49)
    assert around(changed((50, None)), Definition("f", 49, 51, 49), before=[small])[0].was == ()


def test_secret_over_many_lines_is_withheld_as_a_whole() -> None:
    key = ["-----BEGIN RSA PRIVATE KEY-----", *["MIIEowIBAAKCAQEA" * 4] * 20, "-----END RSA PRIVATE KEY-----"]
    head = [*LINES[:40], *key, *LINES[40:80], "new", *LINES[80:]]
    base = [line for line in head if line != "new"]
    (context,) = around(head, Definition("f", 50, 110, 50), base=base)
    assert 60 in numbers(context.before)
    assert "MIIEow" not in str(context)


def test_words_of_a_stranger_hide_nothing() -> None:
    head = changed((50, "new"), (44, "a\u202eb" + "w" * 1_000))
    found = around(head, Definition("f", 40, 60, 40))
    assert "\u202e" not in str(found)
    assert "w" * 250 not in str(found)


def test_outline_that_does_not_fit_the_file_harms_nothing() -> None:
    strange = Definition("f", 40, 10_000, 9_000)
    (context,) = around(changed((290, "new")), strange)
    assert numbers(context.after) == list(range(294, 301))
