"""What is written next, against a GitHub that is a dictionary: whatever views come, in whatever order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.publication import CheckRecord
from bot.domain.render import JOINED
from bot.domain.verdict import Conclusion
from bot.domain.views import Annotation, CheckView, Status
from bot.publishing.check_plan import STEP_INTERVAL, TEXT_INTERVAL, Write, plan, want

NAMES = (JOINED, "assay / lint", "assay / test")
ORDER = {"queued": 0, "in_progress": 1, "completed": 2}


def note(line: int) -> Annotation:
    return Annotation(path="a.py", start_line=line, end_line=line, level="warning", title="", message="m")


def view(
    name: str = JOINED, status: str = "completed", attempt: int = 1, title: str = "t", notes: int = 0
) -> CheckView:
    return CheckView(
        name=name,
        external_id=f"{name}#{attempt}",
        status=cast("Status", status),
        conclusion=Conclusion.SUCCESS if status == "completed" else None,
        title=title,
        summary="s",
        annotations=tuple(note(line) for line in range(notes)),
    )


@dataclass
class Check:
    """A check run as GitHub has it."""

    name: str
    external_id: str = ""
    status: str = "queued"
    history: list[str] = field(default_factory=list)
    annotations: list[Annotation] = field(default_factory=list)


@dataclass
class Hub:
    """Takes writes, and remembers what was written as `CheckWriter` does."""

    now: float = 1000.0
    checks: dict[int, Check] = field(default_factory=dict)
    records: dict[str, CheckRecord] = field(default_factory=dict)

    def due(self, views: Sequence[CheckView]) -> list[Write]:
        return plan(self.records, [want(one) for one in views])

    def send(self, write: Write) -> None:
        number = write.record.id or len(self.checks) + 1
        check = self.checks.setdefault(number, Check(write.name))
        check.external_id, check.status = write.shown.external_id, write.shown.status
        check.history.append(write.shown.status)
        check.annotations += write.chunk
        self.records[write.name] = write.after.model_copy(update={"id": number, "written_at": self.now})

    def bring(self, views: Sequence[CheckView]) -> int:
        """Write all that differs; how many writes."""
        for count in range(200):
            self.now += 100
            due = self.due(views)
            if not due:
                return count
            assert due[0].due <= self.now
            self.send(due[0])
        raise AssertionError("it does not come to an end")

    def newest(self, name: str) -> Check:
        return [check for check in self.checks.values() if check.name == name][-1]


views = st.builds(
    view,
    st.sampled_from(NAMES),
    st.sampled_from(("queued", "in_progress", "completed")),
    st.integers(min_value=1, max_value=3),
    st.sampled_from(("a", "b")),
    st.sampled_from((0, 1, 50, 51, 120)),
)
states = st.lists(st.lists(views, unique_by=lambda one: one.name, max_size=3), min_size=1, max_size=6)


@given(states)
def test_github_ends_with_what_is_wanted_and_no_check_is_reopened(history: list[list[CheckView]]) -> None:
    hub = Hub()
    for wanted in history:
        hub.bring(wanted)
        assert hub.bring(wanted) == 0, "what is there is written again"
        for one in wanted:
            check = hub.newest(one.name)
            assert (check.status, check.external_id) == (one.status, one.external_id)
            assert check.annotations == list(one.annotations)
        left = {check.name for check in hub.checks.values() if check.status != "completed"}
        assert left <= {one.name for one in wanted if one.status != "completed"}, "somebody waits for ever"
    for check in hub.checks.values():
        first = check.history.index("completed") if "completed" in check.history else len(check.history)
        assert set(check.history[first:]) <= {"completed"}, "a completed check was reopened"


def test_the_verdict_goes_first_then_results_then_progress() -> None:
    wanted = [view("assay / lint", "queued"), view("assay / test"), view(JOINED)]
    assert [(write.name, write.rank) for write in Hub().due(wanted)] == [
        (JOINED, "verdict"),
        ("assay / test", "result"),
        ("assay / lint", "progress"),
    ]


def test_of_progress_the_joined_check_goes_first() -> None:
    due = Hub().due([view("assay / lint", "queued"), view(JOINED, "queued")])
    assert [write.name for write in due] == [JOINED, "assay / lint"]


@pytest.mark.parametrize(
    ("status", "title", "wait"),
    [("in_progress", "t", STEP_INTERVAL), ("queued", "more", TEXT_INTERVAL), ("completed", "t", None)],
)
def test_progress_waits_and_results_do_not(status: str, title: str, wait: float | None) -> None:
    hub = Hub()
    hub.send(hub.due([view(JOINED, "queued")])[0])
    (write,) = hub.due([view(JOINED, status, title=title)])
    assert write.due == (0.0 if wait is None else hub.now + wait)


def test_annotations_go_out_in_chunks_and_the_last_one_completes() -> None:
    hub = Hub()
    assert hub.bring([view(notes=120)]) == 3
    assert hub.newest(JOINED).history == ["in_progress", "in_progress", "completed"]


def test_annotations_are_written_though_nothing_else_is_new() -> None:
    hub = Hub()
    hub.bring([view()])
    assert hub.bring([view(notes=1)]) == 1
    assert len(hub.newest(JOINED).annotations) == 1


def test_other_annotations_get_a_check_of_their_own_newer_than_the_one_it_replaces() -> None:
    hub = Hub()
    hub.bring([view(notes=3)])
    other = view(notes=3).model_copy(update={"annotations": (note(77),)})
    (write,) = hub.due([other])
    assert (write.record.id, write.record.newer_than) == (None, 1)
    hub.bring([other])
    assert [len(check.annotations) for check in hub.checks.values()] == [3, 1]


def test_unfinished_check_that_is_not_wanted_is_ended() -> None:
    hub = Hub()
    hub.bring([view(JOINED, "queued"), view("assay / lint", "in_progress")])
    (write,) = hub.due([view(JOINED, "queued")])
    assert (write.name, write.shown.conclusion, write.rank) == ("assay / lint", Conclusion.CANCELLED, "result")
