"""Globs: what they match, and that no pattern takes for ever."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.domain.glob import matches, matches_any

CASES = [
    # `*` and `?` stay within a segment
    ("*.py", "app.py", True),
    ("*.py", "src/app.py", False),
    ("*", "main", True),
    ("*", "feature/x", False),
    ("*", "", True),
    ("?.py", "a.py", True),
    ("?.py", ".py", False),
    ("a?b", "a/b", False),
    ("src/*/x", "src/a/x", True),
    ("src/*/x", "src/a/b/x", False),
    # `**` does not
    ("**", "a/b/c", True),
    ("**", "", True),
    ("src/**", "src/a", True),
    ("src/**", "src/a/b", True),
    ("src/**", "src", False),
    ("src/**", "lib/src/a", False),
    ("**/test_*.py", "test_a.py", True),
    ("**/test_*.py", "a/b/test_a.py", True),
    ("**/test_*.py", "a/contest_a.py", False),
    ("a/**/b", "a/b", True),
    ("a/**/b", "a/x/y/b", True),
    ("a/**/b", "a/xb", False),
    ("a/**/b", "ab", False),
    ("**/**/**", "a", True),
    ("**.js", "a/b.js", True),
    ("***", "a/b", True),
    ("release/**", "release/1.0/rc", True),
    # a folder
    ("docs/", "docs/a/b.md", True),
    ("docs/", "docs", False),
    ("docs/", "more/docs/a", False),
    # the whole path, and case counts
    ("app.py", "src/app.py", False),
    ("app", "app.py", False),
    ("README", "readme", False),
    ("", "", True),
    ("", "a", False),
    # classes
    ("[abc].py", "b.py", True),
    ("[abc].py", "d.py", False),
    ("[a-c].py", "b.py", True),
    ("[a-cx-z0].py", "y.py", True),
    ("[!a-c].py", "b.py", False),
    ("[!a-c].py", "x.py", True),
    ("a[!b]c", "a/c", False),
    ("a[/]c", "a/c", False),
    ("[]].py", "].py", True),
    ("[!]].py", "].py", False),
    ("[-a].py", "-.py", True),
    ("[a-].py", "-.py", True),
    ("[!].py", "!.py", True),
    ("[[]x", "[x", True),
    ("[\\d]", "1", False),
    ("[z-a]", "m", False),
    ("[!z-a]", "m", True),
    ("[abc", "[abc", True),
    ("[abc", "a", False),
    ("[]", "[]", True),
    # braces
    ("*.{js,ts}", "a.ts", True),
    ("*.{js,ts}", "a.py", False),
    ("{src,lib}/{a,b}.py", "lib/a.py", True),
    ("{a,{b,c}}.py", "c.py", True),
    ("{,x}y", "y", True),
    ("{js}", "{js}", True),
    ("{js}", "js", False),
    ("{a,b", "{a,b", True),
    # nothing else is special
    ("a.py", "axpy", False),
    ("a+(b)|c^$", "a+(b)|c^$", True),
    ("a\\b", "a\\b", True),
    ("ünï*", "ünïcode", True),
    ("a\nb*", "a\nbc", True),
    ("a*c", "a\nc", True),
]


@pytest.mark.parametrize(("pattern", "path", "yes"), CASES)
def test_match(pattern: str, path: str, yes: bool) -> None:
    assert matches(pattern, path) is yes


def test_any_of_several() -> None:
    assert matches_any(("docs/", "*.md"), "README.md")
    assert not matches_any(("docs/", "*.md"), "app.py")
    assert not matches_any((), "app.py")


pieces = st.sampled_from(["a", "b", "/", "*", "**", "**/", "?", "[ab]", "[!a]", "."])


@settings(max_examples=500)
@given(st.lists(pieces, max_size=6).map("".join), st.text("ab/.", max_size=8))
def test_agrees_with_a_regular_expression(pattern: str, path: str) -> None:
    pattern = re.sub(r"\*{3,}", "**", pattern)
    whole = pattern + "**" if pattern.endswith("/") else pattern
    meaning = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]", "[ab]": "[ab]", "[!a]": "[^a/]"}
    parts = re.findall(r"\*\*/|\*\*|\*|\?|\[ab\]|\[!a\]|.", whole)
    regex = "".join(meaning.get(part, re.escape(part)) for part in parts)
    assert matches(pattern, path) is (re.fullmatch(regex, path, re.DOTALL) is not None)


@given(st.text("ab/*?[]!-{},\\", max_size=30), st.text("ab/", max_size=10))
def test_never_raises(pattern: str, path: str) -> None:
    matches(pattern, path)


@pytest.mark.parametrize(
    "pattern",
    [
        "*a" * 499 + "*b",
        "**a" * 333,
        "**/" * 333 + "b",
        "**/**" * 200,
        "**/*" * 250,
        "?" * 1000,
        "[a-z]" * 200,
        "[" * 1000,
        "{" * 1000,
        "{a,b}" * 200,
        "{a," * 300,
        "{" + "," * 990 + "}",
        "{,a}" * 250,
        "*" * 1000,
        "*a" * 100_000,
    ],
    ids=lambda pattern: f"{pattern[:6]}x{len(pattern)}",
)
def test_no_pattern_takes_for_ever(pattern: str) -> None:
    begun = time.process_time()
    for path in ("a" * 4096, "a/" * 2048):
        matches(pattern, path)
    assert time.process_time() - begun < 5.0


def test_more_choices_than_the_limit_are_literal() -> None:
    sixty_four = ",".join(map(str, range(64)))
    assert matches(f"{{{sixty_four}}}", "63")
    assert not matches(f"{{{sixty_four},64}}", "63")
    assert matches(f"{{{sixty_four},64}}", f"{{{sixty_four},64}}")


def test_too_long_a_pattern_is_literal() -> None:
    assert matches("*" * 1000, "a")
    assert not matches("*" * 1001, "a")
    assert matches("*" * 1001, "*" * 1001)
