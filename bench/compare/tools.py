"""The tools as a person starts them: in the repository's folder, with its own configuration, or none but their own.

Nothing here is shared with Assay: neither which files a tool reads, nor how it is started, nor how it is read. `CHOSEN`
says which of a tool's rules Assay promises (docs/tools.md) where the repository configures none.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import shutil
import subprocess
import sysconfig
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.compare.score import Hit

_PATIENCE = 1200  # seconds
# Tools that came as packages lie beside the interpreter.
_PATH = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])


@dataclass(frozen=True)
class Hand:
    """A tool, and which files it reads: those whose path `files` matches, and scripts whose first line `shebang` does.

    `argv` is its command line, to which the changed files are put where it says `FILES`; every line of what it prints
    that `line` matches is a hit, by the groups `path`, `line` and perhaps `rule`. `configs` are files that configure
    it, with what they must contain; one that is `asked_for` is not used without. `read` stands for both where a line is
    not enough. `program` is what has to be installed, where that is not the first word.
    """

    name: str
    files: str
    argv: Sequence[str] = ()
    line: str = ""
    shebang: str = ""
    configs: Mapping[str, str] = field(default_factory=dict)
    asked_for: bool = False
    read: Callable[[Path, Sequence[str]], Iterator[Hit]] | None = None
    program: str = ""

    def reads(self, root: Path, path: str) -> bool:
        file = root / path
        if file.is_symlink() or not file.is_file() or b"\0" in file.read_bytes():
            return False
        if re.search(self.files, path):
            return not self.asked_for or self.configured(root, path)
        if not self.shebang or "." in file.name:
            return False
        with file.open("rb") as script:
            first = script.readline(200)
        return first.startswith(b"#!") and re.search(self.shebang, first.decode(errors="replace")) is not None

    def configured(self, root: Path, path: str) -> bool:
        """Whether a file that configures it lies beside the path, or in a folder above."""
        for folder in (root / path).parents:
            for name, text in self.configs.items() if folder.is_relative_to(root) else ():
                if any(text in file.read_text(errors="replace") for file in folder.glob(name)):
                    return True
        return False

    def where(self, root: Path) -> str | None:
        own = root / "node_modules/.bin" / (self.program or self.argv[0])
        return str(own) if own.exists() else shutil.which(self.program or self.argv[0], path=_PATH)

    def hits(self, root: Path, files: Sequence[str]) -> set[Hit]:
        """What it prints of a tree. Raises RuntimeError in its own words when it prints nothing that can be read."""
        if self.read:
            return set(self.read(root, files))
        words = [word for one in self.argv for word in (files if one == "FILES" else [one])]
        done = run([self.where(root) or words[0], *words[1:]], root)
        found = {self._hit(root, match) for match in re.finditer(self.line, done.stdout + done.stderr, re.MULTILINE)}
        if not found and done.returncode not in (0, 1):
            raise RuntimeError((done.stderr or done.stdout)[-400:])
        return found

    def _hit(self, root: Path, match: re.Match[str]) -> Hit:
        path = match["path"].removeprefix(f"{root}/").removeprefix("./")
        said = match.groupdict(default="")
        return Hit(self.name, said.get("rule", ""), path, int(match["line"]), said.get("weight", ""))


def run(argv: Sequence[str], cwd: Path, given: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv,
        cwd=cwd,
        env={**os.environ, "PATH": _PATH},
        input=given,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_PATIENCE,
    )


# -- those that print no line a finding


def _formatted(name: str, command: Callable[[Path, str], Sequence[str]]) -> Callable[..., Iterator[Hit]]:
    """The lines that a formatter would write in another way: those that are gone in what it writes."""

    def read(root: Path, files: Sequence[str]) -> Iterator[Hit]:
        for path in files:
            before = (root / path).read_text(errors="replace")
            done = run(command(root, path), root, before)
            if done.returncode == 0:
                matcher = difflib.SequenceMatcher(None, before.splitlines(), done.stdout.splitlines(), autojunk=False)
                spans = (range(i + 1, max(j, i + 1) + 1) for tag, i, j, *_ in matcher.get_opcodes() if tag != "equal")
                yield from (Hit(name, "format", path, line) for span in spans for line in span)

    return read


def _rustfmt(root: Path, path: str) -> list[str]:
    files = (folder / "Cargo.toml" for folder in (root / path).parents)
    manifests = [tomllib.loads(file.read_text()) for file in files if file.is_file()]
    edition = manifests[0].get("package", {}).get("edition", "2015") if manifests else "2015"
    if not isinstance(edition, str):
        edition = next(one["workspace"]["package"]["edition"] for one in manifests if "workspace" in one)
    return ["rustfmt", f"--edition={edition}"]


def _toml(root: Path, files: Sequence[str]) -> Iterator[Hit]:
    for path in files:
        try:
            tomllib.loads((root / path).read_text())
        except ValueError as error:
            at = re.search(r"at line (\d+)", str(error))
            yield Hit("toml", "syntax", path, int(at[1]) if at else 1)


def _secrets(root: Path, files: Sequence[str]) -> Iterator[Hit]:
    report = json.loads(run(["detect-secrets", "scan", "--no-verify", *files], root).stdout)
    for path, found in report["results"].items():
        for one in found:
            kind = one["type"].lower().replace(" ", "-")
            # An address is no secret.
            if kind != "public-ip-(ipv4)":
                yield Hit("detect-secrets", f"secret/{kind}", path, one["line_number"])


def _eslint(root: Path, files: Sequence[str]) -> Iterator[Hit]:
    done = run([str(root / "node_modules/.bin/eslint"), "--format=json", *files], root)
    for result in json.loads(done.stdout[done.stdout.index("[{") :]):
        path = str(Path(result["filePath"]).relative_to(root))
        for one in result["messages"]:
            if "line" in one:
                yield Hit("eslint", one["ruleId"] or "syntax", path, one["line"])


def _tsc(root: Path, files: Sequence[str]) -> Iterator[Hit]:
    """As in the folder of each file's own project: by another one's rules it would say something else."""
    projects = defaultdict[Path, set[str]](set)
    for path in files:
        above = (folder for folder in (root / path).parents if folder.is_relative_to(root))
        if found := next((folder for folder in above if (folder / "tsconfig.json").is_file()), None):
            projects[found].add(path)
    for folder, own in projects.items():
        tsc = next((one for one in _binaries(root, folder, "tsc") if one.exists()), Path("tsc"))
        done = run([str(tsc), "--pretty", "false", "--noEmit", "-p", "."], folder)
        for match in _TSC.finditer(done.stdout):
            path = os.path.normpath(folder.relative_to(root) / match["path"])
            if path in own:
                yield Hit("tsc", match["rule"], path, int(match["line"]))


def _binaries(root: Path, folder: Path, name: str) -> Iterator[Path]:
    """What the packages of a folder bring, the nearest first."""
    above = (one for one in (folder / "file").parents if one.is_relative_to(root))
    return (one / "node_modules/.bin" / name for one in above)


_TSC = re.compile(r"^(?P<path>[^(\n]+)\((?P<line>\d+),\d+\): error (?P<rule>TS\d+)", re.MULTILINE)
_AT = r"^(?:\./)?(?P<path>[^:\n]+?):(?P<line>\d+)(?::\d+)?:"
_JS = r"\.(js|jsx|mjs|cjs|ts|tsx|mts|cts)$"
_C = r"\.(c|cc|cpp|cxx|h|hh|hpp|hxx)$"
_GO = r"^(?!(.*/)?(vendor|testdata)/).*\.go$"
_SHELLS = r"\b(ba|da|a|k)?sh\b|\bbats\b"
_ANY = r"(?<!\.lock)(?<!/go\.sum)(?<!^go\.sum)(?<!pnpm-lock\.yaml)(?<!package-lock\.json)$"

HANDS = (
    Hand(
        "ruff",
        r"\.pyi?$",
        ["ruff", "check", "--no-cache", "--no-fix", "--no-fix-only", "--output-format=concise", "."],
        rf"{_AT} (?P<rule>[A-Z]+\d+|invalid-syntax)",
        shebang="python",
        configs={"ruff.toml": "", ".ruff.toml": "", "pyproject.toml": "[tool.ruff"},
    ),
    Hand(
        "shellcheck",
        r"\.(sh|bash|ksh|bats)$",
        ["shellcheck", "--format=gcc", "FILES"],
        rf"{_AT} .*\[(?P<rule>SC\d+)\]$",
        shebang=_SHELLS,
        configs={".shellcheckrc": "", "shellcheckrc": ""},
    ),
    Hand(
        "yamllint",
        r"^(?!(.*/)?templates/).*\.ya?ml$",
        ["yamllint", "--format=parsable", "FILES"],
        rf"{_AT} \[\w+\] .*?(?:\((?P<rule>[\w-]+)\))?$",
        configs={".yamllint": "", ".yamllint.yaml": "", ".yamllint.yml": ""},
    ),
    Hand(
        "hadolint",
        r"(^|/)(Dockerfile|Containerfile)$|\.dockerfile$",
        ["hadolint", "--no-color", "FILES"],
        r"^(?P<path>[^:\n]+):(?P<line>\d+) (?P<rule>[A-Z]+\d+)",
        configs={".hadolint.yaml": "", ".hadolint.yml": ""},
    ),
    Hand("gofmt", _GO, read=_formatted("gofmt", lambda _root, _path: ["gofmt"]), program="gofmt"),
    Hand("govet", _GO, ["go", "vet", "./..."], rf"{_AT} ", program="go"),
    Hand("rustfmt", r"\.rs$", read=_formatted("rustfmt", _rustfmt), program="rustfmt"),
    Hand(
        "clippy",
        r"\.rs$",
        ["cargo", "clippy", "--all-targets", "--message-format=short"],
        rf"{_AT} (?:warning|error)",
        program="cargo-clippy",
        configs={"clippy.toml": "", ".clippy.toml": "", "Cargo.toml": "lints.clippy"},
    ),
    Hand(
        "cppcheck",
        _C,
        ["cppcheck", "--inline-suppr", "--enable=warning,portability", "--template={file}:{line}:=={id}", "FILES"],
        r"^(?P<path>[^:\n]+):(?P<line>[1-9]\d*):==(?P<rule>\w+)$",
    ),
    Hand(
        "clang-format",
        _C,
        ["clang-format", "--dry-run", "FILES"],
        rf"{_AT} warning: code should be",
        configs={".clang-format": "", "_clang-format": ""},
        asked_for=True,
    ),
    Hand(
        "typos",
        "",
        ["typos", "--format=brief", "--color=never"],
        rf"{_AT} error: `",
        configs={
            **dict.fromkeys(("typos.toml", "_typos.toml", ".typos.toml"), ""),
            "pyproject.toml": "[tool.typos",
            "Cargo.toml": "metadata.typos",
        },
        asked_for=True,
    ),
    Hand("toml", r"\.toml$", read=_toml, program="python3"),
    Hand(
        "eslint",
        _JS,
        read=_eslint,
        configs={"eslint.config.*": "", ".eslintrc*": "", "package.json": '"eslintConfig"'},
        asked_for=True,
        program="eslint",
    ),
    Hand(
        "biome",
        rf"{_JS}|\.jsonc?$|\.css$",
        ["biome", "lint", "--reporter=github", "FILES"],
        r"^::\w+ title=(?P<rule>[^,]+),file=(?P<path>[^,]+),line=(?P<line>\d+)",
        configs={"biome.json": "", "biome.jsonc": ""},
        asked_for=True,
    ),
    Hand(
        "tsc",
        r"\.[cm]?tsx?$",
        read=_tsc,
        program="tsc",
        configs={"tsconfig.json": ""},
        asked_for=True,
    ),
    Hand("detect-secrets", _ANY, read=_secrets, program="detect-secrets"),
    Hand(
        "bandit",
        r"\.py$",
        [
            "bandit",
            "--quiet",
            "--format=custom",
            "--msg-template={relpath}:{line}: {test_id} {severity} {confidence}",
            "FILES",
        ],
        rf"{_AT} (?P<rule>B\d+) (?P<weight>\w+ \w+)",
        shebang="python",
        configs={".bandit": "[bandit]", "pyproject.toml": "[tool.bandit"},
    ),
    Hand(
        "zizmor",
        r"^\.github/workflows/[^/]+\.ya?ml$|(^|/)action\.ya?ml$",
        ["zizmor", "--offline", "--format=github", "FILES"],
        r"^::\w+ file=(?P<path>[^,]+),line=(?P<line>\d+),title=(?P<rule>[^,:]+)",
        configs={"zizmor.yml": "", ".github/zizmor.yml": ""},
    ),
    # Used where they are installed; Assay has to say so where they are not.
    Hand("semgrep", rf"{_JS}|{_GO}|{_C}|\.(java|rb|php)$", program="semgrep"),
    Hand("gosec", _GO, program="gosec"),
)

_BUGBEAR = r"B0(02|03|06|12|15|16|20|22|23|25|26|29|30|31|32|33|35|39)"
_WEAK_IN_TESTS = r"(?!\w+ (LOW \w+|MEDIUM LOW) (.*/)?(tests?/|test_[^/]*$|conftest\.py$|[^/]*_test\.py$))"
# Of these tools, what counts where the repository configures none: rule, weight and path.
CHOSEN = {
    "ruff": rf"^(E722|E9\d+|F(?!403|405)\d+|PLE\d+|T100|W605|YTT\d+|{_BUGBEAR}|invalid-syntax)\b",
    "shellcheck": r"^(?!SC(1090|1091)\b)",
    "yamllint": r"^(?!(document-start|truthy|comments|comments-indentation|line-length|indentation|braces|brackets)\b)",
    "bandit": rf"^(?!B(101|403|404|405|406|407|408|409|410|603|607)\b){_WEAK_IN_TESTS}",
}
