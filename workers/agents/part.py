"""What one of an agent's looks at a change came to, to be put together with the others'."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bot.domain.findings import Finding, NotCovered


@dataclass(frozen=True)
class Part:
    """`gaps` are what should have been looked at and was not; `remedy` what would change that. `tools` are what was
    asked, with their versions."""

    findings: Sequence[Finding] = ()
    gaps: Sequence[NotCovered] = ()
    summary: str = ""
    remedy: str = ""
    covered: Sequence[str] = ()
    tools: Mapping[str, str] = field(default_factory=dict)
    log: Sequence[str] = ()
