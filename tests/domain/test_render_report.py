from __future__ import annotations

import json

from hypothesis import given

from bot.domain.findings import AgentResult, NotCovered, Outcome
from bot.domain.plan import Plan
from bot.domain.render_report import to_json, to_markdown, to_text
from config.problems import Problem
from tests.domain.hostile import HOSTILE, live_parts
from tests.domain.runs import SHA, clean_run, failing_run, hostile_run, make_agent, make_run
from tests.domain.test_render import OURS

TEXT = """\
✗ shop/cart.py:3 medium `os` imported but unused [ruff F401]
- shop/cart.py:22 medium The last item is left out [model bug]

✗ shop/settings.py:7 critical AWS access key [detect-secrets secret]

✗ tests/test_cart.py:31 high assert 90.0 == 85.0 [pytest test_total]

✗ test      41 passed, 1 failed (2.0 s)
✗ lint      1 new finding, 1 blocks (2.0 s)
✗ security  1 new finding, 1 blocks (2.0 s)
– review    1 new finding, none blocks (2.0 s)

✗ Failed: 3 findings to mend (12 s)
  1 finding already there before this change, not counted
  Risk 95 of 100: findings 50/50 (1 critical, 1 high, 2 medium), tests 25/25 (1 failing), security 20/20 (1 critical)
  test: 1 finding at or above medium
  lint: 1 finding at or above medium
  security: 1 finding at or above high
"""


def test_text_of_a_failing_run() -> None:
    assert to_text(failing_run()) == TEXT


def test_text_of_a_clean_run_is_short() -> None:
    assert to_text(clean_run()).splitlines()[-1] == "✓ Passed (12 s)"


def test_text_says_what_was_not_looked_at_and_the_remedy() -> None:
    """What has one reason in one line."""
    gaps = tuple(NotCovered(what=f"{n}.py", why="too large") for n in range(12))
    gaps += tuple(NotCovered(what=f"{n}.c", why=f"reason {n}") for n in range(11))
    result = AgentResult(outcome=Outcome.PARTIAL, reason="large files", remedy="Split them.", not_covered=gaps)
    text = to_text(make_run(make_agent("lint", result)))
    assert "    not looked at: 0.py, 1.py, 2.py and 9 more: too large\n" in text
    assert "    not looked at: 8.c: reason 8\n" in text
    assert "    not looked at: 2 more\n    Split them.\n" in text


def test_text_counts_what_was_taken_for_no_finding() -> None:
    result = AgentResult(outcome=Outcome.CLEAN, left_out={"a placeholder": 1_200, "a hash or an id": 2})
    assert "    left out: a hash or an id: 2, a placeholder: 1,200\n" in to_text(
        make_run(make_agent("security", result))
    )


def test_text_of_a_bad_configuration_names_its_line() -> None:
    problem = Problem(file="assay.yml", line=2, column=5, key="agents", message="unknown key")
    assert to_text(make_run(plan=Plan(problems=(problem,)))).startswith("assay.yml:2:5 unknown key\n")


@given(HOSTILE)
def test_text_cannot_steer_a_terminal(text: str) -> None:
    assert not set(to_text(hostile_run(text))) & {"\x1b", "\r", "\x00", "\u202e", "\u200b"}


@given(HOSTILE)
def test_markdown_is_inert(text: str) -> None:
    body = to_markdown(hostile_run(text))
    assert live_parts(body, *OURS, "heading_open", "heading_close") == []


def test_json_has_everything_under_a_version() -> None:
    report = json.loads(to_json(failing_run()))
    assert (report["version"], report["repository"], report["sha"]) == (1, "octo/shop", SHA)
    assert report["verdict"]["conclusion"] == "failure"
    assert [agent["name"] for agent in report["agents"]] == ["test", "lint", "security", "review"]
    counts = {"passed": 41, "failed": 1, "errors": 0, "skipped": 0}
    assert report["agents"][0]["tests"].items() >= counts.items()
    assert [(finding["severity"], finding["blocks"], finding["new"]) for finding in report["findings"]] == [
        ("critical", True, True),
        ("high", True, True),
        ("medium", False, False),
        ("medium", True, True),
        ("medium", False, True),
    ]


def test_json_keys_are_the_documented_ones() -> None:
    report = json.loads(to_json(failing_run()))
    documented = to_json.__doc__ or ""
    assert all(f"`{key}`" in documented for key in (*report, *report["agents"][0], *report["verdict"]))
