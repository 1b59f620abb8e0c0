"""What people say in review threads, as intake hears it: news for the publisher, and the order `/assay ignore`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from bot.domain.events import FindingsIgnored
from bot.domain.findings import Ignored
from bot.domain.opinions import Told
from bot.domain.render_inline import fingerprint_of
from bot.domain.run import RunKey
from bot.errors import Gone
from bot.github.received import ThreadTouched
from bot.intake.case import Case
from bot.intake.people import not_theirs
from bot.intake.succession import Runs
from bot.publishing.unpublished import Unpublished

_ORDER = re.compile(r"\A\s*/assay\s+ignore(?P<rest>(?:\s[^\n]*)?)\s*(?:\n|\Z)")
_ALWAYS = "--always"
_REASON = 300


class Ledger(Protocol):
    """Where it is remembered what people said of findings."""

    def touch(self, repository: str, number: int) -> None: ...
    def told(self, repository: str, fingerprints: Sequence[str]) -> dict[str, Told]: ...
    def note(self, repository: str, news: Sequence[Told]) -> None: ...
    def ignore(self, repository: str, ignored: Ignored) -> None: ...


class Order(NamedTuple):
    """`/assay ignore [--always] [why]`. `always`: propose the line that pins it."""

    always: bool
    reason: str


def parse_order(text: str) -> Order | None:
    """The order that a comment begins with; None for any other comment. Nothing in it but its first line is read."""
    match = _ORDER.match(text)
    if match is None:
        return None
    words = match["rest"].split()
    reason = " ".join(word for word in words if word != _ALWAYS)
    return Order(_ALWAYS in words, reason[:_REASON])


class Threads:
    """`bot_login` is Assay's own name."""

    def __init__(self, runs: Runs, unpublished: Unpublished, ledger: Ledger) -> None:
        self._runs = runs
        self._unpublished = unpublished
        self._ledger = ledger

    def on_touched(self, case: Case, touched: ThreadTouched, bot_login: str) -> str:
        """What became of the delivery, in words."""
        key = case.about(touched.sha)
        order = parse_order(touched.said) if touched.answers is not None else None
        refused = self._ignore(case, touched, order, key, bot_login) if order else ""
        self._ledger.touch(touched.repository, touched.number)
        if refused:
            return f"ignored: {refused}"
        return f"accepted: {key}" if self._unpublished.publish_again(key) else f"ignored: no run of {key} is known"

    def _ignore(self, case: Case, touched: ThreadTouched, order: Order, key: RunKey, bot_login: str) -> str:
        """Ignore the finding that the thread is about; why not, where that is refused."""
        assert touched.answers is not None
        try:
            author, text = case.contents.review_comment(touched.answers)
        except Gone:
            return "the review comment is gone"
        fingerprint = fingerprint_of(text)
        if fingerprint is None or author.lower() != bot_login.lower():
            return "/assay ignore answers a comment that is not about a finding of Assay's"
        if why_not := not_theirs(case, touched.sender, case.contents.pull(touched.number).base_ref):
            return f"/assay ignore: {why_not}"
        ignored = Ignored(fingerprint=fingerprint, by=touched.sender, reason=order.reason)
        self._ledger.ignore(touched.repository, ignored)
        known = self._ledger.told(touched.repository, [fingerprint]).get(fingerprint)
        if known is not None:
            decided = known.decided("ignored", touched.sender, case.at, order.reason)
            self._ledger.note(touched.repository, [decided.model_copy(update={"pin": order.always or known.pin})])
        event = FindingsIgnored(at=case.at, delivery=case.guid, actor=touched.sender, ignored=(ignored,))
        self._runs.update(key, event)
        return ""
