"""The part of GitHub's GraphQL API that REST lacks: review threads, and resolving them.

A small reader of queries and a table of types; a field that GitHub does not have is an error here too.
https://docs.github.com/graphql/reference/objects#pullrequestreviewthread
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bot.demo import shapes
from bot.demo.access import FORBIDDEN
from bot.demo.answers import Problem, Reply
from bot.demo.bodies import GraphQL, parse
from bot.demo.github_state import Repository, ReviewComment, Thread, User
from bot.demo.pull_shapes import threads_of
from bot.demo.routing import Call, Route

_TOKEN = re.compile(r'[\s,]+|#[^\n]*|(?P<token>"(?:[^"\\]|\\.)*"|\.\.\.|[A-Za-z_]\w*|-?\d+|[{}()\[\]:$!=@])')
PAGE_LIMIT = 100


class QueryError(Exception):
    """The query is refused; `kind` is GitHub's error type, where it gives one."""

    def __init__(self, message: str, kind: str | None = None) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class Field:
    """A selected field. `arguments` have their variables filled in."""

    name: str
    alias: str
    arguments: Mapping[str, Any]
    selection: Sequence[Field] = ()


@dataclass
class Reader:
    """Reads one operation: names, arguments, variables, nested selections and inline fragments."""

    text: str
    variables: Mapping[str, Any]
    tokens: list[str] = field(default_factory=list)

    def operation(self) -> tuple[str, Sequence[Field]]:
        """Its kind, `query` or `mutation`, and what it selects. Raises `QueryError`."""
        self.tokens = list(reversed(_tokens(self.text)))
        kind = "query"
        if self._peek() != "{":
            kind = self._next()
            while self._peek() not in ("{", "("):
                self._next()
            if self._peek() == "(":
                while self._next() != ")":
                    pass
        selection = self._selection()
        if self.tokens:
            raise QueryError("Only one operation is taken at a time")
        return kind, selection

    def _peek(self) -> str:
        if not self.tokens:
            raise QueryError("Unexpected end of document")
        return self.tokens[-1]

    def _next(self, wanted: str | None = None) -> str:
        token = self._peek()
        if wanted is not None and token != wanted:
            raise QueryError(f'Expected "{wanted}", actual: "{token}"')
        return self.tokens.pop()

    def _selection(self) -> list[Field]:
        self._next("{")
        fields: list[Field] = []
        while self._peek() != "}":
            if self._peek() == "...":
                for part in ("...", "on"):
                    self._next(part)
                self._next()
                fields += self._selection()
            else:
                fields.append(self._field())
        self._next("}")
        if not fields:
            raise QueryError("A selection may not be empty")
        return fields

    def _field(self) -> Field:
        alias = name = self._next()
        if self._peek() == ":":
            self._next()
            name = self._next()
        arguments = self._object("(", ")") if self._peek() == "(" else {}
        return Field(name, alias, arguments, self._selection() if self._peek() == "{" else ())

    def _object(self, start: str, end: str) -> dict[str, Any]:
        self._next(start)
        found: dict[str, Any] = {}
        while self._peek() != end:
            name = self._next()
            self._next(":")
            found[name] = self._value()
        self._next(end)
        return found

    def _value(self) -> Any:
        if self._peek() == "{":
            return self._object("{", "}")
        word = self._next()
        if word == "$":
            name = self._next()
            if name not in self.variables:
                raise QueryError(f"Variable ${name} was not provided a value")
            return self.variables[name]
        if word in ("true", "false", "null") or word[0] in '"-0123456789':
            return json.loads(word)
        raise QueryError(f"Unexpected {word}")


def _tokens(text: str) -> list[str]:
    found, at = [], 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise QueryError(f"Unexpected character at {at}")
        if match["token"]:
            found.append(match["token"])
        at = match.end()
    return found


@dataclass(frozen=True)
class Node:
    """A value of a GraphQL type: its fields, each a function of the arguments that were given."""

    type: str
    fields: Mapping[str, Callable[[Mapping[str, Any]], Any]]


def _constants(type_: str, **values: Any) -> Node:
    return Node(type_, {name: lambda _given, value=value: value for name, value in values.items()})  # type: ignore[misc]


def resolve(node: Any, selection: Sequence[Field]) -> Any:
    """The selected fields of a node, in order. Raises `QueryError` for a field that its type does not have."""
    if isinstance(node, list):
        return [resolve(item, selection) for item in node]
    if not isinstance(node, Node):
        if selection and node is not None:
            raise QueryError("Selections can't be made on scalars")
        return node
    if not selection:
        raise QueryError(f"Field must have selections ({node.type} returns an object)")
    out = {}
    for chosen in selection:
        if chosen.name == "__typename":
            out[chosen.alias] = node.type
            continue
        if chosen.name not in node.fields:
            raise QueryError(f"Field '{chosen.name}' doesn't exist on type '{node.type}'", "undefinedField")
        out[chosen.alias] = resolve(node.fields[chosen.name](chosen.arguments), chosen.selection)
    return out


def _connection(type_: str, name: str, items: Sequence[Any], to_node: Callable[[Any], Node]) -> Callable[..., Node]:
    def page(given: Mapping[str, Any]) -> Node:
        first = given.get("first")
        if not isinstance(first, int):
            raise QueryError(
                f"You must provide a `first` or `last` value to properly paginate the `{name}` connection.",
                "MISSING_PAGINATION_BOUNDARIES",
            )
        if not 1 <= first <= PAGE_LIMIT:
            raise QueryError(
                f"Requesting {first} records on the `{name}` connection exceeds the `first` limit of "
                f"{PAGE_LIMIT} records.",
                "EXCESSIVE_PAGINATION",
            )
        after = given.get("after")
        start = int(str(after).removeprefix("cursor:")) if after else 0
        end = min(start + first, len(items))
        info = _constants(
            "PageInfo",
            hasNextPage=end < len(items),
            hasPreviousPage=start > 0,
            startCursor=f"cursor:{start}" if items else None,
            endCursor=f"cursor:{end}" if items else None,
        )
        nodes = [to_node(item) for item in items[start:end]]
        return _constants(f"{type_}Connection", nodes=nodes, pageInfo=info, totalCount=len(items))

    return page


def _actor(account: User) -> Node:
    # GraphQL names a bot without the suffix that REST gives it.
    return _constants(account.type, login=account.login.removesuffix("[bot]"))


def _comment(call: Call, comment: ReviewComment) -> Node:
    given = call.world.reactions.get(comment.id, [])
    reactions = _connection("Reaction", "reactions", given, _reaction)
    plain = _constants(
        "PullRequestReviewComment",
        id=shapes.node("PRRC", comment.id),
        databaseId=comment.id,
        fullDatabaseId=str(comment.id),
        body=comment.body,
        path=comment.path,
        author=_actor(comment.author),
        createdAt=shapes.stamp(comment.created_at),
        updatedAt=shapes.stamp(comment.updated_at),
    )
    return Node(plain.type, {**plain.fields, "reactions": reactions})


def _reaction(given: tuple[str, User]) -> Node:
    content, user = given
    # Its user is a User or nobody: a bot's name is not told.
    return _constants("Reaction", content=content, user=_actor(user) if user.type == "User" else None)


def _thread(call: Call, thread: Thread) -> Node:
    root = thread.comments[0]
    resolver = call.world.resolved.get(root.id)
    plain = _constants(
        "PullRequestReviewThread",
        id=thread.id,
        isResolved=thread.resolved,
        isOutdated=thread.outdated,
        isCollapsed=thread.resolved or thread.outdated,
        path=thread.path,
        line=thread.line,
        originalLine=root.line,
        startLine=root.start_line,
        subjectType="LINE" if root.line else "FILE",
        diffSide=root.side,
        resolvedBy=_actor(resolver) if resolver else None,
        viewerCanResolve=not thread.resolved,
        viewerCanUnresolve=thread.resolved,
    )
    comments = _connection(
        "PullRequestReviewComment", "comments", thread.comments, lambda comment: _comment(call, comment)
    )
    return Node(plain.type, {**plain.fields, "comments": comments})


def _query(call: Call) -> Node:
    def repository(given: Mapping[str, Any]) -> Node:
        repo = call.world.repository(f"{given.get('owner')}/{given.get('name')}")
        if not call.token.sees(call.world, repo):
            raise QueryError(f"Could not resolve to a Repository with the name '{repo.full_name}'.", "NOT_FOUND")
        _demand(call, {"pull_requests": "read"})
        fields = _constants("Repository", id=shapes.node("R", repo.id), name=repo.name, nameWithOwner=repo.full_name)
        return Node("Repository", {**fields.fields, "pullRequest": lambda args: _pull(call, repo, args)})

    return Node("Query", {"repository": repository, "viewer": lambda _: _actor(call.world.app.bot)})


def _pull(call: Call, repo: Repository, given: Mapping[str, Any]) -> Node:
    pull = call.world.pulls.get((repo.full_name, given.get("number", 0)))
    if pull is None:
        raise QueryError("Could not resolve to a PullRequest with that number.", "NOT_FOUND")
    threads = threads_of(call.world, pull)
    fields = _constants("PullRequest", id=shapes.node("PR", pull.id), number=pull.number, title=pull.title)
    shown = _connection("PullRequestReviewThread", "reviewThreads", threads, lambda one: _thread(call, one))
    return Node("PullRequest", {**fields.fields, "reviewThreads": shown})


def _mutation(call: Call) -> Node:
    def marking(name: str, resolved: bool) -> Callable[[Mapping[str, Any]], Node]:
        def mark(given: Mapping[str, Any]) -> Node:
            wanted = given.get("input", {}).get("threadId")
            world = call.world
            for pull in list(world.pulls.values()):
                if not call.token.sees(world, world.repositories[pull.repo]):
                    continue
                for thread in threads_of(world, pull):
                    if thread.id == wanted:
                        _demand(call, world.resolving_needs)
                        _mark(call, thread, resolved)
                        again = next(t for t in threads_of(world, pull) if t.id == wanted)
                        client = given["input"].get("clientMutationId")
                        return _constants(f"{name}Payload", thread=_thread(call, again), clientMutationId=client)
            raise QueryError(f"Could not resolve to a node with the global id of '{wanted}'", "NOT_FOUND")

        return mark

    return Node(
        "Mutation",
        {
            "resolveReviewThread": marking("ResolveReviewThread", True),
            "unresolveReviewThread": marking("UnresolveReviewThread", False),
        },
    )


def _mark(call: Call, thread: Thread, resolved: bool) -> None:
    root = thread.comments[0].id
    if resolved:
        call.world.resolved[root] = call.world.app.bot
    else:
        call.world.resolved.pop(root, None)


def _demand(call: Call, needs: Mapping[str, str]) -> None:
    if not all(call.token.holds(name, level) for name, level in needs.items()):
        raise QueryError(FORBIDDEN, "FORBIDDEN")


def _root(call: Call, kind: str) -> Node:
    if kind not in ("query", "mutation"):
        raise QueryError(f"Unknown operation {kind}")
    return _query(call) if kind == "query" else _mutation(call)


def on_graphql(call: Call) -> Reply:
    """Errors of a query are told in a 200, as GraphQL does."""
    body = parse(GraphQL, call.body)
    try:
        kind, selection = Reader(body.query, body.variables or {}).operation()
        return Reply({"data": resolve(_root(call, kind), selection)})
    except QueryError as error:
        told: dict[str, Any] = {"message": str(error)}
        if error.kind:
            told["type"] = error.kind
        return Reply({"data": None, "errors": [told]})
    except Problem as problem:
        return Reply({"data": None, "errors": [{"type": "NOT_FOUND", "message": problem.message}]})


GRAPHQL_ROUTE = Route("POST", "/graphql", on_graphql)
