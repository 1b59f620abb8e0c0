"""What people are asked at a run's gates, and who answered. Markdown.

May a stranger's commit be executed, and what changed since the last one that might; is a limit on the cost of models
raised; does a review count, most of whose claims were refuted.
"""

from __future__ import annotations

from bot.domain.accounts import amount, unit_of
from bot.domain.approvals import waiting
from bot.domain.findings import Cap
from bot.domain.markdown import bullets, code, plain
from bot.domain.render_parts import section
from bot.domain.run import Gate, Run
from bot.domain.triggers import Since
from bot.domain.verdict import count
from bot.domain.views import Action
from bot.domain.wording import moment

APPROVE = Action(label="Approve", description="Let this very commit be executed", identifier="approve")
ACCEPT = Action(label="Accept review", description="Let what is left of it count", identifier="accept_review")
_RAISE, _LABEL = "raise_budget", 20


def gate_actions(run: Run) -> tuple[Action, ...]:
    """The buttons on a reviewer's check."""
    raises = (_raise(run.cap),) if run.cap and run.awaits("budget") else ()
    return (*raises, *((ACCEPT,) if run.awaits("judgement") else ()))


def _raise(cap: Cap) -> Action:
    label = f"Raise to {amount(cap.proposed, cap.unit).removesuffix(' tokens')}"
    # GitHub takes 20 characters; the whole is said beside it.
    short = label if len(label) <= _LABEL else "Raise the limit"
    return Action(label=short, description="Go on reading, up to this limit", identifier=_RAISE)


def budget_words(run: Run) -> str:
    """The question whether a limit is raised, in plain words; empty where it is not asked."""
    cap = run.cap
    if cap is None or not run.awaits("budget"):
        return ""
    rest = f", and the rest is estimated at {amount(cap.rest, cap.unit, 4)}" if cap.rest else ""
    return (
        f"The review stopped at {cap.words}: {amount(cap.spent, cap.unit, 4)} spent{rest}. Whoever may give orders "
        f"here can raise it to {amount(cap.proposed, cap.unit)}"
    )


def budget_order(cap: Cap) -> str:
    """The order that raises it as proposed."""
    number = f"{cap.proposed:.0f} tokens" if cap.unit == "tokens" else amount(cap.proposed, "usd").replace(",", "")
    return f"/assay budget {number}"


def judgement_words(run: Run) -> str:
    """The question whether a review counts, in plain words; empty where it is not asked."""
    agent = run.contested
    if agent is None or agent.result is None or not run.awaits("judgement"):
        return ""
    refuted, left = len(agent.result.refuted), sum(finding.counts for finding in agent.result.findings)
    return (
        f"{count(refuted, 'claim')} of {agent.plan.name} were refuted, again, and {count(left, 'finding')} stood. "
        "Somebody who did not write the change and has looked at it can let that count"
    )


def asked_words(run: Run) -> list[str]:
    """The questions about a review, each with the order that says yes."""
    said, cap, words = [], run.cap, budget_words(run)
    if words and cap:
        said.append(f"{plain(words, 600)}: {code(budget_order(cap))}.")
    if words := judgement_words(run):
        said.append(f"{plain(words, 600)}: {code(f'/assay accept {run.key.sha}')}.")
    return said


def review_parts(run: Run) -> list[str]:
    """What is asked about a review, and what was answered before."""
    lapsed = [
        f"**Nobody answered in time, so that it is not asked any more:** {what}. Re-run asks again."
        for gate, what in _ASKED.items()
        if gate in run.lacking and not run.awaits(gate)
    ]
    reminders = [_reminder(run, gate) for gate in _ASKED if run.awaits(gate)]
    return [*reminders, *asked_words(run), *lapsed, *_answers(run)]


_ASKED: dict[Gate, str] = {
    "budget": "whether the limit on its cost is raised",
    "judgement": "whether a review counts of which most claims were refuted",
}


def _answers(run: Run) -> list[str]:
    said = [
        f"{plain(f'{one.words} raised to {amount(one.limit, unit_of(one.name))} by {one.actor}', 200)} on "
        f"{moment(one.at)}."
        for one in run.raised
    ]
    now = {(agent.plan.name, agent.attempt) for agent in run.agents}
    accepted = (one for one in run.accepted if (one.agent, one.attempt) in now)
    return [*said, *(f"Accepted as it is by {plain(one.actor, 100)} on {moment(one.at)}." for one in accepted)]


def approval_parts(run: Run, web: str | None) -> list[str]:
    """The question, if there is one; `web` is the address of GitHub's pages."""
    if not run.lacks_approval:
        return []
    question = run.questions.get("approval")
    if not run.awaits_approval:
        since = f" It had waited since {moment(question.asked_at)}." if question else ""
        return [f"**Nobody approved it in time, so that it is not asked any more.**{since} Re-run asks again."]
    agents = [
        ": ".join(filter(None, (plain(name, 100), ", then ".join(map(code, given))))) for name, given in waiting(run)
    ]
    changed = [pull.since for pull in run.pulls if pull.live and pull.since]
    return [
        _reminder(run, "approval"),
        f"Whoever has read it can also comment {code(f'/assay approve {run.key.sha}')}.",
        section("An approval would run", bullets(agents)),
        *(_changed(run, since, web) for since in changed[:3]),
    ]


def _reminder(run: Run, gate: Gate) -> str:
    question = run.questions.get(gate)
    if question is None or not question.reminded:
        return ""
    asked, ends = moment(question.asked_at), moment(question.asked_at + run.patience.expire)
    what = "an approval" if gate == "approval" else "an answer"
    return f"**Reminder: this has waited for {what} since {asked}.** It is not asked any more after {ends}."


def _changed(run: Run, since: Since, web: str | None) -> str:
    before, now = since.sha, run.key.sha
    # Two dots: what differs between the two, whatever history was rewritten. Names and SHAs are GitHub's own words.
    page = f"{web.rstrip('/')}/{run.key.repository}/compare/{before}..{now}" if web else ""
    title = f"Changed since {code(before[:7])}, which {plain(since.by, 100)} approved on {moment(since.at)}"
    number = count(since.total, "file")
    facts = [
        f"[{number}]({page})" if page else number,
        f"{since.weighty:,} of which {'decides' if since.weighty == 1 else 'decide'} what is executed"
        if since.weighty
        else "",
        "" if since.complete else "and perhaps more: GitHub does not tell of all",
    ]
    files = [
        code(path, 200) + (" (decides what is executed)" if at < since.weighty else "")
        for at, path in enumerate(since.files)
    ]
    left = since.total - len(files)
    more = [f"and {left:,} more"] if left > 0 else []
    return section(title, "\n\n".join(filter(None, (", ".join(filter(None, facts)) + ".", bullets([*files, *more])))))


def approved_words(run: Run) -> str:
    """Who let it be executed."""
    granted = run.approval
    if granted is None or run.trusted:
        return ""
    carried = f", carried over from {code(granted.carried_from[:7])}" if granted.carried_from else ""
    return f"Approved for execution by {plain(granted.actor, 100)}{carried}; this ends on {moment(granted.ends)}."
