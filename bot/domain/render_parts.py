"""The parts that checks, comments and reports are made of, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import quote

from bot.domain.findings import UNISOLATED, AgentResult, Finding, Outcome
from bot.domain.markdown import bullets, code, link, plain, table
from bot.domain.run import AgentState, Run
from bot.domain.verdict import conclusion_of, count
from bot.domain.wording import agent_time, blocks, result_words, rule_words, symbol, tools_list, verified_words

_AGENT_ROWS = 40
_GAP_ROWS = 30
_GAP_NAMES = 4


def finding_line(run: Run, finding: Finding, web: str | None = None) -> str:
    """One finding on one line: severity, place, message, rule, and `✗` before it if it blocks. `web` is the address of
    GitHub's pages, for a link to the code."""
    mark = "✗ " if blocks(run, finding) else ""
    place = link(code(finding.where, 200), _code_url(run, finding, web))
    said = plain(finding.words, 300)
    seen = f" (seen by {code(', '.join(finding.sources), 120)})" if len(finding.sources) > 1 else ""
    rule = link(code(rule_words(finding), 80), finding.url)
    checked = f" · {words}" if (words := verified_words(finding)) else ""
    return " ".join(part for part in (f"{mark}**{finding.severity}**", place, said, rule) if part) + checked + seen


def _code_url(run: Run, finding: Finding, web: str | None) -> str | None:
    if web is None or not finding.path or ".." in finding.path.split("/"):
        return None
    lines = f"#L{finding.start_line}" if finding.start_line else ""
    path = quote(finding.path, safe="/", errors="replace")
    return f"{web.rstrip('/')}/{run.key.repository}/blob/{run.key.sha}/{path}{lines}"


def listing(items: Iterable[str], total: int, room: int) -> str:
    """A list of the first items that fit in `room` characters, and how many of `total` are left out."""
    kept: list[str] = []
    for item in items:
        room -= len(item) + 3
        if room < 0:
            break
        kept.append(item)
    left = total - len(kept)
    return bullets((*kept, f"and {left:,} more") if left else kept)


def agents_table(run: Run) -> str:
    """A row per agent: how it stands, and how long it took."""
    rows = [
        (
            symbol(conclusion_of(run, agent)),
            agent.plan.name + ("" if agent.plan.required else " (optional)"),
            plain(result_words(agent), 200),
            agent_time(agent),
        )
        for agent in run.shown[:_AGENT_ROWS]
    ]
    if len(run.shown) > _AGENT_ROWS:
        rows.append(("", "", f"and {len(run.shown) - _AGENT_ROWS} more", ""))
    return table(("", "Agent", "Result", "Time"), rows)


def gaps(run: Run) -> list[str]:
    """What was not looked at, and why, with what would change it: a line for each agent and reason."""
    lines = []
    for agent in run.shown:
        result = agent.result
        if result is None:
            continue
        said = result.reason if result.remedy or result.outcome is Outcome.PARTIAL else ""
        if any(said.endswith(gap.why) for gap in result.not_covered[:_GAP_ROWS]):
            # Said in the lines that follow.
            said = ""
        if words := _in_turn(plain(said, 300), plain(result.remedy, 300)):
            lines.append(f"{agent.plan.name}: {words}")
        lines += [f"{agent.plan.name}: {line}" for line in _gap_lines(result)]
    return lines


def _in_turn(said: str, remedy: str) -> str:
    """Why, and what would change it, as two sentences or as two halves of one."""
    if not said or not remedy:
        return said or remedy
    stop = "" if said.endswith((".", "!", "?")) else "." if remedy[0].isupper() else ";"
    return f"{said}{stop} {remedy}"


def _gap_lines(result: AgentResult) -> list[str]:
    by_reason: dict[str, list[str]] = {}
    for gap in result.not_covered:
        by_reason.setdefault(gap.why, []).append(gap.what)
    lines = []
    for why, what in list(by_reason.items())[:_GAP_ROWS]:
        named = ", ".join(code(one, 120) for one in what[:_GAP_NAMES])
        more = f" and {len(what) - _GAP_NAMES:,} more" if len(what) > _GAP_NAMES else ""
        lines.append(f"{named}{more}: {plain(why, 240)}")
    return lines


def coverage(run: Run) -> str:
    """What was looked at, with what: one sentence an agent that knows."""
    lines = []
    for agent in run.shown:
        if agent.result is None:
            continue
        tools = ", ".join(code(tool, 60) for tool in tools_list(agent.result)[:12])
        files = count(len(agent.result.covered), "file") if agent.result.covered else ""
        if seen := " with ".join(part for part in (files, tools) if part):
            lines.append(f"{agent.plan.name}: {seen}")
    return bullets(lines)


def isolation(agents: Iterable[AgentState]) -> str:
    """What nobody may overlook: commands of these agents ran in no sandbox. Empty where none did."""
    if not any(agent.result and agent.result.sandbox == UNISOLATED for agent in agents):
        return ""
    return (
        "> **Warning:** commands ran without a sandbox (`ASSAY_SANDBOX=none`). What they executed could read all that "
        "Assay may read, its keys included, and reach the network. That is for an operator's own repositories only."
    )


def problems_table(run: Run) -> str:
    """What is wrong in the configuration, line by line."""
    rows = [
        (f"{code(problem.file, 120)} line {problem.line}", code(problem.key, 120), plain(problem.message, 400))
        for problem in run.plan.problems[:_AGENT_ROWS]
    ]
    return table(("Where", "Key", "What is wrong"), rows)


def section(title: str, body: str) -> str:
    """A titled part; empty without a body."""
    return f"**{title}**\n\n{body}" if body else ""


def worst(found: Sequence[Finding], run: Run) -> Iterator[Finding]:
    """Those that block first; otherwise in the order given. Looks no further than for those that are taken."""
    yield from (finding for finding in found if blocks(run, finding))
    yield from (finding for finding in found if not blocks(run, finding))
