"""What the suites of a package need before they can run, by its lock files: which commands, and what they depend on.

What was set up is kept by a digest of the files that it depends on, and serves the next commit as it is.
"""

from __future__ import annotations

import configparser
import hashlib
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from workers.agents.suites.node import manager, manager_env
from workers.agents.suites.suite import Place, Tree, below, folder_of, is_below

# Stands in commands and variables for the folder that takes what is set up.
INTO = "{into}"

_TESTING = ("test", "tests", "testing", "dev", "develop")
_FOR_TESTS = re.compile(r"(^|[-_.])(tests?|testing|dev|develop|ci)([-_.]|$)")
_REQUIREMENTS = re.compile(r"^(requirements[\w.-]*|[\w.-]*requirements)\.txt$")
_BUILT_BY = ("pyproject.toml", "setup.cfg", "setup.py")
# A requirement as it may stand on a command line: never an option.
_REQUIREMENT = re.compile(r"^[A-Za-z0-9][^\n]{0,300}$")


@dataclass(frozen=True)
class Setup:
    """How something is set up in `folder`: by `commands` that run there, with `env`. It depends on `files` and on
    `words`. Of what the commands leave in the tree, `moved` is kept and copied the next time; where the tree has
    to be set up `always`, only what was downloaded is kept. `run_env` is for the tests, and `python` the interpreter
    that it makes. What is `tried` afterwards may fail."""

    name: str
    folder: str
    files: Sequence[str]
    commands: Sequence[Sequence[str]]
    env: Mapping[str, str] = field(default_factory=dict)
    run_env: Mapping[str, str] = field(default_factory=dict)
    words: Sequence[str] = ()
    moved: Sequence[str] = ()
    python: str = ""
    always: bool = False
    tried: Sequence[Sequence[str]] = ()

    @property
    def shown(self) -> str:
        """In words, for people."""
        by = ", ".join(self.files) or ", ".join(self.words)
        return f"{self.name}{f' in {self.folder}' if self.folder else ''} by {by}"

    def key(self, tree: Tree) -> str:
        """What it is kept under: the same for as long as it would come out the same."""
        digest = hashlib.sha256(repr((self.name, self.folder, self.commands, self.tried, self.words)).encode())
        for path in self.files:
            digest.update(f"\0{path}\0{tree.text(path)}".encode("utf-8", "surrogatepass"))
        return f"{self.name.split()[0]}-{digest.hexdigest()[:32]}"


def needed(tree: Tree, kinds: Iterable[tuple[str, Place]]) -> list[Setup]:
    """The set-ups of these suites, by kind and place; each once."""
    found = (setup for kind, place in kinds for setup in _of(kind, tree, place))
    return list({(setup.name, setup.folder): setup for setup in found}.values())


def _of(kind: str, tree: Tree, place: Place) -> Iterator[Setup]:
    match kind:
        case "pytest" | "unittest":
            yield from _python(tree, place.folder, kind)
        case "npm test":
            yield from _node(tree, place.folder)
        case "go test":
            yield from _go(tree, place.folder)
        case "cargo test":
            yield from _cargo(tree, place.folder)
        case "phpunit":
            yield from _locked(tree, place.folder, "composer.lock", "composer", ("vendor",))
        case "rspec" | "rake test":
            yield from _bundle(tree, place.folder)
        case _:
            return


# -- Python


def _python(tree: Tree, folder: str, kind: str) -> Iterator[Setup]:
    """A virtual environment with what the requirements say, or pyproject.toml or setup.cfg; and with the package
    itself, where it can be built, for its metadata and its commands. Its files are imported as they lie in the tree,
    which comes first on the path."""
    if any(tree.has(below(folder, f"{venv}/pyvenv.cfg")) for venv in (".venv", "venv")):
        return
    files = list(_requirement_files(tree, folder))
    words = [] if files else sorted(set(_requirements(tree, folder)))
    if not files and not words:
        return
    python = f"{INTO}/venv/bin/python"
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    named = [word for path in files for word in ("-r", path[len(folder) :].lstrip("/"))]
    runner = ["pytest"] if kind == "pytest" else []
    commands = (["python3", "-m", "venv", f"{INTO}/venv"], [*install, *named, *words, *runner])
    about = [path for name in _BUILT_BY if tree.has(path := below(folder, name))]
    source = below(folder, "src") if (tree.root / folder / "src").is_dir() else folder
    yield Setup(
        "Python's packages",
        folder,
        [*files, *about],
        commands,
        # There is no history that a version could be read from.
        env={"SETUPTOOLS_SCM_PRETEND_VERSION": "0.1", "PBR_VERSION": "0.1"},
        run_env={"PYTHONPATH": str(tree.root / source)},
        words=words,
        python=python,
        tried=[[*install, "--no-deps", "."]] if about else [],
    )


def _requirement_files(tree: Tree, folder: str) -> Iterator[str]:
    """`requirements.txt` and those for tests, also in a folder `requirements`."""
    for path in tree.files:
        parent, _, name = path.rpartition("/")
        if not name.endswith(".txt"):
            continue
        beside = parent == folder and _REQUIREMENTS.match(name)
        tests = _FOR_TESTS.search(name.removesuffix(".txt"))
        if (beside and (tests or name == "requirements.txt")) or (parent == below(folder, "requirements") and tests):
            yield path


def _requirements(tree: Tree, folder: str) -> Iterator[str]:
    """As pyproject.toml and setup.cfg have them: what it depends on, and the groups and extras for tests."""
    project = _toml(tree, below(folder, "pyproject.toml"))
    about = _mapping(project.get("project"))
    lists = [about.get("dependencies")]
    for groups in (_mapping(about.get("optional-dependencies")), _mapping(project.get("dependency-groups"))):
        lists += [groups.get(name) for name in _TESTING]
    for one in lists:
        yield from (item for item in (one if isinstance(one, list) else ()) if _is_requirement(item))
    yield from (line for line in _setup_cfg(tree, below(folder, "setup.cfg")) if _is_requirement(line))


def _is_requirement(item: object) -> bool:
    return isinstance(item, str) and bool(_REQUIREMENT.match(item))


def _setup_cfg(tree: Tree, path: str) -> Iterator[str]:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(tree.text(path))
    except configparser.Error:
        return
    sections = [("options", "install_requires"), *(("options.extras_require", name) for name in _TESTING)]
    for section, option in sections:
        yield from (line.strip() for line in parser.get(section, option, fallback="").splitlines())


def _toml(tree: Tree, path: str) -> Mapping[str, Any]:
    try:
        return tomllib.loads(tree.text(path))
    except (tomllib.TOMLDecodeError, RecursionError):
        return {}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


# -- JavaScript

_INSTALL = {
    "npm": ("package-lock.json", ["npm", "ci", "--no-audit", "--no-fund"]),
    "pnpm": ("pnpm-lock.yaml", ["pnpm", "install", "--frozen-lockfile"]),
    "yarn": ("yarn.lock", ["yarn", "install", "--frozen-lockfile"]),
    "bun": ("bun.lock", ["bun", "install", "--frozen-lockfile"]),
}
_WITHOUT_LOCK = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund"]


def _node(tree: Tree, folder: str) -> Iterator[Setup]:
    """What the lock file says, from the folder that it lies in."""
    name = manager(tree, folder)
    lock, install = _INSTALL[name]
    top = _upwards(tree, folder, lock)
    package = below(folder if top is None else top, "package.json")
    about = tree.json(package)
    depends = any(_mapping(about.get(key)) for key in ("dependencies", "devDependencies")) or about.get("workspaces")
    if (tree.root / (top if top is not None else folder) / "node_modules").is_dir() or not depends:
        return
    if top is None:
        yield Setup("npm's packages", folder, [package], [_WITHOUT_LOCK], moved=("node_modules",))
        return
    files = [package, *(path for path in (below(top, lock), below(top, ".npmrc")) if tree.has(path))]
    # Packages of a workspace are linked to where they lie, so that what one commit installed is no other's.
    spaces = bool(about.get("workspaces")) or tree.has(below(top, "pnpm-workspace.yaml"))
    moved = () if spaces else ("node_modules",)
    env = {**manager_env(name), **({"npm_config_cache": f"{INTO}/cache"} if spaces else {})}
    yield Setup(f"{name}'s packages", top, files, [install], env=env, moved=moved, always=spaces)


def _upwards(tree: Tree, folder: str, name: str) -> str | None:
    while True:
        if tree.has(below(folder, name)):
            return folder
        if not folder:
            return None
        folder = folder.rpartition("/")[0]


# -- others


def _go(tree: Tree, folder: str) -> Iterator[Setup]:
    module, sums = below(folder, "go.mod"), below(folder, "go.sum")
    if tree.has(sums) and not (tree.root / folder / "vendor").is_dir():
        env = {"GOMODCACHE": f"{INTO}/modules", "GOFLAGS": "-modcacherw"}
        run_env = {**env, "GOPROXY": "off"}
        yield Setup("Go's modules", folder, [module, sums], [["go", "mod", "download"]], env=env, run_env=run_env)


def _cargo(tree: Tree, folder: str) -> Iterator[Setup]:
    lock = below(folder, "Cargo.lock")
    manifests = [path for path in tree.named("Cargo.toml") if is_below(path, folder)]
    locked = "source =" in tree.text(lock)
    if locked or any("dependencies" in tree.text(path) for path in manifests):
        files = [lock] if locked else manifests
        env = {"CARGO_HOME": f"{INTO}/cargo"}
        command = ["cargo", "fetch", *(["--locked"] if locked else [])]
        yield Setup("Rust's crates", folder, files, [command], env=env, run_env={**env, "CARGO_NET_OFFLINE": "true"})


def _locked(tree: Tree, folder: str, lock: str, program: str, moved: Sequence[str]) -> Iterator[Setup]:
    if tree.has(below(folder, lock)) and not (tree.root / folder / moved[0]).is_dir():
        command = [program, "install", "--no-interaction", "--no-progress"]
        yield Setup(f"{program}'s packages", folder, [below(folder, lock)], [command], moved=moved)


def _bundle(tree: Tree, folder: str) -> Iterator[Setup]:
    """What the lock file says; without one what the Gemfile and the gemspecs that it may name ask for, and then the
    lock file that comes of it is kept, too: the tests are started by it."""
    gemfile, lock = below(folder, "Gemfile"), below(folder, "Gemfile.lock")
    env, install = {"BUNDLE_PATH": f"{INTO}/bundle"}, [["bundle", "install", "--quiet"]]
    if tree.has(lock):
        env["BUNDLE_FROZEN"] = "true"
        yield Setup("Ruby's gems", folder, [lock], install, env=env, run_env=env)
    elif tree.has(gemfile):
        specs = [path for path in tree.files if path.endswith(".gemspec") and folder_of(path) == folder]
        yield Setup("Ruby's gems", folder, [gemfile, *specs], install, env=env, run_env=env, moved=("Gemfile.lock",))
