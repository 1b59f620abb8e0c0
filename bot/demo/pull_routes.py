"""The API's part about pull requests, issue comments, reviews and review comments.

https://docs.github.com/rest/pulls and https://docs.github.com/rest/issues/comments
"""

from __future__ import annotations

from dataclasses import replace

from bot.demo import payloads, pull_shapes, shapes
from bot.demo.answers import Problem, Reply, invalid, not_found
from bot.demo.bodies import CommentBody, NewReview, NewReviewComment, Place, ReactionBody, parse
from bot.demo.diffs import changed_files, hunks
from bot.demo.github_state import Comment, Pull, Review, ReviewComment, User, World
from bot.demo.routing import Call, Route, read, write

FILES_LIMIT = 3000
_EVENTS = {"APPROVE": "APPROVED", "REQUEST_CHANGES": "CHANGES_REQUESTED", "COMMENT": "COMMENTED", None: "PENDING"}


def get_pull(call: Call) -> Reply:
    return Reply(pull_shapes.full_pull_request(call.world, call.pull))


def list_pulls(call: Call) -> Reply:
    query, pulls = call.query, call.world.pulls_of(call.repo.full_name)
    if (state := query.get("state", "open")) != "all":
        pulls = [pull for pull in pulls if pull.state == state]
    if base := query.get("base"):
        pulls = [pull for pull in pulls if pull.base_ref == base]
    if head := query.get("head"):
        pulls = [pull for pull in pulls if f"{pull.head_repo.split('/')[0]}:{pull.head_ref}" == head]
    by_update = query.get("sort") == "updated"
    descending = query.get("direction", "asc" if by_update else "desc") == "desc"
    pulls.sort(key=lambda pull: pull.updated_at if by_update else pull.number, reverse=descending)
    return call.page(pulls, lambda pull: pull_shapes.pull_request(call.world, pull))


def list_files(call: Call) -> Reply:
    pull, repo = call.pull, call.repo
    files = changed_files(repo.git, *pull_shapes.three_dot(call.world, pull))[:FILES_LIMIT]
    return call.page(files, lambda file: shapes.changed_file(call.world, repo, file, pull.head_sha))


def list_pull_commits(call: Call) -> Reply:
    repo, (base, head) = call.repo, pull_shapes.three_dot(call.world, call.pull)
    return call.page(repo.git.commits(f"{base}..{head}"), lambda made: shapes.commit(call.world, repo, made))


def list_pulls_of_commit(call: Call) -> Reply:
    repo, sha = call.repo, call.arguments["sha"]
    if repo.git.resolve(sha) is None:
        raise Problem(422, f"No commit found for SHA: {sha}")
    pulls = [pull for pull in call.world.pulls_of(repo.full_name) if _contains(call.world, pull, sha)]
    return call.page(pulls, lambda pull: pull_shapes.pull_request(call.world, pull))


def _contains(world: World, pull: Pull, sha: str) -> bool:
    if pull.state == "closed" and pull.merged_at is None:
        return False
    base, head = pull_shapes.three_dot(world, pull)
    return sha in world.repositories[pull.repo].git.line("rev-list", f"{base}..{head}").split()


def list_comments(call: Call) -> Reply:
    key = (call.repo.full_name, call.pull.number)
    mine = [comment for comment in call.world.comments.values() if (comment.repo, comment.number) == key]
    return call.page(mine, lambda comment: pull_shapes.issue_comment(call.world, comment))


def create_comment(call: Call) -> Reply:
    body, world, pull, now = parse(CommentBody, call.body), call.world, call.pull, call.world.clock()
    comment = Comment(next(world.ids), pull.repo, pull.number, world.app.bot, body.body, now, now)
    world.comments[comment.id] = comment
    world.announce("issue_comment", payloads.issue_comment(world, comment, "created", world.app.bot))
    return Reply(pull_shapes.issue_comment(world, comment), 201)


def react_to_comment(call: Call) -> Reply:
    """One reaction of a kind by one account; the same again changes nothing (200)."""
    body, world, comment = parse(ReactionBody, call.body), call.world, _comment(call)
    given = world.reactions.setdefault(comment.id, [])
    new = (body.content, world.app.bot) not in given
    if new:
        given.append((body.content, world.app.bot))
    shape = {"id": comment.id, "content": body.content, "user": shapes.user(world, world.app.bot)}
    return Reply(shape, 201 if new else 200)


def get_comment(call: Call) -> Reply:
    return Reply(pull_shapes.issue_comment(call.world, _comment(call)))


def update_comment(call: Call) -> Reply:
    body, world, comment = parse(CommentBody, call.body), call.world, _comment(call)
    _only_ours(world, comment)
    comment.body, comment.updated_at = body.body, world.clock()
    world.announce("issue_comment", payloads.issue_comment(world, comment, "edited", world.app.bot))
    return Reply(pull_shapes.issue_comment(world, comment))


def delete_comment(call: Call) -> Reply:
    del call.world.comments[_comment(call).id]
    return Reply(status=204)


def create_review(call: Call) -> Reply:
    """All of it or none: one comment outside the diff refuses the entire review."""
    body, world, pull = parse(NewReview, call.body), call.world, call.pull
    if body.event in ("REQUEST_CHANGES", "COMMENT") and not body.body:
        raise invalid("body is required when the event is REQUEST_CHANGES or COMMENT")
    if body.event == "APPROVE" and pull.author is world.app.bot:
        raise Problem(422, "Unprocessable Entity", errors=["Can not approve your own pull request"])
    if body.event is None and any(r.state == "PENDING" for r in _reviews(world, pull)):
        raise Problem(422, "Unprocessable Entity", errors=["User can only have one pending review per pull request"])
    commit = body.commit_id or pull.head_sha
    placed = [(place, _hunk_text(world, pull, commit, place)) for place in body.comments]
    review = _add_review(world, pull, _EVENTS[body.event], body.body, commit)
    for place, text in placed:
        _add_comment(world, pull, review, place, commit, text)
    return Reply(pull_shapes.review(world, review))


def list_reviews(call: Call) -> Reply:
    return call.page(_reviews(call.world, call.pull), lambda made: pull_shapes.review(call.world, made))


def update_review(call: Call) -> Reply:
    body, review = parse(CommentBody, call.body), _review(call)
    review.body = body.body
    return Reply(pull_shapes.review(call.world, review))


def list_comments_of_review(call: Call) -> Reply:
    review = _review(call)
    mine = [comment for comment in call.world.review_comments.values() if comment.review == review.id]
    return call.page(mine, lambda comment: pull_shapes.review_comment(call.world, comment))


def list_review_comments(call: Call) -> Reply:
    comments = pull_shapes.comments_of(call.world, call.pull)
    return call.page(comments, lambda comment: pull_shapes.review_comment(call.world, comment))


def create_review_comment(call: Call) -> Reply:
    body, world, pull = parse(NewReviewComment, call.body), call.world, call.pull
    text = _hunk_text(world, pull, body.commit_id, body, whole_file=body.subject_type == "file")
    review = _add_review(world, pull, "COMMENTED", "", body.commit_id)
    comment = _add_comment(world, pull, review, body, body.commit_id, text)
    return Reply(pull_shapes.review_comment(world, comment), 201)


def reply_to_comment(call: Call) -> Reply:
    body, world, pull, parent = parse(CommentBody, call.body), call.world, call.pull, _review_comment(call)
    if parent.number != pull.number or parent.in_reply_to is not None:
        raise not_found()
    return Reply(pull_shapes.review_comment(world, add_reply(world, parent, body.body, world.app.bot)), 201)


def get_review_comment(call: Call) -> Reply:
    return Reply(pull_shapes.review_comment(call.world, _review_comment(call)))


def update_review_comment(call: Call) -> Reply:
    body, comment = parse(CommentBody, call.body), _review_comment(call)
    _only_ours(call.world, comment)
    comment.body, comment.updated_at = body.body, call.world.clock()
    return Reply(pull_shapes.review_comment(call.world, comment))


def delete_review_comment(call: Call) -> Reply:
    del call.world.review_comments[_review_comment(call).id]
    return Reply(status=204)


def _hunk_text(world: World, pull: Pull, commit: str, place: Place, *, whole_file: bool = False) -> str:
    """The hunk that the place lies in. Raises `Problem` 422 unless all of it is in one hunk of the three-dot diff."""
    git = world.repositories[pull.repo].git
    base, head = pull_shapes.three_dot(world, pull)
    if commit != head and commit not in git.line("rev-list", f"{base}..{head}").split():
        raise invalid("commit_id is not part of the pull request", field="commit_id", resource="PullRequestReview")
    changed = {file.path: file for file in changed_files(git, base, commit)}
    if place.path not in changed:
        raise _unresolved("Path could not be resolved")
    if whole_file:
        return ""
    if place.line is None:
        raise _unresolved("Line could not be resolved")
    first = place.start_line if place.start_line is not None else place.line
    if place.start_line is not None and first >= place.line:
        raise _unresolved("start_line must precede the end line")
    for hunk in hunks(changed[place.path].patch):
        start = hunk.left if (place.start_side or place.side) == "LEFT" else hunk.right
        end = hunk.left if place.side == "LEFT" else hunk.right
        if first in start and place.line in end:
            return hunk.text
    raise _unresolved("Line could not be resolved")


def _unresolved(message: str) -> Problem:
    return Problem(422, "Unprocessable Entity", errors=[message])


def _add_review(world: World, pull: Pull, state: str, body: str, commit: str) -> Review:
    review = Review(next(world.ids), pull.repo, pull.number, world.app.bot, state, body, commit, world.clock())
    world.reviews[review.id] = review
    return review


def _add_comment(world: World, pull: Pull, review: Review, place: Place, commit: str, text: str) -> ReviewComment:
    now = world.clock()
    comment = ReviewComment(
        id=next(world.ids),
        review=review.id,
        repo=pull.repo,
        number=pull.number,
        author=review.author,
        body=place.body,
        path=place.path,
        side=place.side,
        line=place.line,
        start_line=place.start_line,
        start_side=place.start_side or (place.side if place.start_line else None),
        original_commit=commit,
        diff_hunk=text,
        created_at=now,
        updated_at=now,
    )
    world.review_comments[comment.id] = comment
    return comment


def add_reply(world: World, parent: ReviewComment, body: str, author: User) -> ReviewComment:
    """An answer in the parent's thread, as a review of its own."""
    review = _add_review(world, world.pulls[parent.repo, parent.number], "COMMENTED", "", parent.original_commit)
    now = world.clock()
    reply = replace(
        parent,
        id=next(world.ids),
        review=review.id,
        author=author,
        body=body,
        created_at=now,
        updated_at=now,
        in_reply_to=parent.root,
    )
    review.author = author
    world.review_comments[reply.id] = reply
    return reply


def _reviews(world: World, pull: Pull) -> list[Review]:
    return [made for made in world.reviews.values() if (made.repo, made.number) == (pull.repo, pull.number)]


def _review(call: Call) -> Review:
    review = call.world.reviews.get(call.number("id"))
    if review is None or (review.repo, review.number) != (call.repo.full_name, call.pull.number):
        raise not_found()
    return review


def _comment(call: Call) -> Comment:
    comment = call.world.comments.get(call.number("id"))
    if comment is None or comment.repo != call.repo.full_name:
        raise not_found()
    return comment


def _review_comment(call: Call) -> ReviewComment:
    comment = call.world.review_comments.get(call.number("id"))
    if comment is None or comment.repo != call.repo.full_name:
        raise not_found()
    return comment


def _only_ours(world: World, comment: Comment | ReviewComment) -> None:
    """Stricter than GitHub, which lets an App with write permission edit what people wrote."""
    if comment.author is not world.app.bot:
        raise Problem(403, "Resource not accessible by integration")


_REPO = "/repos/{owner}/{repo}"
_EITHER = ("issues", "pull_requests")
PULL_ROUTES: list[Route] = [
    read(f"{_REPO}/pulls", list_pulls, "pull_requests"),
    read(f"{_REPO}/pulls/{{number}}", get_pull, "pull_requests"),
    read(f"{_REPO}/pulls/{{number}}/files", list_files, "pull_requests"),
    read(f"{_REPO}/pulls/{{number}}/commits", list_pull_commits, "pull_requests"),
    read(f"{_REPO}/commits/{{sha}}/pulls", list_pulls_of_commit, "pull_requests", "contents"),
    read(f"{_REPO}/issues/{{number}}/comments", list_comments, *_EITHER),
    write("POST", f"{_REPO}/issues/{{number}}/comments", create_comment, *_EITHER),
    read(f"{_REPO}/issues/comments/{{id}}", get_comment, *_EITHER),
    write("PATCH", f"{_REPO}/issues/comments/{{id}}", update_comment, *_EITHER),
    write("POST", f"{_REPO}/issues/comments/{{id}}/reactions", react_to_comment, *_EITHER),
    write("DELETE", f"{_REPO}/issues/comments/{{id}}", delete_comment, *_EITHER),
    read(f"{_REPO}/pulls/{{number}}/reviews", list_reviews, "pull_requests"),
    write("POST", f"{_REPO}/pulls/{{number}}/reviews", create_review, "pull_requests"),
    write("PUT", f"{_REPO}/pulls/{{number}}/reviews/{{id}}", update_review, "pull_requests"),
    read(f"{_REPO}/pulls/{{number}}/reviews/{{id}}/comments", list_comments_of_review, "pull_requests"),
    read(f"{_REPO}/pulls/{{number}}/comments", list_review_comments, "pull_requests"),
    write("POST", f"{_REPO}/pulls/{{number}}/comments", create_review_comment, "pull_requests"),
    write("POST", f"{_REPO}/pulls/{{number}}/comments/{{id}}/replies", reply_to_comment, "pull_requests"),
    read(f"{_REPO}/pulls/comments/{{id}}", get_review_comment, "pull_requests"),
    write("PATCH", f"{_REPO}/pulls/comments/{{id}}", update_review_comment, "pull_requests"),
    write("DELETE", f"{_REPO}/pulls/comments/{{id}}", delete_review_comment, "pull_requests"),
]
