"""A short campaign against every target, the same one each time; `make fuzz` is the long one."""

from __future__ import annotations

import ast
import sys
from contextlib import suppress
from itertools import chain
from pathlib import Path
from types import CodeType, FrameType

import pytest

from tests.fuzz.campaign import TooSlow, fuzz, fuzz_for
from tests.fuzz.targets import TARGETS, Target

ROOT = Path(__file__).parents[2]


# Whose text is not a stranger's, or goes on to a target.
NOT_STRANGERS = {
    "bot/telemetry/metrics.py": "numbers of Assay's own, out of Redis",
    "bot/missed/redelivery.py": "GitHub's own list of deliveries",
    "bot/cli/orders.py": "the operator's own files",
    "bot/github/answers.py": "GitHub's own answers",
    "workers/history.py": "asks git, and hands what it says to `read_log`",
    "bot/safe.py": "the operator's settings",
    "config/redis_url.py": "the operator's settings",
    "config/env_secrets.py": "the operator's settings",
    "config/fallbacks.py": "the operator's settings",
}


@pytest.mark.parametrize("name", TARGETS)
def test_target_holds(name: str) -> None:
    # A whole repository is written for each text.
    fuzz(TARGETS[name], examples=3 if name.startswith("repository's") else 15, number=1)


def parsers() -> set[tuple[str, str]]:
    """The file and name of each function of ours that is called `parse` or `read`, alone or with more words."""
    found = set()
    for file in chain.from_iterable((ROOT / package).rglob("*.py") for package in ("bot", "config", "workers")):
        path = file.relative_to(ROOT).as_posix()
        if not path.startswith("bot/demo/"):
            tree = ast.parse(file.read_text("utf-8")).body
            names = (node.name for node in tree if isinstance(node, ast.FunctionDef))
            found |= {(path, name) for name in names if name.split("_")[0] in ("parse", "read")}
    return found


def test_every_parser_is_a_target() -> None:
    """Whatever is called a parser is reached by some target's own texts."""
    called = set[CodeType]()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            called.add(frame.f_code)

    for target in TARGETS.values():
        for text in target.seeds[:2]:
            sys.setprofile(note)
            try:
                with suppress(*target.raises):
                    target.run(text)
            finally:
                sys.setprofile(None)
    reached = {(code.co_filename.removeprefix(f"{ROOT}/"), code.co_name) for code in called}
    missing = {(path, name) for path, name in parsers() - reached if path not in NOT_STRANGERS}
    assert missing == set()
    assert {path for path, _ in parsers()} >= NOT_STRANGERS.keys()


def test_every_target_begins_with_real_texts() -> None:
    assert [name for name, target in TARGETS.items() if not target.seeds] == []


def test_a_parser_that_raises_what_it_does_not_promise_is_found() -> None:
    def brittle(text: str) -> None:
        if "\n" in text:
            raise KeyError(text)

    target = Target("brittle", brittle, ["one line"], (ValueError,))
    with pytest.raises(KeyError):
        fuzz_for(target, seconds=20, number=1)


def test_a_parser_that_takes_too_long_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.fuzz.campaign.SLOWEST", -1.0)
    with pytest.raises(TooSlow):
        fuzz(Target("slow", len, ["text"]), examples=1, number=1)
