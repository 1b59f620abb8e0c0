from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.verdict import Conclusion
from bot.domain.views import Action, Annotation, CheckView
from bot.errors import Unavailable
from bot.github.checks import Checks, CheckSeen, to_json
from tests.github.hub import APP_ID, REPOSITORY, SHA, Hub, answer

PATH = f"/repos/{REPOSITORY}/check-runs"


def view(**changes: Any) -> CheckView:
    fields = {"name": "assay / test", "external_id": "run:test:1", "status": "queued", "title": "T", "summary": "S"}
    return CheckView.model_validate(fields | changes)


def note(**changes: Any) -> Annotation:
    fields = {"path": "a.py", "start_line": 3, "end_line": 3, "level": "warning", "title": "t", "message": "m"}
    return Annotation.model_validate(fields | changes)


def test_a_queued_check_has_no_conclusion_and_no_end() -> None:
    body = to_json(view(conclusion=Conclusion.SUCCESS, completed_at=5.0))
    assert body == {
        "name": "assay / test",
        "external_id": "run:test:1",
        "status": "queued",
        "output": {"title": "T", "summary": "S"},
        "actions": [],
    }


def test_a_completed_check() -> None:
    body = to_json(view(status="completed", conclusion=Conclusion.TIMED_OUT, started_at=0.0, completed_at=1.8e9))
    assert body["conclusion"] == "timed_out"
    assert body["started_at"] == "1970-01-01T00:00:00Z"
    assert body["completed_at"] == "2027-01-15T08:00:00Z"


def test_columns_only_where_there_is_one_line() -> None:
    one, many = to_json(view(), [note(start_column=2, end_column=9), note(end_line=4, start_column=2, end_column=9)])[
        "output"
    ]["annotations"]
    assert (one["start_column"], one["end_column"]) == (2, 9)
    assert "start_column" not in many
    assert "end_column" not in many


def test_lines_and_columns_never_run_backwards() -> None:
    (body,) = to_json(view(), [note(end_line=1, start_column=5, end_column=2)])["output"]["annotations"]
    assert (body["start_line"], body["end_line"], body["start_column"], body["end_column"]) == (3, 3, 5, 5)


def test_what_github_wants_is_never_empty() -> None:
    output = to_json(view(title="", summary=""), [note(message=""), note(title="", message="")])["output"]
    assert (output["title"], output["summary"]) == ("assay / test", "assay / test")
    assert [body["message"] for body in output["annotations"]] == ["t", "warning"]
    assert "title" not in output["annotations"][1]


def test_more_than_fifty_annotations_are_refused_rather_than_lost() -> None:
    assert len(to_json(view(), [note()] * 50)["output"]["annotations"]) == 50
    with pytest.raises(ValueError, match="51"):
        to_json(view(), [note()] * 51)


def test_annotations_of_the_view_are_left_to_the_chunks() -> None:
    assert "annotations" not in to_json(view(annotations=(note(),)))["output"]


LONG = st.builds(lambda text, times: text * times, st.text(max_size=20), st.sampled_from([1, 20, 5000]))


@given(LONG, LONG)
def test_every_limit_of_github_holds(text: str, more: str) -> None:
    action = Action(label=text, description=more, identifier=text)
    body = to_json(
        view(title=text, summary=more, text=text, actions=(action,) * 4), [note(title=more, message=text + more)]
    )
    output = body["output"]
    assert len(output["title"]) <= 255
    assert len(output["summary"].encode()) <= 65_535
    assert len(output.get("text", "").encode()) <= 65_535
    assert len(output["annotations"][0].get("title", "")) <= 255
    assert len(output["annotations"][0]["message"].encode()) <= 64 * 1024
    assert len(body["actions"]) == 3
    for sent in body["actions"]:
        assert len(sent["label"]) <= 20
        assert len(sent["description"]) <= 40
        assert len(sent["identifier"]) <= 20


def test_list_sees_only_our_checks_over_all_pages() -> None:
    hub = Hub()
    check = {"id": 1, "name": "assay", "status": "completed", "conclusion": "success", "app": {"id": APP_ID}}
    output = {"title": "Passed", "summary": None, "text": None, "annotations_count": 3, "annotations_url": "x"}
    first = [check | {"external_id": "x", "output": output}]
    second = [check | {"id": 2, "app": {"id": 1}}, check | {"id": 3, "status": "queued", "conclusion": None}]
    link = '<https://api.github.com/x?page=2>; rel="next"'
    path = f"/repos/{REPOSITORY}/commits/{SHA}/check-runs"
    hub.plan("GET", path, answer({"check_runs": first}, link=link), answer({"check_runs": second}))
    seen = Checks(hub.api(), REPOSITORY).list(SHA)
    assert [check.id for check in seen] == [1, 3]
    assert seen[0] == CheckSeen(
        id=1,
        name="assay",
        external_id="x",
        status="completed",
        conclusion="success",
        title="Passed",
        annotations_count=3,
    )
    assert dict(hub.sent("GET", path)[0].url.params) == {"app_id": str(APP_ID), "filter": "all", "per_page": "100"}


def test_create_names_the_commit() -> None:
    hub = Hub()
    hub.plan("POST", PATH, answer({"id": 8, "name": "assay", "status": "queued"}, 201))
    assert Checks(hub.api(), REPOSITORY).create(SHA, view(), [note()]) == 8
    (body,) = hub.bodies("POST", PATH)
    assert body["head_sha"] == SHA
    assert len(body["output"]["annotations"]) == 1


def test_update_is_repeated_unless_it_would_append_annotations_twice() -> None:
    hub = Hub()
    hub.plan("PATCH", f"{PATH}/8", answer({}, 502), answer({"id": 8}))
    Checks(hub.api(), REPOSITORY).update(8, view())
    assert "head_sha" not in hub.bodies("PATCH", f"{PATH}/8")[0]
    hub.plan("PATCH", f"{PATH}/9", answer({}, 502), answer({"id": 9}))
    with pytest.raises(Unavailable):
        Checks(hub.api(), REPOSITORY).update(9, view(), [note()])
    assert len(hub.sent("PATCH", f"{PATH}/9")) == 1
