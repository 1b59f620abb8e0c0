"""What a tool printed by hand against what Assay shows of the same change. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_HUNK = re.compile(r"^@@ -\S+ \+(\d+)(?:,(\d+))? @@", re.MULTILINE)


@dataclass(frozen=True)
class Hit:
    """A line that a tool printed. `rule` is empty where it names none, and `weight` where it does not say how grave."""

    tool: str
    rule: str
    path: str
    line: int
    weight: str = ""

    def __str__(self) -> str:
        return f"{self.tool} {self.rule} {self.path}:{self.line}"


@dataclass(frozen=True)
class Shown:
    """A finding as Assay shows it."""

    tools: frozenset[str]
    rule: str
    path: str
    first: int
    last: int
    new: bool

    def tells(self, hit: Hit) -> bool:
        same = hit.tool in self.tools and self.path == hit.path and self.first <= hit.line <= self.last
        # Of two tools that say the same, one speaks.
        return same and (hit.rule in ("", self.rule) or len(self.tools) > 1)

    def __str__(self) -> str:
        return f"{'+'.join(sorted(self.tools))} {self.rule} {self.path}:{self.first}"


Lines = Callable[[str, int], str]
Changed = Mapping[str, Iterable[int]]


@dataclass
class Tally:
    """Of one change: how many `hits` lie on changed lines, and what became of them. `old` were there before, `chosen`
    are of rules that Assay leaves out by its word, `said` is what a gap that it told of accounts for. `hidden` are new
    ones that are called old, `outside` what is shown elsewhere than on a changed line."""

    hits: int = 0
    shown: int = 0
    old: int = 0
    chosen: int = 0
    said: int = 0
    missed: list[Hit] = field(default_factory=list)
    hidden: list[Hit] = field(default_factory=list)
    outside: list[Shown] = field(default_factory=list)


def changed_lines(patch: str) -> dict[str, set[int]]:
    """The head's lines that a patch without context (`git diff -U0 --no-prefix`) adds, by file."""
    changed: dict[str, set[int]] = {}
    for part in re.split(r"^diff --git .*$", patch, flags=re.MULTILINE)[1:]:
        head, _, _ = part.partition("\n@@ ")
        name = re.search(r"^\+\+\+ (.+?)\t?$", head, re.MULTILINE)
        if name and name[1] != "/dev/null":
            spans = ((int(m[1]), int(m[2] or 1)) for m in _HUNK.finditer(part))
            changed[_unquoted(name[1])] = {line for first, count in spans for line in range(first, first + count)}
    return changed


def _unquoted(name: str) -> str:
    """A name as git has it in quotes where it holds some, or what is no ASCII."""
    if not name.startswith('"'):
        return name
    return name[1:-1].encode().decode("unicode_escape").encode("latin-1").decode("utf-8", "replace")


def shown_of(report: Mapping[str, Any]) -> list[Shown]:
    """The findings of `assay check --format json` that lie on lines."""
    return [
        Shown(
            frozenset({one["tool"], *(source.partition("/")[2] for source in one["sources"])}),
            one["rule"],
            one["path"],
            one["start_line"],
            one["end_line"] or one["start_line"],
            one["new"],
        )
        for one in report["findings"]
        if one["start_line"]
    ]


def tally(
    head: Iterable[Hit],
    base: Iterable[Hit],
    shown: Sequence[Shown],
    changed: Changed,
    texts: tuple[Lines, Lines],
    chosen: Callable[[Hit], bool],
    said: Callable[[Hit], bool],
) -> Tally:
    """Hold what was printed of the head against what is shown. `texts` give the lines of head and base, by which what
    was there before is known: as many hits of a rule on lines of the same words. `chosen` says whether a rule counts
    here, `said` whether Assay told that the hit would be missing."""
    lines = {path: set(numbers) for path, numbers in changed.items()}
    head = list(head)
    before = Counter((hit.tool, hit.rule, texts[1](hit.path, hit.line).strip()) for hit in base)
    done = Tally()
    # What no change touched is what was there before, first.
    for hit in sorted(head, key=lambda hit: (hit.line in lines.get(hit.path, ()), hit.path, hit.line)):
        key = (hit.tool, hit.rule, texts[0](hit.path, hit.line).strip())
        was_there = before[key] > 0
        before[key] -= was_there
        if hit.line in lines.get(hit.path, ()):
            _judge(done, hit, shown, was_there=was_there, chosen=chosen, said=said)
    done.outside = [one for one in shown if lines.get(one.path, set()).isdisjoint(range(one.first, one.last + 1))]
    return done


def _judge(
    done: Tally,
    hit: Hit,
    shown: Sequence[Shown],
    *,
    was_there: bool,
    chosen: Callable[[Hit], bool],
    said: Callable[[Hit], bool],
) -> None:
    done.hits += 1
    telling = [one for one in shown if one.tells(hit)]
    if any(one.new for one in telling):
        done.shown += 1
    elif was_there:
        done.old += 1
    elif telling:
        done.hidden.append(hit)
    elif not chosen(hit):
        done.chosen += 1
    elif said(hit):
        done.said += 1
    else:
        done.missed.append(hit)


def unnamed(applying: Iterable[str], report: Mapping[str, Any]) -> list[str]:
    """Of the tools that read a changed file, those that neither ran nor are said to be missing."""
    ran = {name for agent in report["agents"] for name in agent["tools"]}
    gaps = [gap for agent in report["agents"] for gap in agent["not_covered"]]

    def is_named(name: str) -> bool:
        return any(name == gap["what"] or re.search(rf"\b{re.escape(name)}\b", gap["why"]) for gap in gaps)

    return [name for name in applying if name not in ran and not is_named(name)]
