"""What people ask for: buttons of checks, and orders in comments. Who may is read from GitHub, never from a payload."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import assert_never, get_args

from bot.domain.accounts import amount
from bot.domain.approvals import shown
from bot.domain.commands import HELP, Accept, Approve, Budget, Help, Misspelt, Reply, Rerun
from bot.domain.events import ApprovalGranted, BudgetRaised, OrderRefused, RerunRequested, ReviewAccepted
from bot.domain.findings import Cap
from bot.domain.markdown import plain
from bot.domain.render import external_id
from bot.domain.render_gates import budget_words, judgement_words
from bot.domain.run import Gate, Run, RunKey
from bot.domain.triggers import Pull
from bot.github.contents import Role
from bot.github.received import CommandGiven, GateAnswered
from bot.intake.case import Case
from bot.intake.succession import Runs
from config.repository import Trusted

_DONE, _SEEN, _NO = "rocket", "eyes", "confused"


class People:
    """Each method says what became of a delivery, in words. `allow(repository, login)` counts the orders of a person,
    and says whether this one may still be given; `reply` answers a comment; `raise_limit(cap, limit)` raises one on the
    cost of models for all that it is about."""

    def __init__(
        self,
        runs: Runs,
        allow: Callable[[str, str], bool],
        reply: Callable[[str, int, Reply], None],
        raise_limit: Callable[[Cap, float], None],
    ) -> None:
        self._runs = runs
        self._allow = allow
        self._reply = reply
        self._raise_limit = raise_limit

    def on_answer(self, case: Case, given: GateAnswered) -> str:
        key = case.about(given.sha)
        match given.gate:
            case "approval":
                why_not = self._approve(case, key)
            case "budget":
                why_not = self._raise(case, key, button=given.external_id)
            case "judgement":
                why_not = self._accept(case, key, button=given.external_id)
            case _:
                assert_never(given.gate)
        return f"ignored: {why_not}" if why_not else f"accepted: {key}"

    def not_in_charge(self, case: Case, key: RunKey) -> str:
        """Why whoever pressed a button of GitHub's own may not have the commit run again; empty where they may. Those
        who may write are told on its check: GitHub offers these buttons to no others."""
        who, run = case.received.sender, self._run(key)
        why_not = not_theirs_here(case, who, run.pulls if run else ())
        if why_not and run and may_write(case, who) and self._allow(key.repository, who):
            self._runs.update(key, OrderRefused(at=case.at, delivery=case.guid, actor=who, reason=why_not))
        return why_not

    def on_command(self, case: Case, given: CommandGiven) -> str:
        if not may_write(case, given.sender):
            # Not even a reaction: whoever may not give orders shall not make Assay write.
            return f"ignored: {given.sender} may not give orders here"
        if not self._allow(given.repository, given.sender):
            return f"ignored: {given.sender} has given too many orders within the hour"
        pull = case.contents.pull(given.number)
        key = case.about(pull.head_sha)
        why_not = not_theirs(case, given.sender, pull.base_ref)
        reaction, words = (_NO, f"Not done: {why_not}.") if why_not else self._obey(case, key, given)
        reply = Reply(number=given.number, comment=given.comment, reaction=reaction, words=words, at=case.at)
        self._reply(given.repository, given.installation, reply)
        return f"accepted: {key}" if reaction != _NO else f"ignored: {words}"

    def _obey(self, case: Case, key: RunKey, given: CommandGiven) -> tuple[str, str]:
        """The reaction, and words where it says too little."""
        command = given.command
        match command:
            case Help():
                return _SEEN, HELP
            case Misspelt():
                return _NO, f"I did not understand that: {command.words}.\n\n{HELP}"
            case Approve():
                moved = f"the head is {key.sha} now, which is another commit" if command.sha != key.sha else ""
                why_not = moved or self._approve(case, key)
                return (_NO, f"Not approved: {why_not}.") if why_not else (_DONE, "")
            case Budget():
                why_not = self._raise(case, key, order=command)
                return (_NO, f"Not raised: {why_not}.") if why_not else (_DONE, "")
            case Accept():
                moved = f"the head is {key.sha} now, which is another commit" if command.sha != key.sha else ""
                why_not = moved or self._accept(case, key)
                return (_NO, f"Not accepted: {why_not}.") if why_not else (_DONE, "")
            case Rerun():
                why_not = self._rerun(case, key, command)
                return (_NO, f"Nothing was run again: {why_not}.") if why_not else (_DONE, "")
            case _:
                assert_never(command)

    def _rerun(self, case: Case, key: RunKey, command: Rerun) -> str:
        """Why nothing runs again; empty when something does."""
        run = self._run(key)
        if run is None:
            return f"no run of {key.sha[:7]} is known"
        names = [agent.plan.name for agent in run.agents if not agent.plan.verifies]
        if unknown := [name for name in command.agents if name not in names]:
            some = ", ".join(f"`{name}`" for name in names)
            return f"there is no agent {', '.join(f'`{name}`' for name in unknown)}; there are {some}"
        self._runs.update(
            key,
            RerunRequested(
                at=case.at,
                delivery=case.guid,
                actor=case.received.sender,
                agents=command.agents,
                failed_only=command.failed_only,
                reuse=not command.fresh,
            ),
        )
        return ""

    def _approve(self, case: Case, key: RunKey) -> str:
        """Why the commit was not approved; empty when it was."""
        who, run = case.received.sender, self._run(key)
        if run is None:
            return f"no run of {key.sha[:7]} is known"
        if run.may_execute(case.at):
            return f"{key.sha[:7]} needs no approval" if run.trusted else f"{key.sha[:7]} is approved already"
        if run.lacks_approval and not run.awaits_approval:
            return _LAPSED
        if why_not := not_an_approver(case, who, run.pulls):
            return why_not
        until = case.at + run.patience.expire
        granted = ApprovalGranted(at=case.at, delivery=case.guid, actor=who, until=until, saw=shown(run))
        self._runs.update(key, granted)
        return ""

    def _raise(self, case: Case, key: RunKey, *, order: Budget | None = None, button: str | None = None) -> str:
        """Raise the limit at which a review stopped: to what the order says, or to what was proposed beside the button
        on the check of that id. Why that was not done; empty when it was."""
        who, run = case.received.sender, self._run(key)
        if run and any(one.delivery == case.guid for one in run.raised):
            # The delivery is read a second time: by now it may be another question.
            return ""
        if why_not := _not_asked(run, "budget", "no review has stopped at a limit that can be raised", key):
            return why_not
        assert run is not None
        assert run.cap is not None
        stopped = next(iter(run.capped))
        if button is not None and button != _shown_by(run, stopped.plan.verifies or stopped.plan.name):
            return "the review has gone on since that check was shown"
        if why_not := not_theirs_here(case, who, run.pulls):
            return why_not
        cap, wanted = run.cap, order.limit if order else run.cap.proposed
        if order and order.unit != cap.unit:
            return f"the review stopped at {plain(cap.words)}, which is another kind of limit"
        if not cap.limit < wanted <= cap.most:
            return (
                f"it can be raised to more than `{amount(cap.limit, cap.unit)}`, and to `{amount(cap.most, cap.unit)}` "
                f"at most; beyond that goes agents.review.budget.{cap.name}"
            )
        raised = BudgetRaised(
            at=case.at,
            delivery=case.guid,
            actor=who,
            name=cap.name,
            configured=cap.configured,
            limit=wanted,
            words=cap.words,
            saw=(budget_words(run),),
        )
        # First, so that an answer of which the run has heard counts everywhere.
        self._raise_limit(cap, wanted)
        self._runs.update(key, raised)
        return ""

    def _accept(self, case: Case, key: RunKey, *, button: str | None = None) -> str:
        """Let a review count. Why that was not done; empty when it was."""
        who, run = case.received.sender, self._run(key)
        if run and any(one.delivery == case.guid for one in run.accepted):
            return ""
        if why_not := _not_asked(run, "judgement", "no review waits for somebody to let it count", key):
            return why_not
        assert run is not None
        assert run.contested is not None
        name, attempt = run.contested.plan.name, run.contested.attempt
        if button is not None and button != _shown_by(run, name):
            return "the review has gone on since that check was shown"
        # Of whom most claims were refuted, in that one's place somebody else looks at the change.
        if why_not := not_an_approver(case, who, run.pulls):
            return why_not
        accepted = ReviewAccepted(
            at=case.at, delivery=case.guid, actor=who, agent=name, attempt=attempt, saw=(judgement_words(run),)
        )
        self._runs.update(key, accepted)
        return ""

    def _run(self, key: RunKey) -> Run | None:
        stored = self._runs.load(key)
        return stored.run if stored else None


_LAPSED = "nobody answered for too long, so that it is not asked any more; Re-run asks again"


def _not_asked(run: Run | None, gate: Gate, nothing: str, key: RunKey) -> str:
    """Why nobody is asked at a gate; empty where somebody is."""
    if run is None:
        return f"no run of {key.sha[:7]} is known"
    if gate not in run.lacking:
        return nothing
    return "" if run.awaits(gate) else _LAPSED


def _shown_by(run: Run, name: str) -> str:
    """The id of the check that shows an agent's attempt."""
    agent = run.agent(name)
    return external_id(run, name, agent.attempt) if agent else ""


def not_an_approver(case: Case, login: str, pulls: Iterable[Pull]) -> str:
    """Why a person may not approve the head of these pull requests; empty where they may."""
    pulls = tuple(pulls)
    if any(pull.author.lower() == login.lower() for pull in pulls):
        return "nobody approves what they wrote themselves"
    return not_theirs_here(case, login, pulls)


def not_theirs_here(case: Case, login: str, pulls: Iterable[Pull]) -> str:
    """Why a person may not give orders about a commit: each base branch of its pull requests has a say, and the default
    branch where it has none. Empty where they may."""
    bases = {pull.base_ref for pull in pulls if pull.live} or {case.received.default_branch}
    return next(filter(None, (not_theirs(case, login, base) for base in sorted(bases))), "")


def may_write(case: Case, login: str) -> bool:
    """Whether GitHub says that this person may write to the repository. Raises what asking raises: nobody is believed
    because GitHub was away."""
    return bool(login) and case.contents.role(login) != "none"


def not_theirs(case: Case, login: str, base: str) -> str:
    """Why a person may not give orders about what is to be merged into `base`, by that branch's configuration and what
    GitHub says of the person; empty where they may."""
    role = case.contents.role(login) if login else "none"
    if role == "none":
        return f"{login} may not write to this repository"
    reading = case.configuration(base)
    who = "admin" if reading.problems else reading.config.commands.who
    if who == "nobody":
        return f"`commands.who` at {base} lets nobody give orders"
    return "" if _ROLES.index(role) >= _ROLES.index(who) else f"orders take the permission `{who}` here"


_ROLES = get_args(Role)


def is_trusted(case: Case, login: str, trusted: Trusted) -> bool:
    """Whether what this author proposes from a fork is executed unasked: somebody who may write, or whom the base
    branch's configuration names. `login` is what GitHub's API says, not a payload."""
    if not login:
        return False
    named = {name.lower() for name in (*trusted.people, *trusted.bots)}
    if login.lower() in named or may_write(case, login):
        return True
    received = case.received
    return any(case.source.in_team(received.installation, received.repository, team, login) for team in trusted.teams)
