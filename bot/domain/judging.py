"""The second look: what a verifier's judgements make of an agent's findings. Pure.

It fails closed. A finding leaves, or is lowered, only by a judgement that names it. One that nobody judged, for
whatever reason, stays as severe as it was said to be, is called unverified, and the gap is told.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from bot.domain.findings import AgentResult, Finding, Ignored, Judgement, NotCovered, Outcome, Refuted

# How often an agent is asked again because its claims did not hold.
ROUNDS = 2
# Fewer refuted claims are no reason to look again.
_REJECTED = 2
_ENDED = (Outcome.CLEAN, Outcome.FINDINGS, Outcome.PARTIAL)


def to_verify(result: AgentResult) -> tuple[Finding, ...]:
    """The findings that a verifier is to look at: those that are held against the change."""
    return tuple(finding for finding in result.findings if finding.counts and finding.fingerprint)


def subject(result: AgentResult) -> str:
    """Tells what there is to verify from anything else; empty where there is nothing."""
    facts = [f"{finding.fingerprint} {finding.severity} {finding.message}" for finding in to_verify(result)]
    return hashlib.sha256("\0".join(facts).encode("utf-8", "backslashreplace")).hexdigest()[:16] if facts else ""


def judged(result: AgentResult, second: AgentResult) -> AgentResult:
    """An agent's result after the verifier's."""
    rulings = _rulings(second)
    kept: list[Finding] = []
    refuted: list[Refuted] = []
    unverified = 0
    wanted = {finding.fingerprint for finding in to_verify(result)}
    for finding in result.findings:
        if finding.fingerprint not in wanted:
            kept.append(finding)
            continue
        ruling = rulings.get(finding.fingerprint)
        if ruling is not None and ruling.ruling == "refuted":
            refuted.append(Refuted(finding=finding, reason=ruling.reason))
            continue
        kept.append(_after(finding, ruling))
        unverified += kept[-1].verification == "unverified"
    gaps = (_gap(unverified, second),) if unverified else ()
    outcome = result.outcome
    if outcome is Outcome.FINDINGS and not any(finding.counts for finding in kept):
        outcome = Outcome.CLEAN
    return result.model_copy(
        update={
            "findings": tuple(kept),
            "refuted": tuple(refuted),
            "not_covered": result.not_covered + gaps,
            "outcome": outcome,
        }
    )


def _rulings(second: AgentResult) -> dict[str, Judgement]:
    """By fingerprint. Of a verifier that did not come to its end nothing counts, and of two that contradict each other
    neither."""
    if second.outcome not in _ENDED:
        return {}
    found: dict[str, Judgement] = {}
    doubtful: set[str] = set()
    for one in second.judgements:
        if found.setdefault(one.fingerprint, one) != one:
            doubtful.add(one.fingerprint)
    return {fingerprint: one for fingerprint, one in found.items() if fingerprint not in doubtful}


def _after(finding: Finding, ruling: Judgement | None) -> Finding:
    if ruling is None or ruling.ruling not in ("confirmed", "lowered"):
        return finding.model_copy(update={"verification": "unverified"})
    evidence = "\n\n".join(part for part in (finding.evidence, ruling.evidence) if part)
    lower = ruling.severity
    if ruling.ruling == "lowered" and lower is not None and lower < finding.severity:
        return finding.model_copy(update={"verification": "lowered", "severity": lower, "evidence": evidence})
    return finding.model_copy(update={"verification": "confirmed", "evidence": evidence})


def _gap(unverified: int, second: AgentResult) -> NotCovered:
    what = "the second look at one finding" if unverified == 1 else f"the second look at {unverified} findings"
    why = second.reason or second.outcome.value.replace("_", " ")
    return NotCovered(what=what, why=f"they are unverified: {why}" if unverified > 1 else f"it is unverified: {why}")


def dismissed(result: AgentResult, ignored: Mapping[str, Ignored]) -> AgentResult:
    """A result without what people decided to ignore: it stays in sight, and counts for nothing."""
    if not ignored or not any(finding.fingerprint in ignored for finding in result.findings):
        return result
    findings = tuple(
        finding.model_copy(update={"dismissed": ignored[finding.fingerprint].words})
        if finding.fingerprint in ignored
        else finding
        for finding in result.findings
    )
    outcome = result.outcome
    if outcome is Outcome.FINDINGS and not any(finding.counts for finding in findings):
        outcome = Outcome.CLEAN
    return result.model_copy(update={"findings": findings, "outcome": outcome})


def rejected(result: AgentResult) -> bool:
    """Whether more of an agent's claims were refuted than stood: it is asked once more, and then a person is."""
    if len(result.refuted) < _REJECTED:
        return False
    stood = sum(finding.verification in ("confirmed", "lowered") for finding in result.findings)
    return len(result.refuted) > stood


def escalated(result: AgentResult) -> AgentResult:
    """The result of an agent whose claims were refuted again: it cannot be relied on, and a person has to look."""
    why = f"most of its claims were refuted, in {ROUNDS} rounds: a person has to look"
    return result.model_copy(update={"outcome": Outcome.PARTIAL, "reason": result.reason or why})


def refutations(refuted: Iterable[Refuted]) -> tuple[str, ...]:
    """What an agent that is asked again is told of its claims."""
    return tuple(f"{one.finding.where}: {one.finding.message} Refuted: {one.reason}" for one in refuted)
