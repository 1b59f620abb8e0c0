"""Real runs of pnpm, yarn and bun: each installs by its lock file, once, and runs the script `test` with a report."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from bot.domain.findings import AgentResult, Outcome
from workers.cache import Cache, Limits
from workers.prepared import KeptSetups
from workers.registry import AGENTS
from workers.sandbox.process import ProcessSandbox

from ..stage import Stage
from . import projects
from .test_suites import RUNNERS, counted, counts, needs

DEP = {"dep/package.json": '{"name": "dep", "version": "1.0.0"}', "dep/index.js": "exports.sum = (a, b) => a - b;\n"}
LOCKS = {
    "pnpm": {
        "pnpm-lock.yaml": """\
lockfileVersion: '9.0'
settings:
  autoInstallPeers: true
  excludeLinksFromLockfile: false
importers:
  .:
    dependencies:
      dep:
        specifier: file:dep
        version: file:dep
packages:
  dep@file:dep:
    resolution: {directory: dep, type: directory}
snapshots:
  dep@file:dep: {}
"""
    },
    "yarn": {"yarn.lock": '# yarn lockfile v1\n\n\n"dep@file:dep":\n  version "1.0.0"\n'},
    "bun": {
        "bun.lock": """\
{
  "lockfileVersion": 1,
  "workspaces": {"": {"name": "shop", "dependencies": {"dep": "file:dep"}}},
  "packages": {"dep": ["dep@file:dep", {}]},
}
"""
    },
}
MOCHA = projects.MOCHA["test/cart.js"].replace("const sum = (a, b) => a - b;", "const { sum } = require('dep');")
# Two tests share a name, and one has a suite within a suite: Bun is to run the right one again, alone.
BUN = """\
import { describe, expect, test } from 'bun:test';
import { sum } from 'dep';

describe('cart', () => {
  describe('in (a shop)', () => {
    test('adds', () => {
      expect(sum(1, 2)).toBe(3);
    });
  });
  test('adds', () => {});
  test.skip('is for later', () => {});
});
"""
SUITES = {"pnpm": ("mocha", "test/cart.js", MOCHA), "yarn": ("mocha", "test/cart.js", MOCHA)}
SUITES["bun"] = ("bun test", "cart.test.js", BUN)


@needs("node", also=(RUNNERS / ".bin/bun").exists())
@pytest.mark.parametrize("name", LOCKS)
def test_packages_are_installed_once_by_the_lock_file_and_the_script_reports(tmp_path: Path, name: str) -> None:
    cache = Cache(tmp_path / "cache", Limits(10**9, 10**6))
    script, path, text = SUITES[name]
    about = {"name": "shop", "private": True, "scripts": {"test": script}, "dependencies": {"dep": "file:dep"}}
    if name == "pnpm":
        # It would fetch that one, and nobody answers.
        about["packageManager"] = "pnpm@9.1.0"

    def run(root: Path, text: str) -> tuple[AgentResult, list[str]]:
        files = {**DEP, **LOCKS[name], "package.json": json.dumps(about), path: text}
        stage = Stage(root, files, sandbox=ProcessSandbox(f"{RUNNERS}/.bin{os.pathsep}{os.environ['PATH']}"))
        kit = replace(stage.kit(), prepared=KeptSetups(cache, "octo/shop", "", trusted=True))
        return AGENTS["test"]().run(stage.work(), kit), stage.said

    result, said = run(tmp_path / "1", text)
    assert said[:2] == [f"setup: {name}'s packages by package.json, {next(iter(LOCKS[name]))}", f"{name} test"]
    assert result.outcome is Outcome.FINDINGS, result
    assert counts(result.tests) == counted(passed=1, failed=1, skipped=1), result.log
    assert [(one.path, one.start_line) for one in result.findings] == [(path, 7)]
    assert "not run again" not in result.summary
    result, said = run(tmp_path / "2", text.replace("3", "-1"))
    assert (result.outcome, said) == (Outcome.CLEAN, [f"{name} test"]), result
