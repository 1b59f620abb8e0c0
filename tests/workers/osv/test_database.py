"""OSV's export, in zip files as it comes."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import pytest

from bot.errors import Misconfigured
from workers.osv.database import OsvDatabase

from .server import JINJA, LODASH


def export(folder: Path, name: str, *records: object) -> Path:
    path = folder / name / "all.zip"
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, record in enumerate(records):
            archive.writestr(f"{number}.json", record if isinstance(record, str) else json.dumps(record))
    return path


def test_finds_by_package_and_says_what_it_does_not_know(tmp_path: Path) -> None:
    export(
        tmp_path / "osv", "npm", LODASH, {**LODASH, "id": "GHSA-gone", "withdrawn": "2024-01-01T00:00:00Z"}, "{", "[]"
    )
    export(tmp_path / "osv", "PyPI", JINJA)
    database = OsvDatabase(tmp_path / "osv", tmp_path / "work")
    found = database.find([("npm", "lodash", "9"), ("npm", "x", "1"), ("PyPI", "Jinja2", "2.10"), ("Go", "a.b/c", "1")])
    assert found == [[(LODASH["id"], LODASH["modified"])], [], [(JINJA["id"], JINJA["modified"])], None]
    assert database.records([LODASH["id"], "GHSA-unknown"]) == {LODASH["id"]: LODASH}
    assert database.version == "2024-09-13"


def test_one_file_and_loose_records(tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "a.json").write_text(json.dumps(LODASH))
    sources = (export(tmp_path, "npm", LODASH), tmp_path / "records")
    for number, source in enumerate(sources):
        assert OsvDatabase(source, tmp_path / f"work{number}").find([("npm", "lodash", "1")])[0]


def test_is_read_once_and_anew_when_it_changes(tmp_path: Path) -> None:
    path = export(tmp_path / "osv", "npm", LODASH)
    assert OsvDatabase(path, tmp_path).find([("npm", "lodash", "1")])[0]
    (index,) = (tmp_path / "osv").glob("*.sqlite")
    made = index.stat().st_mtime_ns
    assert OsvDatabase(path, tmp_path).find([("npm", "lodash", "1")])[0]
    assert index.stat().st_mtime_ns == made
    export(tmp_path / "osv", "npm", JINJA)
    os.utime(path, (1, 1))
    assert OsvDatabase(path, tmp_path).find([("npm", "lodash", "1")]) == [None]
    assert len(list((tmp_path / "osv").glob("*.sqlite"))) == 1


@pytest.mark.parametrize("name", ["missing", "empty", "broken.zip"])
def test_what_is_no_export_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.zip").write_text("no zip")
    with pytest.raises(Misconfigured, match="ASSAY_OSV_DATABASE"):
        OsvDatabase(tmp_path / name, tmp_path / "work").find([("npm", "lodash", "1")])
