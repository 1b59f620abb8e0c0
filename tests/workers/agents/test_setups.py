"""What suites need before they run: known by lock files, set up once, kept, and never another's."""

from __future__ import annotations

import json
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from bot.domain.findings import AgentResult, Outcome
from workers.agents.suites.setups import Setup, needed
from workers.agents.suites.suite import Tree
from workers.agents.suites.table import look
from workers.cache import Cache, Limits
from workers.prepared import KeptSetups
from workers.registry import AGENTS

from ..stage import Stage, plant
from .test_suites import needs

PYTEST = {"test_a.py": "def test_a():\n    pass\n"}


def setups(root: Path, files: dict[str, str]) -> list[Setup]:
    plant(root, files)
    tree = Tree(root)
    return needed(tree, look(tree).setups)


def package(**more: object) -> str:
    return json.dumps({"scripts": {"test": "jest"}, "devDependencies": {"jest": "29"}, **more})


@pytest.mark.parametrize(
    ("files", "shown", "command"),
    [
        (
            {**PYTEST, "requirements.txt": "", "dev-requirements.txt": "", "requirements-docs.txt": ""},
            "Python's packages by dev-requirements.txt, requirements.txt",
            "-r dev-requirements.txt -r requirements.txt pytest",
        ),
        (
            {**PYTEST, "requirements/tests.txt": "", "requirements/docs.txt": ""},
            "Python's packages by requirements/tests.txt",
            "-r requirements/tests.txt pytest",
        ),
        (
            {
                **PYTEST,
                "pyproject.toml": '[project]\ndependencies = ["b", "--index-url=x"]\n'
                'optional-dependencies.test = ["a>1"]\noptional-dependencies.docs = ["c"]\n'
                '[dependency-groups]\ndev = ["d", {include-group = "x"}]\n',
            },
            "Python's packages by pyproject.toml",
            "--no-input a>1 b d pytest",
        ),
        (
            {**PYTEST, "setup.cfg": "[options]\ninstall_requires =\n    a\n[options.extras_require]\ntest =\n    b\n"},
            "Python's packages by setup.cfg",
            "--no-input a b pytest",
        ),
        (
            {"package.json": package(), "package-lock.json": ""},
            "npm's packages by package.json, package-lock.json",
            "npm ci --no-audit --no-fund",
        ),
        (
            {"package.json": package()},
            "npm's packages by package.json",
            "npm install --no-package-lock --no-audit --no-fund",
        ),
        ({"package.json": "{}", "pnpm-lock.yaml": "", "web/package.json": package()}, "", ""),
        (
            {"package.json": package(workspaces=["a"]), "yarn.lock": ""},
            "yarn's packages by package.json, yarn.lock",
            "yarn install --frozen-lockfile",
        ),
        ({"go.mod": "", "go.sum": "", "a_test.go": ""}, "Go's modules by go.mod, go.sum", "go mod download"),
        (
            {"Cargo.toml": "", "Cargo.lock": '[[package]]\nsource = "x"\n'},
            "Rust's crates by Cargo.lock",
            "cargo fetch --locked",
        ),
        (
            {"phpunit.xml": "", "composer.lock": ""},
            "composer's packages by composer.lock",
            "composer install --no-interaction --no-progress",
        ),
        ({"spec/a_spec.rb": "", "Gemfile.lock": ""}, "Ruby's gems by Gemfile.lock", "bundle install --quiet"),
        (
            {"Rakefile": "Rake::TestTask.new\n", "test/test_a.rb": "", "Gemfile.lock": ""},
            "Ruby's gems by Gemfile.lock",
            "bundle install --quiet",
        ),
        (
            {"spec/a_spec.rb": "", "Gemfile": "gemspec\n", "shop.gemspec": "", "sub/x.gemspec": ""},
            "Ruby's gems by Gemfile, shop.gemspec",
            "bundle install --quiet",
        ),
    ],
)
def test_what_a_package_needs(tmp_path: Path, files: dict[str, str], shown: str, command: str) -> None:
    found = setups(tmp_path, files)
    assert ", ".join(one.shown for one in found) == shown
    assert all(" ".join(one.commands[-1]).endswith(command) for one in found)


@pytest.mark.parametrize(
    "files",
    [
        PYTEST,
        {**PYTEST, "requirements.txt": "", ".venv/pyvenv.cfg": ""},
        {**PYTEST, "pyproject.toml": "[project]\ndependencies = 3\n[dependency-groups\n"},
        {"package.json": package(devDependencies={})},
        {"package.json": package(), "node_modules/jest/package.json": "{}"},
        {"go.mod": "", "a_test.go": ""},
        {"go.mod": "", "go.sum": "", "a_test.go": "", "vendor/modules.txt": ""},
        {"Cargo.toml": '[package]\nname = "a"\n'},
    ],
)
def test_who_needs_nothing_is_set_up_nothing(tmp_path: Path, files: dict[str, str]) -> None:
    assert setups(tmp_path, files) == []


def test_the_key_changes_with_the_lock_file_and_with_nothing_else(tmp_path: Path) -> None:
    files = {"package.json": package(), "package-lock.json": "1", "a.js": "1"}
    keys = []
    changes: tuple[dict[str, str], ...] = ({}, {"a.js": "2"}, {"package-lock.json": "2"})
    for number, change in enumerate(changes):
        [setup] = setups(tmp_path / str(number), files | change)
        keys.append(setup.key(Tree(tmp_path / str(number))))
    assert keys[0] == keys[1] != keys[2]


# -- for real


def look_at(root: Path, cache: Cache, files: dict[str, str], trusted: bool = True) -> tuple[AgentResult, list[str]]:
    stage = Stage(root, files, timeout=120)
    kit = replace(stage.kit(), prepared=KeptSetups(cache, "octo/shop", "", trusted=trusted))
    return AGENTS["test"]().run(stage.work(), kit), stage.said


def wheel(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("thing.py", "NUMBER = 7\n")
        archive.writestr("thing-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: thing\nVersion: 1\n")
        archive.writestr("thing-1.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("thing-1.dist-info/RECORD", "")


TEST = """\
import unittest

import thing


class Thing(unittest.TestCase):
    def test_a(self):
        assert thing.NUMBER == 7
"""


def test_pythons_packages_are_installed_once_and_kept(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", Limits(10**9, 10**6))
    for number in (1, 2):
        wheel(tmp_path / f"{number}/head/thing-1-py3-none-any.whl")
        files = {"test_a.py": TEST, "requirements.txt": "./thing-1-py3-none-any.whl\n"}
        result, said = look_at(tmp_path / str(number), cache, files)
        assert (result.outcome, result.tests and result.tests.passed) == (Outcome.CLEAN, 1), result
        assert ("setup: Python's packages by requirements.txt" in said) == (number == 1)
    assert not (tmp_path / "1/head/venv").exists()


def test_a_set_up_that_fails_is_told_in_its_words(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", Limits(10**9, 10**6))
    files = {"test_a.py": TEST, "requirements.txt": "./nowhere.whl\n"}
    result, said = look_at(tmp_path, cache, files)
    assert result.outcome is Outcome.ERROR
    assert "the set-up failed: Python's packages by requirements.txt: " in result.reason
    assert "nowhere.whl" in result.reason
    assert "not installed: thing" in result.reason
    assert said[0] == "setup: Python's packages by requirements.txt"
    assert result.remedy


@needs("npm")
def test_a_set_up_that_failed_is_tried_again_and_failures_without_it_are_not_laid_to_the_change_alone(
    tmp_path: Path,
) -> None:
    cache = Cache(tmp_path / "cache", Limits(10**9, 10**6))
    about = {"scripts": {"test": "sh test.sh"}, "dependencies": {"dep": "file:nowhere"}}
    for code, outcome in ((0, Outcome.CLEAN), (1, Outcome.PARTIAL)):
        files = {"package.json": json.dumps(about), "package-lock.json": "{}", "test.sh": f"exit {code}\n"}
        result, said = look_at(tmp_path / outcome, cache, files)
        words = result.summary + result.reason
        assert result.outcome is outcome
        assert (
            "the set-up failed: npm's packages by package.json, package-lock.json: npm ended with exit code 1" in words
        )
        assert said[0] == "setup: npm's packages by package.json, package-lock.json"


@needs("npm")
def test_npms_packages_are_copied_so_that_no_run_sees_anothers_changes(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", Limits(10**9, 10**6))
    program = "require('dep'); require('fs').writeFileSync('node_modules/mine', ''); console.log('1..1\\nok 1 - a')"
    script = f'node -e "{program}"'
    about = {"scripts": {"test": script}, "dependencies": {"dep": "file:dep"}}
    files = {
        "package.json": json.dumps(about),
        "dep/package.json": '{"name": "dep", "version": "1.0.0"}',
        "dep/index.js": "",
    }
    for number in (1, 2):
        plant(tmp_path / f"{number}/head", files)
        result, said = look_at(tmp_path / str(number), cache, files)
        assert (result.outcome, result.tests and result.tests.passed) == (Outcome.CLEAN, 1), result
        assert ("setup: npm's packages by package.json" in said) == (number == 1)
    kept = [entry.kept / "node_modules" for entry in cache.entries("prepared")]
    assert [(folder.is_dir(), (folder / "mine").exists()) for folder in kept] == [(True, False)]


# A gem that is started as Debian's rake is: Bundler knows no commands of gems that it is only given a path to.
DEP = {
    "gems/dep/dep.gemspec": "Gem::Specification.new do |s|\n  s.name, s.version, s.summary = 'dep', '1', '-'\n"
    "  s.authors, s.bindir, s.executables = '-', 'exe', ['rake']\nend\n",
    "gems/dep/exe/rake": "require 'rake'\nRake.application.run\n",
    "gems/dep/lib/dep.rb": "NUMBER = 7\n",
    "Rakefile": "require 'rake/testtask'\nRake::TestTask.new\n",
    "test/test_a.rb": "require 'minitest/autorun'\nrequire 'dep'\n\nclass A < Minitest::Test\n"
    "  def test_a = assert_equal(7, NUMBER)\nend\n",
}
_PATHS = """\
%w[rake minitest].map { |name| Gem::Specification.find_by_name(name) }.each do |gem|
  puts "gem #{gem.name.inspect}, #{gem.version.to_s.inspect}, path: #{gem.full_gem_path.inspect}"
end
"""


@needs("bundle", "ruby", "rake")
def test_gems_are_installed_by_a_gemfile_without_a_lock_and_kept_with_the_one_that_comes_of_it(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", Limits(10**9, 10**6))
    installed = subprocess.run(["ruby", "-e", _PATHS], capture_output=True, text=True, check=True).stdout
    files = {**DEP, "Gemfile": f'{installed}gem "dep", path: "gems/dep"\n'}
    for number in (1, 2):
        result, said = look_at(tmp_path / str(number), cache, files)
        assert (result.outcome, result.tests and result.tests.passed) == (Outcome.CLEAN, 1), result
        assert ("setup: Ruby's gems by Gemfile" in said) == (number == 1)
        assert (tmp_path / f"{number}/head/Gemfile.lock").is_file()


def test_what_a_stranger_set_up_serves_no_trusted_commit(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", Limits(10**9, 10**6))
    made: list[Path] = []

    def fill(into: Path) -> None:
        (into / "x").touch()
        made.append(into)

    for name, trusted in (("octo/shop", False), ("octo/shop", True), ("octo/other", True), ("octo/shop", True)):
        with KeptSetups(cache, name, "", trusted=trusted)("key", fill) as folder:
            assert (folder / "x").exists()
    assert len(made) == 3
    assert all(entry.remove() for entry in cache.entries("prepared"))
    assert not list((tmp_path / "cache/prepared").iterdir())


def test_a_package_that_is_not_installed_is_no_fault_of_the_change(tmp_path: Path) -> None:
    text = "from importlib.metadata import version\n\nV = version('no-such-shop')\n\n\ndef test_a():\n    pass\n"
    result = Stage(tmp_path, {"test_a.py": text}).run(AGENTS["test"]())
    assert (result.outcome, result.reason) == (
        Outcome.ERROR,
        "the tests need what is not installed: no-such-shop",
    )
