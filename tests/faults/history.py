"""Judges a history: what was sent, what Assay remembers and what GitHub shows must be one story. Pure.

`violations` says in words what does not fit; nothing, when all is well. What it holds Assay to is issued promises:
every acknowledged delivery leads to a verdict or a stated reason; GitHub shows each run once, as it ended; nobody who
was taken for dead changed anything afterwards; and nothing is left over that would keep somebody waiting.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bot.cli.runs import fold
from bot.dead import DeadLetter
from bot.demo.github_state import CheckRun, Comment, ReviewComment
from bot.domain.events import Event
from bot.domain.findings import Outcome
from bot.domain.render import checks
from bot.domain.render_comment import marker
from bot.domain.render_inline import fingerprint_of
from bot.domain.run import Phase, Run, RunKey
from bot.domain.triggers import Pull
from bot.domain.verdict import Conclusion, verdict
from bot.domain.views import Annotation, CheckView
from bot.github.checks import OUTPUT, TITLE
from bot.github.text import fit
from tests.faults.journal import Entry

# How an agent ends that was kept from its work; each of them comes with a reason.
PREVENTED = (Outcome.ERROR, Outcome.TIMED_OUT, Outcome.CANCELLED)


@dataclass(frozen=True)
class History:
    """`acknowledged` are the GUIDs of webhooks that Assay said yes to, `ledger` what it says became of each. `expected`
    is what commits must come to. `checks`, `comments` and `notes` (comments on lines) are what the App wrote;
    `leftovers` is what Redis holds of work to be done, by key; `dead` are the jobs that were given up. `web` is the
    address of GitHub's pages."""

    acknowledged: tuple[str, ...] = ()
    expected: Mapping[RunKey, Conclusion] = field(default_factory=dict)
    ledger: Mapping[str, str] = field(default_factory=dict)
    runs: Mapping[RunKey, Run] = field(default_factory=dict)
    logs: Mapping[RunKey, tuple[Event, ...]] = field(default_factory=dict)
    checks: tuple[CheckRun, ...] = ()
    comments: tuple[Comment, ...] = ()
    notes: tuple[ReviewComment, ...] = ()
    dead: tuple[DeadLetter, ...] = ()
    leftovers: Mapping[str, int] = field(default_factory=dict)
    journal: tuple[Entry, ...] = ()
    web: str = ""


def violations(history: History) -> list[str]:
    """Everything that breaks a promise, a sentence each."""
    return [
        *_deliveries(history),
        *_verdicts(history),
        *_logs(history),
        *_checks(history),
        *_comments(history),
        *_notes(history),
        *_fences(history),
        *_dead(history),
        *(f"Redis still holds {count} of {key}" for key, count in sorted(history.leftovers.items()) if count),
    ]


def _deliveries(history: History) -> Iterator[str]:
    for guid in history.acknowledged:
        outcome = history.ledger.get(guid)
        if outcome is None:
            yield f"the delivery {guid} was acknowledged, and nobody remembers it"
            continue
        word, _, rest = outcome.partition(": ")
        if word not in ("accepted", "ignored", "failed") or not rest:
            yield f"the delivery {guid} was acknowledged, and is {outcome!r}"
        elif word == "accepted" and "@" in rest and RunKey.parse(rest.split()[0]) not in history.runs:
            yield f"the delivery {guid} is {outcome!r}, and there is no such run"


def _verdicts(history: History) -> Iterator[str]:
    for key, run in history.runs.items():
        conclusion = verdict(run).conclusion
        if conclusion is None:
            waiting = ", ".join(f"{agent.plan.name} {agent.phase}" for agent in run.agents if not agent.outcome)
            yield f"{key} is stuck: {waiting}"
        elif any(agent.outcome in PREVENTED and not (agent.result and agent.result.reason) for agent in run.agents):
            yield f"{key} ended without its verdict, and does not say why"
    for key, wanted in history.expected.items():
        found = history.runs.get(key)
        if found is None:
            yield f"{key} was pushed, and there is no run of it"
        elif prevented(found):
            if verdict(found).conclusion is Conclusion.SUCCESS:
                yield f"{key} is a success, though an agent was kept from its work"
        elif (conclusion := verdict(found).conclusion) not in (wanted, None):
            yield f"{key} is a {conclusion}, and should be a {wanted}"


def prevented(run: Run) -> bool:
    """Whether an agent was kept from its work."""
    return any(agent.outcome in PREVENTED for agent in run.agents)


def _logs(history: History) -> Iterator[str]:
    for key, run in history.runs.items():
        if fold(key, list(history.logs.get(key, ()))) != run:
            yield f"{key}: its log does not give the state that is stored"


# -- what GitHub shows


def _checks(history: History) -> Iterator[str]:
    shown = defaultdict[tuple[str, str, str], list[CheckRun]](list)
    for check in history.checks:
        shown[check.repo, check.head_sha, check.name].append(check)
        if twice := [place for place, count in Counter(map(_sent, check.annotations)).items() if count > 1]:
            yield f"{check.repo}@{check.head_sha}: the check {check.name!r} has the annotation {twice[0]} twice"
    for key, run in history.runs.items():
        for view in checks(run, history.web):
            found = shown.pop((key.repository, key.sha, view.name), [])
            yield from (f"{key}: the check {view.name!r} {what}" for what in _check(found, view, run.attempt))
    for repository, sha, name in shown:
        yield f"{repository}@{sha} has a check {name!r} that no run has"


def _check(found: Sequence[CheckRun], view: CheckView, attempt: int) -> Iterator[str]:
    """There is one of the last attempt, in its final state. Those of earlier attempts have ended."""
    last = [check for check in found if check.external_id == view.external_id]
    if len(last) != 1:
        yield f"is there {len(last)} times"
    else:
        yield from _differences(last[0], view)
    ids = Counter(check.external_id for check in found if check.external_id != view.external_id)
    if any(count > 1 for count in ids.values()) or len(ids) >= attempt:
        yield f"is there for {', '.join(ids)} as well, in attempt {attempt}"
    if any(check.status != "completed" for check in found):
        yield "is not completed"


def _differences(check: CheckRun, view: CheckView) -> Iterator[str]:
    if check.conclusion != view.conclusion:
        yield f"is a {check.conclusion}, and the run's log says {view.conclusion}"
    shown = {"title": check.title, "summary": check.summary, "text": check.output.get("text") or ""}
    said = {"title": fit(view.title, TITLE), "summary": fit(view.summary, OUTPUT), "text": fit(view.text, OUTPUT)}
    for part, text in shown.items():
        if text != said[part]:
            yield f"has the {part} {text!r}, and the run's log says {said[part]!r}"
    if sorted(map(_sent, check.annotations)) != sorted(map(_said, view.annotations)):
        yield f"has {len(check.annotations)} annotations that are not the {len(view.annotations)} of the run's log"


def _said(annotation: Annotation) -> tuple[str, int, int, str, str]:
    return annotation.path, annotation.start_line, annotation.end_line, annotation.title, annotation.message


def _sent(annotation: Mapping[str, object]) -> tuple[str, int, int, str, str]:
    lines = int(str(annotation["start_line"])), int(str(annotation["end_line"]))
    return str(annotation["path"]), *lines, str(annotation.get("title", "")), str(annotation["message"])


def _comments(history: History) -> Iterator[str]:
    found = Counter((comment.repo, comment.number) for comment in history.comments)
    bodies = {(comment.repo, comment.number): comment.body for comment in history.comments}
    for key, pull in _pulls(history):
        place = key.repository, pull.number
        if found[place] != 1:
            yield f"{key.repository}#{pull.number} has {found[place]} comments"
        elif not bodies[place].startswith(marker(pull.number)) or key.sha[:7] not in bodies[place]:
            yield f"{key.repository}#{pull.number}: the comment does not tell of {key.sha[:7]}"
        elif verdict(history.runs[key]).title not in bodies[place]:
            yield f"{key.repository}#{pull.number}: the comment does not tell the verdict"


def _pulls(history: History) -> Iterator[tuple[RunKey, Pull]]:
    """The pull requests that wait for a run."""
    return ((key, pull) for key, run in history.runs.items() for pull in run.pulls if pull.live and run.complete)


def _notes(history: History) -> Iterator[str]:
    said = Counter((note.repo, note.number, fingerprint_of(note.body)) for note in history.notes)
    for (repository, number, fingerprint), count in said.items():
        if fingerprint is None:
            yield f"{repository}#{number} has a note of ours that is about nothing"
        elif count > 1:
            yield f"{repository}#{number} was told {count} times of {fingerprint}"


# -- who was taken for dead


def _fences(history: History) -> Iterator[str]:
    """What was offered with an older token after a newer one was out must not have been taken."""
    took = [entry for entry in history.journal if entry.what == "took"]
    for entry in history.journal:
        if entry.what != "wrote":
            continue
        newer = [one for one in took if (one.name, one.at < entry.asked) == (entry.name, True)]
        if any(one.token > entry.token for one in newer):
            yield f"{entry.name}: a worker with the token {entry.token} wrote after it was taken over"


def _dead(history: History) -> Iterator[str]:
    """What was given up was told where people look."""
    for letter in history.dead:
        match letter.args:
            case (str(key), str(agent), int(attempt)):
                run = history.runs.get(RunKey.parse(key))
                state = run.agent(agent) if run else None
                if state is None or (state.attempt == attempt and state.phase is not Phase.DONE):
                    yield f"{letter.about}: its job was given up, and its run does not say so"
            case (str(about),) if about in history.ledger and not history.ledger[about].startswith("failed: "):
                yield f"the delivery {about} was given up, and the ledger says {history.ledger[about]!r}"
