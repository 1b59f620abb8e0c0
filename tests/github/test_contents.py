from __future__ import annotations

import base64
from typing import Any

import pytest

from bot.errors import Gone, Refused, Theirs, Unavailable
from bot.github.contents import Contents, PullSeen, RepositorySeen
from tests.github.hub import REPOSITORY, SHA, Hub, answer

ROOT = f"/repos/{REPOSITORY}"
CONFIG = f"{ROOT}/contents/.github/assay.yml"


@pytest.fixture
def hub() -> Hub:
    return Hub()


def contents(hub: Hub) -> Contents:
    return Contents(hub.api(), REPOSITORY)


def file(data: bytes, **changes: Any) -> dict[str, Any]:
    content = base64.encodebytes(data).decode()
    return {"type": "file", "size": len(data), "encoding": "base64", "content": content} | changes


def test_file_at_a_ref(hub: Hub) -> None:
    hub.plan("GET", CONFIG, answer(file(b"version: 1\n# \xc3\xbc\xff" * 20)))
    assert contents(hub).file(".github/assay.yml", "feature/x&y") == "version: 1\n# ü\ufffd" * 20
    assert hub.sent("GET", CONFIG)[0].url.params["ref"] == "feature/x&y"


def test_an_empty_file_is_a_file(hub: Hub) -> None:
    hub.plan("GET", CONFIG, answer(file(b"")))
    assert contents(hub).file(".github/assay.yml", SHA) == ""


@pytest.mark.parametrize(
    "reply",
    [
        answer({"message": "Not Found"}, 404),
        answer([file(b"x")]),
        answer({"type": "symlink", "target": "/etc/passwd", "size": 11}),
        answer({"type": "submodule", "submodule_git_url": "x", "size": 0}),
    ],
)
def test_what_is_no_file_is_none(hub: Hub, reply: Any) -> None:
    hub.plan("GET", CONFIG, reply)
    assert contents(hub).file(".github/assay.yml", SHA) is None


@pytest.mark.parametrize("large", [{"size": 2_000_000}, {"size": 1_100_000, "encoding": "none", "content": ""}])
def test_a_large_file_is_refused(hub: Hub, large: dict[str, Any]) -> None:
    hub.plan("GET", CONFIG, answer(file(b"", **large)))
    with pytest.raises(Theirs, match="at most 1,000,000"):
        contents(hub).file(".github/assay.yml", SHA)


def test_content_that_is_not_base64(hub: Hub) -> None:
    hub.plan("GET", CONFIG, answer(file(b"", content="a")))
    with pytest.raises(Unavailable):
        contents(hub).file(".github/assay.yml", SHA)


def test_a_path_cannot_leave_the_repository(hub: Hub) -> None:
    with pytest.raises(Theirs):
        contents(hub).file("../../../user", SHA)
    assert hub.requests == []


def test_merge_base(hub: Hub) -> None:
    path = f"{ROOT}/compare/release%2F1...{SHA}"
    hub.plan("GET", path, answer({"merge_base_commit": {"sha": "b" * 40}, "commits": [], "files": []}))
    assert contents(hub).merge_base("release/1", SHA) == "b" * 40
    assert hub.sent("GET", path)[0].url.params["per_page"] == "1"


def test_no_merge_base(hub: Hub) -> None:
    assert contents(hub).merge_base("main", SHA) is None


ONE, OTHER = "1" * 40, "2" * 40


def compared(hub: Hub, base: str, head: str, parted: str, *files: dict[str, str]) -> None:
    body = {"merge_base_commit": {"sha": parted}, "commits": [], "files": list(files)}
    hub.plan("GET", f"{ROOT}/compare/{base}...{head}", answer(body))


def test_what_differs_where_one_came_after_the_other(hub: Hub) -> None:
    compared(hub, ONE, OTHER, ONE, {"filename": "b.py", "previous_filename": "a.py"}, {"filename": "c.py"})
    assert contents(hub).differing(ONE, OTHER) == ({"a.py", "b.py", "c.py"}, True)


def test_what_differs_where_the_two_parted(hub: Hub) -> None:
    """What only the earlier one had is among it."""
    compared(hub, ONE, OTHER, "b" * 40, {"filename": "a.py"})
    compared(hub, OTHER, ONE, "b" * 40, {"filename": "conftest.py"})
    assert contents(hub).differing(ONE, OTHER) == ({"a.py", "conftest.py"}, True)


def test_of_300_files_nobody_knows_whether_they_are_all(hub: Hub) -> None:
    compared(hub, ONE, OTHER, ONE, *({"filename": f"{number}.py"} for number in range(300)))
    paths, complete = contents(hub).differing(ONE, OTHER)
    assert (len(paths), complete) == (300, False)


def test_commits_that_cannot_be_compared(hub: Hub) -> None:
    assert contents(hub).differing(ONE, OTHER) == (set(), False)


def pull(**changes: Any) -> dict[str, Any]:
    here = {"full_name": "Octo/Spoon"}
    return {
        "number": 5,
        "title": "Title",
        "body": "Body",
        "user": {"login": "mona"},
        "state": "open",
        "draft": True,
        "merged": False,
        "base": {"ref": "main", "sha": "b" * 40, "repo": here},
        "head": {"ref": "topic", "sha": SHA, "repo": here},
        "updated_at": "2027-01-15T08:00:00Z",
    } | changes


def seen(hub: Hub, **changes: Any) -> PullSeen:
    hub.plan("GET", f"{ROOT}/pulls/5", answer(pull(**changes)))
    return contents(hub).pull(5)


def test_pull(hub: Hub) -> None:
    assert seen(hub) == PullSeen(
        number=5,
        title="Title",
        body="Body",
        author="mona",
        state="open",
        draft=True,
        merged=False,
        base_ref="main",
        base_sha="b" * 40,
        head_ref="topic",
        head_sha=SHA,
        head_repository="Octo/Spoon",
        fork=False,
        updated_at=1_800_000_000.0,
    )


@pytest.mark.parametrize(("repo", "name"), [({"full_name": "mona/Spoon"}, "mona/Spoon"), (None, "")])
def test_a_fork_is_a_fork_even_when_it_is_gone(hub: Hub, repo: dict[str, str] | None, name: str) -> None:
    found = seen(hub, head={"ref": "topic", "sha": SHA, "repo": repo})
    assert found.fork
    assert found.head_repository == name


def test_a_pull_request_of_a_ghost_without_a_description(hub: Hub) -> None:
    found = seen(hub, user=None, body=None)
    assert (found.author, found.body) == ("", "")


def test_pull_that_does_not_exist(hub: Hub) -> None:
    with pytest.raises(Gone):
        contents(hub).pull(6)


def test_pulls_for_commit_are_open_and_have_it_as_head(hub: Hub) -> None:
    other = {"ref": "topic", "sha": "c" * 40, "repo": None}
    listed = [pull(), pull(number=6, state="closed"), pull(number=7, head=other), pull(number=8)]
    hub.plan("GET", f"{ROOT}/commits/{SHA}/pulls", answer(listed))
    assert contents(hub).pulls_for_commit(SHA) == (5, 8)


@pytest.mark.parametrize("status", [404, 422])
def test_pulls_for_an_unknown_commit(hub: Hub, status: int) -> None:
    hub.plan("GET", f"{ROOT}/commits/{SHA}/pulls", answer({"message": "No commit found for SHA"}, status))
    assert contents(hub).pulls_for_commit(SHA) == ()


def test_pulls_for_commit_without_the_permission(hub: Hub) -> None:
    hub.plan("GET", f"{ROOT}/commits/{SHA}/pulls", answer({"message": "Resource not accessible"}, 403))
    with pytest.raises(Refused):
        contents(hub).pulls_for_commit(SHA)


def test_repository(hub: Hub) -> None:
    hub.plan("GET", ROOT, answer({"id": 1, "default_branch": "main", "private": True, "name": "spoon"}))
    assert contents(hub).repository() == RepositorySeen(id=1, default_branch="main", private=True)


def test_an_answer_of_another_shape_is_a_failure(hub: Hub) -> None:
    hub.plan("GET", ROOT, answer({"id": "one"}))
    with pytest.raises(Unavailable, match="documentation"):
        contents(hub).repository()
