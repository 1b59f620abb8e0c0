"""The web's linters from the webhook to the suggestion: npm sets the repository up, and its own ESLint looks at it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

import bot.wiring
from bot.demo.github import StandInGitHub
from bot.domain.findings import Outcome
from bot.domain.verdict import Conclusion
from tests import npm
from tests.flow.assay import CONFIG, QUICK, REPOSITORY, Assay
from workers.sandbox.choice import choose

PACKAGES = Path(__file__).parents[1] / "linters/node_modules"
CONFIGURED = QUICK.replace("[ruff]", "[eslint]") + "triggers: {push: []}\n"

pytestmark = pytest.mark.skipif(
    not PACKAGES.is_dir() or shutil.which("npm") is None or bool(choose("auto", os.environ["PATH"]).why_not),
    reason="the web's linters are not installed (make test installs them), or no sandbox here",
)


@pytest.fixture(scope="module")
def shop() -> Mapping[str, str | bytes]:
    """A repository that pins ESLint by its lock file, and carries it along."""
    content = npm.packed(PACKAGES, "eslint")
    return {
        CONFIG: CONFIGURED,
        "eslint.config.mjs": 'export default [{files: ["src/*.js"], rules: {"prefer-const": 2, "no-debugger": 2}}];\n',
        "src/cart.js": "debugger;\nexport const empty = [];\n",
        "vendor/eslint.tgz": content,
        **npm.lock(PACKAGES, eslint=("vendor/eslint.tgz", content)),
    }


def test_npm_sets_a_repository_up_once_and_its_own_eslint_suggests_fixes(
    assay: Assay, github: StandInGitHub, shop: Mapping[str, str | bytes]
) -> None:
    github.push(REPOSITORY, "main", shop)
    sha = github.commit(REPOSITORY, "feature", {"src/cart.js": "debugger;\nexport const empty = [];\nlet a = 1;\n"})
    number = github.open_pull(REPOSITORY, "feature")
    assay.settle()
    assert assay.verdict(sha) is Conclusion.FAILURE
    [lint] = assay.run(sha).agents
    assert lint.result is not None
    # Another one was there before: the base was looked at, too, with what was set up for the head.
    assert [(one.rule, one.path, one.start_line) for one in lint.result.findings] == [
        ("prefer-const", "src/cart.js", 3)
    ]
    assert lint.result.tools["eslint"].startswith("10.")
    [comment] = github.review_comments(REPOSITORY, number)
    assert (comment.path, comment.line) == ("src/cart.js", 3)
    assert "```suggestion\nconst a = 1;\n```" in comment.body
    assert len(list((bot.wiring.settings().work_dir / "prepared").iterdir())) == 1


def test_packages_that_are_not_those_of_the_lock_file_are_an_error_in_npms_words(
    assay: Assay, github: StandInGitHub, shop: Mapping[str, str | bytes]
) -> None:
    github.push(REPOSITORY, "main", shop)
    sha = github.commit(REPOSITORY, "feature", {"vendor/eslint.tgz": npm.packed(PACKAGES, "esquery"), "src/a.js": "\n"})
    github.open_pull(REPOSITORY, "feature")
    assay.settle()
    [lint] = assay.run(sha).agents
    assert lint.outcome is Outcome.ERROR
    assert lint.result is not None
    assert "eslint was not run: its packages could not be set up: npm's packages by package.json" in lint.result.reason
    assert "EINTEGRITY" in lint.result.reason
