"""What Assay remembers of what it has written to GitHub, so that it writes only the difference."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bot.domain.model import Frozen
from bot.domain.views import Known, Status

# Seconds after its beginning that a run is announced, by checks which only say that it is there: agents that have ended
# by then are shown with their results at once, for GitHub counts writes.
ANNOUNCED_AFTER = 0.5


class CheckRecord(Frozen):
    """One check run as last written. `id` is None until GitHub has given one, `digest` is of the view without its
    annotations, `annotations` how many went out and `noted` the digest of the list they are the beginning of.
    `written_at` is in seconds since the epoch. `doubtful` is set before a write and cleared after it: where it is still
    set, nobody knows whether the write arrived. `newer_than` is the id of the check run that this one takes the place
    of: GitHub's ids grow."""

    external_id: str
    id: int | None = None
    status: Status = "queued"
    digest: str = ""
    annotations: int = 0
    noted: str = ""
    written_at: float = 0.0
    doubtful: bool = False
    newer_than: int = 0


class AnalysisRecord(Frozen):
    """What code scanning was told of a ref. `digest` is of what was sent last, `at` (seconds since the epoch), and `id`
    GitHub's for it; `earlier` are the ids of those before. `doubtful`: nobody knows whether it arrived; `pending`:
    GitHub has yet to process it, and was `asked` so often whether it has. `words` say for people what became of it
    where that is not what they would expect."""

    digest: str = ""
    state: Literal["", "doubtful", "pending", "done"] = ""
    id: str = ""
    at: float = 0.0
    asked: int = 0
    words: str = ""
    earlier: tuple[str, ...] = ()


class Publication(Frozen):
    """A run's checks, by name, and what code scanning was told, by ref. `refusal` says why GitHub cannot be brought up
    to date, where it does not let us."""

    checks: dict[str, CheckRecord] = Field(default_factory=dict)
    refusal: str = ""
    analyses: dict[str, AnalysisRecord] = Field(default_factory=dict)

    @property
    def finished(self) -> bool:
        """Whether GitHub shows, beyond doubt, all of them as completed."""
        return all(record.status == "completed" and not record.doubtful for record in self.checks.values())

    @property
    def notes(self) -> tuple[str, ...]:
        """What people are to hear of code scanning, each word once."""
        return tuple(dict.fromkeys(record.words for record in self.analyses.values() if record.words))

    @property
    def written_at(self) -> float:
        """When the last of them was written."""
        return max((record.written_at for record in self.checks.values()), default=0.0)


class PullMemory(Frozen):
    """A pull request's sticky comment and the findings it has told of. `before` are those of the commit before `sha`,
    so that publishing one commit twice compares with the same past. `heard` says up to when people's words in its
    threads are known: at which head, and after how many news of them."""

    comment: int | None = None
    digest: str = ""
    sha: str = ""
    heard: str = ""
    known: tuple[Known, ...] = ()
    before: tuple[Known, ...] = ()
