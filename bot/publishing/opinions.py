"""What people made of a finding, by its review thread. Pure."""

from __future__ import annotations

from collections.abc import Callable

from bot.domain.opinions import Told
from bot.domain.render_inline import FIXED
from bot.github.reviews import Thread, Voice


def opinion(thread: Thread, told: Told, ours: Callable[[str], bool], now: float) -> Told:
    """What is known of a finding after a look at its thread: people's thumbs, answers, and who resolved it. Bots have
    no opinion, and an order to Assay is none."""

    def people(voices: tuple[Voice, ...]) -> list[Voice]:
        return [one for one in voices if one.login and not one.bot and not ours(one.login)]

    if liked := people(thread.up):
        told = told.decided("liked", liked[0].login, now)
    if answers := [one for one in people(thread.answers) if not one.said.lstrip().startswith("/assay")]:
        told = told.decided("answered", answers[0].login, now, answers[0].said[:300])
    if thread.resolved and not resolved_by_us(thread, ours):
        told = told.decided("resolved", thread.resolved_by, now)
    if disliked := people(thread.down):
        told = told.decided("disliked", disliked[0].login, now)
    return told


def resolved_by_us(thread: Thread, ours: Callable[[str], bool]) -> bool:
    """Whether Assay resolved it. GitHub does not always say who did: then Assay's last word in it does."""
    if not thread.resolved:
        return False
    if thread.resolved_by:
        return ours(thread.resolved_by)
    own = [answer.said for answer in thread.answers if ours(answer.login)]
    return bool(own) and own[-1].startswith(FIXED)
