"""What people are to see of a run, as values: rendered by `render`, written to GitHub by `publish`.

The limits are GitHub's: an output's `summary` and `text` 65,535 characters, 50 annotations a call, a message 64 KB, a
title 255 characters, three actions a check (label 20, description 40, identifier 20), a comment 65,536 characters.
"""

from __future__ import annotations

from typing import Literal

from bot.domain.model import Frozen
from bot.domain.verdict import Conclusion

TEXT_LIMIT = 60_000
ANNOTATIONS_A_CALL = 50

Status = Literal["queued", "in_progress", "completed"]


class Annotation(Frozen):
    """A note on lines of a file. Columns count only where both lines are the same."""

    path: str
    start_line: int
    end_line: int
    start_column: int | None = None
    end_column: int | None = None
    level: Literal["notice", "warning", "failure"]
    title: str
    message: str


class Action(Frozen):
    """A button on a check; `identifier` comes back in `check_run.requested_action`."""

    label: str
    description: str
    identifier: str


class CheckView(Frozen):
    """A check run as it should stand. `external_id` names run, agent and attempt; times are seconds since the epoch."""

    name: str
    external_id: str
    status: Status
    conclusion: Conclusion | None = None
    title: str
    summary: str
    text: str = ""
    annotations: tuple[Annotation, ...] = ()
    actions: tuple[Action, ...] = ()
    started_at: float | None = None
    completed_at: float | None = None


class InlineComment(Frozen):
    """A review comment on lines of the head's side, all within one hunk. One thread per fingerprint."""

    fingerprint: str
    path: str
    start_line: int
    end_line: int
    body: str


class Known(Frozen):
    """A finding that Assay has told about on a pull request before. `sources` names every `agent/tool` that reported
    it. `comment` is the id of its review comment, where it has one."""

    fingerprint: str
    title: str
    where: str
    path: str = ""
    sources: tuple[str, ...] = ()
    blocking: bool = False
    comment: int | None = None


class Changes(Frozen):
    """A pull request's findings against those of its last published run. `unseen` are earlier ones that nobody can
    say are gone, because an agent that reported them has not looked again."""

    new: tuple[str, ...] = ()
    open: tuple[str, ...] = ()
    fixed: tuple[Known, ...] = ()
    unseen: tuple[Known, ...] = ()
