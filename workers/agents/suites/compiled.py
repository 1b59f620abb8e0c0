"""Languages that are compiled: Go, Rust, C and C++ with CMake, Java and Kotlin with Maven or Gradle."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from workers.agent import Case
from workers.agents.suites.suite import Kind, Place, Suite, Tree, Ways, folder_of, is_below, topmost

_CTEST = re.compile(
    r"^[^\S\n]*(?:enable_testing|add_test|gtest_discover_tests|catch_discover_tests)\s*\(|include\s*\(\s*CTest",
    re.MULTILINE | re.IGNORECASE,
)
_GRADLE = ("settings.gradle", "settings.gradle.kts", "build.gradle", "build.gradle.kts")


def _all(tree: Tree, *names: str) -> Iterator[Place]:
    return (Place(folder_of(path), path) for path in tree.named(*names))


def _some(tree: Tree, folder: str, ending: str) -> bool:
    return any(path.endswith(ending) and is_below(path, folder) for path in tree.files)


# -- Go


def _find_go(tree: Tree) -> Iterator[Place]:
    """Every module: `./...` does not enter another one."""
    return (place for place in _all(tree, "go.mod") if _some(tree, place.folder, "_test.go"))


def _go(tree: Tree, place: Place, _ways: Ways) -> Suite:
    def again(cases: Sequence[Case]) -> Sequence[str] | None:
        # A row of a table is named by its test, too: `TestSum/small_numbers`.
        if any(case.status == "error" or not case.classname for case in cases):
            return None
        names = sorted({re.escape(case.name.partition("/")[0]) for case in cases})
        packages = sorted({case.classname for case in cases})
        return ["go", "test", "-json", "-count=1", "-run", f"^({'|'.join(names)})$", *packages]

    def affected(paths: Sequence[str]) -> Sequence[str] | None:
        changed = {folder_of(path) for path in paths if path.endswith(".go") and is_below(path, place.folder)}
        inside = sorted(
            "./" + folder[len(place.folder) :].lstrip("/") for folder in changed if (tree.root / folder).is_dir()
        )
        return ["go", "test", "-json", *inside] if inside else None

    return Suite("go test", ["go", "test", "-json", "./..."], prints="go", again=again, affected=affected)


# -- Rust


def _find_cargo(tree: Tree) -> Iterator[Place]:
    return topmost(_all(tree, "Cargo.toml"))


def _cargo(tree: Tree, place: Place, ways: Ways) -> Suite:
    all_of = ["--workspace"] if "[workspace" in tree.text(place.path("Cargo.toml")) else []
    # Colours would stand between the words; without a backtrace the first place is the test's own.
    env = {"CARGO_TERM_COLOR": "never", "RUST_BACKTRACE": "0", **_toolchains(ways)}
    if tree.has(place.path(".config/nextest.toml")) and ways.where("cargo-nextest"):
        also = [_documented(all_of, env)] if _has_library(tree, place) else []
        return replace(_nextest(ways, all_of, env), also=also)
    argv = ["cargo", "test", "--no-fail-fast", *all_of]

    def again(cases: Sequence[Case]) -> Sequence[str] | None:
        if any(_IN_DOCS in case.name for case in cases):
            return [*argv, "--", *_loosely(cases)]
        return [*argv, "--", "--exact", *(case.name for case in cases)]

    def affected(paths: Sequence[str]) -> Sequence[str] | None:
        crates = sorted({crate for path in paths if is_below(path, place.folder) if (crate := _crate(tree, path))})
        return (
            ["cargo", "test", "--no-fail-fast", *(word for crate in crates for word in ("-p", crate))]
            if crates
            else None
        )

    return Suite("cargo test", argv, env, prints="cargo", again=again, affected=affected, failing=(101,))


# `src/lib.rs - sum (line 3)`.
_IN_DOCS = " - "


def _loosely(cases: Sequence[Case]) -> Sequence[str]:
    """Filters for these tests, and perhaps for some more: rustdoc splits every one at spaces, so that no test of
    documentation can be named as a whole."""
    return sorted({case.name.partition(_IN_DOCS)[0] for case in cases})


def _has_library(tree: Tree, place: Place) -> bool:
    own = (path for path in tree.files if is_below(path, place.folder))
    return any(
        path.endswith("src/lib.rs") or (path.endswith("Cargo.toml") and "[lib]" in tree.text(path)) for path in own
    )


def _documented(all_of: Sequence[str], env: Mapping[str, str]) -> Suite:
    """The tests of documentation. That there are none is no fault."""
    argv = ["cargo", "test", "--doc", "--no-fail-fast", *all_of]
    return Suite(
        "cargo test --doc",
        argv,
        env,
        prints="any",
        again=lambda cases: [*argv, "--", *_loosely(cases)],
        failing=(101,),
    )


def _toolchains(ways: Ways) -> Mapping[str, str]:
    """Where rustup keeps what its `cargo` starts: beside it, not in the home that a suite is given."""
    own = Path(ways.where("cargo") or "").parent.parent
    return {"RUSTUP_HOME": str(kept)} if own.name == ".cargo" and (kept := own.with_name(".rustup")).is_dir() else {}


def _nextest(ways: Ways, all_of: Sequence[str], env: Mapping[str, str]) -> Suite:
    """Its report's place is a matter of configuration, which a tool may add to. It runs no tests of
    documentation: see _documented."""
    config = ways.reports.parent / "nextest.toml"
    config.write_text(f'[profile.default.junit]\npath = "{ways.reports}/nextest.xml"\n')
    argv = ["cargo", "nextest", "run", "--no-fail-fast", *all_of, "--tool-config-file", f"assay:{config}"]
    return Suite(
        "cargo nextest",
        argv,
        env,
        # Where the repository names a place of its own.
        reports=("target/nextest/**/*.xml",),
        again=lambda cases: [*argv, "--", "--exact", *(case.name for case in cases)],
        failing=(100,),
    )


_NAME = re.compile(r'^\[package\][^\[]*?^name\s*=\s*"([\w-]+)"', re.MULTILINE | re.DOTALL)


def _crate(tree: Tree, path: str) -> str:
    """The package that a file belongs to."""
    folder = folder_of(path)
    while True:
        if match := _NAME.search(tree.text(Place(folder, "").path("Cargo.toml"))):
            return match[1]
        if not folder:
            return ""
        folder = folder_of(folder)


# -- C and C++


def _find_ctest(tree: Tree) -> Iterator[Place]:
    """The topmost project, where it or a part of it says that there are tests."""
    for place in topmost(_all(tree, "CMakeLists.txt")):
        parts = (path for path in tree.named("CMakeLists.txt") if is_below(path, place.folder))
        told = next((path for path in parts if _CTEST.search(tree.text(path))), None)
        if told:
            yield Place(place.folder, told)


def _ctest(_tree: Tree, place: Place, ways: Ways) -> Suite:
    built = str(ways.build / (place.folder.replace("/", "-") or "root"))
    argv = ["ctest", "--test-dir", built, "--output-on-failure", "--output-junit", f"{ways.reports}/ctest.xml"]

    def again(cases: Sequence[Case]) -> Sequence[str] | None:
        return [*argv, "--tests-regex", "^(" + "|".join(re.escape(case.name) for case in cases) + ")$"]

    build = (["cmake", "-S", ".", "-B", built], ["cmake", "--build", built, "--parallel"])
    return Suite("ctest", argv, build=build, again=again)


# -- the JVM


def _find_maven(tree: Tree) -> Iterator[Place]:
    return (place for place in topmost(_all(tree, "pom.xml")) if _has_jvm_tests(tree, place))


def _find_gradle(tree: Tree) -> Iterator[Place]:
    found = (place for place in topmost(_all(tree, *_GRADLE)) if not tree.has(place.path("pom.xml")))
    return (place for place in found if _has_jvm_tests(tree, place))


def _has_jvm_tests(tree: Tree, place: Place) -> bool:
    return any("src/test/" in f"/{path}" and is_below(path, place.folder) for path in tree.files)


def _wrapper(tree: Tree, place: Place, wrapper: str, program: str) -> str:
    """The repository's own, where it can be started."""
    own = tree.root / place.folder / wrapper
    return f"./{wrapper}" if tree.has(place.path(wrapper)) and own.stat().st_mode & 0o100 else program


def _maven(tree: Tree, place: Place, _ways: Ways) -> Suite:
    argv = [_wrapper(tree, place, "mvnw", "mvn"), "-B", "-ntp", "--fail-at-end", "test"]

    def again(cases: Sequence[Case]) -> Sequence[str] | None:
        if not all(case.classname for case in cases):
            return None
        # A parametrised test is called like its method, with the arguments behind.
        tests = sorted({f"{case.classname}#{re.split(r'[^A-Za-z0-9_$]', case.name)[0]}" for case in cases})
        none = ("-DfailIfNoTests=false", "-Dsurefire.failIfNoSpecifiedTests=false")
        return [*argv, f"-Dtest={','.join(tests)}", *none]

    reports = ("**/target/surefire-reports/TEST-*.xml", "**/target/failsafe-reports/TEST-*.xml")
    return Suite("mvn test", argv, reports=reports, again=again)


def _gradle(tree: Tree, place: Place, _ways: Ways) -> Suite:
    argv = [_wrapper(tree, place, "gradlew", "gradle"), "--no-daemon", "--console=plain", "--continue", "test"]

    def again(cases: Sequence[Case]) -> Sequence[str] | None:
        if not all(case.classname for case in cases):
            return None
        tests = sorted({f"{case.classname}.{re.split(r'[^A-Za-z0-9_$]', case.name)[0]}" for case in cases})
        return [*argv, "--rerun-tasks", *(word for test in tests for word in ("--tests", test))]

    return Suite("gradle test", argv, reports=("**/build/test-results/**/TEST-*.xml",), again=again)


KINDS = (
    Kind("go test", "Go", "go.mod, and files like *_test.go", _find_go, _go),
    Kind(
        "cargo test",
        "Rust",
        "Cargo.toml; nextest and cargo test --doc where .config/nextest.toml is there and nextest is installed",
        _find_cargo,
        _cargo,
    ),
    Kind("mvn test", "Java, Kotlin, Scala", "pom.xml, and files below src/test", _find_maven, _maven),
    Kind(
        "gradle test",
        "Java, Kotlin, Scala",
        "settings.gradle or build.gradle (.kts), and files below src/test",
        _find_gradle,
        _gradle,
    ),
    Kind("ctest", "C, C++", "a CMakeLists.txt with enable_testing() or tests", _find_ctest, _ctest),
)
