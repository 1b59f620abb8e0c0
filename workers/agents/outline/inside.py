"""A program of its own, for the sandbox: what files of a tree define and use, and whether they parse, by tree-sitter.

It is told on stdin, as JSON, which files of its folder to read (`files`, each [path, language]), of which names the
uses are wanted (`uses`), whether to look closely for what does not parse (`strict`), and how many `seconds` a file may
take. It prints a line of JSON a file, so that what was read is known, whatever ends it: the file, its definitions, each
[name, first line, last line, last line of its head], the uses, each [name, line, whether it stands alone and is no
member of anything], and how many places do not parse, null where that is not known. Functions, types and constants of a
file are definitions; what imports a name does not use it. Of JSON, TOML and YAML only whether they parse is told. A
grammar is C that reads what a stranger wrote, so nothing of Assay is imported here.
"""

from __future__ import annotations

import ast
import json
import re
import signal
import sys
import tomllib
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import yaml
from tree_sitter import Language, Node, Parser, Query, QueryCursor

# Bytes of a file, and what is told of one at most.
LARGEST = 500_000
MOST = 2_000
# Lines of a definition's head.
HEAD = 4
# Nodes that import, by their types, and what stands before a member.
_IMPORT = re.compile(r"import|use_declaration|using_directive|namespace_use")
_MEMBER = (b".", b"->", b"::")

_C = """
(function_definition declarator: (function_declarator declarator: (_) @name)) @def
(function_definition declarator: (pointer_declarator declarator: (function_declarator declarator: (_) @name))) @def
(struct_specifier name: (_) @name body: (_)) @def
(preproc_def name: (_) @name) @def
"""
_JS = """
(function_declaration name: (_) @name) @def
(generator_function_declaration name: (_) @name) @def
(class_declaration name: (_) @name) @def
(method_definition name: (_) @name) @def
(variable_declarator name: (identifier) @name value: [(arrow_function) (function_expression)]) @def
(program (lexical_declaration (variable_declarator name: (identifier) @name) @def))
(program (export_statement (lexical_declaration (variable_declarator name: (identifier) @name) @def)))
"""
_TS = f"""{_JS}
(abstract_class_declaration name: (_) @name) @def
(interface_declaration name: (_) @name) @def
(enum_declaration name: (_) @name) @def
"""


class Grammar(NamedTuple):
    """A package with a grammar, its function that gives it, and what to look for: `@def` with its `@name`."""

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
        (module (expression_statement (assignment left: (identifier) @name) @def))
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
        (source_file (const_declaration (const_spec name: (identifier) @name) @def))
        (source_file (var_declaration (var_spec name: (identifier) @name) @def))
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
        (field_declaration declarator: (variable_declarator name: (_) @name (#match? @name "^[A-Z][A-Z0-9_]+$"))) @def
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
        (const_item name: (_) @name) @def
        (static_item name: (_) @name) @def
        """,
    ),
    "c": Grammar("tree_sitter_c", "language", _C),
    "cpp": Grammar(
        "tree_sitter_cpp",
        "language",
        f"""{_C}
        (class_specifier name: (_) @name body: (_)) @def
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
        (field_declaration (variable_declaration (variable_declarator
          name: (_) @name (#match? @name "^[A-Z]")
        ))) @def
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
        (assignment left: (constant) @name) @def
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
        (const_declaration (const_element (name) @name)) @def
        """,
    ),
}


def _parse_yaml(text: bytes) -> None:
    for _ in yaml.parse(text, Loader=yaml.SafeLoader):
        pass


def _parse_toml(text: bytes) -> None:
    tomllib.loads(text.decode("utf-8"))


# Data, by what fails where it does not parse.
DATA: dict[str, Callable[[bytes], object]] = {"json": json.loads, "toml": _parse_toml, "yaml": _parse_yaml}
# What sees more than the grammar: to that of Python any indentation is right.
STRICT: dict[str, Callable[[bytes], object]] = {"python": ast.parse}
_UNFIT = (ValueError, SyntaxError, RecursionError, MemoryError, yaml.YAMLError)


class Reader(NamedTuple):
    """A grammar that is loaded."""

    parser: Parser
    query: Query


def load(grammar: Grammar) -> Reader:
    language = Language(getattr(import_module(grammar.package), grammar.function)())
    return Reader(Parser(language), Query(language, grammar.query))


class Found(NamedTuple):
    """What is told of a file."""

    definitions: list[list[object]]
    uses: list[list[object]]
    errors: int | None


UNKNOWN = Found([], [], None)


def outline(text: bytes, reader: Reader, wanted: Sequence[str]) -> Found:
    """The definitions in a text, the uses of what is wanted, and how many places do not parse."""
    root = reader.parser.parse(text).root_node
    definitions: dict[tuple[str, int], list[object]] = {}
    names: set[int] = set()
    for _, found in QueryCursor(reader.query).matches(root):
        if "def" in found and "name" in found:
            node, name = found["def"][0], found["name"][0]
            names.add(name.start_byte)
            first = node.start_point.row + 1
            definitions.setdefault((_said(name), first), [_said(name), first, _last(node), _head(node)])
        if len(definitions) >= MOST:
            break
    return Found(list(definitions.values()), list(islice(_uses(text, root, wanted, names), MOST)), _errors(root))


def _errors(root: Node) -> int:
    count, left = 0, [root]
    while left:
        node = left.pop()
        count += node.is_error or node.is_missing
        # Only what holds one, or is one that was left out, is looked into.
        left += [one for one in node.children if one.has_error or one.is_missing]
    return count


def _fails(text: bytes, parse: Callable[[bytes], object]) -> bool:
    try:
        parse(text)
    except _UNFIT:
        return True
    return False


def _data(text: bytes, language: str) -> Found:
    return UNKNOWN if _fails(text, DATA[language]) else Found([], [], 0)


def _uses(text: bytes, root: Node, wanted: Sequence[str], names: set[int]) -> Iterator[list[object]]:
    """Where names stand as names in the code, other than where they are defined (`names`) or imported."""
    if not wanted:
        return
    for match in re.finditer(rb"\b(?:%s)\b" % b"|".join(re.escape(name.encode()) for name in wanted), text):
        node = root.descendant_for_byte_range(*match.span())
        if node is None or node.start_byte in names or not _is_name(node) or node.text != match[0]:
            continue
        if not any(_IMPORT.search(one.type) for one in _above(node)):
            alone = not text[: node.start_byte].rstrip()[-2:].endswith(_MEMBER)
            yield [match[0].decode(), node.start_point.row + 1, alone]


def _is_name(node: Node) -> bool:
    return node.type.endswith("identifier") or node.type in ("constant", "name")


def _above(node: Node) -> Iterator[Node]:
    above = node.parent
    while above is not None:
        yield above
        above = above.parent


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
    readers: dict[str, Reader] = {}
    for path, language in order["files"]:
        # Not to be waited for longer: the kernel ends this process, and whoever started it goes on with the next file.
        signal.setitimer(signal.ITIMER_REAL, order["seconds"])
        if language in GRAMMARS and language not in readers:
            readers[language] = load(GRAMMARS[language])
        with Path(path).open("rb") as file:
            text = file.read(LARGEST + 1)
        if len(text) > LARGEST:
            found = UNKNOWN
        elif language in DATA:
            found = _data(text, language)
        else:
            found = outline(text, readers[language], order["uses"])
        if order["strict"] and found.errors is not None and language in STRICT:
            found = found._replace(errors=found.errors + _fails(text, STRICT[language]))
        sys.stdout.write(json.dumps([path, *found]) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
