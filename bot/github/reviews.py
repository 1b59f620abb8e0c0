"""Review comments on lines of a pull request, and their threads.

REST writes comments and lists them; only GraphQL knows threads and resolves them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from bot.domain.model import Frozen
from bot.domain.views import InlineComment
from bot.errors import Gone
from bot.github.answers import Seen, read
from bot.github.client import MAX_PAGES, Api
from bot.github.comments import BODY
from bot.github.names import to_path
from bot.github.text import fit


class ReviewCommentSeen(Frozen):
    """A review comment as GitHub has it. `line` is None once the lines it was about have changed."""

    id: int
    body: str
    path: str
    line: int | None
    author: str
    in_reply_to: int | None


class Voice(Frozen):
    """Somebody who answered, or put a thumb under a comment: `said` is the answer's text, or empty."""

    login: str
    bot: bool
    said: str = ""


class Thread(Frozen):
    """A thread of review comments. `id` is GraphQL's, `first_comment_id` REST's. `author`, of the first comment, is
    spelled as REST does: a bot's ends in `[bot]`; so is `resolved_by`. `answers` follow the first comment, `up` and
    `down` are the thumbs under it."""

    id: str
    resolved: bool
    path: str
    author: str
    first_comment_id: int | None
    first_comment_body: str
    resolved_by: str = ""
    answers: tuple[Voice, ...] = ()
    up: tuple[Voice, ...] = ()
    down: tuple[Voice, ...] = ()


class _User(Seen):
    login: str


class _Comment(Seen):
    id: int
    body: str = ""
    path: str = ""
    line: int | None = None
    user: _User | None = None
    in_reply_to_id: int | None = None


class Reviews:
    """Reviews of the pull requests of one repository. Needs `pull_requests: write`."""

    def __init__(self, api: Api, repository: str) -> None:
        self._api = api
        self._repository = repository

    def create(self, number: int, sha: str, body: str, comments: Sequence[InlineComment]) -> None:
        """One review of the commit that neither approves nor blocks.

        Raises Refused(422) when a comment lies outside the diff: then none of them was posted. Raises Unavailable when
        the answer was lost: `comments` tells whether they were posted.
        """
        review = {
            "commit_id": sha,
            "event": "COMMENT",
            "body": fit(body, BODY),
            "comments": [to_json(comment) for comment in comments],
        }
        self._api.request("POST", to_path(self._repository, "pulls", number, "reviews"), json=review)

    def comments(self, number: int) -> tuple[ReviewCommentSeen, ...]:
        """Every review comment of the pull request, the oldest first."""
        pages = self._api.pages(to_path(self._repository, "pulls", number, "comments"))
        return tuple(_to_seen(read(_Comment, item)) for item in pages)

    def reply(self, number: int, comment_id: int, body: str) -> None:
        """Answer in the thread that a top-level comment began."""
        path = to_path(self._repository, "pulls", number, "comments", comment_id, "replies")
        self._api.request("POST", path, json={"body": fit(body, BODY)})

    def threads(self, number: int) -> tuple[Thread, ...]:
        """The threads of the pull request, over at most `MAX_PAGES` pages of 100."""
        owner, name = self._repository.split("/")
        found: list[Thread] = []
        after: str | None = None
        for _ in range(MAX_PAGES):
            variables = {"owner": owner, "name": name, "number": number, "after": after}
            page = _page(self._api.graphql(_THREADS, variables, repeatable=True))
            found += [_to_thread(node) for node in page.nodes if node is not None]
            after = page.page_info.end_cursor
            if not page.page_info.has_next_page or after is None:
                break
        return tuple(found)

    def let_go(self) -> None:
        """Have the token revoked that threads were resolved with."""
        self._api.let_go()

    def resolve(self, thread_id: str) -> None:
        """Mark a thread resolved; one that is already stays so.

        GitHub may answer Refused(403) to an App that may not write the repository's contents.
        """
        self._api.graphql(_RESOLVE, {"thread": thread_id}, repeatable=True, writes=True)

    def unresolve(self, thread_id: str) -> None:
        """Open a thread again. The same may be refused."""
        self._api.graphql(_UNRESOLVE, {"thread": thread_id}, repeatable=True, writes=True)


def to_json(comment: InlineComment) -> dict[str, Any]:
    """A comment within a review. `start_line` must be absent, not equal, where there is one line. Pure."""
    body: dict[str, Any] = {
        "path": comment.path,
        "line": comment.end_line,
        "side": "RIGHT",
        "body": fit(comment.body, BODY),
    }
    if comment.start_line < comment.end_line:
        body |= {"start_line": comment.start_line, "start_side": "RIGHT"}
    return body


def _to_seen(comment: _Comment) -> ReviewCommentSeen:
    return ReviewCommentSeen(
        id=comment.id,
        body=comment.body,
        path=comment.path,
        line=comment.line,
        author=comment.user.login if comment.user else "",
        in_reply_to=comment.in_reply_to_id,
    )


# `fullDatabaseId`, for `databaseId` ends at 2^31 and the ids of review comments have passed it.
_THREADS = """
query($owner: String!, $name: String!, $number: Int!, $after: String) {
  repository(owner: $owner, name: $name) {
    pullRequest(number: $number) {
      reviewThreads(first: 100, after: $after) {
        pageInfo { hasNextPage endCursor }
        nodes {
          id
          isResolved
          path
          resolvedBy { __typename login }
          comments(first: 30) {
            nodes {
              fullDatabaseId
              body
              author { __typename login }
              reactions(first: 20) { nodes { content user { __typename login } } }
            }
          }
        }
      }
    }
  }
}
"""

# Of an answer in a thread no more is read, in characters.
_ANSWER = 2_000

_RESOLVE = """
mutation($thread: ID!) {
  resolveReviewThread(input: {threadId: $thread}) { thread { id isResolved } }
}
"""


_UNRESOLVE = """
mutation($thread: ID!) {
  unresolveReviewThread(input: {threadId: $thread}) { thread { id isResolved } }
}
"""


class _Author(Seen):
    typename: str = Field(default="", alias="__typename")
    login: str


class _Reaction(Seen):
    content: str
    user: _Author | None = None


class _Reactions(Seen):
    nodes: tuple[_Reaction | None, ...] = ()


class _ThreadComment(Seen):
    # A BigInt: GraphQL writes it as a string.
    id: int | None = Field(default=None, alias="fullDatabaseId")
    body: str = ""
    author: _Author | None = None
    reactions: _Reactions = _Reactions()


class _ThreadComments(Seen):
    nodes: tuple[_ThreadComment | None, ...] = ()


class _Thread(Seen):
    id: str
    resolved: bool = Field(alias="isResolved")
    path: str = ""
    resolved_by: _Author | None = Field(default=None, alias="resolvedBy")
    comments: _ThreadComments


class _PageInfo(Seen):
    has_next_page: bool = Field(alias="hasNextPage")
    end_cursor: str | None = Field(default=None, alias="endCursor")


class _Threads(Seen):
    page_info: _PageInfo = Field(alias="pageInfo")
    nodes: tuple[_Thread | None, ...]


class _PullRequest(Seen):
    threads: _Threads = Field(alias="reviewThreads")


class _Repository(Seen):
    pull: _PullRequest | None = Field(alias="pullRequest")


class _Data(Seen):
    repository: _Repository | None


def _page(data: dict[str, Any]) -> _Threads:
    repository = read(_Data, data).repository
    if repository is None or repository.pull is None:
        raise Gone("the pull request is gone, or the App may not see it")
    return repository.pull.threads


def _to_thread(thread: _Thread) -> Thread:
    said = [node for node in thread.comments.nodes if node is not None]
    first = said[0] if said else _ThreadComment()
    return Thread(
        id=thread.id,
        resolved=thread.resolved,
        path=thread.path,
        author=_login(first.author),
        first_comment_id=first.id,
        first_comment_body=first.body,
        resolved_by=_login(thread.resolved_by),
        answers=tuple(_voice(one.author, one.body) for one in said[1:]),
        up=_thumbs(first, "THUMBS_UP"),
        down=_thumbs(first, "THUMBS_DOWN"),
    )


def _thumbs(comment: _ThreadComment, content: str) -> tuple[Voice, ...]:
    given = [one for one in comment.reactions.nodes if one is not None and one.content == content]
    return tuple(_voice(one.user) for one in given if one.user is not None)


def _voice(author: _Author | None, said: str = "") -> Voice:
    return Voice(login=_login(author), bot=author is not None and author.typename == "Bot", said=said[:_ANSWER])


def _login(author: _Author | None) -> str:
    if author is None:
        return ""
    is_bot = author.typename == "Bot" and not author.login.endswith("[bot]")
    return f"{author.login}[bot]" if is_bot else author.login
