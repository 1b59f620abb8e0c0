"""A run as text for a terminal, without colours; every character of it can be seen."""

from __future__ import annotations

from itertools import groupby

from bot.domain.findings import Finding
from bot.domain.markdown import clip, visible
from bot.domain.run import AgentState, Run
from bot.domain.verdict import beside, conclusion_of, count, counted, risk_of, verdict
from bot.domain.wording import (
    agent_time,
    blocks,
    cost_words,
    result_words,
    risk_words,
    rule_words,
    run_time,
    symbol,
    verified_words,
)

# Of what was not looked at for one reason.
_NAMES = 3


def to_text(run: Run) -> str:
    """For a terminal, without colours: the new findings by file, a line per agent, the verdict. Ends with a newline."""
    lines: list[str] = []
    if run.plan.problems:
        lines += [f"{visible(p.file)}:{p.line}:{p.column} {visible(p.message)}" for p in run.plan.problems] + [""]
    by_place = sorted(counted(run), key=lambda f: (f.path, f.start_line or 0, f.start_column or 0))
    for _, found in groupby(by_place, key=lambda finding: finding.path):
        lines += [*(_line(run, finding) for finding in found), ""]
    lines += _agent_lines(run)
    lines += [visible(notice) for notice in run.plan.notices]
    return "\n".join((*lines, *_verdict_lines(run))) + "\n"


def _line(run: Run, finding: Finding) -> str:
    place = ":".join(str(part) for part in (finding.path, finding.start_line, finding.start_column) if part)
    seen = f" (seen by {', '.join(finding.sources)})" if len(finding.sources) > 1 else ""
    mark = "✗" if blocks(run, finding) else "-"
    said = clip(visible(finding.words), 360)
    parts = (
        mark,
        visible(place) or "(no file)",
        str(finding.severity),
        said,
        visible(f"[{rule_words(finding)}]{seen}"),
        f"({words})" if (words := verified_words(finding)) else "",
    )
    return " ".join(part for part in parts if part)


def _agent_lines(run: Run) -> list[str]:
    width = max((len(agent.plan.name) for agent in run.shown), default=0)
    lines = []
    for agent in run.shown:
        words = clip(visible(result_words(agent)), 300)
        time = f" ({took})" if (took := agent_time(agent)) else ""
        lines.append(f"{symbol(conclusion_of(run, agent))} {agent.plan.name:<{width}}  {words}{time}")
        lines += [f"    {text}" for text in _gap_lines(agent)]
    return [*lines, ""] if lines else []


def _gap_lines(agent: AgentState) -> list[str]:
    if agent.result is None:
        return []
    by_reason: dict[str, list[str]] = {}
    for gap in agent.result.not_covered:
        by_reason.setdefault(gap.why, []).append(gap.what)
    lines = [clip(visible(f"not looked at: {_some(what)}: {why}"), 300) for why, what in list(by_reason.items())[:10]]
    left_out = ", ".join(f"{why}: {number:,}" for why, number in sorted(agent.result.left_out.items()))
    held = [clip(visible(f"left out: {left_out}"), 300)] if left_out else []
    rest = sum(len(what) for what in list(by_reason.values())[10:])
    more = [f"not looked at: {rest:,} more"] if rest else []
    remedy = [clip(visible(agent.result.remedy), 300)] if agent.result.remedy else []
    return [*lines, *more, *held, *remedy]


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMES:,} more" if len(names) > _NAMES else ""
    return ", ".join(clip(name, 60) for name in names[:_NAMES]) + more


def _verdict_lines(run: Run) -> list[str]:
    joined = verdict(run)
    spent = ", ".join(part for part in (run_time(run), cost_words(run)) if part)
    already = len(beside(run))
    return [
        f"{symbol(joined.conclusion)} {visible(joined.title)}" + (f" ({visible(spent)})" if spent else ""),
        *([f"  {count(already, 'finding')} already there before this change, not counted"] if already else []),
        *([f"  {clip(visible(risk_words(run)), 300)}"] if run.complete and risk_of(run).score else []),
        *(f"  {clip(visible(reason), 300)}" for reason in joined.because[:40] if not run.plan.problems),
    ]
