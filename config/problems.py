"""What is wrong in a configuration file, as a value."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Problem(BaseModel):
    """Something wrong in a configuration file: where, what, and how to mend it.

    `line` and `column` are 1-based, `key` is dotted (`agents.lint.fail_on`) and empty for the file as a whole. All of
    it is safe to print: bounded, and free of control characters.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    line: int
    column: int
    key: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}"
        return f"{place}: {self.key}: {self.message}" if self.key else f"{place}: {self.message}"
