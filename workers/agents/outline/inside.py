"""A program of its own, for the sandbox: what is defined and what is called in files of a tree, by tree-sitter.

It is told on stdin, as JSON, which files of its folder to read (`files`, each [path, language]), of which names the
calls are wanted (`calls`), and how many `seconds` a file may take. It prints a line of JSON a file, so that what was
read is known, whatever ends it: the file, its definitions, each [name, first line, last line, last line of its head],
and the calls, each [name, line]. A grammar is C that reads what a stranger wrote, so nothing of Assay is imported here.
"""

from __future__ import annotations

import json
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from tree_sitter import Language, Node, Parser, Query, QueryCursor

# Bytes of a file, and what is told of one at most.
LARGEST = 500_000
MOST = 2_000
# Lines of a definition's head.
HEAD = 4

_C_CALLS = "(call_expression function: [(identifier) @call (field_expression field: (field_identifier) @call)])"
_C_FUNCTIONS = """
(function_definition declarator: (function_declarator declarator: (_) @name)) @def
(function_definition declarator: (pointer_declarator declarator: (function_declarator declarator: (_) @name))) @def
(struct_specifier name: (_) @name body: (_)) @def
"""
_JS = """
(function_declaration name: (_) @name) @def
(generator_function_declaration name: (_) @name) @def
(class_declaration name: (_) @name) @def
(method_definition name: (_) @name) @def
(variable_declarator name: (identifier) @name value: [(arrow_function) (function_expression)]) @def
(call_expression function: [(identifier) @call (member_expression property: (property_identifier) @call)])
(new_expression constructor: (identifier) @call)
"""
_TS = f"""{_JS}
(abstract_class_declaration name: (_) @name) @def
(interface_declaration name: (_) @name) @def
(enum_declaration name: (_) @name) @def
"""


class Grammar(NamedTuple):
    """A package with a grammar, its function that gives it, and what to look for: `@def` with its `@name`, `@call`."""

    package: str
    function: str
    query: str


GRAMMARS = {
    "python": Grammar(
        "tree_sitter_python",
        "language",
        """
        (function_definition name: (_) @name) @def
        (class_definition name: (_) @name) @def
        (call function: [(identifier) @call (attribute attribute: (identifier) @call)])
        """,
    ),
    "javascript": Grammar("tree_sitter_javascript", "language", _JS),
    "typescript": Grammar("tree_sitter_typescript", "language_typescript", _TS),
    "tsx": Grammar("tree_sitter_typescript", "language_tsx", _TS),
    "go": Grammar(
        "tree_sitter_go",
        "language",
        """
        (function_declaration name: (_) @name) @def
        (method_declaration name: (_) @name) @def
        (type_spec name: (_) @name) @def
        (call_expression function: [(identifier) @call (selector_expression field: (_) @call)])
        """,
    ),
    "java": Grammar(
        "tree_sitter_java",
        "language",
        """
        (class_declaration name: (_) @name) @def
        (interface_declaration name: (_) @name) @def
        (enum_declaration name: (_) @name) @def
        (record_declaration name: (_) @name) @def
        (method_declaration name: (_) @name) @def
        (constructor_declaration name: (_) @name) @def
        (method_invocation name: (_) @call)
        (object_creation_expression type: (type_identifier) @call)
        """,
    ),
    "rust": Grammar(
        "tree_sitter_rust",
        "language",
        """
        (function_item name: (_) @name) @def
        (impl_item type: (_) @name) @def
        (struct_item name: (_) @name) @def
        (enum_item name: (_) @name) @def
        (trait_item name: (_) @name) @def
        (call_expression function: [
          (identifier) @call (field_expression field: (_) @call) (scoped_identifier name: (_) @call)
        ])
        """,
    ),
    "c": Grammar("tree_sitter_c", "language", _C_FUNCTIONS + _C_CALLS),
    "cpp": Grammar(
        "tree_sitter_cpp",
        "language",
        f"""{_C_FUNCTIONS}{_C_CALLS}
        (class_specifier name: (_) @name body: (_)) @def
        (call_expression function: (qualified_identifier name: (identifier) @call))
        """,
    ),
    "c_sharp": Grammar(
        "tree_sitter_c_sharp",
        "language",
        """
        (class_declaration name: (_) @name) @def
        (interface_declaration name: (_) @name) @def
        (struct_declaration name: (_) @name) @def
        (record_declaration name: (_) @name) @def
        (method_declaration name: (_) @name) @def
        (constructor_declaration name: (_) @name) @def
        (invocation_expression function: [(identifier) @call (member_access_expression name: (identifier) @call)])
        (object_creation_expression type: (identifier) @call)
        """,
    ),
    "ruby": Grammar(
        "tree_sitter_ruby",
        "language",
        """
        (method name: (_) @name) @def
        (singleton_method name: (_) @name) @def
        (class name: (_) @name) @def
        (module name: (_) @name) @def
        (call method: (identifier) @call)
        """,
    ),
    "php": Grammar(
        "tree_sitter_php",
        "language_php",
        """
        (function_definition name: (_) @name) @def
        (method_declaration name: (_) @name) @def
        (class_declaration name: (_) @name) @def
        (interface_declaration name: (_) @name) @def
        (trait_declaration name: (_) @name) @def
        (function_call_expression function: (name) @call)
        (member_call_expression name: (name) @call)
        (scoped_call_expression name: (name) @call)
        """,
    ),
}


class Reader(NamedTuple):
    """A grammar that is loaded."""

    parser: Parser
    query: Query


def load(grammar: Grammar) -> Reader:
    language = Language(getattr(import_module(grammar.package), grammar.function)())
    return Reader(Parser(language), Query(language, grammar.query))


def outline(text: bytes, reader: Reader, wanted: frozenset[str]) -> tuple[list[list[object]], list[list[object]]]:
    """The definitions in a text, and the calls of what is wanted."""
    definitions: list[list[object]] = []
    calls: list[list[object]] = []
    for _, found in QueryCursor(reader.query).matches(reader.parser.parse(text).root_node):
        if "def" in found and "name" in found:
            node = found["def"][0]
            definitions.append([_said(found["name"][0]), node.start_point.row + 1, _last(node), _head(node)])
        calls += [[_said(node), node.start_point.row + 1] for node in found.get("call", ()) if _said(node) in wanted]
        if len(definitions) + len(calls) >= MOST:
            break
    return definitions, calls


def _said(node: Node) -> str:
    return (node.text or b"")[:200].decode("utf-8", "replace")


def _last(node: Node) -> int:
    return node.end_point.row + (node.end_point.column > 0)


def _head(node: Node) -> int:
    """The last line of what stands before the body."""
    first = node.start_point.row + 1
    body = node.child_by_field_name("body")
    before = body.prev_sibling if body else None
    return min(max(first, before.end_point.row + 1), first + HEAD - 1) if before else first


def main() -> None:
    order = json.load(sys.stdin)
    wanted = frozenset(order["calls"])
    readers: dict[str, Reader] = {}
    for path, language in order["files"]:
        # Not to be waited for longer: the kernel ends this process, and whoever started it goes on with the next file.
        signal.setitimer(signal.ITIMER_REAL, order["seconds"])
        if language not in readers:
            readers[language] = load(GRAMMARS[language])
        with Path(path).open("rb") as file:
            text = file.read(LARGEST + 1)
        found = outline(text, readers[language], wanted) if len(text) <= LARGEST else ([], [])
        sys.stdout.write(json.dumps([path, *found]) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
