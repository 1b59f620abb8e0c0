"""What GitHub's code scanning shows of a run, brought up to date.

It is written last, and only adds to what the checks say: whatever GitHub has against it is told on the joined check, in
a sentence, and fails nothing. What was sent is remembered by its digest, so that nothing is sent twice. Where an answer
was lost, GitHub is asked what it has, which it knows only after a while; sent again all the same, a file would take the
place of itself.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable

from bot.domain.code_scanning import Target, targets
from bot.domain.publication import AnalysisRecord
from bot.domain.run import Run
from bot.domain.sarif import category_of, to_analyses, told_of
from bot.domain.triggers import Pull
from bot.errors import Gone, Refused
from bot.github.client import Params
from bot.github.code_scanning import LARGEST, RESULTS, CodeScanning, compressed
from bot.github.pacing import Paced
from bot.publishing.records import Records

log = logging.getLogger(__name__)

NO_PERMISSION = "the App lacks the permission `security_events: write`, or it was not accepted for this repository."
SWITCHED_OFF = "it is off for this repository. A private one takes GitHub Code Security (Advanced Security) for it."
# Seconds. What was lost is looked for when GitHub will have processed it; what is pending is asked for less and less
# often, up to a time at which nobody expects an answer any more.
SETTLED = 60.0
_FIRST, _SLOWEST, _PATIENCE = 5.0, 120.0, 1800.0
# Results of each agent, the more the better; a file that is still too large after the last is not sent.
_SIZES = (RESULTS, 1_000, 200, 50)


class ScanWriter:
    """`scanning` is None where the App may not write there. `ready` is called before each write, and may raise to
    prevent it; `is_head` says whether a target's trigger still leads there."""

    def __init__(
        self,
        records: Records,
        scanning: CodeScanning | None,
        run: Run,
        ready: Callable[[], None],
        is_head: Callable[[Target], bool],
        clock: Callable[[], float],
    ) -> None:
        self._records = records
        self._scanning = scanning
        self._run = run
        self._ready = ready
        self._is_head = is_head
        self._clock = clock
        self._publication = records.publication(run.key)

    def write(self) -> float | None:
        """Tell it what it does not know. When to come again, in seconds since the epoch, to hear what became of it."""
        return min((at for target in targets(self._run) if (at := self._bring(target)) is not None), default=None)

    def _bring(self, target: Target) -> float | None:
        record = self._publication.analyses.get(target.ref, AnalysisRecord())
        sarif, left_out = _file(self._run, target)
        digest = hashlib.sha256(sarif).hexdigest()
        if record.digest != digest:
            return self._send(target, sarif, _succeeding(record, digest), left_out)
        match record.state:
            case "doubtful":
                return self._settle(target, sarif, record, left_out)
            case "pending":
                return self._ask(target, record)
        return None

    def _send(self, target: Target, sarif: bytes, record: AnalysisRecord, left_out: str) -> float | None:
        before = self._publication.analyses.get(target.ref)
        if self._scanning is None:
            return self._end(target, record, NO_PERMISSION)
        if len(sarif) > LARGEST:
            return self._end(target, record, f"the findings are too many: the file has {len(sarif):,} bytes.")
        try:
            if not self._is_head(target):
                return None
            self._ready()
            self._save(target, record.model_copy(update={"state": "doubtful", "at": self._clock()}))
            upload = self._scanning.upload(self._run.key.sha, target.ref, sarif, self._run.created_at)
        except (Gone, Refused) as error:
            return self._end(target, record, _why(error))
        except Paced:
            # It was not sent, beyond doubt.
            self._save(target, before)
            raise
        update = {"state": "pending", "id": upload, "at": self._clock(), "asked": 0, "words": left_out}
        return self._ask_later(target, record.model_copy(update=update))

    def _settle(self, target: Target, sarif: bytes, record: AnalysisRecord, left_out: str) -> float | None:
        """Ask GitHub whether what was sent has arrived."""
        if self._scanning is None:
            return self._end(target, record, NO_PERMISSION)
        if (due := record.at + SETTLED) > self._clock():
            return due
        try:
            arrived = self._arrived(self._scanning, target, record)
        except Refused as error:
            return self._end(target, record, _why(error))
        if arrived is None:
            return self._send(target, sarif, record, left_out)
        self._save(target, record.model_copy(update={"state": "done", "id": arrived, "words": left_out}))
        return None

    def _arrived(self, scanning: CodeScanning, target: Target, record: AnalysisRecord) -> str | None:
        """The id of an upload that GitHub has of this commit and ref, beside those that were known before."""
        where: Params = {"pr": target.trigger.number} if isinstance(target.trigger, Pull) else {"ref": target.ref}
        ours = {(self._run.key.sha, target.ref, category_of(agent)) for agent in target.agents}
        found = (seen for seen in scanning.analyses(where) if (seen.sha, seen.ref, seen.category) in ours)
        return next((seen.upload for seen in found if seen.upload not in record.earlier), None)

    def _ask(self, target: Target, record: AnalysisRecord) -> float | None:
        """Ask GitHub what became of what it has taken."""
        if self._scanning is None:
            return self._end(target, record, NO_PERMISSION)
        if (due := _due(record)) > self._clock():
            return due
        try:
            seen = self._scanning.status(record.id)
        except (Gone, Refused) as error:
            return self._end(target, record, _why(error))
        match seen.state:
            case "complete":
                self._save(target, record.model_copy(update={"state": "done"}))
                return None
            case "failed":
                return self._end(target, record, f"GitHub cannot process it: {'; '.join(seen.errors)[:500]}")
        if self._clock() - record.at > _PATIENCE:
            return self._end(target, record, "GitHub has taken it, and does not say what became of it.")
        return self._ask_later(target, record.model_copy(update={"asked": record.asked + 1}))

    def _ask_later(self, target: Target, record: AnalysisRecord) -> float:
        self._save(target, record)
        return _due(record)

    def _end(self, target: Target, record: AnalysisRecord, why: str) -> float | None:
        """Tell people why not, and come back no more."""
        log.warning("%s: code scanning of %s: %s", self._run.key, target.ref, why)
        words = f"Code scanning does not show what was found: {why}"
        self._save(target, record.model_copy(update={"state": "done", "words": words}))
        return None

    def _save(self, target: Target, record: AnalysisRecord | None) -> None:
        others = {ref: one for ref, one in self._publication.analyses.items() if ref != target.ref}
        analyses = others if record is None else {**others, target.ref: record}
        self._publication = self._publication.model_copy(update={"analyses": analyses})
        self._records.save_publication(self._run.key, self._publication)


def _file(run: Run, target: Target) -> tuple[bytes, str]:
    """What is sent for a target, as large as GitHub takes it; and which findings are not in it, in words."""
    agents = [agent for agent in run.shown if agent.plan.name in target.agents]
    for most in _SIZES:
        sarif = compressed(to_analyses(run, agents, most))
        if len(sarif) <= LARGEST:
            break
    beyond = [agent.plan.name for agent in agents if len(told_of(agent)) > most]
    return sarif, f"Code scanning shows only the {most:,} worst findings of {' and '.join(beyond)}." if beyond else ""


def _succeeding(record: AnalysisRecord, digest: str) -> AnalysisRecord:
    earlier = (*record.earlier, record.id) if record.id else record.earlier
    return AnalysisRecord(digest=digest, earlier=earlier[-20:])


def _due(record: AnalysisRecord) -> float:
    """When to ask what became of it."""
    return record.at + sum(min(_FIRST * 2.0**number, _SLOWEST) for number in range(record.asked + 1))


def _why(error: Gone | Refused) -> str:
    said = str(error)
    if "Resource not accessible" in said or "permissions requested are not granted" in said:
        return NO_PERMISSION
    if "must be enabled" in said or "not enabled" in said:
        return SWITCHED_OFF
    return said
