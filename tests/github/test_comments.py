from __future__ import annotations

from typing import Any

from bot.github.comments import BODY, Comments, CommentSeen
from tests.github.hub import REPOSITORY, Hub, answer

PATH = f"/repos/{REPOSITORY}/issues/5/comments"
MARKER = "<!-- assay -->"


def comment(number: int, login: str | None, body: str | None) -> dict[str, Any]:
    return {"id": number, "body": body, "user": {"login": login} if login else None}


def test_find_takes_no_copy_of_the_marker_by_somebody_else() -> None:
    hub = Hub()
    first = [
        comment(1, "mona", MARKER),
        comment(2, "assay", MARKER),
        comment(3, None, MARKER),
        comment(4, "assay[bot]", "other"),
        comment(5, "assay[bot]", None),
    ]
    second = [comment(6, "Assay[bot]", f"{MARKER} verdict"), comment(7, "assay[bot]", MARKER)]
    hub.plan("GET", PATH, answer(first, link='<https://api.github.com/x?page=2>; rel="next"'), answer(second))
    found = Comments(hub.api(), REPOSITORY).find(5, MARKER, "assay[bot]")
    assert found == CommentSeen(id=6, body=f"{MARKER} verdict")


def test_find_nothing() -> None:
    hub = Hub()
    hub.plan("GET", PATH, answer([]))
    assert Comments(hub.api(), REPOSITORY).find(5, MARKER, "assay[bot]") is None


def test_create_and_update_fit_githubs_limit() -> None:
    hub = Hub()
    one = f"/repos/{REPOSITORY}/issues/comments/6"
    hub.plan("POST", PATH, answer(comment(6, "assay[bot]", "x"), 201))
    hub.plan("PATCH", one, answer(comment(6, "assay[bot]", "x")))
    comments = Comments(hub.api(), REPOSITORY)
    assert comments.create(5, "hello") == 6
    comments.update(6, "x" * 70_000)
    assert hub.bodies("POST", PATH) == [{"body": "hello"}]
    assert len(hub.bodies("PATCH", one)[0]["body"]) <= BODY
