"""Review comments on the lines of the change: few, the worst first, each tied to its finding by a hidden marker."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from itertools import islice

from bot.domain.findings import Finding, Severity
from bot.domain.markdown import code, details, exact, fence, link, plain, visible
from bot.domain.opinions import Told
from bot.domain.render_parts import worst
from bot.domain.run import Run
from bot.domain.verdict import count, counted
from bot.domain.views import InlineComment
from bot.domain.wording import rule_words, verified_words

_REPLACEMENT_LIMIT = 8_000
_MARKER = re.compile(r"<!-- assay:finding:([0-9a-f]{8,64}) -->")


# How an answer in the thread of a fixed finding begins.
FIXED = "Fixed in "


def fixed_in(sha: str) -> str:
    """The answer in the thread of a finding that is gone."""
    return f"{FIXED}{sha[:7]}."


def back(sha: str) -> str:
    """The answer in the thread of a finding that was fixed and is there again."""
    return f"Back in {sha[:7]}."


def ignored_words(told: Told) -> str:
    """The answer in the thread of a finding that is to be ignored; with the line that pins it, where that was asked
    for."""
    said = f"Not raised again in this repository, as {code(told.by, 60)} decided."
    if not told.pin:
        return said
    reason = json.dumps(visible(told.reason), ensure_ascii=False)
    line = f"ignore:\n  - {{fingerprint: {told.fingerprint}, reason: {reason}}}"
    return f"{said} To keep that with the code, put this into `.github/assay.yml`:\n\n{fence(line, 1_000, 'yaml')}"


def inline(run: Run, limit: int, silenced: Collection[str] = ()) -> tuple[InlineComment, ...]:
    """At most `limit` comments on new findings on added lines: those of severity medium and above, and those that
    come with a replacement. None about the `silenced` ones, by fingerprint, that people have decided on."""
    found = worst(counted(run), run)
    wanted = (finding for finding in found if _deserves(finding) and finding.fingerprint not in silenced)
    return tuple(_comment(finding) for finding in islice(wanted, limit))


def _deserves(finding: Finding) -> bool:
    placed = finding.place == "added" and finding.start_line is not None
    return placed and (finding.severity >= Severity.MEDIUM or finding.replacement is not None)


def _comment(finding: Finding) -> InlineComment:
    first = finding.start_line or 1
    return InlineComment(
        fingerprint=finding.fingerprint,
        path=finding.path,
        start_line=first,
        end_line=max(first, finding.last_line or first),
        body=_body(finding),
    )


def _body(finding: Finding) -> str:
    checked = f" · {words}" if (words := verified_words(finding)) else ""
    seen = f" · seen by {code(', '.join(finding.sources), 160)}" if len(finding.sources) > 1 else ""
    parts = (
        f"<!-- assay:finding:{finding.fingerprint} -->",
        f"**{finding.severity}** {plain(finding.words, 1_500)}",
        f"**When:** {plain(finding.scenario, 1_000)}" if finding.scenario.strip() else "",
        _suggestion(finding.replacement),
        details("Evidence", fence(finding.evidence, 3_000)) if finding.evidence.strip() else "",
        f"<sub>{link(code(rule_words(finding), 120), finding.url)}{checked}{seen}</sub>",
    )
    return "\n\n".join(part for part in parts if part)


def _suggestion(replacement: str | None) -> str:
    """A block that GitHub can apply; none for text that would not be applied as it is seen."""
    if replacement is None or len(replacement) > _REPLACEMENT_LIMIT:
        return ""
    return exact(replacement, "suggestion") or ""


def review_body(notes: Sequence[InlineComment]) -> str:
    """What a review says beside its comments: GitHub wants some text."""
    return f"{count(len(notes), 'finding')} on changed lines; the verdict is in Assay's comment."


def fingerprint_of(body: str) -> str | None:
    """The fingerprint of the finding that a comment of ours is about. Only the comment's very beginning counts: what
    follows quotes strangers."""
    match = _MARKER.match(body)
    return match[1] if match else None
