"""JavaScript and TypeScript: the script `test` of a package.json, whatever runs behind it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from workers.agent import Case
from workers.agents.suites.suite import Kind, Place, Suite, Tree, Ways, folder_of, is_below, topmost

_PLACEHOLDER = "no test specified"
# Characters of a script that are looked at.
_LONGEST = 4_000
_NODE_TEST = re.compile(r"\bnode\b.*\s--test\b")
_TEST_OPTION = re.compile(r"\s--test(?=\s|$)")
# Which package manager a lock file is one of, and how each runs the script with more arguments.
_MANAGERS = {
    # Options behind `pnpm test` would be pnpm's own.
    "pnpm": (("pnpm-lock.yaml",), ("pnpm", "run", "test"), ()),
    "yarn": (("yarn.lock",), ("yarn", "test"), ()),
    "bun": (("bun.lock", "bun.lockb"), ("bun", "run", "test"), ()),
    "npm": ((), ("npm", "test", "--silent"), ("--",)),
}
# Runs another script: `npm run unit`.
_RUN = re.compile(r"\b(?:npm|pnpm|yarn|bun)\s+(?:run|run-script)\s+(?:-\S+\s+)*(?P<name>[\w:.-]+)")
_SOURCE = re.compile(r"\.(?:[cm]?[jt]sx?|vue|svelte)$")


@dataclass(frozen=True)
class Runner:
    """A test runner: the words it goes by in a script, the arguments that make it leave a report, the report's format
    (`prints` where it goes to standard output), and how it is told to run some tests, or what some files concern."""

    words: Sequence[str]
    report: Sequence[str]
    format: str = "junit"
    prints: str = ""
    again: Callable[[Sequence[Case]], Sequence[str]] | None = None
    affected: Callable[[Sequence[str]], Sequence[str]] | None = None


def _names(cases: Sequence[Case]) -> str:
    return _any_of(case.name for case in cases)


def _whole_names(cases: Sequence[Case]) -> str:
    """As Bun matches them, with their suites before them. Its reports name the innermost one first."""
    return _any_of(" ".join([*reversed(list(filter(None, case.classname.split(" > ")))), case.name]) for case in cases)


def _any_of(names: Iterable[str]) -> str:
    return "^(?:" + "|".join(re.sub(r"([\\^$.*+?()\[\]{}|/])", r"\\\1", name) for name in names) + ")$"


def _files(cases: Sequence[Case]) -> list[str]:
    return sorted({case.path for case in cases if case.path})


_RUNNERS = (
    Runner(
        ("jest", "react-scripts"),
        ("--json", "--outputFile={}/jest.json", "--testLocationInResults"),
        "jest",
        again=lambda cases: ("--testNamePattern", _names(cases), "--runTestsByPath", *_files(cases)),
        affected=lambda paths: ("--passWithNoTests", "--findRelatedTests", *paths),
    ),
    Runner(
        ("vitest",),
        ("--reporter=default", "--reporter=json", "--outputFile.json={}/vitest.json"),
        "jest",
        again=lambda cases: ("--testNamePattern", _names(cases), *_files(cases)),
    ),
    Runner(
        ("mocha", "_mocha"),
        ("--reporter", "json", "--reporter-option", "output={}/mocha.json"),
        "mocha",
        again=lambda cases: ("--grep", _names(cases)),
    ),
    Runner(
        ("bun",),
        ("--reporter=junit", "--reporter-outfile={}/bun.xml"),
        again=lambda cases: ("--test-name-pattern", _whole_names(cases), *_files(cases)),
    ),
    Runner(("ava",), ("--tap",), prints="tap"),
    Runner(("tap",), ("--reporter=tap",), prints="tap"),
)


def _script(tree: Tree, path: str) -> str:
    scripts = tree.json(path).get("scripts")
    script = scripts.get("test") if isinstance(scripts, dict) else None
    return script.strip()[:_LONGEST] if isinstance(script, str) and _PLACEHOLDER not in script else ""


def _scripts(tree: Tree, path: str) -> Mapping[str, str]:
    scripts = tree.json(path).get("scripts")
    found = scripts.items() if isinstance(scripts, dict) else ()
    return {name: script[:_LONGEST] for name, script in found if isinstance(script, str)}


def _called(scripts: Mapping[str, str], script: str) -> Sequence[str]:
    """A script and those that it runs by name, each once."""
    called = [script]
    for one in called:
        names = [match["name"] for match in _RUN.finditer(one)]
        called += [scripts[name] for name in names if name in scripts and scripts[name] not in called]
    return called


def _find(tree: Tree) -> Iterator[Place]:
    """The root's script, which most often runs those of its packages; without one every package's."""
    found = (Place(folder_of(path), path) for path in tree.named("package.json") if _script(tree, path))
    return topmost(found)


def manager(tree: Tree, folder: str) -> str:
    """The package manager of the package there: by `packageManager`, else by the nearest lock file upwards."""
    while True:
        place = Place(folder, "")
        named = str(tree.json(place.path("package.json")).get("packageManager", "")).partition("@")[0]
        if named in _MANAGERS:
            return named
        for name, (locks, _, _) in _MANAGERS.items():
            if any(tree.has(place.path(lock)) for lock in locks):
                return name
        if not folder:
            return "npm"
        folder = folder_of(folder)


def manager_env(name: str) -> Mapping[str, str]:
    """What a package manager is told, so that it starts where there is no network: pnpm would fetch the version that
    `packageManager` names."""
    return {"npm_config_manage_package_manager_versions": "false"} if name == "pnpm" else {}


def runner_of(script: str) -> Runner | None:
    """What runs last in a script, if it is a known runner: only that one takes arguments that are added."""
    last = re.split(r"&&|\|\||[;|&]", script)[-1].split()
    names = [word.rpartition("/")[2] for word in last]
    return next((runner for runner in _RUNNERS if any(name in runner.words for name in names)), None)


def _suite(tree: Tree, place: Place, ways: Ways) -> Suite:
    script = _script(tree, place.path("package.json"))
    name = manager(tree, place.folder)
    _, start, dashes = _MANAGERS[name]
    argv, env = [*start], manager_env(name)
    called = _called(_scripts(tree, place.path("package.json")), script)
    runner, nodes = runner_of(script), [one for one in called if _NODE_TEST.search(one)]
    if _NODE_TEST.search(script) or (nodes and runner is None):
        # Two would write the same report, one over the other's: then only what they print is read.
        reporter = _node_reporter(ways) if sum(len(_TEST_OPTION.findall(one)) for one in nodes) == 1 else {}
        return Suite(f"{name} test", argv, {**env, **reporter}, prints="any", again=_node_again)
    if runner is None:
        return Suite(f"{name} test", argv, env, prints="any")
    told = [*argv, *dashes, *(word.format(ways.reports) for word in runner.report)]

    def again(cases: Sequence[Case]) -> Sequence[str] | None:
        return [*told, *runner.again(cases)] if runner.again and all(case.path for case in cases) else None

    def affected(paths: Sequence[str]) -> Sequence[str] | None:
        inside = [path for path in paths if is_below(path, place.folder) and _SOURCE.search(path) and tree.has(path)]
        short = [path.removeprefix(f"{place.folder}/") for path in inside]
        if short and runner.words == ("vitest",):
            return _vitest_related(tree, place, script, [word.format(ways.reports) for word in runner.report], short)
        return [*told, *runner.affected(short)] if runner.affected and short else None

    return Suite(f"{name} test", told, env, format=runner.format, prints=runner.prints, again=again, affected=affected)


_VITEST = "node_modules/.bin/vitest"


def _vitest_related(
    tree: Tree, place: Place, script: str, report: Sequence[str], paths: Sequence[str]
) -> Sequence[str] | None:
    """A command of its own, which no script can be handed: only for a script that is vitest and its options."""
    program, *words = script.split()
    if program != "vitest" or re.search(r"[;&|$<>'\"`\\(]", script) or not (tree.root / place.path(_VITEST)).exists():
        return None
    options = words[1:] if words[:1] in (["run"], ["watch"]) else words
    return [f"./{_VITEST}", "related", *paths, "--run", *options, *report]


def _node_reporter(ways: Ways) -> Mapping[str, str]:
    """Has Node's own test runner leave a report beside what it prints. A Node that knows no reporters (before 18.15)
    would refuse to start."""
    words = ("--test-reporter=junit", f"--test-reporter-destination={ways.reports}/node.xml")
    env = {"NODE_OPTIONS": " ".join((*words, "--test-reporter=spec", "--test-reporter-destination=stdout"))}
    return env if ways.node(env) else {}


def _node_again(cases: Sequence[Case]) -> Sequence[str] | None:
    """The files of these tests: Node names a test's file in its trace only."""
    files = {case.path or next((path for path, _ in case.frames), "") for case in cases}
    return ["node", "--test", *sorted(files)] if all(files) else None


KINDS = (
    Kind(
        "npm test",
        "JavaScript, TypeScript",
        "a script `test` in package.json; pnpm, yarn or bun by the lock file "
        "(reports of jest, vitest, mocha, node:test, ava, tap, bun)",
        _find,
        _suite,
    ),
)
