"""trivy: misconfigured infrastructure, where it is installed. https://trivy.dev/

Only its checks of configuration, those that come with it: no database is fetched. Its SARIF has a CVSS-like score for
each rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from workers.agent import Output, Reading
from workers.tools import iac, sarif
from workers.tools.output import check_exit


def argv(files: Sequence[str], config: str | None) -> list[str]:  # noqa: ARG001 - it takes a folder, no files
    own = [f"--config={config}"] if config else []
    return ["trivy", "config", "--quiet", "--format=sarif", "--skip-check-update", *own, "--", "."]


def parse(output: Output) -> Reading:
    check_exit("trivy", output.completed, (0,))
    wanted = {file.removeprefix("./") for file in output.files}
    found = (
        # It gives names below a base that it calls the root.
        one.model_copy(update={"tool": "trivy", "path": one.path.removeprefix("./").lstrip("/")})
        for one in sarif.parse(output.completed.stdout, output.read)
    )
    return Reading(findings=[one for one in found if one.path in wanted])


TOOL = replace(
    iac.TOOL,
    name="trivy",
    argv=argv,
    parse=parse,
    version=("trivy", "--version"),
    licence="Apache-2.0",
    configs={"trivy.yaml": ""},
    optional=True,
)
