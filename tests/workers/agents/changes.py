"""Changes for tests of the reviewer: a patch as git writes it, from the files before and after."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import unified_diff

from bot.domain.diff import parse_diff
from workers.agents.question import Change


def patch_of(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    return "".join(_file(path, before.get(path), after.get(path)) for path in sorted({*before, *after}))


def _file(path: str, old: str | None, new: str | None) -> str:
    if old == new:
        return ""
    kind = "new file mode 100644\n" if old is None else "deleted file mode 100644\n" if new is None else ""
    names = ("/dev/null" if old is None else f"a/{path}", "/dev/null" if new is None else f"b/{path}")
    body = unified_diff(_lines(old), _lines(new), *names, lineterm="")
    return f"diff --git a/{path} b/{path}\n{kind}" + "".join(f"{line}\n" for line in body)


def _lines(text: str | None) -> list[str]:
    return text.removesuffix("\n").split("\n") if text else []


def change_of(before: Mapping[str, str], after: Mapping[str, str], title: str = "", description: str = "") -> Change:
    patch = patch_of(before, after)
    diff = parse_diff(patch.split("\n"))
    return Change("octo/shop", title, description, diff, patch, diff.paths)
