"""The words for results, as plain text: what a check's title, a table's row and a terminal say alike."""

from __future__ import annotations

from datetime import UTC, datetime

from bot.domain.findings import AgentResult, Finding, Outcome, Severity, Tests, spoken_by
from bot.domain.run import AgentState, Phase, Run
from bot.domain.verdict import Conclusion, blocking, count, parts, risk_of

_SYMBOLS = {
    Conclusion.SUCCESS: "✓",
    Conclusion.NEUTRAL: "–",
    Conclusion.SKIPPED: "–",
    Conclusion.CANCELLED: "–",
    Conclusion.ACTION_REQUIRED: "!",
    Conclusion.TIMED_OUT: "✗",
    Conclusion.FAILURE: "✗",
}

_REASONED = {
    Outcome.SKIPPED: "Skipped",
    Outcome.NOT_RUN: "Not run",
    Outcome.CANCELLED: "Cancelled",
    Outcome.TIMED_OUT: "Timed out",
    Outcome.ERROR: "Error",
}


def symbol(conclusion: Conclusion | None) -> str:
    """One plain character for how something ended; `○` while it has not."""
    return _SYMBOLS[conclusion] if conclusion else "○"


def result_words(agent: AgentState) -> str:
    """How an agent stands, in one line: `2 new findings, 1 blocks`. Holds the agent's own words, unsanitised."""
    if agent.result is None:
        return _progress_words(agent)
    said, origin = _said_words(agent, agent.result), agent.result.origin
    if origin is None:
        return said
    return f"{said}; taken over from {origin.sha[:7]}, {moment(origin.at)}"


def moment(at: float) -> str:
    """A time in seconds since the epoch, for people."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _said_words(agent: AgentState, result: AgentResult) -> str:
    if word := _REASONED.get(result.outcome):
        return f"{word}: {result.reason}" if result.reason else word
    found = _found_words(agent, result)
    if result.outcome is Outcome.PARTIAL:
        return f"{found}; not everything was looked at" if found else f"Partly looked at: {result.reason}"
    return found or _clean_words(result)


def _progress_words(agent: AgentState) -> str:
    if agent.phase is Phase.WAITING and agent.plan.after:
        return f"Waiting for {', '.join(agent.plan.after)}"
    return (agent.progress or "Running") if agent.phase is Phase.RUNNING else "Queued"


def _found_words(agent: AgentState, result: AgentResult) -> str:
    if result.tests is not None and result.tests.total:
        return tests_words(result.tests)
    new = len(parts(result).counted)
    if not new:
        return f"{count(len(result.findings), 'finding')}, already there" if result.findings else ""
    bad = len(blocking(agent))
    blocks = f"{bad:,} block{'s' if bad == 1 else ''}" if bad else "none blocks"
    return f"{count(new, 'new finding')}, {blocks}"


def _clean_words(result: AgentResult) -> str:
    looked = [count(len(result.covered), "file")] if result.covered else []
    seen = ", ".join(looked + tools_list(result)[:3])
    return f"Clean: {seen}" if seen else f"Clean: {result.summary}" if result.summary else "Clean"


def tests_words(tests: Tests) -> str:
    """`42 passed, 3 failed (2 new failures, 1 failing before, 1 fixed, 1 flaky)`, naming only what there was."""
    named = {"passed": tests.passed, "failed": tests.failed, "in error": tests.errors, "skipped": tests.skipped}
    counts = ", ".join(f"{number:,} {word}" for word, number in named.items() if number) or "no tests"
    more = failures_words(tests)
    return f"{counts} ({more})" if more else counts


def failures_words(tests: Tests) -> str:
    """What is known of the failures: new or not, flaky, in quarantine; empty where there is nothing to say."""
    words, compared = [], tests.compared
    if compared and not compared.why_not:
        words.append(count(compared.new, "new failure") if compared.new else "")
        words.append(f"{compared.before:,} failing before" if compared.before else "")
        words.append(f"{compared.fixed:,} fixed" if compared.fixed else "")
    words.append(f"{len(tests.flaky):,} flaky" if tests.flaky else "")
    words.append(f"{tests.quarantined:,} in quarantine" if tests.quarantined else "")
    if compared and compared.why_not:
        words.append("not compared with the base")
    return ", ".join(filter(None, words))


def tools_list(result: AgentResult) -> list[str]:
    """`ruff 0.17.5`, one text a tool."""
    return [f"{name} {version}".strip() for name, version in result.tools.items()]


def duration(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds < 9.95:
        return f"{max(seconds, 0.0):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def agent_time(agent: AgentState) -> str:
    """How long the agent worked; empty while it does, or when it never began."""
    if agent.result is not None and agent.result.seconds:
        return duration(agent.result.seconds)
    if agent.started_at is None or agent.finished_at is None:
        return ""
    return duration(agent.finished_at - agent.started_at)


def run_time(run: Run) -> str:
    """From the run's first event to its last agent's end; empty while one is at work."""
    ends = [agent.finished_at for agent in run.agents if agent.finished_at is not None]
    return duration(max(ends) - run.created_at) if ends and run.complete else ""


def cost_words(run: Run) -> str:
    """What the models of a run cost: `$0.0123 (gpt-x, 12,345 tokens)`; empty when none was asked."""
    costs = run.costs
    if not costs:
        return ""
    tokens = count(sum(cost.input_tokens + cost.output_tokens for cost in costs), "token")
    known = [cost.usd for cost in costs if cost.usd is not None]
    models = ", ".join(dict.fromkeys(name for cost in costs for name in cost.model.split(", ")))
    price = f"${sum(known):.4f}" if len(known) == len(costs) else "price unknown"
    budget = next((cost.budget for cost in reversed(costs) if cost.budget), "")
    return f"{price} ({models}, {tokens})" + (f"; {budget}" if budget else "")


def limit_words(fail_on: Severity | None) -> str:
    """What fails an agent."""
    if fail_on is None:
        return "findings never fail it"
    return f"new findings of severity {fail_on}{'' if fail_on is Severity.CRITICAL else ' and above'} fail it"


def rule_words(finding: Finding) -> str:
    """`ruff F401`; `review/bug`, where the rule names its tool."""
    return finding.rule if finding.rule.startswith(f"{finding.tool}/") else f"{finding.tool} {finding.rule}".strip()


_VERIFIED = {
    "confirmed": "verified",
    "lowered": "verified, less severe than claimed",
    "unverified": "unverified",
}


def verified_words(finding: Finding) -> str:
    """How sure whoever claims it is of a finding, and what a second look made of it; empty where nobody said."""
    sure = "" if finding.confidence is None else f"{finding.confidence:.0%} sure"
    return " · ".join(filter(None, (sure, _VERIFIED.get(finding.verification, ""))))


def risk_words(run: Run) -> str:
    """The risk with its factors, each with its weight: `Risk 42 of 100: findings 30/50 (1 high), size 3/10 (...)`."""
    known = risk_of(run)
    told = ", ".join(f"{one.name} {one.points}/{one.weight} ({one.why})" for one in known.factors)
    return f"Risk {known.score} of 100" + (f": {told}" if told else "")


def blocks(run: Run, finding: Finding) -> bool:
    """Whether this finding fails a required agent that reported it."""
    if not finding.counts:
        return False
    rank = finding.severity.rank
    for agent in run.agents:
        plan = agent.plan
        loud = plan.required and plan.fail_on is not None and rank >= plan.fail_on.rank
        if loud and spoken_by(plan.name, finding):
            return True
    return False
