"""A run as the one sticky comment of a pull request, edited in place. Inline comments are in `render_inline`.

It is one screen at most, in the order in which somebody who has to decide asks: does it pass, what is it about and how
risky is it, what is to be done, what did nobody look at. Everything else is folded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice

from bot.domain.findings import Finding, Refuted
from bot.domain.markdown import bullets, code, details, fit, link, plain
from bot.domain.opinions import Told
from bot.domain.render_gates import asked_words
from bot.domain.render_parts import (
    agents_table,
    coverage,
    finding_line,
    gaps,
    listing,
    problems_table,
    section,
    worst,
)
from bot.domain.run import Run
from bot.domain.triggers import Pull
from bot.domain.verdict import beside, count, counted, findings, risk_of, verdict
from bot.domain.views import TEXT_LIMIT, Changes, Known
from bot.domain.wording import blocks, cost_words, run_time, symbol

# About a screen stays unfolded.
_SHOWN = 6
_FOLDED = 100
_FOLD_ROOM = 9_000
_GAPS_SHOWN = 3
_FACTORS = 4
_ABOUT = 400

_DECIDED = {
    "answered": "answered",
    "resolved": "resolved",
    "disliked": "thumbed down",
    "ignored": "ignored",
}


def marker(number: int) -> str:
    """The hidden line that tells the comment of this pull request from others."""
    return f"<!-- assay:pull:{number} -->"


def comment(
    run: Run,
    pull: Pull,
    news: Changes | None,
    *,
    told: Mapping[str, Told] | None = None,
    url: str | None = None,
    web: str | None = None,
) -> str:
    """The sticky comment, at most `TEXT_LIMIT` characters.

    `news` None: there is nothing to compare with. `told` is what people made of findings, by fingerprint. `url` leads
    to the joined check; `web` is the address of GitHub's pages, for links to the code.
    """
    return fit((marker(pull.number), *_heading(run, pull, url), *body(run, news, web, told or {})), TEXT_LIMIT)


def _heading(run: Run, pull: Pull, url: str | None) -> list[str]:
    joined = verdict(run)
    facts = [
        code(run.key.sha[:7]),
        f"against {code(pull.base_ref, 80)}" if pull.base_ref else "",
        run_time(run),
        plain(cost_words(run), 200),
        link("all checks", url) if url else "",
    ]
    return [
        f"### {symbol(joined.conclusion)} {plain(joined.title, 200)}",
        " · ".join(fact for fact in facts if fact),
    ]


def body(run: Run, news: Changes | None, web: str | None = None, told: Mapping[str, Told] | None = None) -> list[str]:
    """What the run came to, below the heading."""
    if run.plan.problems:
        return [problems_table(run), "Nothing was checked. Mend the file and push again."]
    told = told or {}
    return [
        _about(run),
        _risk(run),
        agents_table(run),
        *asked_words(run),
        *_findings(run, news, web, told),
        _unlooked(run),
        *(_past(news) if news else ()),
        _decided(run, told, web),
        _refuted(run, web),
        _fold("Looked at", coverage(run)),
        "\n\n".join(plain(notice, 300) for notice in run.plan.notices[:5]),
    ]


def _about(run: Run) -> str:
    """What the change does, in the reviewer's words."""
    said = (agent.result.summary for agent in run.shown if agent.plan.kind == "review" and agent.result)
    return plain(next(said, ""), _ABOUT)


def _risk(run: Run) -> str:
    """The score, its heaviest factors, and all of them folded where there are more."""
    if not run.complete:
        return ""
    known = risk_of(run)
    if not known.factors:
        return f"**Risk {known.score} of 100**"
    told = [f"{one.name} {one.points}/{one.weight} ({plain(one.why, 120)})" for one in known.factors]
    more = f" · {len(told) - _FACTORS} more" if len(told) > _FACTORS else ""
    return f"**Risk {known.score} of 100:** " + " · ".join(told[:_FACTORS]) + more


def _unlooked(run: Run) -> str:
    lines = gaps(run)
    shown, rest = lines[:_GAPS_SHOWN], lines[_GAPS_SHOWN:]
    more = "\n\n" + _fold(f"{len(rest):,} more of these", listing(rest[:_FOLDED], len(rest), 6_000)) if rest else ""
    return section("Not looked at", bullets(shown) + more if shown else "")


def _findings(run: Run, news: Changes | None, web: str | None, told: Mapping[str, Told]) -> list[str]:
    unsettled = counted(run)
    if told:
        unsettled = tuple(finding for finding in unsettled if not _is_settled(run, finding, told))
    if news is None:
        parts = _open_part("Findings", unsettled, run, web)
    else:
        new = set(news.new)
        fresh, still = list[Finding](), list[Finding]()
        for finding in unsettled:
            (fresh if finding.fingerprint in new else still).append(finding)
        parts = _open_part("New", fresh, run, web) + _open_part("Still open", still, run, web)
    already = sum(not finding.new for finding in beside(run))
    return [*parts, f"{count(already, 'finding')} already there before this change, not counted." if already else ""]


def _is_settled(run: Run, finding: Finding, told: Mapping[str, Told]) -> bool:
    """Whether people have decided on it. One that blocks is told of all the same: somebody will ask why."""
    known = told.get(finding.fingerprint)
    return known is not None and known.silenced and not blocks(run, finding)


def _open_part(title: str, found: Sequence[Finding], run: Run, web: str | None) -> list[str]:
    """The first few in sight, the others folded away."""
    rest = len(found) - _SHOWN
    lines = [finding_line(run, finding, web) for finding in islice(worst(found, run), _SHOWN + _FOLDED)]
    return [
        section(f"{title} ({len(found):,})", bullets(lines[:_SHOWN])),
        _fold(f"{rest:,} more", listing(lines[_SHOWN:], rest, _FOLD_ROOM)) if rest > 0 else "",
    ]


def _past(news: Changes) -> list[str]:
    return [
        _known_part("fixed since the last push", news.fixed),
        _known_part("from before, not looked at again", news.unseen),
    ]


def _known_part(what: str, known: Sequence[Known]) -> str:
    if not known:
        return ""
    lines = [" ".join(part for part in (code(one.where), plain(one.title, 200)) if part) for one in known[:_FOLDED]]
    return _fold(f"{len(known):,} {what}", listing(lines, len(known), 8_000))


def _decided(run: Run, told: Mapping[str, Told], web: str | None) -> str:
    """What people have decided not to hear of again, and who."""
    lines = []
    for finding in findings(run) if told else beside(run):
        known = told.get(finding.fingerprint)
        if finding.dismissed:
            lines.append(f"{finding_line(run, finding, web)}: {plain(finding.dismissed, 200)}")
        elif known is not None and finding.counts and _is_settled(run, finding, told):
            lines.append(f"{finding_line(run, finding, web)}: {_DECIDED[known.decision]} by {plain(known.by, 60)}")
    return _fold(f"{len(lines):,} settled by people, not raised again", listing(lines[:_FOLDED], len(lines), 6_000))


def _refuted(run: Run, web: str | None) -> str:
    gone = [one for agent in run.shown if agent.result for one in agent.result.refuted]
    lines = [_refuted_line(run, one, web) for one in gone[:_FOLDED]]
    what = "claim" if len(gone) == 1 else "claims"
    return _fold(f"{len(gone):,} {what} refuted at a second look", listing(lines, len(gone), 6_000))


def _refuted_line(run: Run, gone: Refuted, web: str | None) -> str:
    return f"{finding_line(run, gone.finding, web)}: {plain(gone.reason, 300)}"


def _fold(summary: str, body: str) -> str:
    return details(summary, body) if body else ""
