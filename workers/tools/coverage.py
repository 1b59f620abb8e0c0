"""Coverage by line, from the reports that test runs leave: Cobertura XML, LCOV, and coverage.py's JSON."""

from __future__ import annotations

from collections.abc import Iterator

from bot.errors import ToolFailed
from workers.tools.output import load_json, mapping, number
from workers.tools.xml import parse_xml

Covered = dict[str, dict[int, bool]]


def parse(text: str) -> Covered:
    """By file, as the report names it, which lines there are and whether a test ran them.

    Raises ToolFailed for any other format.
    """
    start = text.lstrip()[:200]
    if start.startswith("<"):
        return _merged(_cobertura(text))
    if start.startswith("{"):
        return _merged(_python(text))
    if start.startswith(("TN:", "SF:")):
        return _merged(_lcov(text))
    raise ToolFailed(f"no coverage report that is known (Cobertura, LCOV, coverage.py's JSON): {start[:80]!r}")


def _merged(lines: Iterator[tuple[str, int, bool]]) -> Covered:
    found: Covered = {}
    for path, line, ran in lines:
        file = found.setdefault(path, {})
        file[line] = file.get(line, False) or ran
    return found


def _cobertura(text: str) -> Iterator[tuple[str, int, bool]]:
    # The standard's own document type, which has no entities, is all that may be left out.
    head, _, rest = text.partition("<!DOCTYPE")
    root = parse_xml(
        "the coverage tool", head + rest.partition(">")[2] if rest and "[" not in rest.partition(">")[0] else text
    )
    if root.tag != "coverage":
        raise ToolFailed(f"the coverage tool wrote XML, but no Cobertura report: its root is <{root.tag[:80]}>")
    sources = [(element.text or "").strip().rstrip("/") for element in root.iter("source")]
    for file in root.iter("class"):
        path = file.get("filename", "")
        # A path is from one of the sources; with several nobody says from which.
        whole = f"{sources[0]}/{path}" if len(sources) == 1 and sources[0] and not path.startswith("/") else path
        for line in file.iter("line"):
            if where := number(line.get("number")):
                yield whole, where, _ran(line.get("hits", ""))


def _ran(hits: str) -> bool:
    """Counts may have any number of digits, and with a mistake in their tool they are negative."""
    return bool(hits.strip().strip("0")) and not hits.strip().startswith("-")


def _lcov(text: str) -> Iterator[tuple[str, int, bool]]:
    path = ""
    for record in text.splitlines():
        key, _, value = record.partition(":")
        if key == "SF":
            path = value.strip()
        elif key == "DA" and path:
            line, _, hits = value.partition(",")
            if where := number(line.strip()):
                yield path, where, _ran(hits.partition(",")[0])


def _python(text: str) -> Iterator[tuple[str, int, bool]]:
    report = mapping(load_json("coverage.py", text))
    if not isinstance(report.get("files"), dict):
        raise ToolFailed("coverage.py wrote JSON, but no report: it has no 'files'")
    for path, file in mapping(report["files"]).items():
        for key, ran in (("executed_lines", True), ("missing_lines", False)):
            lines = mapping(file).get(key)
            for line in lines if isinstance(lines, list) else ():
                if where := number(line):
                    yield path, where, ran
