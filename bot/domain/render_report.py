"""A run as a report, for the command line: Markdown and JSON here, text and SARIF in modules of their own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from bot.domain.markdown import fit, plain
from bot.domain.render_comment import body
from bot.domain.render_text import to_text
from bot.domain.render_timeline import explain_run
from bot.domain.run import AgentState, Run
from bot.domain.sarif import to_sarif
from bot.domain.verdict import conclusion_of, findings, risk_of, verdict
from bot.domain.views import TEXT_LIMIT
from bot.domain.wording import blocks, result_words, symbol

# All that the command line shows of a run comes from here.
__all__ = ["explain_run", "to_json", "to_markdown", "to_sarif", "to_text"]

JSON_VERSION = 1


def to_markdown(run: Run) -> str:
    """The same as a pull request's comment says, at most `TEXT_LIMIT` characters."""
    joined = verdict(run)
    heading = f"### {symbol(joined.conclusion)} {plain(joined.title, 200)}"
    return fit((heading, *body(run, None)), TEXT_LIMIT) + "\n"


def to_json(run: Run) -> str:
    """For programs: one object, whose shape changes only together with its `version`.

    `version`, `repository`, `sha`, `base_sha`; `verdict`: `conclusion` (null while agents are at work), `title`,
    `because`; `risk`: `score` and `factors`; `problems` of the configuration: `file`, `line`, `column`, `key`,
    `message`; `notices`; `agents`: `name`, `required`, `fail_on`, `outcome`, `conclusion`, `summary`, `said` (its own
    words), `reason`, `remedy`, `seconds`, `covered`, `not_covered` (`what`, `why`), `left_out` (why not: how many),
    `tools` (name: version), `tests` and `cost` (null where there are none); `findings`, the worst first, one problem
    once: the fields of `Finding`, and `blocks`.
    """
    report = {
        "version": JSON_VERSION,
        "repository": run.key.repository,
        "sha": run.key.sha,
        "base_sha": run.base_sha,
        "verdict": verdict(run).model_dump(mode="json"),
        "problems": _dumped(run.plan.problems),
        "notices": list(run.plan.notices),
        "risk": risk_of(run).model_dump(mode="json"),
        "agents": [_agent(run, agent) for agent in run.shown],
        "findings": [{**finding.model_dump(mode="json"), "blocks": blocks(run, finding)} for finding in findings(run)],
    }
    return json.dumps(report, indent=2) + "\n"


def _agent(run: Run, agent: AgentState) -> dict[str, Any]:
    result = agent.result
    return {
        "name": agent.plan.name,
        "required": agent.plan.required,
        "fail_on": agent.plan.fail_on,
        "outcome": agent.outcome,
        "conclusion": conclusion_of(run, agent),
        "summary": result_words(agent),
        "said": result.summary if result else "",
        "reason": result.reason if result else "",
        "remedy": result.remedy if result else "",
        "seconds": result.seconds if result else 0.0,
        "covered": list(result.covered) if result else [],
        "not_covered": _dumped(result.not_covered) if result else [],
        "left_out": result.left_out if result else {},
        "tools": result.tools if result else {},
        "tests": result.tests.model_dump(mode="json") if result and result.tests else None,
        "cost": result.cost.model_dump() if result and result.cost else None,
    }


def _dumped(values: Sequence[BaseModel]) -> list[dict[str, Any]]:
    return [value.model_dump(mode="json") for value in values]
