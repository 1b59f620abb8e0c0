"""What tests of the reviewer have in common: it goes through its front door, with the real client and a real server
behind it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from bot import errors
from bot.demo.model import KEY, MODEL, Script, ScriptedModel
from bot.demo.model_wire import Answer, ChatRequest, Reply
from bot.demo.reviewer import Planted, added_lines, demo_reviewer
from bot.domain.findings import AgentResult, Finding, Severity
from bot.domain.redact import redact
from config.prompt_files import load_prompt
from config.repository import ReviewConfig
from tests.workers.agents.changes import change_of
from workers.agent import Kit, Model, Sandbox, Work
from workers.agents.review import ReviewAgent
from workers.llm.client import OpenAIModel

OFF_BY_ONE = Planted(
    pattern=r"range\(1, len\((\w+)\)\)",
    title="The first element is never summed",
    explanation="The range starts at 1.",
    scenario="total([5]) is 0 instead of 5.",
    replacement=r"range(len(\1))",
)
BEFORE = {"sum.py": "def total(values):\n    result = 0\n    return result\n"}
LOOP = "    for index in range(1, len(values)):\n        result += values[index]\n"
AFTER = {"sum.py": f"def total(values):\n    result = 0\n{LOOP}    return result\n"}
QUIET = demo_reviewer(summary="It changes something.")


class NoSandbox:
    """Nothing can be run here, and the reviewer reads all the same."""

    level = "none"
    isolates = True

    def run(self, command: object) -> NoReturn:
        raise errors.NoSandbox("there is no sandbox")

    def which(self, program: str) -> str | None:
        raise AssertionError("the reviewer looked for a program")


NO_SANDBOX = NoSandbox()


def work_on(
    before: Mapping[str, str],
    after: Mapping[str, str],
    settings: Mapping[str, Any] | None = None,
    title: str = "",
    description: str = "",
    timeout: float = 30,
    **more: Any,
) -> Work:
    change = change_of(before, after)
    return Work(
        repository="octo/shop",
        sha="a" * 40,
        base=lambda: None,
        compare=lambda: change.diff,
        patch=lambda: change.patch,
        settings=ReviewConfig.model_validate(settings or {}).model_dump(),
        timeout=timeout,
        title=title,
        description=description,
        **({"checkout": Path} | more),
    )


def run(work: Work, model: Model | None, said: list[str] | None = None, sandbox: Sandbox = NO_SANDBOX) -> AgentResult:
    progress = [] if said is None else said
    return ReviewAgent(load_prompt("review")).run(work, Kit(sandbox, model, progress.append, redact))


def review(
    work: Work, script: Script, said: list[str] | None = None, sandbox: Sandbox = NO_SANDBOX, **server: Any
) -> tuple[AgentResult, ScriptedModel]:
    with ScriptedModel(script, **server) as scripted:
        return run(work, OpenAIModel(KEY, scripted.base_url, MODEL, 10), said, sandbox), scripted


def claim(path: str = "sum.py", line: int = 3, **fields: object) -> dict[str, object]:
    given: dict[str, object] = {
        "path": path,
        "start_line": line,
        "end_line": line,
        "severity": "medium",
        "kind": "bug",
        "title": "It fails",
        "explanation": "Because.",
        "scenario": "When x is 0.",
        "replacement": None,
        "confidence": 0.8,
    }
    return given | fields


def says(*claims: dict[str, object]) -> Reply:
    return Reply(json.dumps({"summary": "It sums.", "findings": claims}))


def files(count: int) -> dict[str, str]:
    """As many files as requests they will take."""
    return {f"f{number}.py": f"value_{number} = 1\n" * 20 for number in range(count)}


def found(line: int, message: str, path: str = "sum.py", **fields: Any) -> Finding:
    given = {"tool": "ruff", "rule": "F1", "severity": Severity.LOW, "start_line": line}
    return Finding.model_validate(given | fields | {"message": message, "path": path})


def failing_from(turn: int, fault: Answer) -> Script:
    """Quiet for the files before `turn`, the fault for the rest; by file, for two requests race."""

    def script(request: ChatRequest) -> Answer:
        return fault if any(int(path[1]) >= turn for path, _, _ in added_lines(request.text)) else QUIET(request)

    return script
