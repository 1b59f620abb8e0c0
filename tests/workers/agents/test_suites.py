"""Test suites of many kinds: their detection, and real runs of their tools, where these are installed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from bot.domain import findings as values
from bot.domain.findings import Outcome, Severity
from workers.agent import Case
from workers.agents.shell import Shell
from workers.agents.suites.places import Places
from workers.agents.suites.suite import Tree
from workers.agents.suites.table import KINDS, described, detect
from workers.registry import AGENTS
from workers.sandbox.programs import search_path

from ..stage import Stage, Watching, plant
from . import projects

AGENT = AGENTS["test"]()
MAVEN = Path("/usr/share/maven-repo/org/apache/maven/plugins/maven-surefire-plugin")
RUNNERS = Path(__file__).parents[2] / "runners/node_modules"


def needs(*programs: str, also: bool = True) -> pytest.MarkDecorator:
    path = search_path(os.environ["PATH"], executes_code=True)
    missing = [program for program in programs if shutil.which(program, path=path) is None]
    reason = f"not installed: {', '.join(missing) or 'its libraries'} (tests/toolchains.sh installs it)"
    return pytest.mark.skipif(bool(missing) or not also, reason=reason)


def found(root: Path) -> dict[str, str]:
    """What is detected, by name: the command line without scratch folders; and what is left out."""
    stage = Stage(root, {}, sandbox=Watching("python", "python3"))
    shell = Shell.begin(stage.work(), stage.kit(), root)
    detection = detect(shell, root / "scratch")
    suites = {one.name: " ".join(word for word in one.argv if str(root) not in word) for one in detection.suites}
    return suites | {f"not {one.what}": one.why for one in detection.left}


def test_a_failure_lies_in_the_repositorys_own_code_not_in_what_it_keeps_of_others(tmp_path: Path) -> None:
    plant(tmp_path, {"cart.go": "", "vendor/example.com/sum/sum.go": "", "lib/vendor/a.php": ""})
    places = Places(Tree(tmp_path))
    others, own = (f"{tmp_path}/vendor/example.com/sum/sum.go", 3), (f"{tmp_path}/cart.go", 7)
    case = Case("TestSum", "failed", frames=(others, own))
    assert places.resolve(case, "").frames == (("cart.go", 7),)
    assert places.resolve(replace(case, frames=(others,)), "").frames == (("vendor/example.com/sum/sum.go", 3),)


# -- detection


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["go.mod", "cart/cart_test.go"], ["go test"]),
        (["go.mod", "main.go"], []),
        (["go.mod", "a_test.go", "tools/go.mod", "tools/b_test.go"], ["go test", "go test in tools"]),
        (["Cargo.toml"], ["cargo test"]),
        (["engine/Cargo.toml", "engine/core/Cargo.toml"], ["cargo test in engine"]),
        (["pom.xml", "core/pom.xml", "core/src/test/java/ATest.java"], ["mvn test"]),
        (["pom.xml", "src/main/java/A.java"], []),
        (["settings.gradle.kts", "app/build.gradle.kts", "app/src/test/kotlin/ATest.kt"], ["gradle test"]),
        (["phpunit.xml.dist"], ["phpunit"]),
        (["gem/spec/a_spec.rb", "gem/.rspec"], ["rspec in gem"]),
        (["Rakefile", "lib/a.rb"], []),
        (["noxfile.py"], ["nox"]),
        (["tox.toml"], ["tox"]),
        (["node_modules/x/go.mod", "node_modules/x/a_test.go", "vendor/y/Cargo.toml"], []),
    ],
)
def test_kinds_are_known_by_their_files(tmp_path: Path, files: list[str], names: list[str]) -> None:
    plant(tmp_path / "head", dict.fromkeys(files, ""))
    assert list(found(tmp_path)) == names


@pytest.mark.parametrize(
    ("rakefile", "path", "name"),
    [
        ('require "rake/testtask"\nRake::TestTask.new do |t|\nend\n', "test/test_a.rb", "rake test"),
        ('Rake::TestTask.new("test:regular") {}\ntask test: %w[test:regular]\n', "test/spec_a.rb", "rake test"),
        ("Rake::TestTask.new(:unit => :compile)\n", "test/unit/a_test.rb", "rake unit"),
        ("Minitest::TestTask.create\n", "test/a_test.rb", "rake test"),
        ("Rails.application.load_tasks\n", "test/models/a_test.rb", "rake test"),
        ("task default: :test\n# Rake::TestTask.new\n", "test/a_test.rb", ""),
        ("Rake::TestTask.new\n", "test/helper.rb", ""),
        ("RSpec::Core::RakeTask.new(:spec)\n", "test/a_test.rb", ""),
    ],
)
def test_minitest_is_known_by_its_rakefile_and_its_tests(tmp_path: Path, rakefile: str, path: str, name: str) -> None:
    plant(tmp_path / "head", {"Rakefile": rakefile, path: ""})
    assert list(found(tmp_path)) == ([name] if name else [])


def test_specs_of_minitest_are_not_rspecs(tmp_path: Path) -> None:
    files = {"Rakefile": "Rake::TestTask.new(:spec)\n", "spec/a_spec.rb": ""}
    plant(tmp_path / "head", {**files, "spec/spec_helper.rb": 'require "minitest/autorun"\n'})
    assert list(found(tmp_path)) == ["rake spec"]
    plant(tmp_path / "head", {"spec/spec_helper.rb": 'require "rspec"\n'})
    assert list(found(tmp_path)) == ["rspec"]


def test_bats_is_left_to_the_script_that_starts_it(tmp_path: Path) -> None:
    plant(tmp_path / "head", {"test/a.bats": "", "package.json": '{"scripts": {"test": "bats test"}}'})
    assert list(found(tmp_path)) == ["npm test"]
    plant(tmp_path / "head", {"package.json": "{}", "Makefile": "test:\n\tgit clone bats\n"})
    assert list(found(tmp_path)) == ["bats", "not make test"]


AUTOMAKE = {"configure.ac": "", "Makefile.am": "SUBDIRS = tests\n", "tests/Makefile.am": "TESTS = a.sh\n"}


@pytest.mark.parametrize(
    ("files", "suites", "builds"),
    [
        ({"Makefile": "check: all\n"}, ["make check"], []),
        ({"Makefile": "check:\ntest:\n"}, ["make test"], []),
        ({"Makefile": "check := 1\n"}, [], []),
        (AUTOMAKE, ["make check"], ["autoreconf -i", "./configure"]),
        ({**AUTOMAKE, "configure": ""}, ["make check"], ["./configure"]),
        ({**AUTOMAKE, "tests/Makefile.am": "bin_PROGRAMS = a\n"}, [], []),
        ({"configure": "", "Makefile.in": "test: all\n"}, ["make test"], ["./configure"]),
        ({"configure": "", "Makefile.in": "check: all\n"}, ["make check"], ["./configure"]),
        ({"Makefile.in": "check: all\n"}, [], []),
        ({"configure.ac": "", "sub/Makefile.in": "check: all\n"}, [], []),
    ],
)
def test_what_make_will_know(tmp_path: Path, files: dict[str, str], suites: list[str], builds: list[str]) -> None:
    plant(tmp_path / "head", files)
    stage = Stage(tmp_path, {})
    detection = detect(Shell.begin(stage.work(), stage.kit(), tmp_path), tmp_path / "scratch")
    assert [one.name for one in detection.suites] == suites
    assert [" ".join(argv) for one in detection.suites for argv in one.build] == builds


def test_several_packages_of_one_repository(tmp_path: Path) -> None:
    plant(
        tmp_path / "head",
        {
            "services/api/pyproject.toml": "[tool.pytest.ini_options]\n",
            "services/api/tests/test_a.py": "def test_a():\n    pass\n",
            "services/mail/setup.py": "",
            "services/mail/test_b.py": "import unittest\n\n\nclass B(unittest.TestCase):\n    pass\n",
            "web/package.json": json.dumps({"scripts": {"test": "vitest"}}),
            "web/pnpm-lock.yaml": "",
            "tools/package.json": json.dumps({"scripts": {"test": "mocha"}, "packageManager": "yarn@4.1.0"}),
            "engine/go.mod": "",
            "engine/a_test.go": "",
            "Makefile": "test:\n\ttrue\n",
        },
    )
    suites = found(tmp_path)
    assert {name: command.split()[0].rpartition("/")[2] for name, command in suites.items() if "not " not in name} == {
        "pytest in services/api": "python",
        "unittest in services/mail": "python",
        "pnpm test in web": "pnpm",
        "yarn test in tools": "yarn",
        "go test in engine": "go",
    }
    assert suites["not make test"].startswith("Makefile is there, but pytest in services/api, ")


def test_a_root_that_is_configured_speaks_for_its_packages(tmp_path: Path) -> None:
    nested = {
        "packages/a/pyproject.toml": "[tool.pytest.ini_options]\n",
        "packages/a/package.json": '{"scripts": {"test": "x"}}',
    }
    plant(
        tmp_path / "head",
        {"pytest.ini": "[pytest]\n", "package.json": '{"scripts": {"test": "lerna run test"}}', **nested},
    )
    assert list(found(tmp_path)) == ["pytest", "npm test"]


@pytest.mark.parametrize(
    ("script", "added"),
    [
        ("jest", "-- --json --testLocationInResults"),
        ("tsc && cross-env CI=1 npx vitest run", "-- --reporter=default --reporter=json"),
        ("c8 mocha 'test/**/*.js'", "-- --reporter json --reporter-option"),
        ("jest && eslint .", ""),
        ("./run-tests", ""),
    ],
)
def test_only_what_runs_last_in_a_script_is_given_arguments(tmp_path: Path, script: str, added: str) -> None:
    plant(tmp_path / "head", {"package.json": json.dumps({"scripts": {"test": script}})})
    assert found(tmp_path)["npm test"] == f"npm test --silent {added}".strip()


@pytest.mark.parametrize("lock", ["pnpm-lock.yaml", "yarn.lock", "bun.lock"])
def test_package_managers_take_no_option_of_the_script_for_their_own(tmp_path: Path, lock: str) -> None:
    plant(tmp_path / "head", {"package.json": json.dumps({"scripts": {"test": "vitest run"}}), lock: ""})
    [argv] = found(tmp_path).values()
    manager, *words = argv.split()
    # `pnpm test` and `bun test` are commands of their own, with options of their own.
    assert words[:2] == ["run", "test"] or (manager == "yarn" and words[0] == "test")
    assert words[-2:] == ["--reporter=default", "--reporter=json"]


def test_the_docs_hold_the_table() -> None:
    page = Path(__file__).parents[3] / "docs/configuration.md"
    assert described() in page.read_text("utf-8"), f"put this into docs/configuration.md:\n{described()}"
    assert len({kind.name for kind in KINDS}) == len(KINDS)


# -- real runs


def counted(passed: int = 0, failed: int = 0, errors: int = 0, skipped: int = 0) -> values.Tests:
    return values.Tests(passed=passed, failed=failed, errors=errors, skipped=skipped)


# The test in the documentation fails, too.
RUST_DOCS = {
    **projects.RUST,
    "src/lib.rs": projects.RUST["src/lib.rs"].replace("sum(0, 0), 0);\n/", "sum(0, 0), 1);\n/", 1),
}
REAL: dict[str, tuple[Mapping[str, str], tuple[str, ...], values.Tests, set[tuple[str, int | None]]]] = {
    "go": (projects.GO, ("go",), counted(passed=1, failed=2, errors=1, skipped=1),
           {("broken/b_test.go", 5), ("cart/cart_test.go", 14), ("crash/c_test.go", 7)}),
    "rust": (projects.RUST, ("cargo",), counted(passed=2, failed=2, skipped=1),
             {("src/lib.rs", 21), ("src/lib.rs", 30)}),
    "nextest": ({**RUST_DOCS, ".config/nextest.toml": ""}, ("cargo", "cargo-nextest"), counted(passed=1, failed=3),
                {("src/lib.rs", 21), ("src/lib.rs", 30), ("src/lib.rs", 3)}),
    "cmake": (projects.CMAKE, ("cmake", "ctest", "cc"), counted(passed=1, failed=1, errors=1),
              {("adds.c", 4), ("", None)}),
    "php": (projects.PHP, ("phpunit",), counted(passed=2, failed=1, errors=1, skipped=1),
            {("tests/CartTest.php", 16), ("tests/CartTest.php", 31)}),
    "ruby": (projects.RUBY, ("rspec",), counted(passed=1, failed=1, skipped=1), {("spec/cart_spec.rb", 7)}),
    "minitest": (projects.MINITEST, ("ruby", "rake"), counted(passed=1, failed=2, errors=1, skipped=1),
                 {("test/cart_test.rb", 10), ("test/cart_test.rb", 14), ("test/cart_test.rb", 24)}),
    "bats": (projects.BATS, ("bats",), counted(passed=1, failed=2, skipped=1),
             {("test/cart.bats", 8), ("plugins/tax/test/tax.bats", 4)}),
    "automake": (projects.AUTOMAKE, ("autoreconf", "automake", "make"),
                 counted(passed=1, failed=1, errors=1, skipped=2), {("tests/adds.sh", 4), ("tests/breaks.sh", None)}),
    "unittest": (projects.UNITTEST, (), counted(passed=2, failed=2, errors=1, skipped=1),
                 {("test_cart.py", 10), ("test_cart.py", 13), ("test_cart.py", 26)}),
}  # fmt: skip


def counts(tests: values.Tests | None) -> values.Tests | None:
    return tests and counted(tests.passed, failed=tests.failed, errors=tests.errors, skipped=tests.skipped)


def check(
    tmp_path: Path, files: Mapping[str, str], expected: values.Tests, places: set[tuple[str, int | None]]
) -> None:
    result = Stage(tmp_path, files, timeout=120).run(AGENT)
    assert result.outcome is Outcome.FINDINGS, result
    assert counts(result.tests) == expected, result.log
    assert {(one.path, one.start_line) for one in result.findings} == places
    assert {one.severity for one in result.findings} == {Severity.HIGH}
    assert "not run again" not in result.summary or "go test" in result.summary


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=needs(*programs)) for name, (_, programs, _, _) in REAL.items()]
)
def test_failures_lie_where_they_are(tmp_path: Path, name: str) -> None:
    files, _, expected, places = REAL[name]
    check(tmp_path, files, expected, places)


HOOKS = "setup_file() {\n    false\n}\n"


@needs("bats")
def test_bats_that_could_not_begin_with_its_files_is_told_by_file_and_as_unfinished(tmp_path: Path) -> None:
    """One file is new, the other failed before: both are run again alone, on the base, too."""
    test = '@test "a" { true; }\n@test "b" { true; }\n'
    base = {"test/old.bats": HOOKS + test, "test/new.bats": test, "test/fine.bats": test}
    stage = Stage(tmp_path, {**base, "test/new.bats": HOOKS + test}, base, timeout=60)
    result = stage.run(AGENT)
    assert result.outcome is Outcome.PARTIAL, result
    assert [(one.what, one.why) for one in result.not_covered] == [("4 of 6 tests", "planned, but they did not run")]
    assert {(one.rule, one.path, one.start_line) for one in result.findings} == {
        ("test/new.bats.setup_file", "test/new.bats", 2),
        ("test/old.bats.setup_file", "test/old.bats", 2),
    }
    assert result.tests is not None
    assert (counts(result.tests), result.tests.compared) == (
        counted(passed=2, errors=2),
        values.Comparison(new=1, before=1),
    )


@needs("make")
def test_a_configure_that_misses_something_is_no_finding(tmp_path: Path) -> None:
    plant(tmp_path / "head", {"Makefile.in": "check:\n\ttrue\n", "configure": ""})
    script = (
        "#!/bin/sh\n[ -e wanted ] || { echo 'configure: error: no wanted' >&2; exit 1; }\ncp Makefile.in Makefile\n"
    )
    (tmp_path / "head/configure").chmod(0o755)
    (tmp_path / "head/configure").write_text(script)
    result = Stage(tmp_path, {}).run(AGENT)
    assert (result.outcome, result.reason, result.findings) == (
        Outcome.ERROR,
        "make check cannot be built here: configure: error: no wanted",
        (),
    )
    assert "agents.test.setup" in result.remedy
    result = Stage(tmp_path, {"wanted": ""}).run(AGENT)
    assert (result.outcome, result.summary) == (Outcome.CLEAN, "make check passed")


@needs("ruby", "rake")
@pytest.mark.parametrize(
    ("name", "outcome"), [("not/to_be_found", Outcome.ERROR), ("cart/gone", Outcome.FINDINGS), ("x", Outcome.ERROR)]
)
def test_a_gem_that_is_not_installed_is_no_finding(tmp_path: Path, name: str, outcome: Outcome) -> None:
    """A file of the repository's own that is gone is one."""
    files = {
        "test/cart_test.rb": f'require "{name}"\n',
        "lib/cart/sum.rb": "",
        "Rakefile": projects.MINITEST["Rakefile"],
    }
    result = Stage(tmp_path, files, timeout=60).run(AGENT)
    assert result.outcome is outcome, result
    if outcome is Outcome.ERROR:
        assert (result.reason, result.findings) == (f"the tests need what is not installed: {name}", ())
        assert "agents.test.setup" in result.remedy


SCRIPTS = {
    "jest": (projects.JEST, "cart.test.js", 8),
    "vitest": (projects.VITEST, "cart.test.js", 10),
    "mocha": (projects.MOCHA, "test/cart.js", 7),
}


@needs("npm", also=RUNNERS.is_dir())
@pytest.mark.parametrize("name", SCRIPTS)
def test_runners_of_javascript(tmp_path: Path, name: str) -> None:
    """Each of them is run twice: what failed once more, alone."""
    files, path, line = SCRIPTS[name]
    plant(tmp_path / "head", {})
    (tmp_path / "head/node_modules").symlink_to(RUNNERS)
    check(tmp_path, files, counted(passed=1, failed=1, skipped=2 if name == "jest" else 1), {(path, line)})


TOX = "[tox]\nskipsdist = true\n[testenv]\nskip_install = true\ncommands = python -m unittest -v checks\n"
NOX = """\
import nox


@nox.session(venv_backend="none")
def tests(session):
    session.run("python3", "-m", "pytest", "-p", "no:cacheprovider", "checks.py")
"""


@needs("tox")
def test_tox(tmp_path: Path) -> None:
    files = {"tox.ini": TOX, "checks.py": projects.UNITTEST["test_cart.py"]}
    stage = Stage(tmp_path, files, timeout=120)
    result = stage.run(AGENT)
    assert stage.said[0] == "tox"
    assert counts(result.tests) == counted(passed=2, failed=2, errors=1, skipped=1), result.log


@needs("nox")
def test_nox(tmp_path: Path) -> None:
    """The report of the pytest that it starts comes through its session."""
    files = {"noxfile.py": NOX, "checks.py": "def test_a():\n    pass\n\n\ndef test_b():\n    assert 0\n"}
    stage = Stage(tmp_path, files, timeout=120)
    result = stage.run(AGENT)
    assert stage.said[0] == "nox"
    assert counts(result.tests) == counted(passed=1, failed=1), result.log
    assert [(one.path, one.start_line) for one in result.findings] == [("checks.py", 6)]


@needs("mvn", "java", also=MAVEN.exists())
def test_maven_with_surefire(tmp_path: Path) -> None:
    """Failures of a recorded run are read in tests/workers/tools: here they would take a second run."""
    files = {**projects.MAVEN, "src/main/java/acme/Cart.java": projects.CART_THAT_ADDS}
    result = Stage(tmp_path, files, timeout=300).run(AGENT)
    assert (result.outcome, counts(result.tests)) == (Outcome.CLEAN, counted(passed=2, skipped=1)), result.log


@needs("gradle", "java", also=MAVEN.exists())
def test_gradle(tmp_path: Path) -> None:
    """As with Maven; it is no part of what `make needs` installs, for its 60 packages."""
    files = {**projects.GRADLE, "src/main/java/acme/Cart.java": projects.CART_THAT_ADDS}
    result = Stage(tmp_path, files, timeout=300).run(AGENT)
    assert (result.outcome, counts(result.tests)) == (Outcome.CLEAN, counted(passed=2, skipped=1)), result.log


NO_TRACE = """\
describe('cart', () => {
  it('knows zero', () => {});
  it('adds', (done) => {
    setImmediate(done, 'in words only');
  });
  it('twice', () => {});
});
describe('shop', () => {
  it('twice', (done) => {
    setImmediate(done, 'in words only');
  });
});
"""


@needs("npm", also=RUNNERS.is_dir())
def test_a_failure_without_a_trace_lies_where_its_title_is_if_that_is_the_only_one(tmp_path: Path) -> None:
    plant(tmp_path / "head", {})
    (tmp_path / "head/node_modules").symlink_to(RUNNERS)
    files = {"test/cart.js": NO_TRACE, "package.json": projects.MOCHA["package.json"]}
    check(tmp_path, files, counted(passed=2, failed=2), {("test/cart.js", 3), ("test/cart.js", None)})


NODE = (
    "const test = require('node:test');\n\ntest('%s', () => {});\ntest('%s', () => {\n  throw new Error('no');\n});\n"
)


@needs("npm")
@pytest.mark.parametrize("unit", ["node --test", "node --test a.test.js; node --test b.test.js"])
def test_nodes_own_runner_behind_another_script_is_run_again_alone(tmp_path: Path, unit: str) -> None:
    """Two runs of it do not write one report, the second over the first."""
    scripts = {"test": "npm run lint && npm run unit", "lint": "true", "unit": unit}
    tests = {"a.test.js": NODE % ("a", "a breaks"), "b.test.js": NODE % ("b", "b breaks")}
    head = {"package.json": json.dumps({"scripts": scripts}), **tests}
    result = Stage(tmp_path, head, head, timeout=60).run(AGENT)
    assert result.outcome is Outcome.FINDINGS
    assert counts(result.tests) == counted(passed=2, failed=2), result.log
    assert {(one.path, one.start_line) for one in result.findings} == {(name, 5) for name in tests}
    assert "not run again" not in result.summary
    assert result.tests is not None
    assert result.tests.compared == values.Comparison(before=2)


@needs("cargo")
def test_what_fails_in_the_documentation_is_compared_too(tmp_path: Path) -> None:
    """rustdoc cannot be told a test's whole name."""
    files = {"Cargo.toml": projects.RUST["Cargo.toml"], "src/lib.rs": RUST_DOCS["src/lib.rs"].partition("#[cfg")[0]}
    result = Stage(tmp_path, files, files, timeout=60).run(AGENT)
    assert counts(result.tests) == counted(failed=1), result.log
    assert result.tests is not None
    assert result.tests.compared == values.Comparison(before=1)
