"""Everything this package asks of GitHub, against the stand-in that checks requests by GitHub's documentation."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bot.demo.github import StandInGitHub
from bot.domain.verdict import Conclusion
from bot.domain.views import Action, Annotation, CheckView, InlineComment
from bot.errors import Gone, Refused
from bot.github.checks import Checks
from bot.github.client import Api, App
from bot.github.comments import Comments
from bot.github.connection import Options
from bot.github.contents import Contents
from bot.github.reviews import Reviews

REPOSITORY = "octo/spoon"
WRITE = {"checks": "write", "pull_requests": "write", "contents": "read"}


@pytest.fixture(scope="module")
def github() -> Iterator[StandInGitHub]:
    with StandInGitHub(echo=False) as github:
        github.add_repository(REPOSITORY, {"a.py": "one\ntwo\n"})
        yield github


@pytest.fixture(scope="module")
def app(github: StandInGitHub) -> Iterator[App]:
    with App(github.app_id, github.private_key, Options(api_url=github.api_url)) as app:
        yield app


@pytest.fixture(scope="module")
def api(app: App, github: StandInGitHub) -> Api:
    return app.api(github.installation("octo"), REPOSITORY, WRITE)


@pytest.fixture(scope="module")
def pull(github: StandInGitHub) -> int:
    github.commit(REPOSITORY, "topic/ü", {"a.py": "one\n2\nthree\nfour\n", "sub dir/b#c.txt": "x"})
    return github.open_pull(REPOSITORY, "topic/ü", title="Count", body=None)


def test_who_we_are(github: StandInGitHub, app: App) -> None:
    assert app.bot_login == "assay-demo[bot]"
    assert app.info.permissions["checks"] == "write"


def test_a_token_may_do_no_more_than_its_job(app: App, github: StandInGitHub, pull: int) -> None:
    reader = app.api(github.installation("octo"), REPOSITORY, {"contents": "read"})
    with pytest.raises(Refused) as caught:
        Comments(reader, REPOSITORY).create(pull, "hello")
    assert caught.value.status == 403


def test_an_expired_token_is_replaced(api: Api, github: StandInGitHub) -> None:
    contents = Contents(api, REPOSITORY)
    assert contents.repository().default_branch == "main"
    github.expire_tokens()
    assert contents.repository().private


def test_reading(api: Api, github: StandInGitHub, pull: int) -> None:
    contents = Contents(api, REPOSITORY)
    seen = contents.pull(pull)
    assert (seen.title, seen.body, seen.base_ref, seen.head_ref) == ("Count", "", "main", "topic/ü")
    assert (seen.state, seen.fork, seen.merged) == ("open", False, False)
    assert contents.file("sub dir/b#c.txt", "topic/ü") == "x"
    assert contents.file("sub dir", seen.head_sha) is None
    assert contents.file("missing", seen.head_sha) is None
    assert contents.merge_base("main", seen.head_sha) == github.head(REPOSITORY, "main")
    assert contents.merge_base("main", "0" * 39 + "1") is None
    assert contents.pulls_for_commit(seen.head_sha) == (pull,)
    assert contents.pulls_for_commit("0" * 39 + "1") == ()
    with pytest.raises(Gone):
        contents.pull(999)


def test_a_check_from_queued_to_completed_with_annotations_in_chunks(
    api: Api, github: StandInGitHub, pull: int
) -> None:
    sha = Contents(api, REPOSITORY).pull(pull).head_sha
    checks = Checks(api, REPOSITORY)
    queued = CheckView(name="assay / test", external_id="1", status="queued", title="Queued", summary="")
    check_id = checks.create(sha, queued)
    notes = tuple(
        Annotation(
            path="a.py", start_line=1, end_line=2, start_column=3, level="failure", title="t", message="\0\ud800"
        )
        for _ in range(60)
    )
    done = queued.model_copy(
        update={
            "status": "completed",
            "conclusion": Conclusion.FAILURE,
            "started_at": 1.8e9,
            "completed_at": 1.8e9 + 5,
            "text": "é" * 60_000,
            "actions": (Action(label="Re-run failed", description="Run what failed again", identifier="rerun_failed"),),
        }
    )
    checks.update(check_id, done, notes[:50])
    checks.update(check_id, done, notes[50:])
    (seen,) = checks.list(sha)
    assert (seen.id, seen.status, seen.conclusion, seen.annotations_count) == (check_id, "completed", "failure", 60)
    assert len(github.check(REPOSITORY, sha, "assay / test").annotations) == 60


def test_the_sticky_comment(api: Api, app: App, github: StandInGitHub, pull: int) -> None:
    comments = Comments(api, REPOSITORY)
    github.comment(REPOSITORY, pull, "<!-- assay --> mine", author="mallory")
    assert comments.find(pull, "<!-- assay -->", app.bot_login) is None
    made = comments.create(pull, "<!-- assay --> first")
    comments.update(made, "<!-- assay --> second")
    found = comments.find(pull, "<!-- assay -->", app.bot_login)
    assert found is not None
    assert (found.id, found.body) == (made, "<!-- assay --> second")


def test_a_review_and_its_threads(api: Api, app: App, github: StandInGitHub, pull: int) -> None:
    reviews = Reviews(api, REPOSITORY)
    sha = Contents(api, REPOSITORY).pull(pull).head_sha
    lines = [
        InlineComment(fingerprint="f", path="a.py", start_line=2, end_line=3, body="two lines"),
        InlineComment(fingerprint="g", path="a.py", start_line=4, end_line=4, body="one line"),
    ]
    reviews.create(pull, sha, "Two things.", lines)
    first, second = reviews.comments(pull)
    assert (first.path, first.line, first.author, first.in_reply_to) == ("a.py", 3, app.bot_login, None)
    reviews.reply(pull, second.id, "Fixed.")
    assert reviews.comments(pull)[2].in_reply_to == second.id
    threads = reviews.threads(pull)
    assert [(thread.first_comment_id, thread.author) for thread in threads] == [
        (first.id, app.bot_login),
        (second.id, app.bot_login),
    ]
    reviews.resolve(threads[1].id)
    assert [thread.resolved for thread in reviews.threads(pull)] == [False, True]
    outside = InlineComment(fingerprint="h", path="a.py", start_line=90, end_line=90, body="nowhere")
    with pytest.raises(Refused) as caught:
        reviews.create(pull, sha, "One more.", [outside])
    assert caught.value.status == 422
    assert len(reviews.comments(pull)) == 3


def test_nothing_was_asked_that_github_does_not_offer(github: StandInGitHub) -> None:
    assert github.unexpected == []
