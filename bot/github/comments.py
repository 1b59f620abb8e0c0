"""The sticky comment: one comment of ours in a pull request's conversation, found by its hidden marker."""

from __future__ import annotations

from bot.domain.model import Frozen
from bot.github.answers import Seen, read
from bot.github.client import Api
from bot.github.names import to_path
from bot.github.text import fit

BODY = 65_536


class CommentSeen(Frozen):
    """A comment as GitHub has it."""

    id: int
    body: str


class _User(Seen):
    login: str


class _Comment(Seen):
    id: int
    body: str | None = None
    user: _User | None = None


class Comments:
    """Comments on the pull requests of one repository. Needs `pull_requests: write`."""

    def __init__(self, api: Api, repository: str) -> None:
        self._api = api
        self._repository = repository

    def find(self, number: int, marker: str, bot_login: str) -> CommentSeen | None:
        """The first comment that the bot itself wrote and that holds the marker, which anybody may copy."""
        for item in self._api.pages(to_path(self._repository, "issues", number, "comments")):
            comment = read(_Comment, item)
            ours = comment.user is not None and comment.user.login.lower() == bot_login.lower()
            if ours and marker in (comment.body or ""):
                return CommentSeen(id=comment.id, body=comment.body or "")
        return None

    def create(self, number: int, body: str) -> int:
        """Its id. Raises Unavailable when the answer was lost: `find` tells whether it was created."""
        path = to_path(self._repository, "issues", number, "comments")
        return read(_Comment, self._api.request("POST", path, json={"body": fit(body, BODY)})).id

    def react(self, comment_id: int, content: str) -> None:
        """React to somebody's comment, once: GitHub keeps one reaction of a kind. `content` is GitHub's word: `eyes`,
        `+1`, `confused`."""
        path = to_path(self._repository, "issues", "comments", comment_id, "reactions")
        self._api.request("POST", path, json={"content": content})

    def update(self, comment_id: int, body: str) -> None:
        path = to_path(self._repository, "issues", "comments", comment_id)
        self._api.request("PATCH", path, json={"body": fit(body, BODY)})
