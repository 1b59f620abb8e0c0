"""Answers that are remembered by what was shown: moved lines cost nothing, and findings go with them."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.demo.reviewer import added_lines
from bot.domain.diff import Diff
from bot.domain.findings import AgentResult, Cost, Finding, Severity
from bot.domain.redact import redact
from tests.workers.agents.review.reviewing import NoSandbox, work_on
from workers.agent import Answer, Kit, Model
from workers.agents import reading
from workers.agents.claims import Claim, Review
from workers.agents.dossier import dossiers
from workers.agents.review import ReviewAgent


class Kept:
    """A memory."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def recall(self, keys: Sequence[str]) -> Sequence[str | None]:
        return [self.texts.get(key) for key in keys]

    def note(self, texts: Mapping[str, str], seconds: int) -> None:
        assert seconds > 0
        self.texts |= texts


class Finder:
    """A model that claims every added line with a fault in it, and the line after, to be wrong."""

    name = "finder"
    room = 1_000_000

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.lines: list[list[str]] = []

    def named(self, model: str) -> Model:
        raise AssertionError(model)

    def estimate(self, system: str, user: str) -> Cost:
        return Cost(model=self.name, usd=0.0)

    def ask(self, system: str, user: str, answer: type[Answer], *, timeout: float) -> tuple[Answer, Cost]:
        lines = list(added_lines(user))
        self.asked.append(list(dict.fromkeys(path for path, _, _ in lines)))
        self.lines.append([text for _, _, text in lines])
        found = [claim(path, number, text) for path, number, text in lines if "fault" in text]
        said = Review(summary="It adds lines.", findings=found)
        return answer.model_validate(said.model_dump()), Cost(model=self.name, input_tokens=1)


def claim(path: str, number: int, text: str) -> Claim:
    words = {
        "severity": "high",
        "kind": "bug",
        "title": f"Wrong: {text}",
        "explanation": "It is.",
        "scenario": "Always",
    }
    return Claim(path=path, start_line=number, end_line=number + 1, confidence=0.9, **words)


def look(before: Mapping[str, str], after: Mapping[str, str], memory: Kept, **more: Any) -> tuple[AgentResult, Finder]:
    model = Finder()
    kit = Kit(NoSandbox(), model, lambda _: None, redact, memory)
    return ReviewAgent("Review it.").run(work_on(before, after, **more), kit), model


def with_faults(lines: Sequence[str], at: Sequence[int]) -> list[str]:
    """The lines, with two more before those that were there at first at these places."""
    out: list[str] = []
    for line in lines:
        word, _, number = line.partition(" ")
        if word != "new" and int(number) in at:
            out += [f"fault {number}", "and more"]
        out.append(line)
    return out


def shifted(lines: Sequence[str], above: int, between: int) -> list[str]:
    """The same with so many lines more above all of them, and in the middle."""
    middle = len(lines) // 2
    new = [f"new {number}" for number in range(above + between)]
    return [*new[:above], *lines[:middle], *new[above:], *lines[middle:]]


BASE = [f"line {number}" for number in range(80)]
FAULTS = (10, 20, 60)


def texts(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


@settings(max_examples=40, deadline=None)
@given(above=st.integers(0, 3_000), between=st.integers(0, 500), others=st.integers(0, 3))
def test_moved_lines_ask_nothing_and_findings_go_with_them(above: int, between: int, others: int) -> None:
    memory, head = Kept(), with_faults(BASE, FAULTS)
    first, asked = look({"a.py": texts(BASE)}, {"a.py": texts(head)}, memory)
    assert (len(asked.asked), len(first.findings)) == (1, 3)
    base = shifted(BASE, above, between)
    moved = with_faults(base, FAULTS)
    more = {f"other{number}.py": "x = 1\n" for number in range(others)}
    again, none = look({"a.py": texts(base)}, {"a.py": texts(moved), **more}, memory)
    assert [path for paths in none.asked for path in paths] == list(more)
    found = [one for one in again.findings if one.path == "a.py"]
    assert len(found) == 3
    for one in found:
        assert one.start_line
        assert f"Wrong: {moved[one.start_line - 1]}" in one.message
        assert one.last_line == one.start_line + 1
    if not others:
        assert again.cost is None


def test_only_the_file_that_changed_is_asked_about_again() -> None:
    memory = Kept()
    files = {name: texts(with_faults(BASE[:9], [5])) for name in ("a.py", "b.py", "c.py")}
    first, asked = look({}, files, memory)
    assert asked.asked == [["a.py", "b.py", "c.py"]]
    again, asked = look({}, files | {"b.py": texts(with_faults(BASE[:9], [6]))}, memory)
    assert asked.asked == [["b.py"]]
    assert again.covered == ("a.py", "b.py", "c.py")
    assert {(one.path, one.start_line) for one in again.findings} == {("a.py", 6), ("b.py", 7), ("c.py", 6)}
    assert again.summary == first.summary


def added(lines: Sequence[str], at: Mapping[int, str]) -> str:
    """The lines with one more before each of these places."""
    return texts([one for number, line in enumerate(lines) for one in (*([at[number]] if number in at else ()), line)])


def test_only_the_hunk_that_changed_is_asked_about_again() -> None:
    memory, base = Kept(), {"a.py": texts(BASE)}
    _, asked = look(base, {"a.py": added(BASE, {10: "one", 40: "two", 70: "three"})}, memory)
    assert asked.lines == [["one", "two", "three"]]
    again, asked = look(base, {"a.py": added(BASE, {10: "one", 40: "other", 70: "three"})}, memory)
    assert asked.lines == [["other"]]
    assert again.covered == ("a.py",)
    _, none = look(base, {"a.py": added(BASE, {10: "one", 70: "three"})}, memory)
    assert none.lines == [], "what was taken back costs nothing"


def test_open_findings_are_checked_again_once_their_file_is_changed_otherwise_and_no_other_time() -> None:
    memory, base = Kept(), {"a.py": texts(BASE), "b.py": texts(BASE)}

    def push(**b: str) -> tuple[list[int | None], list[list[str]]]:
        lines = added(BASE, {10: "fault", 40: b.get("second", "two"), 70: "three"})
        result, asked = look(base, {"a.py": lines, "b.py": added(BASE, {10: b.get("other", "x")})}, memory)
        return [one.start_line for one in result.findings], asked.lines

    assert push() == ([11], [["fault", "two", "three", "x"]])
    assert push(other="y") == ([11], [["y"]])
    assert push(second="fix") == ([11], [["fault", "fix"]])
    assert push(second="fix") == ([11], [])


def test_other_words_of_the_author_ask_nothing_and_refuted_claims_ask_all() -> None:
    memory, head = Kept(), {"a.py": added(BASE, {10: "one"}), "b.py": "fault\nx\n"}
    first, asked = look({"a.py": texts(BASE)}, head, memory, title="Sum", description="It sums.")
    again, none = look({"a.py": texts(BASE)}, head, memory, title="Add up", description="Closes #3.")
    assert (len(asked.asked), len(none.asked)) == (1, 0)
    assert (again.findings, again.summary) == (first.findings, first.summary)
    _, anew = look({"a.py": texts(BASE)}, head, memory, refutations=("b.py:1 is no fault",))
    assert anew.asked == [["a.py", "b.py"]]


def test_context_that_changed_is_another_question() -> None:
    memory, head = Kept(), with_faults(BASE, [10])
    look({"a.py": texts(BASE)}, {"a.py": texts(head)}, memory)
    other = [line.replace("line 9", "other 9") for line in BASE]
    _, asked = look({"a.py": texts(other)}, {"a.py": texts(with_faults(other, [10]))}, memory)
    assert asked.asked == [["a.py"]]


def test_a_file_over_several_requests_is_known_by_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "REQUEST_CHARACTERS", 4_000)
    memory, head = Kept(), texts(with_faults([f"statement {number}" for number in range(400)], [3, 390]))
    first, asked = look({}, {"a.py": head}, memory)
    assert len(asked.asked) > 2
    again, none = look({}, {"a.py": head}, memory)
    assert none.asked == []
    assert (again.findings, again.summary) == (first.findings, first.summary)


# -- the second look


def found(line: int) -> Finding:
    return Finding(
        tool="review", rule="review/bug", severity=Severity.HIGH, message="It is wrong. So.", path="a.py",
        start_line=line, end_line=line + 2, fingerprint="f1",
    )  # fmt: skip


@settings(max_examples=30, deadline=None)
@given(above=st.integers(0, 2_000))
def test_second_look_at_moved_lines_is_the_same_question(above: int) -> None:
    lines = [f"line {number}" for number in range(200)]
    bares = set()
    for more in (0, above):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "a.py").write_text(texts([*(f"new {number}" for number in range(more)), *lines]))
            (asked,) = dossiers([found(100 + more)], Path(folder), Diff(), redact, tests=True)
            assert f"Place: a.py:{100 + more}-{102 + more}" in asked.text
            bares.add(asked.bare)
            (other,) = dossiers([found(101 + more)], Path(folder), Diff(), redact, tests=True)
            assert other.bare != asked.bare
    assert len(bares) == 1
