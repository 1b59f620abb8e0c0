"""What every value of the domain can do."""

from __future__ import annotations

from pydantic import BaseModel

from bot.domain.findings import Finding, Severity
from tests.builders import finding


def test_copy_is_what_pydantic_would_make() -> None:
    told = finding(severity=Severity.LOW, message="as it was")
    changed = {"severity": Severity.HIGH, "sources": ("lint/ruff",)}
    copy, theirs = told.model_copy(update=changed), BaseModel.model_copy(told, update=changed)
    assert copy == theirs
    assert hash(copy) == hash(theirs)
    assert copy.model_dump_json() == theirs.model_dump_json()
    assert Finding.model_validate_json(copy.model_dump_json()) == copy
    assert told.severity is Severity.LOW
    assert told.model_copy() == told
    assert told.model_copy() is not told
