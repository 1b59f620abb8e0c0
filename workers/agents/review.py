"""The reviewer: one honest pass of a language model over the diff.

Honest means that what was not read is said, and that a claim which names no line of the diff is not passed on. The
model has no tools and no credentials; all that comes of its answer is findings.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath

from pydantic import ConfigDict

from bot.domain.findings import AgentResult, Cost, Finding, NotCovered, Outcome, joined
from bot.domain.glob import matches_any
from bot.domain.model import Frozen
from bot.domain.verdict import count
from bot.errors import Refused, Theirs, Unavailable
from workers.agent import ACCOUNT, Kit, Model, OverBudget, Paid, Sandbox, TooLong, Work
from workers.agents import tree
from workers.agents.answers import Answers
from workers.agents.claims import Review, to_findings
from workers.agents.meanwhile import ask_all, so_far, threads
from workers.agents.outline.outline import Outline, language_of, outlines
from workers.agents.outline.related import Related, find_related, names_of
from workers.agents.purse import words
from workers.agents.question import Change, Request, Rule, conventions_of
from workers.agents.reading import Plan, Sizes, packed, passed_over, plan_reading, to_read
from workers.agents.replacements import checked
from workers.agents.surroundings import Source, Surroundings

AT_ONCE = 2
# The share of the agent's time that asking may take; the rest is for saying what came of it.
ASKING = 0.9
# Seconds, and the share of the agent's time, that it waits for tools which are at work, so as not to repeat them.
PATIENCE, _WAITING = 15.0, 0.05
# How often a request that is too long for the model is made two of.
HALVINGS = 4
# Files that are looked at as they were before.
_BEFORE = 40
_SUMMARY = 600


class Settings(Frozen):
    """What the reviewer uses of its part of the configuration; see `config.repository.ReviewConfig`."""

    model_config = ConfigDict(extra="ignore")

    instructions: str = ""
    rules: tuple[Rule, ...] = ()
    model: str | None = None
    never_send: tuple[str, ...] = ()

    def all_rules(self) -> tuple[Rule, ...]:
        everywhere = (Rule(paths=("**",), instructions=self.instructions),) if self.instructions else ()
        return everywhere + self.rules


@dataclass(frozen=True)
class Heard:
    """What came of one request: an answer and its cost, or why there is none. `final` says that asking on is idle,
    `retry_after` that it may not be in so many seconds, `over` that a limit on the cost allowed no more, `parts` are
    what is asked in its place."""

    request: Request
    review: Review | None = None
    cost: Cost | None = None
    why: str = ""
    final: bool = False
    retry_after: float | None = None
    over: OverBudget | None = None
    parts: tuple[Request, ...] = ()


class ReviewAgent:
    """`instructions` is the system prompt: what a reviewer is to look for, and what to leave alone."""

    def __init__(self, instructions: str) -> None:
        self._instructions = instructions

    def run(self, work: Work, kit: Kit) -> AgentResult:
        settings = Settings.model_validate(dict(work.settings))
        if kit.model is None:
            return AgentResult(
                outcome=Outcome.NOT_RUN, reason="no model is configured", remedy="set OPENAI_API_KEY and restart"
            )
        try:
            model = kit.model.named(settings.model) if settings.model else kit.model
        except Theirs as error:
            remedy = "name another in agents.review.model, or ask the operator: ASSAY_LLM_MODELS"
            return AgentResult(outcome=Outcome.NOT_RUN, reason=str(error), remedy=remedy)
        told = tuple(work.refutations)
        kept_back = (*settings.never_send, *kit.never_send)
        sizes = Sizes.within(model.room - len(self._instructions), settings.all_rules())
        change = Change(
            work.repository,
            work.title,
            work.description,
            work.diff,
            work.patch(),
            work.files,
            told,
            kept_back,
            messages=tuple(work.messages()),
            share=sizes.share,
        )
        files = to_read(change)
        found = outlines(files, work.root, kit.sandbox)
        around = Surroundings(found, tree.reader(work.root), kit.redact, _as_it_was(work, files, kit))
        change = replace(
            change,
            context=around.of,
            conventions=work.base_texts(conventions_of(files)),
        )
        plan = plan_reading(change, settings.all_rules(), kit.redact, sizes)
        ask = partial(_ask, model, self._instructions, time.monotonic() + work.timeout * ASKING)

        def price(request: Request) -> Cost:
            return model.estimate(self._instructions, request.text)

        answers = Answers(kit.memory, (self._instructions, model.name), plan.requests, work.look)
        known, left = answers.recall()
        heard = [Heard(request, review) for request, review in known]

        def note(heard: Iterable[Heard]) -> None:
            answers.note([(one.request, one.review) for one in heard if one.review])

        if left:
            requests = _told(work, packed(left, sizes), kit, change, around)
            heard += _hear(requests, plan, heard, ask, price, note, kit)
        rest = joined([price(one.request) for one in heard if one.over])
        return conclude(work, plan, heard, kit.sandbox).model_copy(update={"rest": rest})


def _as_it_was(work: Work, files: Sequence[str], kit: Kit) -> dict[str, Source]:
    """The files from which the change removes something, as they were before, of those that define something."""
    old = {path: work.diff.files[path].old_path or path for path in files if work.diff.files[path].removed}
    wanted = {path: before for path, before in list(old.items())[:_BEFORE] if language_of(before)}
    texts = work.base_texts(tuple(dict.fromkeys(wanted.values()))) if wanted else {}
    if not texts:
        return {}
    with tempfile.TemporaryDirectory(prefix="assay-") as folder:
        # By names of ours: those of the change may lead anywhere.
        names = {path: f"{number}{PurePosixPath(path).suffix}" for number, path in enumerate(texts)}
        for path, text in texts.items():
            (Path(folder) / names[path]).write_text(text, encoding="utf-8", errors="surrogateescape", newline="")
        found = outlines(list(names.values()), Path(folder), kit.sandbox)
    sources = {
        path: Source(found.get(names[path], Outline()), text.replace("\r\n", "\n").split("\n"))
        for path, text in texts.items()
    }
    return {path: sources[before] for path, before in wanted.items() if before in sources}


def _told(work: Work, requests: Sequence[Request], kit: Kit, change: Change, around: Surroundings) -> list[Request]:
    """The requests with what has to do with them elsewhere, and what others found meanwhile."""
    others = work.overhear(min(PATIENCE, work.timeout * _WAITING))
    found = [finding for result in others.values() for finding in result.findings]
    before = {path: source.outline for path, source in around.before.items()}
    names = names_of(around.outlined, work.diff, around.read, before)

    def skipped(path: str) -> bool:
        return bool(passed_over(path)) or matches_any(change.never_send, path)

    known = find_related(names, work.root, kit.sandbox, kit.redact, skipped) if names.all else Related()

    def told(request: Request) -> Request:
        own = names.changed_in(request.paths.values())
        callers = [one for one in known.callers if one.name in own]
        return request.related(callers, known.definitions, kit.redact).told(found, work.diff, kit.redact)

    return [told(request) for request in requests]


def _hear(
    requests: Sequence[Request],
    plan: Plan,
    known: Sequence[Heard],
    ask: Callable[[Request], Heard],
    price: Callable[[Request], Cost],
    note: Callable[[Iterable[Heard]], None],
    kit: Kit,
) -> list[Heard]:
    """What comes of each request. What is answered is noted at once, so that whoever goes on with it need not ask."""
    heard: list[Heard] = []
    left, estimated, at_once = list(requests), joined([price(request) for request in requests]), AT_ONCE
    assert estimated is not None
    with threads(AT_ONCE) as pool:
        while left and not any(one.final for one in heard):
            wave, left = left[:at_once], left[at_once:]
            read = (*(one.request for one in (*known, *heard)), *wave)
            begun = {path for request in read for path in request.paths.values()}
            spent = joined(_costs(heard))
            paid = f", {words(spent)} so far" if spent else ""
            answered = sum(not one.parts for one in heard)
            done = f"{answered} of {count(answered + len(wave) + len(left), 'request')} answered"
            reading = f"reading {len(begun)} of {len(plan.files)} files; {done}; estimated {words(estimated)}{paid}"
            kit.progress(reading)
            said = ask_all(pool, ask, wave, partial(_tell, kit, reading))
            note(said)
            if len(wave) > 1 and (refused := [one.request for one in said if one.over]):
                # Perhaps only for what the others might have cost: so close to a limit one is asked after the other.
                said, left, at_once = [one for one in said if not one.over], [*refused, *left], 1
            heard += said
            left = [*(part for one in said for part in one.parts), *left]
    end = next((one for one in heard if one.final), None)
    return heard + [Heard(request, why=end.why, over=end.over) for request in left if end]


def _tell(kit: Kit, reading: str) -> None:
    kit.progress(f"{reading}{so_far(kit.written())}")


def _ask(model: Model, instructions: str, deadline: float, request: Request) -> Heard:
    try:
        review, cost = model.ask(instructions, request.text, Review, timeout=deadline - time.monotonic())
    except OverBudget as error:
        return Heard(request, why=str(error), final=True, over=error)
    except (Refused, Unavailable, Theirs) as error:
        used = error.cost if isinstance(error, Paid) else None
        heard = Heard(request, cost=used, why=str(error))
        match error:
            case TooLong() if request.halved < HALVINGS:
                return replace(heard, parts=request.halves())
            case Refused():
                return replace(heard, final=error.status in ACCOUNT)
            case Unavailable():
                return replace(heard, final=True, retry_after=error.retry_after or 0.0)
        # Nobody says what an answer cost that was none.
        return replace(heard, cost=used or model.estimate(instructions, request.text))
    return Heard(request, review, cost)


def _costs(heard: Sequence[Heard]) -> list[Cost]:
    return [one.cost for one in heard if one.cost]


def conclude(work: Work, plan: Plan, heard: Sequence[Heard], sandbox: Sandbox) -> AgentResult:
    """Join what was heard into the agent's result."""
    log, heard = "\n".join(map(_log, heard)), [one for one in heard if not one.parts]
    findings: list[Finding] = []
    dropped = 0
    unfit = sum(one.review.unfit for one in heard if one.review)
    for one in heard:
        if one.review:
            found, lost = to_findings(one.review.findings, one.request.paths, work.diff)
            findings += found
            dropped += lost
    findings, unusable = checked(findings, plan.altered, work.root, sandbox)
    unread = {path: one.why for one in heard if not one.review for path in one.request.paths.values()}
    missed = (*plan.left, *(NotCovered(what=path, why=why) for path, why in unread.items()))
    covered = tuple(path for path in plan.files if path not in unread)
    outcome, reason, remedy = _outcome(plan, heard, missed, findings)
    return AgentResult(
        outcome=outcome,
        summary=_summary(heard, covered, missed, (*_dropped(dropped, unfit), *unusable)),
        findings=tuple(sorted(findings, key=lambda one: (-one.severity.rank, one.path, one.start_line or 0))),
        reason=reason,
        remedy=remedy,
        covered=covered,
        not_covered=missed + plan.passed_over,
        cost=joined(_costs(heard)),
        retry_after=max((one.retry_after for one in heard if one.retry_after is not None), default=None),
        log=log,
    )


def _outcome(
    plan: Plan, heard: Sequence[Heard], missed: Sequence[NotCovered], findings: Sequence[Finding]
) -> tuple[Outcome, str, str]:
    over = next((one.over for one in heard if one.over), None)
    if heard and not any(one.review for one in heard):
        if over:
            return Outcome.NOT_RUN, str(over), over.remedy
        return Outcome.ERROR, heard[0].why, "mend what the reason says, or wait, and re-run"
    if missed:
        remedy = over.remedy if over else ""
        return Outcome.PARTIAL, f"{count(len(missed), 'file')} not read: {missed[0].why}", remedy
    if not heard:
        kinds = ", ".join(dict.fromkeys(one.why for one in plan.passed_over))
        return Outcome.SKIPPED, f"no changed file is for a reviewer{f' ({kinds})' if kinds else ''}", ""
    return (Outcome.FINDINGS if findings else Outcome.CLEAN), "", ""


def _summary(
    heard: Sequence[Heard], covered: Sequence[str], missed: Sequence[NotCovered], dropped: Sequence[str]
) -> str:
    said = " ".join(dict.fromkeys(one.review.summary.strip() for one in heard if one.review))[:_SUMMARY]
    read = f"Read {len(covered):,} of {count(len(covered) + len(missed), 'file')}."
    instead = next((one.cost.fallback.rstrip(".") for one in heard if one.cost and one.cost.fallback), "")
    return " ".join(filter(None, (said, read if heard else "", _sentence(instead), *dropped)))


def _dropped(claims: int, unfit: int) -> Iterator[str]:
    if claims:
        yield f"{count(claims, 'claim')} dropped: no line of the diff named, or a repeat."
    if unfit:
        yield f"{count(unfit, 'claim')} dropped: not in the form that was asked for, twice."


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}." if words else ""


def _log(one: Heard) -> str:
    asked = f"{count(len(one.request.paths), 'file')}, {len(one.request.text)} characters"
    if one.review and not one.cost:
        return f"{asked}: {count(len(one.review.findings), 'claim')}, as answered before"
    if one.parts:
        return f"{asked}: asked in {count(len(one.parts), 'smaller request')}: {one.why}"
    if one.review is None or one.cost is None:
        return f"{asked}: no answer: {one.why}"
    tokens = f"{one.cost.input_tokens} tokens in, {one.cost.output_tokens} out"
    by = f"; {one.cost.fallback}" if one.cost.fallback else ""
    return f"{asked}: {count(len(one.review.findings), 'claim')}, {tokens}, {one.cost.model}{by}"
