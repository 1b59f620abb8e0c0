"""Everything the stand-in GitHub knows: accounts, repositories, pull requests, checks, comments, tokens.

Mutable records on purpose: this is a small database, guarded by one lock. Times are seconds since the epoch.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Literal

from bot.demo.answers import not_found
from bot.demo.bare import BareRepository

Permissions = Mapping[str, str]


@dataclass
class User:
    id: int
    login: str
    type: Literal["User", "Organization", "Bot"] = "User"


@dataclass
class Repository:
    id: int
    full_name: str
    owner: User
    git: BareRepository
    default_branch: str
    private: bool
    installed: bool
    fork_of: str | None
    created_at: float
    pushed_at: float
    archived: bool = False
    disabled: bool = False
    code_security: bool = False
    collaborators: dict[str, str] = field(default_factory=dict)
    numbers: count[int] = field(default_factory=lambda: count(1))

    @property
    def name(self) -> str:
        return self.full_name.split("/")[1]


@dataclass
class Move:
    """A branch was moved. `kind` is what the API calls the activity's type."""

    id: int
    repo: str
    ref: str
    before: str
    after: str
    kind: str
    actor: User
    at: float


@dataclass
class Pull:
    """`base_sha` is the base branch's tip when the head last changed, as on GitHub: not the merge base."""

    id: int
    repo: str
    number: int
    title: str
    body: str | None
    author: User
    head_repo: str
    head_ref: str
    head_sha: str
    base_ref: str
    base_sha: str
    draft: bool
    created_at: float
    updated_at: float
    state: Literal["open", "closed"] = "open"
    closed_at: float | None = None
    merged_at: float | None = None
    merged_by: User | None = None
    merge_sha: str | None = None

    @property
    def from_fork(self) -> bool:
        return self.head_repo != self.repo


@dataclass
class CheckSuite:
    id: int
    repo: str
    head_sha: str
    head_branch: str | None
    before: str | None
    created_at: float
    updated_at: float
    rerequested: bool = False


@dataclass
class CheckRun:
    """`output` holds title, summary and text; `annotations` and `actions` are as they were sent."""

    id: int
    suite: int
    repo: str
    head_sha: str
    name: str
    status: str
    started_at: float | None
    conclusion: str | None = None
    completed_at: float | None = None
    details_url: str | None = None
    external_id: str = ""
    output: dict[str, str | None] = field(default_factory=dict)
    annotations: list[dict[str, Any]] = field(default_factory=list)
    actions: list[dict[str, str]] = field(default_factory=list)
    writes: int = 0

    @property
    def title(self) -> str | None:
        return self.output.get("title")

    @property
    def summary(self) -> str | None:
        return self.output.get("summary")


@dataclass
class Status:
    id: int
    repo: str
    sha: str
    state: str
    context: str
    description: str | None
    target_url: str | None
    creator: User
    created_at: float


@dataclass
class Comment:
    id: int
    repo: str
    number: int
    author: User
    body: str
    created_at: float
    updated_at: float


@dataclass
class Review:
    id: int
    repo: str
    number: int
    author: User
    state: str
    body: str
    commit_id: str
    submitted_at: float


@dataclass
class ReviewComment:
    """`line` and `start_line` are those of `original_commit`; None for a comment on the whole file."""

    id: int
    review: int
    repo: str
    number: int
    author: User
    body: str
    path: str
    side: str
    line: int | None
    start_line: int | None
    start_side: str | None
    original_commit: str
    diff_hunk: str
    created_at: float
    updated_at: float
    in_reply_to: int | None = None

    @property
    def root(self) -> int:
        return self.in_reply_to or self.id


@dataclass
class SarifUpload:
    """A file for code scanning, processed after `due`. `log` is None for what is no SARIF at all."""

    id: str
    repo: str
    commit_sha: str
    ref: str
    log: Any
    due: float
    state: Literal["pending", "complete", "failed"] = "pending"
    errors: list[str] = field(default_factory=list)


@dataclass
class Analysis:
    """What an upload says in one category. `results` are those that are kept, as they were sent."""

    id: int
    repo: str
    upload: str
    ref: str
    commit_sha: str
    tool: str
    category: str
    results: list[Any]
    rules: int
    warning: str
    created_at: float


Belonging = Move | Pull | CheckSuite | CheckRun | Status | Comment | Review | ReviewComment | SarifUpload | Analysis


@dataclass
class Thread:
    """A view: a review comment and its answers. `line` is where it lies at the head now, None when it is outdated."""

    id: str
    path: str
    line: int | None
    resolved: bool
    outdated: bool
    comments: list[ReviewComment]


@dataclass
class Token:
    value: str
    installation: int
    permissions: Permissions
    repositories: frozenset[int] | None
    expires_at: float


@dataclass
class AppRecord:
    """The registered App. `public_key` is PEM; `slug` gives the bot its login `{slug}[bot]`."""

    id: int
    client_id: str
    slug: str
    name: str
    public_key: bytes
    webhook_secret: str
    permissions: Permissions
    events: tuple[str, ...]
    bot: User
    owner: User
    created_at: float


@dataclass
class World:
    """The whole state. `lock` is held by whoever reads or writes it; `announce` tells the App of an event, later."""

    app: AppRecord
    root: Path
    ids: count[int]
    clock: Callable[[], float] = time.time
    url: str = ""
    resolving_needs: Permissions = field(default_factory=lambda: {"pull_requests": "write"})
    lock: threading.RLock = field(default_factory=threading.RLock)
    users: dict[str, User] = field(default_factory=dict)
    installations: dict[int, User] = field(default_factory=dict)
    installed_at: dict[int, float] = field(default_factory=dict)
    suspended_at: dict[int, float] = field(default_factory=dict)
    repositories: dict[str, Repository] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    moves: list[Move] = field(default_factory=list)
    pulls: dict[tuple[str, int], Pull] = field(default_factory=dict)
    suites: dict[int, CheckSuite] = field(default_factory=dict)
    runs: dict[int, CheckRun] = field(default_factory=dict)
    statuses: list[Status] = field(default_factory=list)
    comments: dict[int, Comment] = field(default_factory=dict)
    reviews: dict[int, Review] = field(default_factory=dict)
    review_comments: dict[int, ReviewComment] = field(default_factory=dict)
    resolved: dict[int, User] = field(default_factory=dict)
    # Of review comments: what people put under them, as GraphQL calls it (`THUMBS_DOWN`), and who.
    reactions: dict[int, list[tuple[str, User]]] = field(default_factory=dict)
    # Members of an organisation's teams, by `organisation/slug`: logins, each with whether they took the invitation.
    teams: dict[str, dict[str, bool]] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)
    uploads: dict[str, SarifUpload] = field(default_factory=dict)
    analyses: dict[int, Analysis] = field(default_factory=dict)
    # Seconds that code scanning takes to process a file.
    scan_seconds: float = 0.0
    announce: Callable[[str, dict[str, Any]], None] = lambda _event, _payload: None

    @property
    def api(self) -> str:
        return f"{self.url}/api/v3"

    def user(self, login: str, type_: Literal["User", "Organization"] = "User") -> User:
        """The account of that login, made on first mention."""
        if login not in self.users:
            self.users[login] = User(next(self.ids), login, type_)
        return self.users[login]

    def repository(self, full_name: str) -> Repository:
        """By its name or one that it had. Raises `Problem` 404. Names are compared without regard to case, as on
        GitHub."""
        wanted = self.renamed.get(full_name.lower(), full_name)
        if found := self.repositories.get(wanted):
            return found
        for name, repo in self.repositories.items():
            if name.lower() == wanted.lower():
                return repo
        raise not_found()

    def pull(self, repo: str, number: int) -> Pull:
        """Raises `Problem` 404."""
        pull = self.pulls.get((repo, number))
        if pull is None:
            raise not_found()
        return pull

    def pulls_of(self, repo: str) -> list[Pull]:
        return [pull for (name, _), pull in self.pulls.items() if name == repo]

    def belongings(self, full_name: str) -> list[Belonging]:
        """All that is in a repository."""
        tables = (
            *(self.pulls, self.suites, self.runs, self.comments, self.reviews, self.review_comments),
            *(self.uploads, self.analyses),
        )
        things = [*self.moves, *self.statuses, *(thing for table in tables for thing in table.values())]
        return [thing for thing in things if thing.repo == full_name]

    def installation_of(self, repo: Repository) -> int | None:
        """The id of the installation that covers this repository, if any."""
        if not repo.installed:
            return None
        return next((id_ for id_, account in self.installations.items() if account is repo.owner), None)

    def installed_repositories(self, installation: int) -> list[Repository]:
        return [repo for repo in self.repositories.values() if self.installation_of(repo) == installation]
