"""What an approval would run, and which of the files that changed since the last one decide what is executed."""

from __future__ import annotations

import pytest

from bot.domain.approvals import NAMED, carries_over, is_weighty, since, since_words
from bot.domain.triggers import Since
from tests.builders import agent_plan

APPROVED = Since(sha="c0ffee" + "0" * 34, by="alice", at=100.0, until=200.0)


@pytest.mark.parametrize(
    "path",
    [
        ".github/workflows/ci.yml",
        ".github/actions/x/index.js",
        ".circleci/config",
        ".gitlab-ci.yml",
        "Jenkinsfile",
        "Makefile",
        "sub/GNUmakefile",
        "makefile",
        "CMakeLists.txt",
        "rules.mk",
        "Dockerfile",
        "web/Dockerfile.dev",
        "setup.py",
        "setup.cfg",
        "pyproject.toml",
        "requirements.txt",
        "requirements-dev.txt",
        "deploy/dev-requirements.txt",
        "poetry.lock",
        "uv.lock",
        "package.json",
        "package-lock.json",
        "yarn.lock",
        "pnpm-lock.yaml",
        "bun.lockb",
        "Cargo.toml",
        "Cargo.lock",
        "build.rs",
        "go.mod",
        "go.sum",
        "Gemfile",
        "Gemfile.lock",
        "pom.xml",
        "build.gradle.kts",
        "gradlew",
        "gradlew.bat",
        "mvnw.cmd",
        "conftest.py",
        "tests/unit/conftest.py",
        "pytest.ini",
        "tox.ini",
        "noxfile.py",
        "sitecustomize.py",
        "evil.pth",
        "jest.config.js",
        "vitest.config.mts",
        "babel.config.cjs",
        "eslint.config.js",
        ".eslintrc.js",
        ".mocharc.cjs",
        "phpunit.xml.dist",
        ".rspec",
        "spec/spec_helper.rb",
        "run.sh",
        "scripts/test.py",
        "bin/console",
        "node_modules/left-pad/index.js",
        "vendor/autoload.php",
        ".gitattributes",
        ".gitmodules",
        ".env",
        "a/.hidden/b.py",
        "no-ending",
        "lib/native.so",
        "",
    ],
)
def test_a_file_that_decides_what_is_executed(path: str) -> None:
    assert is_weighty(path)


@pytest.mark.parametrize("path", ["src/app.py", "tests/test_app.py", "web/index.ts", "README.md", "a/b/c.go", "x.rb"])
def test_a_file_that_does_not(path: str) -> None:
    assert not is_weighty(path)


def test_a_file_that_a_command_names_does() -> None:
    plan = agent_plan("shell", settings={"run": "python check/all.py --quick"})
    assert is_weighty("check/all.py", [plan])
    assert is_weighty("check/all.py", [agent_plan("shell", settings={"run": "true && " * 90 + "python -m check.all"})])
    assert not is_weighty("check/one.py", [plan])


def test_those_that_decide_come_first_and_not_all_are_named() -> None:
    paths = [f"src/a{number:03}.py" for number in range(60)] + ["z/Makefile", ".github/workflows/ci.yml"]
    told = since(APPROVED, paths, [], complete=True)
    assert told.files[:3] == (".github/workflows/ci.yml", "z/Makefile", "src/a000.py")
    assert (len(told.files), told.total, told.weighty) == (NAMED, 62, 2)
    assert since_words(told).startswith(
        "62 files changed since c0ffee0, which alice approved, 2 of which decide what is executed: .github/"
    )


@pytest.mark.parametrize(
    ("paths", "complete", "at", "holds"),
    [
        (["src/app.py"], True, 150.0, True),
        ([], True, 150.0, True),
        (["src/app.py"], True, 200.0, False),
        (["src/app.py"], False, 150.0, False),
        (["src/app.py", "tox.ini"], True, 150.0, False),
    ],
    ids=["sources", "nothing", "ended", "not all is known", "configuration"],
)
def test_what_an_approval_may_carry_over(paths: list[str], complete: bool, at: float, holds: bool) -> None:
    assert carries_over(since(APPROVED, paths, [], complete=complete), at) is holds
