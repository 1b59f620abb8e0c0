from __future__ import annotations

from hypothesis import given

from bot.domain.changes import changes, known
from bot.domain.findings import AgentResult, NotCovered, Outcome, Severity
from bot.domain.plan import Plan
from bot.domain.render_comment import comment, marker
from bot.domain.views import TEXT_LIMIT
from config.problems import Problem
from tests.domain.hostile import HOSTILE, live_parts, tokens
from tests.domain.runs import PULL, SHA, clean_run, failing_run, found, hostile_run, make_agent, make_finding, make_run
from tests.domain.test_render import OURS

CLEAN = """\
<!-- assay:pull:12 -->

### ✓ Passed

`3f2a9c1` · against `main` · 12 s

**Risk 0 of 100**

|  | Agent | Result | Time |
| --- | --- | --- | --- |
| ✓ | test | 42 passed | 2.0 s |
| ✓ | lint | Clean: 2 files, ruff 0.17.5 | 2.0 s |
| ✓ | security | Clean: 2 files, ruff 0.17.5 | 2.0 s |
| ✓ | review (optional) | Clean: 2 files, ruff 0.17.5 | 2.0 s |

<details><summary>Looked at</summary>

- lint: 2 files with `ruff 0.17.5`
- security: 2 files with `ruff 0.17.5`
- review: 2 files with `ruff 0.17.5`

</details>"""


def test_a_clean_run() -> None:
    assert comment(clean_run(), PULL, changes(clean_run(), ())) == CLEAN


def test_a_failing_run_lists_what_blocks_first() -> None:
    body = comment(failing_run(), PULL, changes(failing_run(), ()))
    lines = [line for line in body.splitlines() if line.startswith("- ") and "**" in line]
    assert lines == [
        "- ✗ **critical** `shop/settings.py:7` AWS access key `detect-secrets secret`",
        "- ✗ **high** `tests/test_cart.py:31` assert 90.0 == 85.0 `pytest test_total`",
        "- ✗ **medium** `shop/cart.py:3` `os` imported but unused `ruff F401`",
        "- **medium** `shop/cart.py:22` The last item is left out `model bug`",
    ]
    assert "**New (4)**" in body
    assert "1 finding already there before this change, not counted." in body


def test_new_open_and_fixed_are_told_apart() -> None:
    before = known(failing_run(), ())
    still = failing_run().agents[1]
    other = make_finding("undefined name", rule="F821", start_line=8)
    lint = make_agent("lint", found(*still.result.findings if still.result else (), other))
    after = clean_run().model_copy(update={"agents": (clean_run().agents[0], lint, *clean_run().agents[2:])})
    body = comment(after, PULL, changes(after, before))
    assert "**New (1)**\n\n- ✗ **medium** `shop/cart.py:8` undefined name" in body
    assert "**Still open (1)**\n\n- ✗ **medium** `shop/cart.py:3`" in body
    assert "<summary>3 fixed since the last push</summary>" in body
    assert "- `shop/settings.py:7` AWS access key" in body


def test_without_a_past_there_are_just_findings() -> None:
    assert "**Findings (4)**" in comment(failing_run(), PULL, None)


def test_findings_link_to_the_code() -> None:
    finding = make_finding(path="a b/(c).py")
    body = comment(make_run(make_agent("lint", found(finding))), PULL, None, web="https://github.com/")
    assert f"[`a b/(c).py:3`](https://github.com/octo/shop/blob/{SHA}/a%20b/%28c%29.py#L3)" in body


def test_a_path_that_climbs_is_no_link() -> None:
    run = make_run(make_agent("lint", found(make_finding(path="../../x"))))
    assert "](" not in comment(run, PULL, None, web="https://github.com")


def test_what_was_not_looked_at_is_in_sight() -> None:
    gaps = tuple(NotCovered(what=f"{n}.py", why=f"reason {n}") for n in range(20))
    run = make_run(
        make_agent(
            "review", AgentResult(outcome=Outcome.NOT_RUN, reason="no model", remedy="Set a key."), required=False
        ),
        make_agent("lint", AgentResult(outcome=Outcome.PARTIAL, not_covered=gaps)),
    )
    body = comment(run, PULL, None)
    assert "- review: no model. Set a key.\n- lint: `0.py`: reason 0\n" in body
    assert "<summary>18 more of these</summary>" in body


def test_a_large_run_folds_and_counts() -> None:
    every = [make_finding(f"finding {n}", start_line=n, severity=Severity.HIGH) for n in range(1, 501)]
    run = make_run(make_agent("lint", found(*every)))
    body = comment(run, PULL, changes(run, ()), web="https://github.com")
    assert "**New (500)**" in body
    assert "<summary>494 more</summary>" in body
    assert len(body.partition("<details>")[0].splitlines()) < 25
    assert body.count("<details>") == body.count("</details>")
    listed = body.count("- ✗ **high**")
    assert f"and {500 - listed} more" in body


def test_a_bad_configuration_is_told() -> None:
    problem = Problem(file="assay.yml", line=2, column=1, key="agents", message="unknown key")
    body = comment(make_run(plan=Plan(problems=(problem,))), PULL, None)
    assert "| `assay.yml` line 2 | `agents` | unknown key |" in body


@given(HOSTILE)
def test_hostile_words_stay_inert(text: str) -> None:
    run = hostile_run(text)
    pull = PULL.model_copy(update={"base_ref": text})
    body = comment(run, pull, changes(run, known(failing_run(), ())))
    assert live_parts(body, *OURS, "heading_open", "heading_close") == []
    assert [token.type for token in tokens(body)].count("heading_open") == 1
    assert body.count("<!--") == 1
    assert body.startswith(marker(12))
    assert sum(token.type == "tr_open" for token in tokens(body)) == 1 + len(run.agents)


def test_it_is_bounded_whatever_is_said() -> None:
    rows = [make_agent("x" * 39, AgentResult(outcome=Outcome.ERROR, reason="$" * 9_000)) for _ in range(300)]
    evil = [make_finding("<" * 4_000, path="|" * 4_000, start_line=n) for n in range(1, 600)]
    run = make_run(*rows, make_agent("lint", found(*evil)))
    body = comment(run, PULL, changes(run, known(run, ())[:300]))
    assert len(body) <= TEXT_LIMIT
    assert body.count("<details>") == body.count("</details>")


def test_what_would_change_it_is_told_once_beside_what_was_not_looked_at() -> None:
    why, raised = "this run's limit is used up", "raise agents.review.budget.run"
    gaps = tuple(NotCovered(what=name, why=why) for name in ("a.py", "b.py"))
    stopped = AgentResult(outcome=Outcome.PARTIAL, reason=f"2 files not read: {why}", remedy=raised, not_covered=gaps)
    body = comment(make_run(make_agent("review", stopped)), PULL, None) + "\n"
    assert f"- review: {raised}\n- review: `a.py`, `b.py`: {why}\n" in body
    nothing = AgentResult(outcome=Outcome.NOT_RUN, reason=why, remedy=raised)
    assert f"- review: {why}; {raised}\n" in comment(make_run(make_agent("review", nothing)), PULL, None) + "\n"
