"""What Assay remembers of what it has written to GitHub, so that it writes only the difference."""

from __future__ import annotations

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


class Publication(Frozen):
    """A run's checks, by name. `refusal` says why GitHub cannot be brought up to date, where it does not let us."""

    checks: dict[str, CheckRecord] = Field(default_factory=dict)
    refusal: str = ""

    @property
    def finished(self) -> bool:
        """Whether GitHub shows, beyond doubt, all of them as completed."""
        return all(record.status == "completed" and not record.doubtful for record in self.checks.values())

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
