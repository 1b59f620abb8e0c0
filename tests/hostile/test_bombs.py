"""Reports that blow up: each meets a bound, soon and within memory, and the bound is told of."""

from __future__ import annotations

import json
import os
import resource
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bot.domain.diff import Diff
from bot.domain.findings import AgentResult, Outcome
from bot.errors import ToolFailed
from tests.builders import agent_plan, finding
from tests.workers.stage import Stage
from tests.workers.tools.recordings import reader
from workers.registry import AGENTS, FORMATS
from workers.results import settle
from workers.sandbox.bubblewrap import BubblewrapSandbox
from workers.sandbox.choice import choose
from workers.sandbox.limits import Limits
from workers.tools import junit

PATH = os.environ["PATH"]
WHY_NOT = choose("auto", PATH).why_not
needs_sandbox = pytest.mark.skipif(bool(WHY_NOT), reason=f"no sandbox here: {WHY_NOT}")


@contextmanager
def soon(seconds: float = 10.0, megabytes: int = 600) -> Iterator[None]:
    """Ends within that much processor time, and takes no more memory than that on top of what there was."""
    before, begun = _peak(), time.process_time()
    yield
    assert time.process_time() - begun < seconds
    assert _peak() - before < megabytes * 1024


def _peak() -> int:
    """Kilobytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
LAUGHTER = f'<!DOCTYPE a [<!ENTITY l0 "ha">{LAUGHS}]><testsuites><testsuite name="&l9;"/></testsuites>'
OUTSIDE = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><testsuites><testsuite name="&x;"/></testsuites>'
DEEP = "<testsuite>" * 100_000 + "</testsuite>" * 100_000


@pytest.mark.parametrize("text", [LAUGHTER, OUTSIDE, DEEP], ids=["entities", "external entity", "depth"])
@pytest.mark.parametrize("name", ["junit", "checkstyle"])
def test_xml(name: str, text: str) -> None:
    with soon(), pytest.raises(ToolFailed, match="wrote no XML that can be read|nested more than 100 levels"):
        FORMATS[name](text, reader({}))


@pytest.mark.parametrize("name", ["sarif", "rdjson"])
@pytest.mark.parametrize(
    "text", ["[" * 5_000_000, '{"runs":' * 100_000, "9" * 100_000], ids=["lists", "mappings", "digits"]
)
def test_json(name: str, text: str) -> None:
    with soon(), pytest.raises(ToolFailed, match="printed"):
        FORMATS[name](text, reader({}))


def test_junit_with_very_many_tests() -> None:
    text = "<testsuite>" + '<testcase name="t"/>' * 200_000 + "</testsuite>"
    with soon(10, 600):
        assert len(junit.parse(text)) == 200_000


def test_sarif_with_very_many_results_tells_how_many_are_left_out(tmp_path: Path) -> None:
    result = {"ruleId": "x", "message": {"text": "m"}, "locations": []}
    text = json.dumps({"runs": [{"tool": {"driver": {"name": "t"}}, "results": [result] * 120_000}]})
    with soon(30, 1_500):
        found = FORMATS["sarif"](text, reader({}))
        said = AgentResult(outcome=Outcome.FINDINGS, findings=tuple(found))
        settled = settle(said, agent_plan("lint"), Diff(), tmp_path, str)
    assert len(settled.findings) == 100_000
    assert settled.not_covered[0].why.startswith("20,000 more findings are left out")


def test_a_finding_with_very_long_words_is_cut(tmp_path: Path) -> None:
    long = finding(message="m" * 10_000_000, rule="r" * 1_000_000, evidence="e" * 10_000_000)
    with soon():
        settled = settle(
            AgentResult(outcome=Outcome.FINDINGS, findings=(long,)), agent_plan("lint"), Diff(), tmp_path, str
        )
    assert len(settled.model_dump_json()) < 50_000


# -- archives


@needs_sandbox
def test_an_archive_that_a_set_up_unpacks(tmp_path: Path) -> None:
    """300 MB in 300 kB. What is on the disk is looked at once a second."""
    archive = tmp_path / "head" / "a.zip"
    archive.parent.mkdir()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened, opened.open("a", "w") as file:
        for _ in range(300):
            file.write(bytes(2**20))
    assert archive.stat().st_size < 400_000
    sandbox = BubblewrapSandbox(PATH, limits=Limits(disk=100 * 2**20))
    settings = {"setup": "python3 -m zipfile -e a.zip out && sleep 30", "run": "true"}
    with pytest.raises(ToolFailed, match="it left more than 0 GB, or 2,000,000 files, on the disk"):
        Stage(tmp_path, {"a.txt": ""}, settings=settings, sandbox=sandbox).run(AGENTS["test"]())
