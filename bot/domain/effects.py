"""Effects: requests the reducer makes of the outside, in the imperative. The store turns them into jobs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StartAgent:
    """Run an agent. `kind` names its queue; `timeout` is in seconds."""

    agent: str
    kind: str
    attempt: int
    timeout: int


@dataclass(frozen=True)
class StopAgent:
    """End an attempt that nobody waits for any more."""

    agent: str
    attempt: int


@dataclass(frozen=True)
class Publish:
    """Bring what GitHub shows up to date with the run."""


Effect = StartAgent | StopAgent | Publish
