"""A run's failures against the base's: which are new, which were there before, which are gone.

What failed is noted under the git tree that it failed in, so that a later change on top of it is compared without
running anything. Where nothing is noted, the tests that fail now are run alone in the base's files.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bot.domain.findings import Comparison
from bot.errors import ToolFailed
from workers.agents.suites.flaky import identity
from workers.agents.suites.running import Ran, Running
from workers.agents.suites.suite import Suite
from workers.agents.suites.table import build_folder

_KEPT = 30 * 24 * 3600
# What is run in the base's files to find out; a larger tree is not copied for it.
_MOST_TESTS = 30
_MOST_FILES = 20_000
# What was set up beside the head's files serves the base's, too.
_SET_UP = ("node_modules", "vendor", ".venv", "venv")


@dataclass(frozen=True)
class Against:
    """What the base's tests said of those that fail now: the names of `before`, the others are new. Without failures,
    notes or a base there is no comparison."""

    comparison: Comparison | None
    before: frozenset[str] = frozenset()


NOTHING = Against(None)


def key(suite: Suite, settings: Mapping[str, Any], tree: str) -> str:
    """Under what a suite's failures are noted: how it is run counts, too."""
    told = [suite.name, settings.get("run"), settings.get("setup")]
    digest = hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()[:20]
    return f"tests/failed/{tree}/{digest}"


def note(ran: Ran, flaky: frozenset[str], running: Running) -> None:
    """Remember what failed in this tree. Flaky tests did not."""
    _, head = running.shell.work.trees()
    if head and ran.cases and not ran.missed:
        failed = sorted({identity(case) for case in ran.failed} - flaky)
        text = json.dumps(failed)
        running.shell.kit.memory.note({key(ran.suite, running.shell.work.settings, head): text}, _KEPT)


def compare(ran: Ran, flaky: frozenset[str], running: Running) -> Against:
    """Compare with the base, by what is noted of it, else by running there what fails here."""
    work = running.shell.work
    failed = {identity(case) for case in ran.failed} - flaky
    base, _ = work.trees()
    [noted] = running.shell.kit.memory.recall([key(ran.suite, work.settings, base)]) if base else [None]
    if noted is not None:
        there = frozenset(json.loads(noted))
        fixed = there & {identity(case) for case in ran.cases if case.status == "passed"}
        return _against(failed, there, len(fixed))
    if not failed or work.base() is None:
        return NOTHING
    there_or_why = _on_base(ran, flaky, running)
    if isinstance(there_or_why, str):
        return Against(Comparison(new=len(failed), why_not=there_or_why))
    return _against(failed, there_or_why, None)


def _against(failed: set[str], there: frozenset[str], fixed: int | None) -> Against:
    before = frozenset(failed & there)
    return Against(Comparison(new=len(failed - before), before=len(before), fixed=fixed), before)


def _on_base(ran: Ran, flaky: frozenset[str], running: Running) -> frozenset[str] | str:
    """Which of the tests that fail now fail there; or why nobody knows."""
    shell = running.shell
    broken = [case for case in ran.failed if identity(case) not in flaky]
    if len(broken) > _MOST_TESTS:
        return f"more than {_MOST_TESTS} tests fail"
    argv = ran.suite.again(broken)
    if argv is None:
        return f"{ran.suite.name} cannot run these alone"
    if shell.left < 2 * ran.completed.seconds + 2:
        return "no time was left"
    copy = running.scratch / "base"
    if why := _copy(shell.work.base(), copy, shell.work.root):
        return why
    shell.say(f"{ran.suite.name}: what failed, on the base")
    move = _mover({shell.work.root: copy, build_folder(running.scratch): running.scratch / "base-build"})
    env = {name: move(value) for name, value in ran.suite.env.items()}
    suite = replace(ran.suite, env=env, build=[[move(word) for word in words] for words in ran.suite.build])
    there = running.elsewhere(copy)
    try:
        if there.build(suite):
            return "the base does not build"
        second = there.run(suite, [move(word) for word in argv])
    except ToolFailed as error:
        return str(error)
    finally:
        shutil.rmtree(copy, ignore_errors=True)
    if second.completed.timed_out:
        return "they took too long there"
    return frozenset(identity(case) for case in second.failed)


def _mover(folders: Mapping[Path, Path]) -> Callable[[str], str]:
    def move(text: str) -> str:
        for old, new in folders.items():
            text = text.replace(str(old), str(new))
        return text

    return move


def _copy(base: Path | None, copy: Path, root: Path) -> str:
    """A copy of the base's files that its tests may write to. The reason where there is none."""
    if base is None:
        return "there is nothing to compare with"
    if sum(len(files) for _, _, files in os.walk(base)) > _MOST_FILES:
        return "the base is too large to be copied for it"
    try:
        shutil.copytree(base, copy, symlinks=True)
    except (OSError, shutil.Error) as error:
        return f"the base could not be copied: {error}"[:300]
    for name in _SET_UP:
        if (root / name).is_dir() and not (copy / name).exists():
            (copy / name).symlink_to((root / name).resolve())
    return ""
