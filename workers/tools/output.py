"""What the parsers of tools' output share: reading JSON, line numbers, and a crash in the tool's own words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from bot.domain.findings import NotCovered
from bot.errors import ToolFailed
from workers.agent import Completed, Output, Reader

_WORDS = 500  # characters of a tool's own words in a message
_MOST_LINES = 10_000_000
_FRAME = re.compile(r"^ +at \S.*\n?", re.MULTILINE)


def check_exit(name: str, completed: Completed, expected: tuple[int, ...]) -> None:
    """Tell findings from a crash. Raises ToolFailed unless the tool ended by itself with an expected exit code and all
    of its output is there."""
    if completed.timed_out:
        raise ToolFailed(f"{name} was stopped after {completed.seconds:.0f} s.")
    if completed.truncated:
        raise ToolFailed(f"{name} printed more than can be kept.")
    if completed.exit_code not in expected:
        raise ToolFailed(f"{name} {_ended(completed)}: {words(completed)}")


def check_understood(name: str, completed: Completed, understood: object) -> None:
    """Of a tool that prints nothing where it finds nothing: raises ToolFailed when something stands on its standard
    output, and nothing of it was `understood`."""
    if completed.stdout.strip() and not understood:
        raise ToolFailed(f"{name} printed what cannot be read: {words(completed)}")


def _ended(completed: Completed) -> str:
    return "was killed" if completed.exit_code is None else f"failed with exit code {completed.exit_code}"


def words(completed: Completed) -> str:
    """The tool's own words: both ends of its standard error, else of its output, bounded; without the frames of Node's
    traces."""
    text = _FRAME.sub("", completed.stderr).strip() or completed.stdout.strip()
    if len(text) > _WORDS:
        return f"{text[: _WORDS // 2]} … {text[-_WORDS // 2 :]}"
    return text or "it said nothing"


def excluded_by(name: str, path: str) -> NotCovered:
    """That a tool's configuration keeps a file from it."""
    return NotCovered(what=path, why=f"{name}: excluded by its configuration")


def switched_off(files: Iterable[str], read: Reader, names: Sequence[str], pattern: re.Pattern[str]) -> Iterator[str]:
    """The files whose nearest configuration, one of these names, has a line like `pattern`."""
    for file in files:
        texts = ("\n".join(read(str(folder / name))) for folder in PurePosixPath(file).parents for name in names)
        if pattern.search(next(filter(None, texts), "")):
            yield file


def load_json(name: str, text: str) -> Any:
    """Raises ToolFailed for what is no JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ToolFailed(f"{name} printed no JSON ({str(error)[:_WORDS]}): {text[:_WORDS]!r}") from None


def mappings(value: Any) -> Iterator[dict[str, Any]]:
    """The mappings in what ought to be a list of them."""
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, dict))


def mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def string(value: Any) -> str:
    return value if isinstance(value, str) else ""


def number(value: Any) -> int | None:
    """A 1-based line or column, from a number or its digits; None for anything else."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 1 <= value <= _MOST_LINES else None


def ours(path: str, output: Output) -> str:
    """The path, from the folder that a tool was started in, of a file that it names by its whole path or by `./`; one
    that lies elsewhere keeps its name."""
    tops = (f"{folder.rstrip('/')}/" for folder in output.folders)
    top = next((top for top in tops if path.startswith(top)), "./")
    return path.removeprefix(top)


def span(
    start_line: Any, end_line: Any = None, start_column: Any = None, end_column: Any = None
) -> dict[str, int | None]:
    """The place of a finding, as its fields, from numbers that a tool gave. The end column is exclusive, so that an end
    at the first column of a line means the line before."""
    first, last = number(start_line), number(end_line)
    begin, end = number(start_column), number(end_column)
    if first is None:
        return {}
    if last is not None and last > first and end == 1:
        last, end = last - 1, None
    if last is None or last < first:
        last, end = first, None
    return {"start_line": first, "end_line": last, "start_column": begin, "end_column": end}
