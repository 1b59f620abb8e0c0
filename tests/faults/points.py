"""The named points at which a process may be made to kill itself: between two steps that belong together."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal


@dataclass(frozen=True)
class Point:
    """A function by its dotted name, on which side of its call the process dies, and which process that is."""

    function: str
    side: Literal["before", "after"]
    process: Literal["web", "worker", "intake", "agent", "publish", "sweep"]


POINTS = {
    "after-admission": Point("bot.deliveries.Admissions._admit", "after", "web"),
    "after-dequeue": Point("bot.worker._Ours.execute_job", "before", "worker"),
    "before-fork": Point("bot.worker.AgentWorker.fork_work_horse", "before", "worker"),
    "after-work-before-books": Point("bot.worker._Ours.close_books", "before", "worker"),
    "run-saved-delivery-not": Point("bot.intake.start.Starts.start", "after", "intake"),
    "delivery-settled-job-not": Point("bot.deliveries.Deliveries.settle", "after", "intake"),
    "agent-taken-up": Point("bot.store.Store.take_up", "after", "worker"),
    "agent-looked": Point("workers.run._look_at_commit", "after", "agent"),
    "agent-finished-job-not": Point("workers.run.tell", "after", "worker"),
    "before-publish": Point("bot.publishing.publisher.Publisher._publish", "before", "publish"),
    "check-created-not-recorded": Point("bot.github.checks.Checks.create", "after", "publish"),
    "check-updated-not-recorded": Point("bot.github.checks.Checks.update", "after", "publish"),
    "review-created-not-recorded": Point("bot.github.reviews.Reviews.create", "after", "publish"),
    "comment-created-not-recorded": Point("bot.github.comments.Comments.create", "after", "publish"),
    "published-not-noted": Point("bot.publishing.unpublished.Unpublished.published", "before", "publish"),
    "after-publish": Point("bot.publishing.publisher.Publisher.on_publish", "after", "publish"),
    "sweep-sent-what-was-due": Point("bot.queues.Queues.send_due", "after", "sweep"),
    "sweep-recovered": Point("bot.sweep.recover", "after", "sweep"),
    "sweep-fed": Point("bot.sweep.Sweep._recover", "after", "sweep"),
    "sweep-told-of-dead-letters": Point("bot.dead.DeadLetters.report", "after", "sweep"),
    "sweep-ended-overdue": Point("bot.sweep.Sweep._end_overdue", "after", "sweep"),
}


def rounds() -> list[tuple[str, ...]]:
    """All points, so that those of one kind of process are apart: a job that is hit three times is given up."""
    kinds = dict.fromkeys(point.process for point in POINTS.values())
    columns = ([name for name, point in POINTS.items() if point.process == kind] for kind in kinds)
    return [tuple(name for name in row if name) for row in zip_longest(*columns)]
