"""The parsers of the web's linters, on recorded output."""

from __future__ import annotations

import json

import pytest

from bot.domain.findings import Severity
from bot.errors import ToolFailed
from workers.tools import biome, eslint

from .recordings import output, recorded

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


def test_biome_that_read_none_of_the_files_says_so() -> None:
    report = {"summary": {"changed": 0, "unchanged": 0}, "diagnostics": []}
    reading = biome.parse(output(json.dumps(report), exit_code=0, files=["./a.js"]))
    assert [one.what for one in reading.excluded] == ["./a.js"]
    with pytest.raises(ToolFailed, match="biome failed"):
        biome.parse(output(json.dumps(report), exit_code=1, files=["./a.js"]))
