"""What a reviewer claims, and which claims become findings. Pure.

A claim can only become text about a line of this diff. One that names no such line is dropped and counted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints, ValidationError, ValidationInfo, model_validator
from pydantic.json_schema import SkipJsonSchema

from bot.domain.diff import Diff
from bot.domain.findings import Finding, Severity
from workers.agent import LAST_TRY

MAX_CLAIMS = 50
_TITLE, _TEXT = 200, 2_000
_FENCE = re.compile(r"\A\s*```[^\n]*\n(.*?)\n?```\s*\Z", re.DOTALL)

Kind = Literal["bug", "security", "performance", "concurrency", "api_break", "missing_test", "maintainability"]


# Words that say something.
Said = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class Claim(BaseModel):
    """One problem, in the model's words. The descriptions are part of what it is told. One that leaves out of what kind
    it is, how sure it is, or in which case it shows does not fit."""

    path: str = Field(description="The file, exactly as its heading in the diff names it.")
    start_line: int = Field(description="The first line of the problem, by the number shown before it.")
    end_line: int = Field(description="The last line of the problem; equal to start_line for one line.")
    severity: Literal["info", "low", "medium", "high", "critical"]
    kind: Kind
    title: Said = Field(description="The problem in one short sentence.")
    explanation: Said = Field(description="Why it is a problem and why it matters here, in a few sentences.")
    scenario: Said = Field(description="A concrete input or sequence of events and the wrong result it leads to.")
    replacement: str | None = Field(
        None,
        description="The exact new text of the whole lines start_line to end_line, with their indentation and without "
        "line numbers or marks; null when there is no small certain fix.",
    )
    confidence: float = Field(ge=0, le=1, description="How sure you are that it is real, from 0 to 1.")


class Review(BaseModel):
    """The answer to one request."""

    summary: str = Field(description="What the change does, in one or two plain sentences.")
    findings: list[Claim] = Field(description="The problems the change introduces; empty when there are none.")
    # Nothing that the model is to say: claims that did not fit, though it was asked again.
    unfit: SkipJsonSchema[int] = 0

    @model_validator(mode="before")
    @classmethod
    def _spare_what_fits(cls, answer: Any, info: ValidationInfo) -> Any:
        """Where no other try follows (see `workers.agent.LAST_TRY`), claims that do not fit are dropped and counted."""
        if not isinstance(answer, dict) or info.context is None:
            return answer
        claims = answer.get("findings")
        if not info.context.get(LAST_TRY) or not isinstance(claims, list):
            return answer | {"unfit": 0}
        fitting = [claim for claim in claims if _fits(claim)]
        return answer | {"findings": fitting, "unfit": len(claims) - len(fitting)}


def _fits(claim: object) -> bool:
    try:
        Claim.model_validate(claim)
    except ValidationError:
        return False
    return True


def to_findings(claims: list[Claim], paths: Mapping[str, str], diff: Diff) -> tuple[list[Finding], int]:
    """The findings among the claims, and how many claims were dropped. What they would replace is not looked at yet;
    see `replacements`. `paths` are the files the model was shown, by the name it was shown."""
    findings: dict[tuple[str, int | None, str], Finding] = {}
    for claim in claims[:MAX_CLAIMS]:
        path = paths.get(claim.path.strip())
        first, last = claim.start_line, max(claim.start_line, claim.end_line)
        if path is None or not _in_change(diff, path, first, last):
            continue
        finding = Finding(
            tool="review",
            rule=f"review/{claim.kind}",
            severity=Severity(claim.severity),
            message=_message(claim),
            path=path,
            start_line=first,
            end_line=last,
            replacement=_lines(claim),
            scenario=claim.scenario[:_TEXT],
            confidence=claim.confidence,
        )
        findings.setdefault((path, first, finding.message), finding)
    return list(findings.values()), len(claims) - len(findings)


def _in_change(diff: Diff, path: str, first: int, last: int) -> bool:
    """Whether the lines are of one hunk and touch an added line, or are all that is left around removed ones."""
    if first < 1 or not diff.commentable(path, first, last):
        return False
    start, end = next(span for span in diff.files[path].hunks if span[0] <= first <= span[1])
    return diff.place(path, first, last) == "added" or diff.place(path, start, end) != "added"


def _message(claim: Claim) -> str:
    return f"{claim.title.rstrip('.')[:_TITLE]}. {claim.explanation[:_TEXT]}"


def _lines(claim: Claim) -> str | None:
    if claim.replacement is None:
        return None
    fenced = _FENCE.match(claim.replacement)
    return (fenced[1] if fenced else claim.replacement).replace("\r\n", "\n").removesuffix("\n")
