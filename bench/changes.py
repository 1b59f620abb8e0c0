"""A large change, the same each time: edited, new, renamed and deleted files of something like code."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

_STATEMENTS = (
    "for {name} in sorted(self._{other}.items(), key=lambda item: item[1]):",
    "    {name} = {other}.get({number}, default=None)",
    'raise ValueError(f"{{{name}}} is no {other}: {number}")',
    "",
    "return {name} + {other} * {number}  # as {other} has it",
    "@@ -{number},7 +{number},9 @@ in a string of a test",
    "if {name} is None or not {other}({name}, {number}):",
)
_NAMES = ("value", "result", "total", "path", "discount", "customer", "line", "index", "basket")


def large_diff(lines: int) -> Iterator[str]:
    """So many lines of `git diff`'s output and a few more, without their ends."""
    chance, said = random.Random(5), 0
    number = 0
    while said < lines:
        for line in _file(chance, number):
            said += 1
            yield line
        number += 1


def write_head(diff: Iterator[str], root: Path) -> dict[str, int]:
    """Write the files that a diff of ours leads to, as far as it shows them; how many lines each has."""
    sizes: dict[str, int] = {}
    path, texts = "", list[str]()
    for line in (*diff, "diff --git end"):
        if line.startswith("diff --git "):
            if texts:
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_text("\n".join(texts))
                sizes[path] = len(texts)
            path, texts = "", []
        elif line.startswith("+++ "):
            path = "" if line.endswith("/dev/null") else line.removeprefix("+++ b/")
        elif path and line.startswith("@@ "):
            start = int(line.split("+")[1].split(",")[0])
            texts += [""] * (start - 1 - len(texts))
        elif path and line[:1] in ("+", " "):
            texts.append(line[1:])
    return sizes


def _file(chance: random.Random, number: int) -> Iterator[str]:
    path, kind = f"package{number % 40}/part{number % 9}/module{number}.py", number % 20
    old, new = f"a/{path}", f"b/{path}"
    if kind == 1:
        old = f"a/old/module{number}.py"
    yield f"diff --git {old} {new}"
    match kind:
        case 0:
            yield from ("new file mode 100644", "index 0000000..89ab012", "--- /dev/null", f"+++ {new}")
            yield from _hunk(chance, 1, removed=False, context=False)
            return
        case 1:
            yield from ("similarity index 90%", f"rename from {old[2:]}", f"rename to {path}")
        case 2:
            yield from ("deleted file mode 100644", "index 89ab012..0000000", f"--- {old}", "+++ /dev/null")
            yield from _hunk(chance, 1, added=False, context=False)
            return
    yield from ("index 0123456..89ab012 100644", f"--- {old}", f"+++ {new}")
    line = 1
    for _ in range(chance.randint(1, 12)):
        line += chance.randint(5, 80)
        hunk = list(_hunk(chance, line))
        line += len(hunk)
        yield from hunk


def _hunk(
    chance: random.Random, start: int, *, added: bool = True, removed: bool = True, context: bool = True
) -> Iterator[str]:
    body = list[str]()
    for _ in range(chance.randint(1, 4)):
        body += [" " + _code(chance) for _ in range(3 * context)]
        body += ["-" + _code(chance) for _ in range(chance.randint(0, 6) * removed)]
        body += ["+" + _code(chance) for _ in range(chance.randint(1, 12) * added)]
    body += [" " + _code(chance) for _ in range(3 * context)]
    marks = [line[0] for line in body]
    old, new = len(body) - marks.count("+"), len(body) - marks.count("-")
    yield f"@@ -{start if old else 0},{old} +{start if new else 0},{new} @@ def checkout(basket):"
    yield from body


def _code(chance: random.Random) -> str:
    statement = chance.choice(_STATEMENTS)
    name, other, number = chance.choice(_NAMES), chance.choice(_NAMES), chance.randint(0, 999)
    return "    " * chance.randint(1, 3) + statement.format(name=name, other=other, number=number)
