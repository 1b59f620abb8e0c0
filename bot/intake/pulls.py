"""Pull requests, as intake reads them."""

from __future__ import annotations

from typing import Protocol

from bot.domain.plan import held
from bot.domain.triggers import Pull
from bot.github.contents import PullSeen
from bot.github.received import PullReceived
from bot.intake import heads
from bot.intake.case import Case
from bot.intake.people import is_trusted
from bot.intake.start import LAG, LAG_PAUSE, Later, Starts, plan_for


class Pushers(Protocol):
    """Where it is counted how many heads of a pull request in a row came from bots."""

    def pushed(self, repository: str, number: int, sha: str, *, by_bot: bool) -> None: ...
    def rounds(self, repository: str, number: int) -> int: ...


class Pulls:
    """Each method says what became of a delivery, in words; raises Later where it has to be read again."""

    def __init__(self, runs: heads.Runs, starts: Starts, pushers: Pushers) -> None:
        self._runs = runs
        self._starts = starts
        self._pushers = pushers

    def on_received(self, case: Case, received: PullReceived) -> str:
        case.ahead.expect(case.contents.pull, received.number)
        if received.base_sha and not received.closed:
            # As the payload has it, which is mostly how it still is.
            case.ahead.expect(case.contents.merge_base, received.base_sha, received.head_sha)
            case.expect_configuration(received.base_ref if received.fork else received.head_sha)
        pull = case.ahead.ask(case.contents.pull, received.number)
        if _lags(pull, received) and case.age <= LAG:
            raise Later(f"GitHub does not show the news of pull request #{pull.number} yet", LAG_PAUSE)
        if received.action == "synchronize":
            by_bot = received.sender.endswith("[bot]")
            self._pushers.pushed(received.repository, received.number, received.head_sha, by_bot=by_bot)
        return self.on_seen(case, pull)

    def on_seen(self, case: Case, pull: PullSeen) -> str:
        key, trigger = case.about(pull.head_sha), _to_trigger(pull)
        if pull.state != "open":
            heads.end(self._runs, case, key, trigger.id, pull.updated_at, "the pull request was closed")
            return f"accepted: {key} (pull request #{pull.number} is closed)"
        # A stranger's branch must not choose how it is checked.
        reading = case.configuration(pull.base_ref if pull.fork else pull.head_sha)
        if pull.fork:
            # A configuration that cannot be read names nobody.
            trigger = trigger.model_copy(update={"trusted": is_trusted(case, pull.author, reading.config.trusted)})
        planned = plan_for(reading, trigger, case.received.default_branch)
        if isinstance(planned, str):
            heads.supersede(self._runs, case, key, trigger)
            if pull.draft:
                heads.end(self._runs, case, key, trigger.id, pull.updated_at, "the pull request became a draft")
            return f"ignored: {planned}"
        if planned.code_scanning and not pull.fork:
            # Whether others hear of findings is not for a pull request to say.
            allowed = case.configuration(pull.base_ref).config.code_scanning
            planned = planned.model_copy(update={"code_scanning": allowed})
        planned = held(planned, self._pushers.rounds(key.repository, pull.number), reading.config)
        self._starts.let_wait(case, key, trigger, reading)
        base = case.ahead.ask(case.contents.merge_base, pull.base_sha, pull.head_sha) or pull.base_sha
        # First, for only the newest head's run writes the pull request's comment.
        heads.supersede(self._runs, case, key, trigger)
        return self._starts.start(case, key, trigger.model_copy(update={"base_sha": base}), planned)


def _to_trigger(pull: PullSeen) -> Pull:
    return Pull(
        number=pull.number,
        title=pull.title,
        body=pull.body,
        author=pull.author,
        draft=pull.draft,
        base_ref=pull.base_ref,
        head_ref=pull.head_ref,
        head_repository=pull.head_repository,
        fork=pull.fork,
        updated_at=pull.updated_at,
    )


def _lags(pull: PullSeen, received: PullReceived) -> bool:
    """Whether GitHub's answer is older than its own webhook, in something that counts."""
    told = received.head_sha, received.closed, received.draft
    return pull.updated_at < received.updated_at and told != (pull.head_sha, pull.state == "closed", pull.draft)
