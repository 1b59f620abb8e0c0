"""What a tool would write in another way, from the diff that it prints or that is made of what it would write: an edit
for each run of changed lines, and what becomes of the tool's findings by them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence, Set

from bot.domain.findings import Finding, Severity
from workers.agent import Mending, Output, Reader
from workers.tools.edits import Edit, with_fix

RULE = "format"
# Comparisons of edits with findings of a file; nobody reads so many.
_MOST = 1_000_000
# Characters of a line that may be there by chance: a brace, `else:`.
_SHORT = 6
_HUNK = re.compile(r"^@@ -(\d{1,9})(?:,(\d{1,9}))? \+\d{1,9}(?:,(\d{1,9}))? @@")
# Of each file that it is given, a shell prints the diff to what the tool makes of it, by the file's number: a name
# might look like a part of a diff.
_SCRIPT = """\
number=0
for file do
    {command} > "$TMPDIR/mended" 2> /dev/null && [ -s "$TMPDIR/mended" ] &&
        diff -U 0 -L $number -L $number -- "$file" "$TMPDIR/mended"
    number=$((number + 1))
done
exit 0
"""


def edits_of(text: str) -> Iterator[tuple[str, Edit]]:
    """The edits of unified diffs, each with the name that its file has there."""
    name, first, old, new, hunk = "", 0, 0, 0, list[str]()
    for line in (*text.split("\n"), ""):
        if (old > 0 or new > 0) or (hunk and line.startswith("\\")):
            hunk.append(line)
            old -= line.startswith((" ", "-"))
            new -= line.startswith((" ", "+"))
            continue
        yield from ((name, edit) for edit in edits(first, hunk))
        hunk = []
        if match := _HUNK.match(line):
            old, new = int(match[2] or 1), int(match[3] or 1)
            # An empty range is named by the line before it.
            first = int(match[1]) + (old == 0)
        elif line.startswith("--- "):
            name = line[4:].partition("\t")[0]


def edits(first: int, hunk: Sequence[str]) -> Iterator[Edit]:
    """Of a hunk that begins at line `first` (1-based) of the file as it is: its lines begin with ` `, `-` or `+`, or
    with a backslash, to say that the one before has no newline."""
    line, removed, added, bare = first, list[str](), list[str](), set[str]()
    for before, text in zip(("", *hunk), (*hunk, " "), strict=True):
        if text.startswith("\\"):
            bare.add(before[:1])
        elif text.startswith("-"):
            removed.append(text[1:])
        elif text.startswith("+"):
            added.append(f"{text[1:]}\n")
        else:
            yield from _edit(line, removed, added, bare)
            line, removed, added, bare = line + len(removed) + 1, [], [], set()


def _edit(line: int, removed: Sequence[str], added: Sequence[str], bare: Set[str]) -> Iterator[Edit]:
    """`bare` are the sides, `-` and `+`, whose last line has no newline. Where only the new one has none there is no
    edit: nothing says that in whole lines."""
    end, text = line + len(removed), "".join(added)
    if bare == {"-", "+"}:
        yield Edit(line, 1, end - 1, len(removed[-1]) + 1, text.removesuffix("\n"))
    elif (removed or added) and bare != {"+"}:
        # Edits take it that there is a newline at the end of a file: a new one is one more.
        more = ("\r\n" if text.endswith("\r\n") else "\n") if added and bare else ""
        yield Edit(line, 1, end, 1, text + more)


def findings(tool: str, path: str, edits: Sequence[Edit], read: Reader) -> Iterator[Finding]:
    """That a tool would make these edits of one file, in the order of its lines, with its fixes."""
    lines = read(path)
    for group in _together(edits, lines):
        whole = _finding(tool, path, group, lines)
        if whole.replacement is not None or len(group) == 1:
            yield whole
        else:
            # Each by itself would be wrong.
            yield from (_finding(tool, path, [edit], lines).model_copy(update={"replacement": None}) for edit in group)


def _finding(tool: str, path: str, edits: Sequence[Edit], lines: Sequence[str]) -> Finding:
    first = min(edits[0].line, len(lines)) or edits[0].line
    found = Finding(
        tool=tool,
        rule=RULE,
        severity=Severity.LOW,
        message=f"{tool} would write this in another way.",
        path=path,
        start_line=first,
        end_line=max(first, edits[-1].end_line - (edits[-1].end_column == 1)),
    )
    return with_fix(found, edits, lines)


def _together(edits: Sequence[Edit], lines: Sequence[str]) -> Iterator[Sequence[Edit]]:
    """Edits between which a line is moved, with those in between: one that only takes it out would lose it."""
    sides = [_sides(edit, lines) for edit in edits]
    taken_in = {text: at for at, (_, new) in enumerate(sides) for text in new}
    ends = list(range(len(edits)))
    for at, (old, _) in enumerate(sides):
        for other in (taken_in[text] for text in old if text in taken_in):
            first = min(at, other)
            ends[first] = max(ends[first], at, other)
    begin = end = 0
    for at in range(len(edits)):
        end = max(end, ends[at])
        if at == end:
            yield edits[begin : end + 1]
            begin = end = at + 1


def _sides(edit: Edit, lines: Sequence[str]) -> tuple[set[str], set[str]]:
    """The lines that an edit takes out and those that it puts in, as far as they say something."""
    old, new = (
        {text for line in side if len(text := line.strip()) > _SHORT}
        for side in (lines[edit.line - 1 : edit.end_line - (edit.end_column == 1)], edit.text.split("\n"))
    )
    return old - new, new - old


def mending(tool: str, command: str) -> Mending:
    """The fixes of a tool that does not tell them, by what the shell's `command` makes of "$file", where it ends well
    and prints something; "$0" is the program."""
    return Mending(lambda program, files: ["sh", "-c", _SCRIPT.format(command=command), program, *files], _mended(tool))


def _mended(tool: str) -> Callable[[Sequence[Finding], Output], Sequence[Finding]]:
    def parse(findings: Sequence[Finding], output: Output) -> list[Finding]:
        numbered = {str(number): file.removeprefix("./") for number, file in enumerate(output.files)}
        by_file = defaultdict(list)
        for name, edit in edits_of(output.completed.stdout):
            by_file[numbered.get(name, "")].append(edit)
        by_path = defaultdict(list)
        for one in findings:
            by_path[one.path.removeprefix("./")].append(one)
        return [one for path, found in by_path.items() for one in _of_file(found, by_file[path], tool, output.read)]

    return parse


def _of_file(found: Sequence[Finding], edits: Sequence[Edit], tool: str, read: Reader) -> list[Finding]:
    """The findings of one file, with the fixes of the `edits` that make of it what the tool would write.

    Where some of the findings are of the formatting, they are told anew, one for each edit. Else an edit is the fix of
    the findings that lie where it is, if these are of one rule. One where none lies is a part of a fix, nobody knows of
    which: then there are none.
    """
    others = [one for one in found if one.rule != RULE]
    if edits and len(others) < len(found):
        return [*others, *findings(tool, found[0].path, edits, read)]
    if len(edits) * len(found) > _MOST:
        return list(found)
    fixes = defaultdict(set)
    for edit in edits:
        near = [one for one in found if _touches(edit, one)]
        if not near:
            return list(found)
        for one in near if len({one.rule for one in near}) == 1 else ():
            fixes[one].add(edit)
    return [with_fix(one, [*fixes[one]], read(one.path)) if one.replacement is None else one for one in found]


def _touches(edit: Edit, one: Finding) -> bool:
    if one.start_line is None or one.last_line is None:
        return False
    return one.start_line <= max(edit.line, edit.end_line - 1) and edit.line <= one.last_line
