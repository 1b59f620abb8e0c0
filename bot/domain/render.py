"""A run as check runs: one per agent, the joined `assay`, and `assay / config` where the configuration is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import nsmallest
from typing import Literal

from bot.domain.code_scanning import kept_back
from bot.domain.findings import Finding, Outcome, Severity
from bot.domain.markdown import bullets, clip, code, details, fence, fit, plain, table, visible
from bot.domain.render_gates import APPROVE, approval_parts, approved_words, gate_actions, review_parts
from bot.domain.render_parts import (
    agents_table,
    coverage,
    finding_line,
    gaps,
    isolation,
    listing,
    problems_table,
    section,
)
from bot.domain.render_tests import tests_facts, tests_sections
from bot.domain.run import AgentState, Phase, Run
from bot.domain.verdict import Conclusion, beside, blocking, conclusion_of, count, counted, parts, verdict
from bot.domain.views import TEXT_LIMIT, Action, Annotation, CheckView, Status
from bot.domain.wording import (
    agent_time,
    cost_words,
    limit_words,
    moment,
    result_words,
    rule_words,
    run_time,
    tools_list,
)
from config.problems import Problem

JOINED = "assay"
CONFIG = "assay / config"
ANNOTATION_LIMIT = 1_000
_TITLE_LIMIT = 255
_LISTED = 200
_LIST_ROOM = 30_000
_LOG_ROOM = 12_000

RERUN_FAILED = Action(label="Re-run failed", description="Run again what did not pass", identifier="rerun_failed")
RERUN = Action(label="Re-run all", description="Run every agent again", identifier="rerun")


def checks(run: Run, web: str | None = None, notes: Sequence[str] = ()) -> tuple[CheckView, ...]:
    """Every check of the run as it should stand now, the joined one last. `web` is the address of GitHub's pages, for a
    link to the newer head's checks; `notes` are for the joined one's readers, of what became of it elsewhere."""
    newer = _newer(run, web)
    first = (_config(run),) if run.plan.problems else tuple(_agent(run, agent, newer) for agent in run.shown)
    return (*first, _joined(run, newer, notes, web))


def _newer(run: Run, web: str | None) -> str:
    """Where it goes on, of a run whose head moved on."""
    sha = run.superseded_by
    if sha is None:
        return ""
    name = code(sha[:7])
    # Ours to write: names and SHA are GitHub's own words, and nobody's issue is touched.
    page = f"{web.rstrip('/')}/{run.key.repository}/commit/{sha}/checks" if web else ""
    return f"Superseded by {f'[{name}]({page})' if page else name}."


def set_aside(name: str, external_id: str) -> CheckView:
    """The end of a check that the run does not have any more: of an agent left out by now, of an attempt that another
    one replaced, of a configuration that has been mended. Only the last lets a merge pass."""
    return CheckView(
        name=name,
        external_id=external_id,
        status="completed",
        conclusion=Conclusion.NEUTRAL if name == CONFIG else Conclusion.CANCELLED,
        title="No longer part of this run",
        summary=f"The check `{JOINED}` has the verdict.",
    )


def abandoned(name: str, external_id: str) -> CheckView:
    """The end of a check that no run knows of."""
    return CheckView(
        name=name,
        external_id=external_id,
        status="completed",
        conclusion=Conclusion.CANCELLED,
        title="Ended without a result",
        summary="Assay does not know any more what this check was about: its data was lost. "
        "Push again, or press Re-run, to have the commit looked at.",
    )


def check_name(agent: str) -> str:
    return f"{JOINED} / {agent}"


def external_id(run: Run, agent: str, attempt: int) -> str:
    """What Assay calls the check of an agent's attempt."""
    return f"{run.key}#{agent}#{attempt}"


def _title(text: str) -> str:
    return clip(visible(text), _TITLE_LIMIT)


# -- one agent


def _agent(run: Run, agent: AgentState, newer: str) -> CheckView:
    statuses: dict[Phase, Status] = {Phase.RUNNING: "in_progress", Phase.DONE: "completed"}
    placed = [finding for finding in parts(agent.result).counted if finding.path] if agent.result else []
    noted = nsmallest(ANNOTATION_LIMIT + _LISTED, placed, key=_worst)
    beyond = noted[ANNOTATION_LIMIT:], max(0, len(placed) - ANNOTATION_LIMIT)
    return CheckView(
        name=check_name(agent.plan.name),
        external_id=external_id(run, agent.plan.name, agent.attempt),
        status=statuses.get(agent.phase, "queued"),
        conclusion=conclusion_of(run, agent),
        title=_title(result_words(agent)),
        summary=fit((newer if agent.outcome is Outcome.CANCELLED else "", *_agent_summary(run, agent)), TEXT_LIMIT),
        text=fit(_agent_text(run, agent, *beyond), TEXT_LIMIT),
        annotations=tuple(annotation(finding) for finding in noted[:ANNOTATION_LIMIT]),
        actions=gate_actions(run) if _is_asked(run, agent) else (),
        started_at=agent.started_at,
        completed_at=agent.finished_at,
    )


def _is_asked(run: Run, agent: AgentState) -> bool:
    """Whether what people are asked about a review is about this one."""
    capped = {one.plan.verifies or one.plan.name for one in run.capped}
    about = agent.plan.name in capped or run.is_contested(agent)
    return agent.phase is Phase.DONE and about and bool({"budget", "judgement"} & set(run.lacking))


def _worst(finding: Finding) -> tuple[int, str, int]:
    return -finding.severity.rank, finding.path, finding.start_line or 0


def _agent_summary(run: Run, agent: AgentState) -> list[str]:
    result = agent.result
    if result is None:
        return [plain(result_words(agent))]
    new, already = map(len, parts(result))
    facts = {
        "Findings": f"{new:,} new ({len(blocking(agent)):,} to mend), {already:,} already there",
        "Limit": limit_words(agent.plan.fail_on) + ("" if agent.plan.required else "; it is not required"),
        **(tests_facts(result.tests) if result.tests else {}),
        "Looked at": count(len(result.covered), "file") if result.covered else "",
        "With": plain(", ".join(tools_list(result)), 600),
        "In": plain(result.sandbox, 200),
        "Time": agent_time(agent),
        "Attempt": str(agent.attempt) if agent.attempt > 1 else "",
    }
    return [
        isolation([agent]),
        plain(result.summary, 1_000),
        plain(result.reason, 2_000),
        *(review_parts(run) if _is_asked(run, agent) else ()),
        table(("Result", plain(result_words(agent), 300)), [(name, fact) for name, fact in facts.items() if fact]),
        section("Not looked at", bullets(gaps(run.model_copy(update={"agents": (agent,)})))),
    ]


def _agent_text(run: Run, agent: AgentState, beyond: list[Finding], number: int) -> list[str]:
    """`beyond` are the first of a `number` of findings that have no annotation."""
    result = agent.result
    if result is None:
        return []
    counted, already = parts(result)
    nowhere = [finding for finding in counted if not finding.path]
    return [
        section("Findings without a place", _findings(run, nowhere, len(nowhere))),
        *(fence(finding.evidence, 3_000) for finding in nowhere[:5] if finding.evidence),
        section(f"Beyond the {ANNOTATION_LIMIT:,} that are annotated", _findings(run, beyond, number)),
        section("Already there before this change, not counted", _findings(run, already, len(already))),
        *(tests_sections(result.tests) if result.tests else ()),
        details("Output", fence(result.log, _LOG_ROOM, tail=True)) if result.log else "",
    ]


def _findings(run: Run, found: Sequence[Finding], number: int) -> str:
    return listing((finding_line(run, finding) for finding in found[:_LISTED]), number, _LIST_ROOM)


def annotation(finding: Finding) -> Annotation:
    """The note on a finding's lines; one of a whole file stands on its first."""
    first = finding.start_line or 1
    last = max(first, finding.last_line or first)
    one_line = first == last and finding.start_column is not None and finding.end_column is not None
    evidence = clip(visible(finding.evidence, lines=True), 4_000)
    said = clip(visible(finding.words, lines=True), 4_000)
    scenario = f"When: {clip(visible(finding.scenario, lines=True), 2_000)}" if finding.scenario.strip() else ""
    return Annotation(
        path=finding.path,
        start_line=first,
        end_line=last,
        start_column=finding.start_column if one_line else None,
        end_column=max(finding.start_column or 1, finding.end_column or 1) if one_line else None,
        level=_level(finding.severity),
        title=_title(f"{rule_words(finding)} ({finding.severity})"),
        message="\n\n".join(part for part in (said, scenario, evidence) if part) or rule_words(finding),
    )


def _level(severity: Severity) -> Literal["notice", "warning", "failure"]:
    if severity >= Severity.HIGH:
        return "failure"
    return "warning" if severity is Severity.MEDIUM else "notice"


# -- the joined check


def _joined(run: Run, newer: str, notes: Sequence[str], web: str | None) -> CheckView:
    joined, found = verdict(run), counted(run)
    done, cancelled = joined.conclusion is not None, joined.conclusion is Conclusion.CANCELLED
    ends = [agent.finished_at for agent in run.shown if agent.finished_at is not None]
    begun = any(agent.phase in (Phase.RUNNING, Phase.DONE) for agent in run.agents)
    return CheckView(
        name=JOINED,
        external_id=external_id(run, "", run.attempt),
        status="completed" if done else "in_progress" if begun else "queued",
        conclusion=joined.conclusion,
        title=_title(joined.title),
        summary=fit((newer if cancelled else "", *_joined_summary(run, joined.because, notes, web)), TEXT_LIMIT),
        text=fit([section("Findings", _findings(run, found, len(found)))], TEXT_LIMIT),
        actions=_actions(run) if done else (),
        started_at=run.created_at,
        completed_at=max(ends, default=run.updated_at) if done else None,
    )


def _joined_summary(run: Run, because: tuple[str, ...], notes: Sequence[str], web: str | None) -> list[str]:
    if run.plan.problems:
        return [problems_table(run)]
    new = len(counted(run))
    already = len(beside(run))
    total = f"{count(new, 'new finding')}, {already:,} already there." if run.complete else ""
    spent = ", ".join(part for part in (run_time(run), cost_words(run)) if part)
    return [
        isolation(run.agents),
        section("Why", bullets(plain(reason, 400) for reason in because[:40])),
        *approval_parts(run, web),
        *review_parts(run),
        agents_table(run),
        total,
        section("Looked at", coverage(run)),
        section("Not looked at", bullets(gaps(run)[:100])),
        "\n\n".join(plain(notice) for notice in run.plan.notices[:20]),
        "\n\n".join(plain(note, 1_000) for note in (*notes, *kept_back(run))[:20]),
        f"Configuration: {plain(run.plan.source, 200)}" + (f" · Spent: {plain(spent, 200)}" if spent else ""),
        approved_words(run),
        _refused_words(run),
    ]


def _refused_words(run: Run) -> str:
    if run.refused is None:
        return ""
    who, reason = plain(run.refused.actor, 100), plain(run.refused.reason)
    return f"Not run again for {who} on {moment(run.refused.at)}: {reason}."


def _actions(run: Run) -> tuple[Action, ...]:
    if run.plan.problems:
        return ()
    if run.awaits_approval:
        return (APPROVE, RERUN)
    bad = (Outcome.ERROR, Outcome.TIMED_OUT, Outcome.CANCELLED)
    failed = any(agent.outcome in bad or blocking(agent) for agent in run.shown)
    return (RERUN_FAILED, RERUN) if failed else (RERUN,)


# -- the configuration


def _config(run: Run) -> CheckView:
    problems = run.plan.problems
    return CheckView(
        name=CONFIG,
        external_id=external_id(run, "config", run.attempt),
        status="completed",
        conclusion=Conclusion.FAILURE,
        title=_title(f"{count(len(problems), 'problem')} in {problems[0].file}"),
        summary=fit([problems_table(run), "Nothing was checked. Mend the file and push again."], TEXT_LIMIT),
        annotations=tuple(_problem_note(problem) for problem in problems[:ANNOTATION_LIMIT] if problem.file),
        started_at=run.created_at,
        completed_at=run.updated_at,
    )


def _problem_note(problem: Problem) -> Annotation:
    line = max(1, problem.line)
    return Annotation(
        path=problem.file,
        start_line=line,
        end_line=line,
        level="failure",
        title=_title(problem.key or "assay.yml"),
        message=clip(visible(problem.message, lines=True), 4_000),
    )
