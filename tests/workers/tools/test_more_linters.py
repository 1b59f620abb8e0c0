"""The parsers of the linters of C, SQL, TOML and of spelling, on recorded output."""

from __future__ import annotations

import pytest

from bot.domain.findings import Severity
from bot.errors import ToolFailed
from workers.tools import clang_format, cppcheck, sqlfluff, taplo, toml, typos

from .recordings import output, recorded


def test_cppcheck_levels_weaknesses_and_places() -> None:
    findings = cppcheck.parse(output("", recorded("cppcheck.xml"), 0, files=["./a.c", "./b.c"])).findings
    assert {(f.rule, f.path, f.start_line, f.severity, f.cwe) for f in findings} == {
        ("arrayIndexOutOfBounds", "a.c", 5, Severity.HIGH, 788),
        ("memleak", "a.c", 7, Severity.HIGH, 401),
        ("syntaxError", "b.c", 1, Severity.HIGH, None),
    }


def test_cppcheck_says_nothing_of_files_that_were_not_asked_for() -> None:
    [finding] = cppcheck.parse(output("", recorded("cppcheck.xml"), 0, files=["./b.c"])).findings
    assert finding.path == "b.c"


def test_cppcheck_goes_no_further_than_a_macro_that_it_does_not_know() -> None:
    """What comes after it in the file it does not say, either."""
    reading = cppcheck.parse(output("", recorded("cppcheck.macro.xml"), 0, files=["./macro.c"]))
    assert list(reading.findings) == []
    [gap] = reading.excluded
    assert gap.what == "macro.c"
    assert gap.why.startswith("cppcheck: There is an unknown macro here somewhere. Configuration is required.")


def test_cppcheck_without_a_report_has_failed() -> None:
    with pytest.raises(ToolFailed, match="cppcheck printed no report: cppcheck: error: could not find"):
        cppcheck.parse(output("cppcheck: error: could not find or open any of the paths given.", exit_code=0))


def test_clang_format_says_once_a_line_that_it_differs() -> None:
    [finding] = clang_format.parse(output("", recorded("clang-format.stderr") * 2, 0)).findings
    assert (finding.path, finding.start_line, finding.severity) == ("./a.c", 7, Severity.LOW)


def test_clang_format_whose_configuration_is_wrong_has_failed() -> None:
    with pytest.raises(ToolFailed, match="Invalid argument"):
        clang_format.parse(output("", "Error reading ./.clang-format: Invalid argument", 1))


def test_sqlfluff_tells_broken_from_untidy_and_offers_fixes() -> None:
    sources = {"a.sql": "select a,b from t where\n", "b.sql": "SELECT  a from t\n"}
    findings = sqlfluff.parse(output(recorded("sqlfluff.json"), sources=sources)).findings
    assert {(f.rule, f.path, f.start_line, f.severity) for f in findings} >= {
        ("PRS", "a.sql", 1, Severity.HIGH),
        ("LT01", "b.sql", 1, Severity.MEDIUM),
    }
    fixes = {(f.rule, f.path): f.replacement for f in findings}
    assert fixes["LT01", "b.sql"] == "SELECT a from t"
    assert fixes["CP01", "b.sql"] == "SELECT  a FROM t"
    assert fixes["LT01", "a.sql"] == "select a, b from t where"


def test_typos_columns_are_counted_in_bytes() -> None:
    sources = {"a.md": "é teh thign is recieve\n\ttrodution\n", "b.py": 'x = "nd teh"\n'}
    findings = typos.parse(output(recorded("typos.json"), exit_code=2, sources=sources)).findings
    assert {(f.path, f.start_line, f.replacement) for f in findings} >= {
        ("./a.md", 1, "é the thign is recieve"),
        ("./a.md", 1, "é teh thing is recieve"),
        ("./b.py", 1, 'x = "nd the"'),
    }
    assert findings[0].message == '"teh" is no word; the is meant.'


def test_typos_fix_that_does_not_fit_the_file_is_none() -> None:
    findings = typos.parse(output(recorded("typos.json"), exit_code=2, sources={"a.md": "é other words\n"})).findings
    assert {f.replacement for f in findings} == {None}


def test_toml_places_and_the_end_of_a_document() -> None:
    sources = {"d.toml": "a = [1,\n"}
    findings = toml.parse(output(recorded("toml.json"), exit_code=0, sources=sources)).findings
    assert [(f.path, f.start_line, f.message) for f in findings] == [
        ("./a.toml", 1, "Invalid value"),
        ("./b.toml", 1, "Expected ']' at the end of a table declaration"),
        ("./d.toml", 1, "Invalid value"),
    ]


CONF = {"conf/a.toml": 'port = "x"\nother = 1\n\n[deep]\na = 1\n'}


def test_taplo_tells_once_what_a_schema_does_not_allow_where_it_stands() -> None:
    files = ["./conf/a.toml", "./gen/b.toml", "./c.toml", "./far.toml", "./[id].toml", "./near.toml"]
    reading = taplo.parse(output("", recorded("taplo.stderr"), files=files, sources=CONF))
    assert [(f.rule, f.path, f.start_line, f.severity) for f in reading.findings] == [
        ("schema", "conf/a.toml", 1, Severity.MEDIUM),
        ("schema", "conf/a.toml", 1, Severity.MEDIUM),
        ("schema", "conf/a.toml", 2, Severity.MEDIUM),
        ("schema", "conf/a.toml", 4, Severity.MEDIUM),
        ("syntax", "c.toml", 3, Severity.HIGH),
        ("duplicate-key", "[id].toml", 2, Severity.HIGH),
    ]
    assert reading.findings[4].message == "invalid TOML: expected value"
    assert [(gap.what, gap.why) for gap in reading.unread] == [
        ("near.toml", "taplo: failed to load schema file:///checkout/none.json")
    ]
    assert reading.left_out == {"a schema that only the network has": 1}


def test_taplo_says_nothing_of_files_that_were_not_asked_for() -> None:
    findings = taplo.parse(output("", recorded("taplo.stderr"), files=["./c.toml"])).findings
    assert {one.path for one in findings} == {"c.toml"}


@pytest.mark.parametrize(
    ("said", "code"), [(" WARN invalid configuration file error=TOML parse error", 0), ("thread 'main' panicked", 1)]
)
def test_taplo_that_did_not_do_its_work_has_failed(said: str, code: int) -> None:
    with pytest.raises(ToolFailed, match="taplo .*(parse error|panicked)"):
        taplo.parse(output("", said, code, files=["./a.toml"]))
