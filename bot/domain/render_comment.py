"""A run as the one sticky comment of a pull request, edited in place. Inline comments are in `render_inline`."""

from __future__ import annotations

from collections.abc import Sequence

from bot.domain.findings import Finding
from bot.domain.markdown import bullets, code, details, fit, link, plain
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
from bot.domain.verdict import count, findings, verdict
from bot.domain.views import TEXT_LIMIT, Changes, Known
from bot.domain.wording import cost_words, run_time, symbol

# About a screen stays unfolded.
_SHOWN = 8
_FOLDED = 100
_FOLD_ROOM = 9_000
_GAPS_SHOWN = 4


def marker(number: int) -> str:
    """The hidden line that tells the comment of this pull request from others."""
    return f"<!-- assay:pull:{number} -->"


def comment(run: Run, pull: Pull, news: Changes | None, *, url: str | None = None, web: str | None = None) -> str:
    """The sticky comment, at most `TEXT_LIMIT` characters.

    `news` None: there is nothing to compare with. `url` leads to the joined check; `web` is the address of GitHub's
    pages, for links to the code.
    """
    return fit((marker(pull.number), *_heading(run, pull, url), *body(run, news, web)), TEXT_LIMIT)


def _heading(run: Run, pull: Pull, url: str | None) -> list[str]:
    joined = verdict(run)
    facts = [
        code(run.key.sha[:7]),
        f"against {code(pull.base_ref, 80)}" if pull.base_ref else "",
        run_time(run),
        plain(cost_words(run), 120),
        link("all checks", url) if url else "",
    ]
    return [
        f"### {symbol(joined.conclusion)} {plain(joined.title, 200)}",
        " · ".join(fact for fact in facts if fact),
    ]


def body(run: Run, news: Changes | None, web: str | None = None) -> list[str]:
    """What the run came to, below the heading: the agents, the findings, what was not looked at."""
    if run.plan.problems:
        return [problems_table(run), "Nothing was checked. Mend the file and push again."]
    return [
        agents_table(run),
        *_findings(run, news, web),
        _unlooked(run),
        *(_past(news) if news else ()),
        _fold("Looked at", coverage(run)),
        "\n\n".join(plain(notice, 300) for notice in run.plan.notices[:5]),
    ]


def _unlooked(run: Run) -> str:
    lines = gaps(run)
    shown, rest = lines[:_GAPS_SHOWN], lines[_GAPS_SHOWN:]
    more = "\n\n" + _fold(f"{len(rest):,} more of these", listing(rest[:_FOLDED], len(rest), 6_000)) if rest else ""
    return section("Not looked at", bullets(shown) + more if shown else "")


def _findings(run: Run, news: Changes | None, web: str | None) -> list[str]:
    every = worst(findings(run), run)
    counted = [finding for finding in every if finding.counts]
    if news is None:
        parts = [*_open_part("Findings", counted, run, web)]
    else:
        new = set(news.new)
        parts = [
            *_open_part("New", [finding for finding in counted if finding.fingerprint in new], run, web),
            *_open_part("Still open", [finding for finding in counted if finding.fingerprint not in new], run, web),
        ]
    already = len(every) - len(counted)
    return [*parts, f"{count(already, 'finding')} already there before this change, not counted." if already else ""]


def _open_part(title: str, found: Sequence[Finding], run: Run, web: str | None) -> list[str]:
    """The first few in sight, the others folded away."""
    rest = found[_SHOWN:]
    lines = [finding_line(run, finding, web) for finding in found[: _SHOWN + _FOLDED]]
    return [
        section(f"{title} ({len(found):,})", bullets(lines[:_SHOWN])),
        _fold(f"{len(rest):,} more", listing(lines[_SHOWN:], len(rest), _FOLD_ROOM)) if rest else "",
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


def _fold(summary: str, body: str) -> str:
    return details(summary, body) if body else ""
