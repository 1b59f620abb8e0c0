"""The parsers of the linters of Go and Rust, on recorded output."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.findings import Severity
from bot.errors import ToolFailed
from workers.tools import clippy, gofmt, govet, reformat, rustfmt

from .recordings import output, reader, recorded

GO = """\
package shop

import "fmt"

func   Total(prices []int) int {
	sum := 0
	for _, price := range prices {
	sum += price
	}
"""
RUST = """\
mod cart;

pub fn   total(prices: &Vec<u32>) -> u32 {
    let unused = 1;
    let mut sum = 0;
    for i in 0..prices.len() {
        sum += prices[i];
    }
    return sum;
}
"""
MANIFEST = '[package]\nname = "shop"\nversion = "0.1.0"\nedition = "2021"\n'
LINES = st.lists(st.sampled_from(["a", "b", "", "\tc"]), max_size=8)


def test_gofmt_says_line_by_line_what_it_would_write() -> None:
    said = output(recorded("gofmt.txt"), recorded("gofmt.stderr"), exit_code=2, sources={"total.go": GO})
    findings = gofmt.parse(said).findings
    assert {(f.rule, f.path, f.start_line, f.replacement) for f in findings} >= {
        ("format", "./total.go", 5, "func Total(prices []int) int {"),
        ("format", "./total.go", 8, "\t\tsum += price"),
        ("syntax", "./bad/bad.go", 3, None),
    }
    assert {f.severity for f in findings if f.rule == "syntax"} == {Severity.HIGH}


def test_govet_names_the_analyzer_and_what_does_not_compile() -> None:
    findings = govet.parse(output("", recorded("govet.stderr"), 2, files=["./total.go", "./bad/bad.go"])).findings
    assert {(f.rule, f.path, f.start_line, f.severity) for f in findings} == {
        ("printf", "total.go", 10, Severity.MEDIUM),
        ("assign", "total.go", 15, Severity.MEDIUM),
        ("compile", "bad/bad.go", 3, Severity.HIGH),
    }


def test_govet_of_newer_versions_prints_to_standard_output() -> None:
    assert govet.parse(output(recorded("govet.stderr"), "", 0, files=["./total.go"])).findings


def test_govet_modules_that_are_not_there_are_a_gap_and_no_finding() -> None:
    words = "total.go:3:8: no required module provides package example.com/x; to add it:\n\tgo get example.com/x\n"
    reading = govet.parse(output("", words, 1, files=["./total.go"]))
    assert (list(reading.findings), [gap.what for gap in reading.unread]) == ([], ["total.go"])


def test_govet_that_cannot_load_one_package_has_looked_at_none() -> None:
    """Real words of go 1.19 for two packages, of which one asks for a module that is not there."""
    words = "b/b.go:3:8: no required module provides package example.com/x; to add it:\n\tgo get example.com/x\n"
    reading = govet.parse(output("", words, 1, files=["./a/a.go", "./b/b.go"]))
    why = "go vet looked at no package: b/b.go:3:8: no required module provides package example.com/x; to add it:"
    assert [(gap.what, gap.why) for gap in reading.unread] == [
        ("b/b.go", "go vet: no required module provides package example.com/x; to add it:"),
        ("a/a.go", why),
    ]


def test_rustfmt_reads_every_file_once() -> None:
    files = ["./src/lib.rs", "./src/cart.rs"]
    said = output(
        recorded("rustfmt.txt"), files=files, sources={"src/lib.rs": RUST, "src/cart.rs": "pub fn a()->u32{1}"}
    )
    assert {(f.path, f.start_line, f.replacement) for f in rustfmt.parse(said).findings} == {
        ("src/cart.rs", 1, "pub fn a() -> u32 {\n    1\n}"),
        ("src/lib.rs", 3, "pub fn total(prices: &Vec<u32>) -> u32 {"),
    }


def test_rustfmt_that_would_end_lines_otherwise_has_found_something() -> None:
    """Real words of rustfmt 1.9 with `newline_style = "Unix"`."""
    words = "Incorrect newline style in /checkout/src/lib.rs\n"
    [finding] = rustfmt.parse(output(words, files=["./src/lib.rs"])).findings
    assert (finding.path, finding.start_line, finding.rule, finding.replacement) == ("src/lib.rs", 1, "format", None)


def test_rustfmt_keeps_the_ends_of_windows() -> None:
    """It tells of the lines as if they ended like others."""
    said = output(
        "Diff in /checkout/a.rs:1:\n-fn  a() {}\n+fn a() {}\n \n",
        files=["./a.rs"],
        sources={"a.rs": "fn  a() {}\r\nfn b() {}\r\n"},
    )
    assert [one.replacement for one in rustfmt.parse(said).findings] == ["fn a() {}"]


def test_gofmt_says_that_it_takes_out_carriage_returns() -> None:
    diff = "diff a.go.orig a.go\n--- a.go.orig\n+++ a.go\n@@ -1,1 +1,1 @@\n-package a\r\n+package a\n"
    [finding] = gofmt.parse(output(diff, exit_code=0, sources={"a.go": "package a\r\n"})).findings
    assert finding.replacement is None
    assert "carriage return" in finding.message


def test_rustfmt_what_is_no_rust_is_a_finding_and_a_module_beside_it_none() -> None:
    [finding] = rustfmt.parse(output("", recorded("rustfmt.stderr"), files=["./src/bad.rs"])).findings
    assert (finding.path, finding.start_line, finding.severity) == ("src/bad.rs", 1, Severity.HIGH)
    with pytest.raises(ToolFailed, match="unclosed delimiter"):
        rustfmt.parse(output("", recorded("rustfmt.stderr"), files=["./src/lib.rs"]))


@pytest.mark.parametrize(
    ("manifest", "edition"),
    [(MANIFEST, "2021"), ("[package]\nedition.workspace = true\n", "2021"), ("[package]\n", "2015"), ("]", "2015")],
)
def test_rustfmt_is_told_the_edition(manifest: str, edition: str) -> None:
    assert rustfmt.options(reader({"Cargo.toml": manifest}), "") == [f"--edition={edition}"]


@pytest.mark.parametrize("folder", ["", "crates/cli"])
def test_rustfmt_is_told_the_edition_of_the_workspace(folder: str) -> None:
    """By another one, what is new in the language is no Rust."""
    workspace = '[workspace.package]\nedition = "2024"\n[package]\nedition.workspace = true\n'
    member = "[package]\nedition.workspace = true\n"
    files = {"Cargo.toml": workspace, "crates/cli/Cargo.toml": member}
    assert rustfmt.options(reader(files), folder) == ["--edition=2024"]


def test_clippy_advice_warnings_and_fixes() -> None:
    sources = {"src/lib.rs": RUST, "Cargo.toml": MANIFEST}
    said = output(recorded("clippy.json"), exit_code=0, files=["./src/lib.rs"], sources=sources)
    findings = {f.rule: f for f in clippy.parse(said).findings}
    assert {(rule, f.start_line, f.severity) for rule, f in findings.items()} >= {
        ("clippy::needless_return", 9, Severity.LOW),
        ("unused_variables", 4, Severity.MEDIUM),
    }
    assert findings["clippy::needless_return"].replacement == "    sum"
    assert findings["clippy::needless_return"].url is not None


def test_clippy_names_files_from_the_workspace_and_means_the_package() -> None:
    text = recorded("clippy.json").replace("/checkout/Cargo.toml", "/checkout/crates/shop/Cargo.toml")
    text = text.replace('"file_name":"src/', '"file_name":"crates/shop/src/')
    sources = {"src/lib.rs": RUST, "Cargo.toml": MANIFEST}
    findings = clippy.parse(output(text, exit_code=0, files=["./src/lib.rs"], sources=sources)).findings
    assert {f.path for f in findings} == {"src/lib.rs"}
    other = {"Cargo.toml": MANIFEST.replace("shop", "other")}
    assert list(clippy.parse(output(text, exit_code=0, files=["./src/lib.rs"], sources=other)).findings) == []


def test_clippy_that_could_not_build_says_so() -> None:
    with pytest.raises(ToolFailed, match="clippy failed: error: no matching package"):
        clippy.parse(output("", "error: no matching package named `serde` found", 101))


@given(LINES, LINES, st.integers(1, 5))
def test_fixes_of_a_formatter_say_what_its_diff_says(old: list[str], new: list[str], first: int) -> None:
    """A hunk of some lines before, some taken and some put in their place, and one after."""
    lines = [*["before"] * first, *old, "after"]
    hunk = [" before", *(f"-{one}" for one in old), *(f"+{one}" for one in new), " after"]
    read = reader({"a": "\n".join(lines) + "\n"})
    for finding in reformat.findings("fmt", "a", list(reformat.edits(first, hunk)), read):
        start, end = finding.start_line or 0, finding.last_line or 0
        assert first <= start <= end <= len(lines)
        if finding.replacement is not None:
            middle = finding.replacement.split("\n") if finding.replacement else []
            assert [*lines[: start - 1], *middle, *lines[end:]] == [*["before"] * first, *new, "after"]
