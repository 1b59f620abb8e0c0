"""Runs as the reducer leaves them, for tests of what people see."""

from __future__ import annotations

import hashlib
from typing import Any

from bot.domain.findings import AgentResult, Finding, Outcome, Severity, Tests
from bot.domain.plan import AgentPlan, Plan
from bot.domain.run import AgentState, Phase, Run, RunKey
from bot.domain.triggers import Pull

SHA = "3f2a9c1d" * 5
KEY = RunKey(repository="octo/shop", sha=SHA)
PULL = Pull(number=12, title="Discounts", base_ref="main", base_sha="b" * 40, head_ref="feature")


def make_finding(message: str = "`os` imported but unused", agent: str = "lint", **fields: Any) -> Finding:
    """A new finding on an added line, with a fingerprint of its own."""
    given = {
        "tool": "ruff",
        "rule": "F401",
        "severity": Severity.MEDIUM,
        "path": "shop/cart.py",
        "start_line": 3,
        "place": "added",
        **fields,
    }
    identity = f"{given['tool']} {given['rule']} {given['path']} {given['start_line']} {message}"
    fingerprint = hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:20]
    return Finding(
        **{"message": message, "sources": (f"{agent}/{given['tool']}",), "fingerprint": fingerprint, **given}
    )


def make_plan(name: str, **fields: Any) -> AgentPlan:
    given = {"kind": name, "required": True, "fail_on": Severity.MEDIUM, "report": "added", "timeout": 600, **fields}
    return AgentPlan(name=name, **given)


def make_agent(name: str, result: AgentResult | None = None, phase: Phase = Phase.DONE, **fields: Any) -> AgentState:
    """An agent that began at 1000 and, if done, ended at 1002."""
    begun = 1000.0 if phase in (Phase.RUNNING, Phase.DONE) else None
    ended = 1002.0 if phase is Phase.DONE else None
    state = {"phase": phase, "started_at": begun, "finished_at": ended, "result": result}
    plan_fields = {key: fields.pop(key) for key in ("required", "fail_on", "after") if key in fields}
    return AgentState(plan=make_plan(name, **plan_fields), **{**state, **fields})


def make_run(*agents: AgentState, plan: Plan | None = None, **fields: Any) -> Run:
    chosen = plan or Plan(agents=tuple(agent.plan for agent in agents))
    given = {"installation": 1, "created_at": 990.0, "updated_at": 1002.0, "triggers": (PULL,), **fields}
    return Run(key=KEY, plan=chosen, agents=agents, **given)


def clean(**fields: Any) -> AgentResult:
    return AgentResult(outcome=Outcome.CLEAN, covered=("a.py", "b.py"), tools={"ruff": "0.17.5"}, **fields)


def found(*findings: Finding, **fields: Any) -> AgentResult:
    return AgentResult(outcome=Outcome.FINDINGS, findings=findings, **fields)


def of_tests(passed: int, failed: int = 0, errors: int = 0, skipped: int = 0, **fields: Any) -> AgentResult:
    counts = Tests(passed=passed, failed=failed, errors=errors, skipped=skipped)
    return AgentResult(outcome=Outcome.FINDINGS if failed or errors else Outcome.CLEAN, tests=counts, **fields)


def failing_run() -> Run:
    """One failed test, one unused import, one secret, an optional reviewer's remark, and one finding of before."""
    failure = make_finding(
        "assert 90.0 == 85.0",
        agent="test",
        tool="pytest",
        rule="test_total",
        path="tests/test_cart.py",
        start_line=31,
        severity=Severity.HIGH,
        evidence="E   assert 90.0 == 85.0",
    )
    secret = make_finding(
        "AWS access key",
        agent="security",
        tool="detect-secrets",
        rule="secret",
        path="shop/settings.py",
        start_line=7,
        severity=Severity.CRITICAL,
    )
    old = make_finding("Use of assert", tool="bandit", rule="B101", path="old.py", agent="security", new=False)
    remark = make_finding(
        "The last item is left out",
        agent="review",
        tool="model",
        rule="bug",
        start_line=22,
        replacement="for item in items:",
    )
    return make_run(
        make_agent("test", of_tests(41, 1, findings=(failure,), log="...F\n1 failed")),
        make_agent("lint", found(make_finding(replacement=""), covered=("shop/cart.py",), tools={"ruff": "0.17.5"})),
        make_agent("security", found(secret, old), fail_on=Severity.HIGH),
        make_agent("review", found(remark), required=False, fail_on=None),
    )


def clean_run() -> Run:
    """The same agents with nothing to say."""
    return make_run(
        make_agent("test", of_tests(42)),
        make_agent("lint", clean()),
        make_agent("security", clean(), fail_on=Severity.HIGH),
        make_agent("review", clean(), required=False, fail_on=None),
    )


def hostile_run(text: str) -> Run:
    """A run in which every word that is not ours is `text`."""
    finding = make_finding(
        text, tool=text, rule=text, path=text, url=f"http:{text}", evidence=text, scenario=text, replacement=text
    )
    nowhere = make_finding(text, tool=text, rule=text, path="", start_line=None, evidence=text)
    old = make_finding(text, start_line=9, new=False)
    words = {"summary": text, "reason": text, "remedy": text, "log": text, "covered": (text,), "tools": {text: text}}
    gap = {"what": text, "why": text}
    result = AgentResult.model_validate(
        {"outcome": "partial", "findings": (finding, nowhere, old), "not_covered": (gap,), **words}
    )
    plan = Plan(notices=(text,), source=text)
    return make_run(
        make_agent("lint", result),
        make_agent("test", AgentResult(outcome=Outcome.NOT_RUN, reason=text, remedy=text)),
        make_agent("slow", phase=Phase.DONE, result=AgentResult(outcome=Outcome.ERROR, reason=text)),
        plan=plan,
    )
