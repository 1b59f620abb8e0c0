"""Secrets that a change let out although its end does not show them: what a commit between brought, and a later one
took away."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from bot.domain.findings import Finding, NotCovered
from workers.agent import Added, Kit, Tool, Work
from workers.agents import scan
from workers.agents.part import Part

# Files that are written for the scanner, each a commit's additions to one file.
_MOST = 5_000
_LONGEST_NAME = 100


def search(tool: Tool, work: Work, kit: Kit, told: Iterable[Finding], deadline: float) -> Part:
    """Look at the lines that commits added and the change as a whole does not. `told` is what was found at its end: a
    secret that stands there too is told there."""
    history = work.history()
    gaps = [history.gap] if history.gap else []
    if not history.added:
        return Part(gaps=_gaps(gaps))
    kit.progress(f"{tool.name}: {history.commits} commits")
    rest = list(_gone(history.added, work.patch(), tool))
    if len(rest) > _MOST:
        gaps.append(f"they change more than {_MOST:,} files")
    with tempfile.TemporaryDirectory(prefix="assay-") as folder:
        root = Path(folder)
        names = dict(_write(root, rest[:_MOST]))
        done = scan.run_all(
            scan.Selection(((tool, tuple(names)),)) if names else scan.Selection(()),
            scan.Target(root, tuple(names), deadline),
            kit,
            note=" of earlier commits",
        )
    known = {finding.identity for finding in told}
    gaps += [one.failure for one in done if one.failure]
    found = {one.identity: _told(one, names) for scanned in done for one in scanned.findings if one.path in names}
    return Part(
        tuple(finding for identity, finding in found.items() if identity not in known),
        _gaps(gaps),
        f"{history.commits} commits one by one",
    )


def _gaps(whys: Iterable[str]) -> tuple[NotCovered, ...]:
    return tuple(NotCovered(what="secrets in earlier commits", why=why) for why in whys)


def _gone(every: Sequence[Added], patch: str, tool: Tool) -> Iterator[Added]:
    """The additions of which the whole change shows nothing: neither as added, nor as taken away, for then the base had
    them."""
    lines = patch.split("\n")
    shown = {line[1:].strip() for line in lines if line.startswith(("+", "-"))}
    for one in every:
        if not tool.applies(one.path):
            continue
        left = tuple((number, text) for number, text in one.lines if text.strip() not in shown)
        if left:
            yield Added(one.commit, one.path, left)


def _write(root: Path, rest: Sequence[Added]) -> Iterator[tuple[str, Added]]:
    """Write what is left into files, each in a folder of its own and called like the file, for a name tells the scanner
    what to expect."""
    for number, one in enumerate(rest):
        # Only the folders that say something of a file's use; never a way out.
        parts = [part for part in PurePosixPath(one.path).parts if part not in ("/", "..", ".")]
        name = "/".join([str(number), *(part[-_LONGEST_NAME:].replace("\\0", "") for part in parts[-4:])])
        file = root / name
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("".join(f"{text}\n" for _, text in one.lines), "utf-8", "replace")
        except OSError:
            # A name that no file can have here.
            name = f"{number}/file"
            (root / name).write_text("".join(f"{text}\n" for _, text in one.lines), "utf-8", "replace")
        yield name, one


def _told(finding: Finding, names: dict[str, Added]) -> Finding:
    """A finding of the whole run: its place is in no file that there is."""
    one = names[finding.path]
    at = finding.start_line or 1
    line = one.lines[at - 1][0] if at <= len(one.lines) else one.lines[-1][0]
    kind = finding.message.partition(":")[0]
    return finding.model_copy(
        update={
            "path": "",
            "start_line": None,
            "end_line": None,
            "message": f"{kind} in commit {one.commit[:10]}, {one.path}:{line}: this looks like a secret. "
            "A later commit took it out, but whoever fetched this one has it.",
        }
    )
