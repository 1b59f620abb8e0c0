"""What was there before: a finding is new when the base does not have it, wherever it stands now.

Findings are compared by what they are about (the rule, and the text of their line, or a secret, or a package), not by
their place. So one that the base has is not new after its line moved, its file got another name, or its code went to
another file: what the base had in a changed file and the head has there no more may turn up in any other.

What a tool says of the base's files is kept like what it says of any (`kept.py`): it is found out once, for whatever is
compared with that base.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bot.domain.diff import FileDiff
from bot.domain.findings import Finding, content, with_fingerprints
from workers.agent import Kit, Tool, Work
from workers.agents import scan, tree

# Files that may have lost code which are searched for it.
_MOST_SEARCHED = 2_000

# What a finding is about, hashed: lines may hold secrets.
Key = str


def mark_old(scans: Sequence[scan.Scan], target: scan.Target, work: Work, kit: Kit) -> tuple[scan.Scan, ...]:
    """Say of each finding whether it is new. Where the base cannot be scanned, all count as new.

    The base is scanned only for what lies at a change; in a file that the base has, the rest was there before.
    """
    return _Comparison(target, work, kit).of(scans)


class _Comparison:
    def __init__(self, target: scan.Target, work: Work, kit: Kit) -> None:
        self._target, self._work, self._kit = target, work, kit
        self._read = tree.reader(target.root)

    def of(self, scans: Sequence[scan.Scan]) -> tuple[scan.Scan, ...]:
        old: dict[int, bool] = {}
        for one in scans:
            old |= self._of_tool(one)
        return tuple(replace(one, findings=self._marked(one, old)) for one in scans)

    def _marked(self, one: scan.Scan, old: Mapping[int, bool]) -> tuple[Finding, ...]:
        named = with_fingerprints(one.findings, self._line)
        return tuple(
            finding.model_copy(update={"new": not old[id(before)]})
            for before, finding in zip(one.findings, named, strict=True)
        )

    def _of_tool(self, one: scan.Scan) -> dict[int, bool]:
        """By a finding's identity as an object, whether it is old."""
        old_paths = {f.path: _old_path(f.path, self._work) for f in one.findings if f.path}
        touched = {id(f) for f in one.findings if f.path and _touched(f, self._work)}
        old = {id(f): id(f) not in touched and old_paths.get(f.path) is not None for f in one.findings}
        candidates = [f for f in one.findings if id(f) in touched]
        if not candidates or (base := self._work.base()) is None:
            return old
        asked = {f.path: path for f in candidates if (path := old_paths[f.path]) is not None}
        before = self._at_base(one, asked, base)
        # Those that no change touched take their own first, so that of two equal lines the added one is the new one.
        for finding in sorted(one.findings, key=lambda f: id(f) in touched):
            if before.get(finding.path, Counter())[key := self._key(finding)] > 0:
                before[finding.path][key] -= 1
                old[id(finding)] = True
        if moved := [f for f in candidates if not old[id(f)]]:
            self._pair_moved(one, moved, before, base, old)
        return old

    # -- code that moved from one file to another

    def _pair_moved(
        self,
        one: scan.Scan,
        moved: Sequence[Finding],
        before: dict[str, Counter[Key]],
        base: Path,
        old: dict[int, bool],
    ) -> None:
        lines = {content(self._line(f.path, f.start_line), "") for f in moved if f.start_line} - {""}
        lost = dict(self._that_lost(lines, one.tool, base, before))
        here = Counter((f.path, self._key(f)) for f in one.findings)
        for path, keys in self._at_base(one, lost, base).items():
            # What is still there did not move.
            before[path] = Counter({key: count - here[path, key] for key, count in keys.items()})
        for finding in moved:
            key = self._key(finding)
            source = next((keys for path, keys in before.items() if path != finding.path and keys[key] > 0), None)
            if source is not None:
                source[key] -= 1
                old[id(finding)] = True

    def _that_lost(
        self, lines: set[str], tool: Tool, base: Path, seen: Mapping[str, object]
    ) -> Iterable[tuple[str, str]]:
        """Changed files that the base has one of these lines in, by what they are called now and then."""
        read = tree.reader(base)
        for path, file in list(self._work.diff.files.items())[:_MOST_SEARCHED]:
            old_path = None if file.status == "added" else file.old_path or path
            if path in seen or old_path is None or not _lost(file) or not tool.applies(old_path):
                continue
            if any(content(line, "") in lines for line in read(old_path)):
                yield path, old_path

    # -- the base

    def _at_base(self, one: scan.Scan, asked: Mapping[str, str], base: Path) -> dict[str, Counter[Key]]:
        """What the tool finds in the base's version of files, by what they are called now. Files that it could not
        read there are missing."""
        files = {path: old for path, old in asked.items() if tree.kind(base, old) == "text"}
        if not files:
            return {}
        target = self._target.at(base, self._work.trees()[0])
        selection = scan.Selection(((one.tool, tuple(sorted(set(files.values())))),))
        [done] = scan.run_all(selection, target, self._kit, note=" at the base")
        if done.failure:
            return {}
        read, found = tree.reader(base), dict[str, Counter[Key]]()
        for finding in done.findings:
            line = (
                "".join(read(finding.path)[finding.start_line - 1 : finding.start_line]) if finding.start_line else ""
            )
            found.setdefault(finding.path, Counter())[_key(finding, line)] += 1
        unread = {gap.what for gap in done.unread}
        return {path: found.get(old, Counter()) for path, old in files.items() if old not in unread}

    # -- what a finding is about

    def _key(self, finding: Finding) -> Key:
        return _key(finding, self._line(finding.path, finding.start_line or 0))

    def _line(self, path: str, line: int | None) -> str:
        return "".join(self._read(path)[line - 1 : line]) if line else ""


def _key(finding: Finding, line: str) -> Key:
    about = finding.identity or content(line, finding.message)
    return hashlib.sha256(f"{finding.rule}\0{about}".encode(errors="surrogatepass")).hexdigest()[:24]


def _touched(finding: Finding, work: Work) -> bool:
    place = work.diff.place(finding.path, finding.start_line, finding.last_line)
    return finding.start_line is None or place in ("added", "context")


def _old_path(path: str, work: Work) -> str | None:
    """What the file was called at the base; None when the base does not have it."""
    file = work.diff.files.get(path)
    if file is None:
        return path
    return None if file.status == "added" else file.old_path or path


def _lost(file: FileDiff) -> bool:
    return file.status == "deleted" or file.removed > 0
