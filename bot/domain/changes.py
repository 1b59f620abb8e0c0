"""A pull request's findings over time: what is new, what is still open, what was fixed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from bot.domain.findings import Outcome
from bot.domain.markdown import clip
from bot.domain.run import Run
from bot.domain.verdict import beside, identified
from bot.domain.views import Changes, Known
from bot.domain.wording import blocks

# As many findings of a pull request are remembered, the worst first; one beyond them counts as new each time.
KNOWN_LIMIT = 2_000


def changes(run: Run, before: Sequence[Known]) -> Changes:
    """The run's findings against those remembered from the commit before.

    One that is absent now is `fixed` only when every agent that reported it has looked again; else it is `unseen`.
    """
    now = identified(run)
    old = {known.fingerprint for known in before}
    absent = _absent(run, before)
    return Changes(
        new=tuple(fingerprint for fingerprint in now if fingerprint not in old),
        open=tuple(fingerprint for fingerprint in now if fingerprint in old),
        fixed=tuple(known for known in absent if _looked_again(run, known)),
        unseen=tuple(known for known in absent if not _looked_again(run, known)),
    )


def known(run: Run, before: Sequence[Known]) -> tuple[Known, ...]:
    """What to remember after this run: its findings, and the earlier ones that nobody looked at again."""
    comments = {one.fingerprint: one.comment for one in before}
    now = [
        Known(
            fingerprint=finding.fingerprint,
            title=clip(finding.message, 200),
            where=clip(finding.where, 300),
            path=finding.path,
            sources=finding.sources,
            blocking=blocks(run, finding),
            comment=comments.get(finding.fingerprint),
        )
        for finding in islice(identified(run).values(), KNOWN_LIMIT)
    ]
    unseen = (known for known in _absent(run, before) if not _looked_again(run, known))
    return (*now, *unseen)[:KNOWN_LIMIT]


def _absent(run: Run, before: Sequence[Known]) -> list[Known]:
    """Those that the run does not have. What people have decided to ignore is neither there nor mended."""
    now, ignored = identified(run), {finding.fingerprint for finding in beside(run) if finding.dismissed}
    return [known for known in before if known.fingerprint not in now and known.fingerprint not in ignored]


def _looked_again(run: Run, known: Known) -> bool:
    return all(_source_looked(run, source, known.path) for source in known.sources) and bool(known.sources)


def _source_looked(run: Run, source: str, path: str) -> bool:
    name, _, tool = source.partition("/")
    agent = run.agent(name)
    if agent is None or agent.result is None:
        return False
    result = agent.result
    if result.outcome is Outcome.PARTIAL:
        gaps = [gap.what for gap in result.not_covered]
        return path in result.covered and not any(tool in gap or path in gap for gap in gaps)
    return result.outcome in (Outcome.CLEAN, Outcome.FINDINGS)
