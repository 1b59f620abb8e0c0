"""All fixes of a tool as one patch: applied, it makes of a file what the tool itself would make of it, byte by byte."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.domain.test_fixes import applied, of
from workers.agents.lint import LintAgent
from workers.registry import LINTERS
from workers.sandbox.bubblewrap import BubblewrapSandbox
from workers.sandbox.choice import choose
from workers.sandbox.programs import search_path

from ..stage import Stage, plant
from .test_web_linters import PACKAGES

BIOME, ESLINT = PACKAGES / ".bin/biome", PACKAGES / ".bin/eslint"

Ends = Callable[[str], str]


def unix(text: str) -> str:
    return text


def windows(text: str) -> str:
    return text.replace("\n", "\r\n")


def bare(text: str) -> str:
    """Without a newline at the end."""
    return text.removesuffix("\n")


def bare_windows(text: str) -> str:
    return windows(bare(text))


GO = "package a\n\nfunc   A(  ) {\n}\n\nvar x  = 1\n\n\n\nvar y=1\n"
RUST = "pub fn   a()->u32{1}\n\npub fn b() {}\n\n\n\npub fn c( ) {}\n"
C = "#include <b.h>\n#include <a.h>\nint   f ( void ) ;\n\n\nint g(void) {\nreturn 1;}\nint h;\n\nint  i;\n"
SCRIPT = (
    'import b from "./b.js";\nimport a from "./a.js";\nlet sum = 1\n\n\n'
    'console.log( sum,a, b)\nlet é = "😀";\nexport {é}\n'
)
PYTHON = (
    "import os\nimport sys\n\n\ndef f(x):\n    if x != None and not x in sys.argv:\n        return f''\n    return 1\n"
)

CASES = [
    ("ruff", "a.py", PYTHON, {"ruff.toml": '[lint]\nselect = ["F", "E7"]\n'}, "ruff check --fix-only -q a.py"),
    ("gofmt", "a.go", GO, {}, "gofmt -w a.go"),
    (
        "rustfmt",
        "src/lib.rs",
        RUST,
        {"Cargo.toml": '[package]\nname = "a"\n', "rustfmt.toml": 'newline_style = "Unix"\n'},
        "rustfmt --edition=2015 src/lib.rs",
    ),
    ("clang-format", "a.c", C, {".clang-format": "BasedOnStyle: LLVM\n"}, "clang-format -i a.c"),
    (
        "biome",
        "src/a.js",
        SCRIPT,
        {
            "package.json": '{"devDependencies": {"@biomejs/biome": "2.6.8"}}\n',
            "biome.json": '{"formatter": {"lineEnding": "lf"}}\n',
        },
        f"{BIOME} check --write src/a.js",
    ),
    (
        "eslint",
        "src/a.js",
        SCRIPT,
        {
            "package.json": '{"devDependencies": {"eslint": "10.15.0"}}\n',
            "eslint.config.mjs": 'export default [{rules: {"prefer-const": 2, "no-debugger": 2}}];\n',
        },
        f"{ESLINT} --fix src/a.js",
    ),
]


@pytest.mark.skipif(bool(choose("auto", os.environ["PATH"]).why_not), reason="no sandbox here")
@pytest.mark.parametrize("ends", [unix, windows, bare, bare_windows], ids=lambda ends: ends.__name__)
@pytest.mark.parametrize(("tool", "path", "text", "more", "command"), CASES, ids=[case[0] for case in CASES])
def test_the_patch_makes_the_tools_own_file(
    tmp_path: Path, tool: str, path: str, text: str, more: dict[str, str], command: str, ends: Ends
) -> None:
    if tool == "gofmt" and "\r" in ends(text):
        pytest.skip("gofmt takes out every carriage return, which is no fix of some lines")
    name, *options = command.split(" ")
    program = shutil.which(name, path=search_path(os.environ["PATH"], executes_code=False))
    if program is None:
        pytest.skip(f"{name} is not installed")
    if "\r" in ends(text):
        more = {name: content.replace("lf", "crlf").replace("Unix", "Windows") for name, content in more.items()}
    files = {path: ends(text), **more}
    for name in ("head", "theirs", "ours"):
        plant(tmp_path / name, files)
    if tool in ("biome", "eslint"):
        (tmp_path / "head/node_modules").symlink_to(PACKAGES)
    # A folder of the PATH is shown to commands: this one stands for packages that were set up.
    sandbox = BubblewrapSandbox(f"{PACKAGES}{os.pathsep}{os.environ['PATH']}")
    result = Stage(tmp_path, files, sandbox=sandbox, settings={"tools": [tool]}).run(LintAgent(tools=LINTERS))
    subprocess.run([program, *options], cwd=tmp_path / "theirs", check=False, capture_output=True)
    theirs = (tmp_path / "theirs" / path).read_bytes()
    assert theirs != files[path].encode()

    patch = of(tmp_path / "ours", *result.findings)
    assert patch.left_out == ()
    applied(tmp_path / "ours", patch)
    assert (tmp_path / "ours" / path).read_bytes() == theirs
    assert (tmp_path / "head" / path).read_bytes() == files[path].encode()


def test_of_very_many_files_some_are_mended_and_all_are_told_of(tmp_path: Path) -> None:
    if shutil.which("clang-format") is None:
        pytest.skip("clang-format is not installed")
    files = {".clang-format": "BasedOnStyle: LLVM\n", **{f"{number}.c": "int  a;\n" for number in range(300)}}
    result = Stage(tmp_path, files, settings={"tools": ["clang-format"]}).run(LintAgent(tools=LINTERS))
    assert len({one.path for one in result.findings}) == 300
    assert [one.replacement for one in result.findings].count("int a;") == 50
