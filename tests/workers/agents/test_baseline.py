"""Which findings are new: by what they are about, through moved lines, renamed files and moved code."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from bot.domain.diff import Diff, FileDiff
from bot.domain.findings import Finding, Severity
from workers.agent import LONGEST_NOTE, Memory, Output, Reading, Tool
from workers.agents import scan
from workers.agents.baseline import mark_old
from workers.agents.kept import Kept
from workers.tools import rustfmt

from ..stage import Stage, Watching, plant


def _parse(output: Output) -> Reading:
    rows = (row.split(":", 2) for row in output.completed.stdout.splitlines())
    return Reading(
        [
            Finding(tool="grep", rule="bad", severity=Severity.HIGH, message="bad", path=path, start_line=int(line))
            for path, line, _ in rows
        ]
    )


GREP = Tool(
    name="grep",
    applies=lambda path: True,
    argv=lambda files, config: ["grep", "--line-number", "--with-filename", "BAD", "--", *files],
    parse=_parse,
    version=("grep", "--version"),
    languages="any text",
    licence="GPL-3.0",
)


class Notes:
    """A memory that lasts as long as the test."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def recall(self, keys: Sequence[str]) -> Sequence[str | None]:
        return [self.texts.get(key) for key in keys]

    def note(self, texts: Mapping[str, str], seconds: int) -> None:
        self.texts |= {key: text for key, text in texts.items() if len(text) <= LONGEST_NOTE}


def compare(stage: Stage, memory: Memory | None = None) -> list[Finding]:
    work, kit = stage.work(), stage.kit()
    kit = replace(kit, memory=memory) if memory else kit
    target = scan.Target(work.root, work.files, deadline=time.monotonic() + 60)
    scans = scan.run_all(scan.select([GREP], target), target, kit)
    return [finding for one in mark_old(scans, target, work, kit) for finding in one.findings]


def new(tmp_path: Path, head: Mapping[str, str], base: Mapping[str, str], diff: Diff | None = None) -> list[str]:
    return [finding.where for finding in compare(Stage(tmp_path, head, base=base, diff=diff)) if finding.new]


def test_a_moved_line_is_old(tmp_path: Path) -> None:
    assert new(tmp_path, {"a": "x\ny\nBAD 1\n"}, {"a": "BAD 1\nx\ny\n"}) == []


def test_of_two_equal_lines_the_added_one_is_new(tmp_path: Path) -> None:
    far = "BAD 1\n" + "x\n" * 20
    assert new(tmp_path / "2", {"a": "BAD 1\n" + far}, {"a": far}) in (["a:1"], ["a:2"])


def test_code_that_went_to_another_file_is_old(tmp_path: Path) -> None:
    base = {"a": "x\nBAD 1\ny\n", "b": "z\n"}
    assert new(tmp_path / "1", {"a": "x\ny\n", "b": "z\n  BAD 1\n"}, base) == []
    assert new(tmp_path / "2", {"b": "z\nBAD 1\n"}, base) == []  # whose file is gone
    assert new(tmp_path / "3", {"a": "x\ny\n", "b": "z\n", "c": "BAD 1\n"}, base) == []  # to a file that is new


def test_code_that_was_copied_is_new(tmp_path: Path) -> None:
    base = {"a": "x\nBAD 1\ny\n", "b": "z\n"}
    assert new(tmp_path / "1", {"a": "BAD 1\ny\n", "b": "z\nBAD 1\n"}, base) == ["b:2"]
    assert new(tmp_path / "2", {"a": "x\n", "b": "BAD 1\nz\nBAD 1\n"}, base) in (["b:1"], ["b:3"])


def test_a_renamed_file_keeps_what_it_had(tmp_path: Path) -> None:
    lines = ((2, 2),)
    diff = Diff(files={"n": FileDiff(path="n", old_path="o", status="renamed", added=lines, hunks=((1, 2),))})
    assert new(tmp_path, {"n": "BAD 1\nBAD 2\n"}, {"o": "BAD 1\n"}, diff) == ["n:2"]


def test_what_the_base_has_is_found_out_once(tmp_path: Path) -> None:
    memory, sandbox = Notes(), Watching()
    for number in range(3):
        head = {"a": f"{number}\nBAD 1\n"}
        found = compare(Stage(tmp_path / str(number), head, base={"a": "BAD 1\n"}, sandbox=sandbox), memory)
        assert [finding.new for finding in found] == [False]
    at_base = [one for one in sandbox.commands if one.cwd.name == "base" and "--" in one.argv]
    assert len(at_base) == 1
    assert "BAD" not in str(memory.texts)


def test_what_depends_on_another_base_or_parser_is_found_out_anew(tmp_path: Path) -> None:
    memory = Notes()
    for number in range(3):
        base = {"a": f"BAD {number}\n"}
        assert [f.new for f in compare(Stage(tmp_path / str(number), {"a": "x\nBAD 1\n"}, base=base), memory)] == [
            number != 1
        ]
    assert len([key for key in memory.texts if key.startswith("said:")]) == 3 + 1  # the bases, and the one head


def test_what_depends_on_words_of_the_project_is_found_out_anew(tmp_path: Path) -> None:
    """Of an unchanged file another edition of the language says something else."""
    package = '[package]\nedition = "2018"\n'
    plant(tmp_path, {"Cargo.toml": package, "src/lib.rs": "fn f() {}\n"})
    kept = Kept(rustfmt.TOOL, "1.9", tmp_path, "", False, Notes())
    kept.note(["src/lib.rs"], [])
    assert kept.recall(["src/lib.rs"]) == {"src/lib.rs": []}
    plant(tmp_path, {"Cargo.toml": package.replace("2018", "2024")})
    assert kept.recall(["src/lib.rs"]) == {}


def test_where_the_base_cannot_be_scanned_all_is_new(tmp_path: Path) -> None:
    """And nothing is remembered of it."""

    class Broken(Watching):
        def run(self, command):  # type: ignore[no-untyped-def] # as above
            return super().run(replace(command, argv=["false"]) if command.cwd.name == "base" else command)

    def parse(output: Output) -> Reading:
        from workers.tools.output import check_exit

        check_exit("grep", output.completed, (0,))
        return _parse(output)

    stage, memory = Stage(tmp_path, {"a": "x\nBAD 1\n"}, base={"a": "BAD 1\n"}, sandbox=Broken()), Notes()
    work, kit = stage.work(), replace(stage.kit(), memory=memory)
    target = scan.Target(work.root, work.files, deadline=time.monotonic() + 60)
    scans = scan.run_all(scan.select([replace(GREP, parse=parse)], target), target, kit)
    assert [f.new for one in mark_old(scans, target, work, kit) for f in one.findings] == [True]
    assert len([key for key in memory.texts if key.startswith("said:")]) == 1


LINES = st.lists(st.sampled_from(["BAD 1", "BAD 2", "  BAD 1", "x", "y", ""]), max_size=6)


@settings(max_examples=30)
@given(st.lists(LINES, min_size=1, max_size=3), st.randoms(use_true_random=False), st.integers(0, 2))
def test_however_lines_are_moved_none_becomes_new(files: list[list[str]], chance, added: int) -> None:  # type: ignore[no-untyped-def] # hypothesis' own Random
    """Lines of all files are dealt out anew, and some that nobody had are added: only those are new."""
    base = {f"f{number}": "".join(f"{line}\n" for line in lines) for number, lines in enumerate(files)}
    every = [line for lines in files for line in lines] + [f"BAD new {number}" for number in range(added)]
    chance.shuffle(every)
    dealt: dict[str, list[str]] = {}
    for line in every:
        dealt.setdefault(f"f{chance.randrange(4)}", []).append(line)
    head = {path: "".join(f"{line}\n" for line in lines) for path, lines in dealt.items()}
    folder = Path(tempfile.mkdtemp())
    try:
        found = compare(Stage(folder, head, base=base))
    finally:
        shutil.rmtree(folder)
    told = sorted(finding.where for finding in found if finding.new)
    fresh = sorted(
        f"{path}:{number}" for path, lines in dealt.items() for number, line in enumerate(lines, 1) if "new" in line
    )
    assert told == fresh
