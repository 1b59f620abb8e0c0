"""The parsers of the web's linters, on recorded output."""

from __future__ import annotations

import json

import pytest

from bot.domain.findings import NotCovered, Severity
from bot.errors import ToolFailed
from workers.tools import biome, eslint, eslint_security, markdownlint, oxlint, stylelint, tsc

from .recordings import output, reader, recorded

SCRIPT = 'let total = 1;\nif (total == 2) {\n  debugger;\n}\nconst s = "😀"; let é = 2; if (!!total) eval(s + é);\n'
SOURCES = {"src/a.js": SCRIPT, "src/bad.js": "let x = ;\n"}


def test_eslint_levels_syntax_and_fixes() -> None:
    reading = eslint.parse(output(recorded("eslint.json"), sources=SOURCES, config="eslint.config.mjs"))
    assert {(f.rule, f.path, f.start_line, f.severity, f.replacement) for f in reading.findings} == {
        ("prefer-const", "/checkout/src/a.js", 1, Severity.MEDIUM, "const total = 1;"),
        ("prefer-const", "/checkout/src/a.js", 5, Severity.MEDIUM, SCRIPT.split("\n")[4].replace("let", "const")),
        ("no-extra-boolean-cast", "/checkout/src/a.js", 5, Severity.MEDIUM, SCRIPT.split("\n")[4].replace("!!", "")),
        ("security/detect-eval-with-expression", "/checkout/src/a.js", 5, Severity.LOW, None),
        ("syntax", "/checkout/src/bad.js", 1, Severity.HIGH, None),
    }
    assert [(one.what, one.why[:30]) for one in reading.excluded] == [
        ("/checkout/gen/b.js", "eslint: File ignored because o"),
        ("/checkout/src/c.ts", "eslint: File ignored because n"),
    ]
    assert next(f.url for f in reading.findings) == "https://eslint.org/docs/latest/rules/prefer-const"


def test_eslint_report_stands_below_what_its_configuration_prints() -> None:
    said = output(f"WARNING: an old parser\n[x]\n{recorded('eslint.json')}", sources=SOURCES)
    assert len(eslint.parse(said).findings) == 5


def test_eslint_fix_of_a_file_with_a_byte_order_mark_is_none() -> None:
    findings = eslint.parse(output(recorded("eslint.json"), sources={"src/a.js": "\ufeff" + SCRIPT})).findings
    assert {f.replacement for f in findings} == {None}


@pytest.mark.parametrize(("path", "excluded"), [("/checkout/a.ts", 1), ("/checkout/a.js", 0)])
def test_eslint_by_an_old_configuration_may_not_be_meant_for_a_file(path: str, excluded: int) -> None:
    """It reads what is named as JavaScript, whatever it is."""
    said = [{"filePath": path, "messages": [{"fatal": True, "severity": 2, "message": "Parsing error", "line": 1}]}]
    reading = eslint.parse(output(json.dumps(said), config=".eslintrc.json"))
    assert (len(reading.excluded), len(reading.findings)) == (excluded, 1 - excluded)


def test_eslint_security_weighs_guesses_and_names_weaknesses() -> None:
    reading = eslint_security.parse(output(recorded("eslint-security.json"), config="eslint.config.mjs"))
    assert {(f.tool, f.rule, f.start_line, f.severity, f.cwe) for f in reading.findings} == {
        ("eslint-security", "security/detect-child-process", 4, Severity.MEDIUM, 78),
        ("eslint-security", "security/detect-eval-with-expression", 5, Severity.HIGH, 95),
        ("eslint-security", "security/detect-object-injection", 6, Severity.LOW, 1321),
    }
    assert [one.what for one in reading.unread] == ["/checkout/src/bad.js"]


def test_biome_levels_syntax_and_formats() -> None:
    reading = biome.parse(output(recorded("biome.json"), sources=SOURCES))
    found = {(f.rule, f.path, f.start_line, f.severity) for f in reading.findings}
    assert found >= {
        ("lint/suspicious/noDoubleEquals", "src/a.js", 2, Severity.MEDIUM),
        ("lint/style/useConst", "src/a.js", 5, Severity.LOW),
        ("lint/complexity/noExtraBooleanCast", "src/a.js", 5, Severity.INFO),
        ("parse", "src/bad.js", 1, Severity.HIGH),
        ("format", "src/a.js", None, Severity.LOW),
    }
    assert ("format", "src/bad.js") not in {(rule, path) for rule, path, _, _ in found}
    assert {f.url for f in reading.findings if f.rule.endswith("noDoubleEquals")} == {
        "https://biomejs.dev/linter/rules/no-double-equals/"
    }


def test_biome_before_it_left_them_out_told_safe_fixes_as_diffs() -> None:
    findings = biome.parse(output(recorded("biome.1.json"), sources=SOURCES)).findings
    fixes = {(f.rule, f.start_line, f.start_column): f.replacement for f in findings}
    assert fixes["lint/style/useConst", 1, 1] == "const total = 1;"
    assert fixes["lint/style/useConst", 5, 16] == SCRIPT.split("\n")[4].replace("let", "const")
    assert fixes["lint/suspicious/noDoubleEquals", 2, 11] is None
    other = biome.parse(output(recorded("biome.1.json"), sources={"src/a.js": f"// moved\n{SCRIPT}"})).findings
    assert {f.replacement for f in other} == {None}


def test_biome_what_is_too_large_for_it_was_not_read() -> None:
    said = {"category": "check", "severity": "warning", "message": "too large", "location": {"path": "a.js"}}
    report = {"summary": {"changed": 0, "unchanged": 0}, "diagnostics": [said]}
    reading = biome.parse(output(json.dumps(report), exit_code=0, files=["./a.js"]))
    assert ([one.what for one in reading.unread], list(reading.findings)) == (["a.js"], [])


@pytest.mark.parametrize(
    ("name", "read"), [("biome.list.txt", ["src/a b.js", "src/y.js"]), ("biome.1.list.txt", ["./src/y.js"])]
)
def test_biome_names_the_files_that_it_reads(name: str, read: list[str]) -> None:
    assert biome.listed(output(recorded(name))) == read
    with pytest.raises(ToolFailed, match="biome does not tell which files it reads"):
        biome.listed(output("Checked 1 file in 2ms."))


def test_biome_that_fails_without_a_word_has_not_passed() -> None:
    report = {"summary": {"changed": 0, "unchanged": 0}, "diagnostics": []}
    with pytest.raises(ToolFailed, match="biome failed"):
        biome.parse(output(json.dumps(report), exit_code=1, files=["./a.js"]))


def test_oxlint_counts_columns_in_characters() -> None:
    findings = oxlint.parse(output(recorded("oxlint.json"), sources=SOURCES)).findings
    assert {(f.rule, f.path, f.start_line, f.start_column, f.end_column, f.severity) for f in findings} == {
        ("eslint(eqeqeq)", "src/a.js", 2, 11, 13, Severity.LOW),
        ("eslint(no-debugger)", "src/a.js", 3, 3, 12, Severity.MEDIUM),
        ("eslint(no-extra-boolean-cast)", "src/a.js", 5, 31, 38, Severity.LOW),
        ("eslint(no-eval)", "src/a.js", 5, 40, 44, Severity.LOW),
        ("syntax", "src/bad.js", 1, 9, 10, Severity.HIGH),
    }
    assert all(f.url and f.advice for f in findings if f.rule != "syntax")


@pytest.mark.parametrize(("version", "exit_code"), [("1.58.0", 0), ("1.60.0", 1)])
def test_oxlint_that_read_none_of_the_files_says_so(version: str, exit_code: int) -> None:
    said = output(recorded(f"oxlint-{version}-none.txt"), exit_code=exit_code, files=["./src/a.ts"])
    assert oxlint.parse(said).excluded == [NotCovered(what="./src/a.ts", why="oxlint: ignored")]


def test_oxlint_that_fails_without_a_finding_has_not_passed() -> None:
    with pytest.raises(ToolFailed, match="oxlint failed"):
        oxlint.parse(output('{ "diagnostics": [],\n "number_of_files": 1}', exit_code=1, files=["./a.js"]))


def test_oxlint_is_given_only_options_that_its_first_version_knew() -> None:
    assert oxlint.argv(["./a.js"], None) == ["oxlint", "--format=json", "--", "./a.js"]


def test_oxlint_whose_configuration_is_wrong_has_failed() -> None:
    with pytest.raises(ToolFailed, match="Plugin 'nope' not found"):
        oxlint.parse(output("Failed to parse oxlint configuration file.\n\n  x Plugin 'nope' not found\n"))


TYPED = {"./src/b.ts", "./src/c.ts", "./src/d.ts", "./src/e.ts"}


def test_tsc_levels_places_and_what_is_in_no_project() -> None:
    reading = tsc.parse(output(recorded("tsc.txt"), exit_code=2, files=sorted(TYPED)))
    assert {(f.rule, f.path, f.start_line, f.start_column, f.severity) for f in reading.findings} == {
        ("TS6133", "src/c.ts", 1, 8, Severity.MEDIUM),
        ("TS6133", "src/c.ts", 2, 8, Severity.MEDIUM),
        ("TS2307", "src/c.ts", 2, 15, Severity.HIGH),
        ("TS2322", "src/c.ts", 3, 7, Severity.HIGH),
        ("TS2339", "src/c.ts", 4, 41, Severity.HIGH),
        ("TS2352", "src/c.ts", 5, 6, Severity.HIGH),
    }
    assert [(one.what, one.why) for one in reading.excluded] == [
        ("src/d.ts", "tsc: no project has it"),
        ("src/e.ts", "tsc: no project has it"),
    ]
    assert any("Property 'b' is missing" in f.message for f in reading.findings)
    assert reading.unread == []


def test_tsc_a_package_that_is_not_installed_is_no_mistake() -> None:
    said = output(recorded("tsc.txt"), files=["./src/c.ts"], sources={"package.json": '{"left-pad": "1"}'})
    reading = tsc.parse(said)
    assert "TS2307" not in {f.rule for f in reading.findings}
    assert [one.what for one in reading.unread] == ["src/c.ts"]


def test_tsc_looks_at_no_types_while_something_is_no_typescript() -> None:
    """Not at those of any file, whichever one is broken."""
    reading = tsc.parse(output(recorded("tsc.syntax.txt"), files=["./src/c.ts", "./src/d.ts"]))
    assert [(f.rule, f.path, f.severity) for f in reading.findings] == [("TS1109", "src/d.ts", Severity.HIGH)]
    assert [(one.what, one.why) for one in reading.unread] == [
        ("src/c.ts", "tsc: its types wait for src/d.ts (Expression expected.)")
    ]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("tsconfig.json(1,21): error TS5023: Unknown compiler option 'nope'.\n", "Unknown compiler option"),
        ("error TS5094: Compiler option '--noEmit' may not be used with '--build'.\n", "may not be used"),
        ("", "it said nothing"),
    ],
)
def test_tsc_that_looked_at_nothing_has_failed(said: str, words: str) -> None:
    with pytest.raises(ToolFailed, match=words):
        tsc.parse(output(said, files=["./a.ts"]))


def test_tsc_a_project_without_files_has_none_of_these() -> None:
    said = "error TS18003: No inputs were found in config file '/checkout/tsconfig.json'.\n"
    reading = tsc.parse(output(said, exit_code=2, files=["./a.ts"]))
    assert ([one.what for one in reading.excluded], list(reading.findings), reading.unread) == (["a.ts"], [], [])


def test_tsc_names_folders_with_brackets() -> None:
    said = "app/(shop)/page.tsx(3,7): error TS2322: Type '(1,2): error' is wrong.\n/checkout/app/(shop)/page.tsx\n"
    [finding] = tsc.parse(output(said, files=["./app/(shop)/page.tsx"])).findings
    assert (finding.path, finding.start_line) == ("app/(shop)/page.tsx", 3)


@pytest.mark.parametrize(("config", "mode"), [('{"references": [{"path": "a"}]}', "--build"), ("{}", "--project")])
def test_tsc_follows_what_a_project_refers_to(config: str, mode: str) -> None:
    assert tsc.options(reader({"tsconfig.json": config}), "")[0] == mode


CSS = "a { color: #FFF; colr: red; }\na { top: 0px }\n"
STYLES = ["./src/a.css", "./src/bad.css", "./src/a.scss", "./gen/a.css", "./gen/b.css"]


def test_stylelint_levels_fixes_and_what_is_ignored() -> None:
    said = output("", recorded("stylelint.json"), 2, files=STYLES, sources={"src/a.css": CSS})
    reading = stylelint.parse(said)
    assert {(f.rule, f.path, f.start_line, f.severity, f.replacement) for f in reading.findings} == {
        ("color-hex-length", "src/a.css", 1, Severity.MEDIUM, "a { color: #FFFFFF; colr: red; }"),
        ("length-zero-no-unit", "src/a.css", 2, Severity.LOW, "a { top: 0 }"),
        ("property-no-unknown", "src/a.css", 1, Severity.MEDIUM, None),
        ("CssSyntaxError", "src/bad.css", 1, Severity.HIGH, None),
    }
    assert {f.message for f in reading.findings} >= {"Unclosed block", 'Expected "#FFF" to be "#FFFFFF"'}
    assert sorted((one.what, one.why) for one in reading.excluded) == [
        ("gen/a.css", "stylelint: ignored"),
        ("gen/b.css", "stylelint: ignored"),
        ("src/a.scss", "stylelint: Unknown word // (CssSyntaxError)"),
    ]


def test_stylelint_before_16_printed_to_standard_output() -> None:
    assert stylelint.parse(output(recorded("stylelint.json"), exit_code=2, files=STYLES)).findings


def test_stylelint_whose_rules_are_misconfigured_has_failed() -> None:
    fault = json.dumps([{"source": "/a.css", "invalidOptionWarnings": [{"text": "Invalid option value"}]}])
    with pytest.raises(ToolFailed, match="Invalid option value"):
        stylelint.parse(output("", fault, 2, files=["./a.css"]))


@pytest.mark.parametrize(
    ("version", "told"), [("^17.1.0", True), (">=18.0.0", True), ("^16.26.0", False), ("*", False)]
)
def test_stylelint_is_asked_for_its_fixes_where_it_knows_the_option(version: str, told: bool) -> None:
    about = json.dumps({"devDependencies": {"stylelint": version}})
    assert bool(stylelint.options(reader({"package.json": about}), "web")) is told


def test_markdownlint_levels_and_places() -> None:
    said = recorded("markdownlint-cli2.stderr") + "README.md:2 MD001/heading-increment Heading levels\n"
    findings = markdownlint.parse(output("", said, files=["./src/[x].md"])).findings
    assert {(f.rule, f.path, f.start_line, f.start_column) for f in findings} == {
        ("MD018/no-missing-space-atx", "src/[x].md", 1, 1),
        ("MD041/first-line-heading/first-line-h1", "src/[x].md", 1, None),
        ("MD009/no-trailing-spaces", "src/[x].md", 4, 9),
        ("MD012/no-multiple-blanks", "src/[x].md", 6, None),
        ("MD012/no-multiple-blanks", "src/[x].md", 7, None),
    }
    assert {f.severity for f in findings} == {Severity.MEDIUM}
    assert findings[0].url == "https://github.com/DavidAnson/markdownlint/blob/main/doc/md018.md"
    warned = recorded("markdownlint-cli2.stderr").replace(" error ", " warning ")
    assert {f.severity for f in markdownlint.parse(output("", warned, 0, ["./src/[x].md"])).findings} == {Severity.LOW}


@pytest.mark.parametrize(("summary", "exit_code"), [("", 1), ("Summary: 3 issues in 1 file\n", 0)])
def test_markdownlint_that_says_it_in_another_way_is_not_clean(summary: str, exit_code: int) -> None:
    with pytest.raises(ToolFailed, match="markdownlint-cli2 failed"):
        markdownlint.parse(output(summary, "", exit_code, files=["./a.md"]))
