"""How a request finds its handler, and what the caller must hold for it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar
from urllib.parse import urlencode

from bot.demo.access import Caller, Needs, TokenCaller
from bot.demo.answers import Problem, Reply, not_found
from bot.demo.github_state import Pull, Repository, World

T = TypeVar("T")
PAGE, PAGE_LIMIT = 30, 100


@dataclass(frozen=True)
class Call:
    """One request on its way through a handler. `query` has the last value of each parameter."""

    world: World
    caller: Caller
    path: str
    arguments: Mapping[str, str]
    query: Mapping[str, str]
    body: Any
    accept: str

    @property
    def token(self) -> TokenCaller:
        if not isinstance(self.caller, TokenCaller):
            raise Problem(403, "Resource not accessible by integration")
        return self.caller

    @property
    def repo(self) -> Repository:
        return self.world.repository(f"{self.arguments['owner']}/{self.arguments['repo']}")

    @property
    def pull(self) -> Pull:
        return self.world.pull(self.repo.full_name, self.number("number"))

    def number(self, name: str) -> int:
        """A numeric part of the path. Raises `Problem` 404 for anything else."""
        value = self.arguments[name]
        if not value.isdigit():
            raise not_found()
        return int(value)

    def page(self, items: Sequence[T], shape: Callable[[T], Any], key: str | None = None) -> Reply:
        """One page of `items`, with GitHub's Link header; under `key`, with the total, where the API wraps lists."""
        size = min(max(1, self._integer("per_page", PAGE)), PAGE_LIMIT)
        page, last = max(1, self._integer("page", 1)), max(1, -(-len(items) // size))
        shown = [shape(item) for item in items[(page - 1) * size : page * size]]
        body = shown if key is None else {"total_count": len(items), key: shown}
        return Reply(body, headers=self._links(page, last))

    def _integer(self, name: str, default: int) -> int:
        value = self.query.get(name, "")
        return int(value) if value.isdigit() else default

    def _links(self, page: int, last: int) -> dict[str, str]:
        targets = {"prev": page - 1, "next": page + 1, "last": last, "first": 1}
        useful = {rel: to for rel, to in targets.items() if 1 <= to <= last and to != page}
        if page == last:
            useful.pop("last", None)
        links = [f'<{self.link(page=str(to))}>; rel="{rel}"' for rel, to in useful.items()]
        return {"Link": ", ".join(links)} if links else {}

    def link(self, **query: str) -> str:
        return f"{self.world.api}{self.path}?{urlencode({**self.query, **query})}"


Handler = Callable[[Call], Reply]
Who = Literal["app", "installation", "anyone"]


@dataclass(frozen=True)
class Route:
    """`needs` are alternatives: any one of these (permission, level) pairs will do.

    `creates` marks content-creating requests, which the secondary limits count.
    """

    method: str
    template: str
    handler: Handler
    needs: Needs = ()
    who: Who = "installation"
    creates: bool = False

    def match(self, path: str) -> dict[str, str] | None:
        found = _pattern(self.template).fullmatch(path)
        return found.groupdict() if found else None


def _pattern(template: str) -> re.Pattern[str]:
    """`{name}` is one segment, `{name:path}` any number of them (the `re` module caches the compiled pattern)."""
    literal = re.sub(r"\{(\w+):path\}", r"(?P<\1>.+?)", re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template))
    return re.compile(literal + "/?")


def read(template: str, handler: Handler, *permissions: str) -> Route:
    return Route("GET", template, handler, tuple((name, "read") for name in permissions))


def write(method: str, template: str, handler: Handler, *permissions: str) -> Route:
    return Route(method, template, handler, tuple((name, "write") for name in permissions), creates=True)
