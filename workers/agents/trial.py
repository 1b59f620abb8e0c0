"""A test that the verifier wrote, run against the commit: what was run, and what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, Field

from bot.errors import AssayError
from workers.agent import Command, Completed, Kit, Work
from workers.agents.hunks import visible

_SECONDS = 60.0
_SCRIPT = 8_000
_OUTPUT = 4_000
# Each reads its script from standard input, so that nothing is written into the commit's files.
_INTERPRETERS = {
    "python": (("python3", "-B", "-"), {"PYTHONPATH": ".", "PYTHONDONTWRITEBYTECODE": "1"}),
    "javascript": (("node", "-"), {}),
    "shell": (("sh", "-s"), {}),
}


class Test(BaseModel):
    """A script that fails if and only if the fault is there."""

    language: Literal["python", "javascript", "shell"]
    script: str = Field(description="Exits with 0 if the code behaves as it should, with another code if it does not.")


@dataclass(frozen=True)
class Trial:
    """How a test ended: `fault_shown` None where it said nothing either way. `words` is the command and its output."""

    fault_shown: bool | None
    words: str


def try_out(test: Test, work: Work, kit: Kit, deadline: float) -> Trial:
    """Run a test. It never raises: a test that cannot be run proves nothing."""
    argv, env = _INTERPRETERS[test.language]
    left = min(_SECONDS, deadline - time.monotonic())
    if left <= 1 or len(test.script) > _SCRIPT:
        return Trial(None, "The test was not run: " + ("it is too long." if left > 1 else "no time was left."))
    order = Command(argv, work.root, left, env={"CI": "true", **env}, stdin=test.script, executes_code=True)
    try:
        completed = kit.sandbox.run(order)
    except AssayError as error:
        return Trial(None, f"The test could not be run: {kit.redact(str(error))[:_OUTPUT]}")
    return Trial(_shown(completed), _words(argv, test, completed, kit.redact))


# A test that fails for one of these has not come to the fault.
_ASTRAY = (
    "ModuleNotFoundError",
    "ImportError",
    "SyntaxError",
    "IndentationError",
    "Cannot find module",
    "ERR_MODULE_NOT_FOUND",
    "Cannot use import statement",
    "command not found",
    ": not found",
)


def _shown(completed: Completed) -> bool | None:
    if completed.exit_code == 0:
        return False
    astray = completed.exit_code is None or any(word in completed.stderr for word in _ASTRAY)
    return None if astray else True


def _words(argv: tuple[str, ...], test: Test, completed: Completed, redact: Callable[[str], str]) -> str:
    if completed.timed_out:
        end = f"stopped after {completed.seconds:.0f} s"
    else:
        end = "ended by a signal" if completed.exit_code is None else f"exit code {completed.exit_code}"
    said = "\n".join(text for text in (completed.stdout.strip(), completed.stderr.strip()) if text)
    script = "\n".join(visible(line) for line in test.script.strip().split("\n"))
    output = "\n".join(visible(line) for line in redact(said)[-_OUTPUT:].split("\n"))
    return f"$ {' '.join(argv)} <<'TEST'\n{redact(script)}\nTEST\n{output}\n({end})"
