"""trivy: misconfigured infrastructure, where it is installed. https://trivy.dev/

Only its checks of configuration, those that come with it: no database is fetched. Its SARIF has a CVSS-like score for
each rule; what it could not read it tells in its log only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from bot.domain.findings import Finding, NotCovered
from workers.agent import Output, Reading
from workers.tools import iac, sarif
from workers.tools.output import check_exit, load_json, mapping, mappings

_IGNORED = ".trivyignore"
_MESSAGE = re.compile(r"^Message: (?P<text>.+?)(?:\nLink: |\Z)", re.MULTILINE | re.DOTALL)
_UNREAD = re.compile(r"(?:Failed to parse|Error parsing) file\t")
_PATH = re.compile(r'\bfile_path="(?P<path>[^"\n]+)"')
_WHY = re.compile(r'\berr="(?P<why>(?:[^"\\\n]|\\.){1,200})')


def argv(files: Sequence[str], config: str | None) -> list[str]:  # noqa: ARG001 - it takes a folder, no files
    # Left to itself it looks for both files in the folder that it is started in.
    own = ["--config=/dev/null", f"--ignorefile={_IGNORED if config else '/dev/null'}"]
    if config and not config.endswith(_IGNORED):
        own[0] = f"--config={config}"
    return ["trivy", "config", "--format=sarif", "--skip-check-update", *own, "--", "."]


def parse(output: Output) -> Reading:
    check_exit("trivy", output.completed, (0,))
    wanted = {file.removeprefix("./") for file in output.files}
    log = mapping(load_json("trivy", output.completed.stdout))
    for run in mappings(log.get("runs")):
        # Where it was started; what it names it names from there.
        run.pop("originalUriBaseIds", None)
        for result in mappings(run.get("results")):
            _mend(result)
    return Reading(
        findings=[one for found in sarif.findings(log, output.read) if (one := _ours(found)).path in wanted],
        unread=[one for one in dict.fromkeys(_unread(output.completed.stderr)) if one.what in wanted],
    )


def _mend(result: dict[str, Any]) -> None:
    """It says of every place that it ends before the first column of its last line, and means all of that line; and
    puts into the message all that stands elsewhere, too."""
    for location in mappings(result.get("locations")):
        region = mapping(location.get("physicalLocation")).get("region")
        if isinstance(region, dict):
            region.pop("endColumn", None)
    message = result.get("message")
    if isinstance(message, dict) and (match := _MESSAGE.search(str(message.get("text")))):
        message["text"] = match["text"]


def _ours(found: Finding) -> Finding:
    return found.model_copy(update={"tool": "trivy", "path": found.path.removeprefix("./").lstrip("/")})


def _unread(said: str) -> Iterator[NotCovered]:
    for line in said.splitlines():
        if _UNREAD.search(line) and (path := _PATH.search(line)):
            why = _WHY.search(line)
            yield NotCovered(what=path["path"], why=f"trivy: {why['why'] if why else 'it cannot be parsed'}")


TOOL = replace(
    iac.TOOL,
    name="trivy",
    argv=argv,
    parse=parse,
    version=("trivy", "--version"),
    licence="Apache-2.0",
    configs={"trivy.yaml": "", _IGNORED: ""},
    optional=True,
)
