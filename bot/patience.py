"""How long to wait before a job that GitHub holds up is tried again, and when to give up. Pure."""

from __future__ import annotations

# As long as GitHub itself keeps a failed delivery; whoever was away for longer has to push again.
GIVE_UP = 3 * 86400.0
_SHORTEST, _LONGEST = 3.0, 900.0
# GitHub's limits begin anew every hour; an answer that asks for more is not taken at its word.
_LONGEST_ASKED = 3600.0


def pause(age: float, asked: float | None) -> float | None:
    """Seconds until the next try of something that has waited for `age` seconds; None when it is to be given up.

    At least what GitHub `asked` for, up to an hour, and the longer the longer it lasts.
    """
    if age > GIVE_UP:
        return None
    return max(min(asked or 0.0, _LONGEST_ASKED), min(max(age / 2, _SHORTEST), _LONGEST))
