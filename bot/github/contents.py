"""Reading a repository through the API: files, pull requests, merge bases."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Literal

from pydantic import AwareDatetime

from bot.domain.model import Frozen
from bot.errors import Gone, Refused, Theirs, Unavailable
from bot.github.answers import Seen, read
from bot.github.client import Api, Params
from bot.github.names import to_path

# What the endpoint itself serves. A configuration file is far smaller.
FILE_LIMIT = 1_000_000
# Files that a comparison names at most.
_COMPARED = 300
# Items a page where the first few are mostly enough: a pull request in a list takes 20 KB.
_GLANCE = 10


class PullSeen(Frozen):
    """A pull request as GitHub has it. `head_repository` is empty when the fork is gone; `updated_at` is in seconds
    since the epoch; `base_sha` is the base branch's commit, not the merge base."""

    number: int
    title: str
    body: str
    author: str
    state: str
    draft: bool
    merged: bool
    base_ref: str
    base_sha: str
    head_ref: str
    head_sha: str
    head_repository: str
    fork: bool
    updated_at: float


class PushSeen(Frozen):
    """A move of a branch to `head_sha` at `updated_at` (seconds since the epoch), by a push or a merge. `before` is all
    zeros for a new branch."""

    branch: str
    before: str
    head_sha: str
    forced: bool
    actor: str
    updated_at: float


class RepositorySeen(Frozen):
    """A repository as GitHub has it."""

    id: int
    default_branch: str
    private: bool


class _User(Seen):
    login: str


class _Repository(Seen):
    full_name: str


class _Whole(Seen):
    id: int
    default_branch: str
    private: bool


class _End(Seen):
    ref: str
    sha: str
    repo: _Repository | None = None


class _Pull(Seen):
    number: int
    title: str
    body: str | None = None
    user: _User | None = None
    state: str
    draft: bool = False
    merged: bool = False
    base: _End
    head: _End
    updated_at: AwareDatetime


class _Activity(Seen):
    ref: str
    before: str
    after: str
    timestamp: AwareDatetime
    activity_type: str
    actor: _User | None = None


class _Associated(Seen):
    number: int
    state: str
    head: _End


class _Commit(Seen):
    sha: str


class _Ref(Seen):
    object: _Commit


class _Parents(Seen):
    parents: tuple[_Commit, ...] = ()


class _Changed(Seen):
    filename: str
    previous_filename: str = ""


class _Comparison(Seen):
    merge_base_commit: _Commit
    files: tuple[_Changed, ...] = ()


class _File(Seen):
    type: str
    size: int = 0
    encoding: str = ""
    content: str = ""


class _Permission(Seen):
    permission: str
    role_name: str = ""


# Those that count here, each with the rights of the ones before it. Who may only read or triage is `none`.
Role = Literal["none", "write", "maintain", "admin"]


class Contents:
    """One repository, read only. Needs `contents: read`, and `pull_requests: read` for pull requests."""

    def __init__(self, api: Api, repository: str) -> None:
        self._api = api
        self._repository = repository

    def file(self, path: str, ref: str) -> str | None:
        """The text of a file at a ref; None where there is none, or something else of that name.

        Bytes that are not UTF-8 become replacement characters. Raises Theirs for more than `FILE_LIMIT` bytes.
        """
        try:
            data = self._api.request(
                "GET", to_path(self._repository, "contents", *path.split("/")), params={"ref": ref}
            )
        except Gone:
            return None
        if not isinstance(data, dict):  # a folder is a list
            return None
        return _text(path, read(_File, data))

    def merge_base(self, base: str, head: str) -> str | None:
        """The SHA where two commits or branches parted; None where one is unknown or they have nothing in common."""
        compared = self._compare(base, head)
        return compared.merge_base_commit.sha if compared else None

    def differing(self, one: str, other: str) -> tuple[set[str], bool]:
        """The paths of all files that may differ between two commits, and whether these are all of them; none where
        they cannot be compared.

        GitHub compares a commit with where the two parted. Where neither came after the other, what differs is among
        what each of them changed since then.
        """
        ahead = self._compare(one, other)
        back = self._compare(other, one) if ahead and ahead.merge_base_commit.sha != one else None
        if ahead is None or (back is None and ahead.merge_base_commit.sha != one):
            return set(), False
        sides = [side for side in (ahead, back) if side]
        paths = {path for side in sides for file in side.files for path in (file.filename, file.previous_filename)}
        return paths - {""}, all(len(side.files) < _COMPARED for side in sides)

    def _compare(self, base: str, head: str) -> _Comparison | None:
        path = to_path(self._repository, "compare", f"{base}...{head}")
        try:
            # One a page: the comparison also lists the commits between, which nobody asks for here.
            return read(_Comparison, self._api.request("GET", path, params={"per_page": 1}))
        except Gone:
            return None

    def branch(self, name: str) -> str | None:
        """The commit that a branch holds; None where there is no such branch."""
        try:
            ref = self._api.request("GET", to_path(self._repository, "git", "ref", f"heads/{name}"))
        except Gone:
            return None
        return read(_Ref, ref).object.sha

    def parent(self, sha: str) -> str | None:
        """The first parent of a commit; None for a first commit. Raises Gone, or Refused(422), for an unknown one."""
        commit = read(
            _Parents, self._api.request("GET", to_path(self._repository, "commits", sha), params={"per_page": 1})
        )
        return commit.parents[0].sha if commit.parents else None

    def pull(self, number: int) -> PullSeen:
        """Raises Gone where there is no such pull request."""
        return _to_pull(read(_Pull, self._api.request("GET", to_path(self._repository, "pulls", number))))

    def recent_pulls(self) -> Iterator[PullSeen]:
        """The pull requests, open ones and others, that with the latest news first. In a list GitHub does not say
        whether one was merged."""
        path = to_path(self._repository, "pulls")
        params: Params = {"state": "all", "sort": "updated", "direction": "desc"}
        return (_to_pull(read(_Pull, item)) for item in self._api.pages(path, params, size=_GLANCE))

    def recent_pushes(self, branch: str) -> Iterator[PushSeen]:
        """The moves of a branch, the newest first; a branch's end is none."""
        path = to_path(self._repository, "activity")
        params: Params = {"ref": f"refs/heads/{branch}", "direction": "desc"}
        moves = (read(_Activity, item) for item in self._api.pages(path, params, size=_GLANCE))
        return (_to_push(move) for move in moves if move.activity_type != "branch_deletion")

    def pulls_for_commit(self, sha: str) -> tuple[int, ...]:
        """The numbers of the open pull requests that have this commit as their head.

        For a commit that is on the default branch already, GitHub names merged ones only, so that there are none.
        """
        try:
            path = to_path(self._repository, "commits", sha, "pulls")
            pulls = [read(_Associated, item) for item in self._api.pages(path)]
        except Gone:
            return ()
        except Refused as refusal:
            if refusal.status != 422:  # "No commit found for SHA"
                raise
            return ()
        return tuple(pull.number for pull in pulls if pull.state == "open" and pull.head.sha == sha)

    def role(self, login: str) -> Role:
        """What somebody may do in the repository, by what GitHub says now."""
        try:
            data = self._api.request("GET", to_path(self._repository, "collaborators", login, "permission"))
        except Gone:
            return "none"
        found = read(_Permission, data)
        match found.permission:
            case "admin":
                return "admin"
            case "write":
                # A role of an organisation's own has a name of its own: it counts for no more than writing.
                return "maintain" if found.role_name == "maintain" else "write"
            case _:
                return "none"

    def review_comment(self, number: int) -> tuple[str, str]:
        """Who wrote a review comment, and its text. Raises Gone where it was deleted."""
        path = to_path(self._repository, "pulls", "comments", number)
        comment = read(_Words, self._api.request("GET", path))
        return (comment.user.login if comment.user else "", comment.body)

    def repository(self) -> RepositorySeen:
        """Raises Gone where it does not exist or the App may not see it."""
        seen = read(_Whole, self._api.request("GET", to_path(self._repository)))
        return RepositorySeen(id=seen.id, default_branch=seen.default_branch, private=seen.private)


class _Login(Seen):
    login: str


class _Words(Seen):
    body: str = ""
    user: _Login | None = None


def _to_pull(pull: _Pull) -> PullSeen:
    head_repository = pull.head.repo.full_name if pull.head.repo else ""
    return PullSeen(
        number=pull.number,
        title=pull.title,
        body=pull.body or "",
        author=pull.user.login if pull.user else "",
        state=pull.state,
        draft=pull.draft,
        merged=pull.merged,
        base_ref=pull.base.ref,
        base_sha=pull.base.sha,
        head_ref=pull.head.ref,
        head_sha=pull.head.sha,
        head_repository=head_repository,
        # Compared with the name GitHub gives, for ours may be in another case or from before a renaming. A head whose
        # repository is gone was a fork: this one is still here.
        fork=pull.base.repo is None or head_repository != pull.base.repo.full_name,
        updated_at=pull.updated_at.timestamp(),
    )


def _to_push(move: _Activity) -> PushSeen:
    return PushSeen(
        branch=move.ref.removeprefix("refs/heads/"),
        before=move.before,
        head_sha=move.after,
        forced=move.activity_type == "force_push",
        actor=move.actor.login if move.actor else "",
        updated_at=move.timestamp.timestamp(),
    )


def _text(path: str, file: _File) -> str | None:
    if file.type != "file":
        return None
    if file.size > FILE_LIMIT or file.encoding == "none":
        raise Theirs(f"{path} has {file.size:,} bytes; at most {FILE_LIMIT:,} are read")
    try:
        return base64.b64decode(file.content).decode("utf-8", "replace")
    except binascii.Error:
        raise Unavailable(f"GitHub's answer for {path} is not base64") from None
