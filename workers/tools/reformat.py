"""What a formatter would change, from the diff that it prints: a finding and its fix for each run of changed lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bot.domain.findings import Finding, Severity
from workers.agent import Reader
from workers.tools.edits import Edit, with_fix


def findings(tool: str, path: str, first: int, hunk: Sequence[str], read: Reader) -> Iterator[Finding]:
    """Of a hunk that begins at line `first` (1-based) of the file as it is: its lines begin with ` `, `-` or `+`."""
    line, start, added = first, first, list[str]()
    for text in (*hunk, " "):
        if text.startswith("-"):
            line += 1
        elif text.startswith("+"):
            added.append(text[1:])
        else:
            if line > start or added:
                yield _finding(tool, path, Edit(start, 1, line, 1, "".join(f"{one}\n" for one in added)), read)
            line, added = line + 1, []
            start = line


def _finding(tool: str, path: str, edit: Edit, read: Reader) -> Finding:
    lines = read(path)
    first = min(edit.line, len(lines)) or edit.line
    finding = Finding(
        tool=tool,
        rule="format",
        severity=Severity.LOW,
        message=f"{tool} would write this in another way.",
        path=path,
        start_line=first,
        end_line=max(first, edit.end_line - 1),
    )
    return with_fix(finding, [edit], lines)
