"""The command agent: any command of the repository's configuration, under a name of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bot.domain.findings import AgentResult, Finding, Outcome, Severity
from bot.errors import Theirs, ToolFailed
from workers.agent import Completed, Kit, Reader, Work
from workers.agents import tree
from workers.agents.shell import (
    Reports,
    Shell,
    cut_short,
    how_it_ended,
    last_words,
    secrets,
    untrusted,
    without_secrets,
)

_EXIT_CODE = "exit-code"
_BY_LINES = "errorformat"
_AGENT = "<name>"  # an agent is not told what it is called


class CommandAgent:
    """Runs the setting `run` and judges it by its exit code, a report in one of the `formats`, or lines as the setting
    `errorformat` describes them: on its standard output or in the file `output`."""

    def __init__(
        self,
        formats: Mapping[str, Callable[[str, Reader], list[Finding]]],
        by_lines: Callable[[str, Sequence[str]], list[Finding]],
    ) -> None:
        self._formats = formats
        self._by_lines = by_lines

    def run(self, work: Work, kit: Kit) -> AgentResult:
        if not work.trusted:
            return untrusted()
        if lacks := without_secrets(work):
            return lacks
        with tempfile.TemporaryDirectory(prefix="assay-", ignore_cleanup_errors=True) as home:
            shell = Shell.begin(work, kit, Path(home))
            try:
                return shell.setup(_AGENT) or self._run(shell)
            except (ToolFailed, Theirs) as error:
                return _error(str(error), "")

    def _run(self, shell: Shell) -> AgentResult:
        settings = shell.work.settings
        style, output = str(settings.get("format") or _EXIT_CODE), settings.get("output")
        shell.kit.progress("running")
        reports = Reports(shell.work.root, [_literal(str(output))] if output else [])
        completed = shell.script(str(settings["run"]), secrets(shell.work))
        log = shell.tail(completed)
        if cut := cut_short(completed, _AGENT, "the command", log):
            return cut
        if style == _EXIT_CODE:
            result = _by_exit_code(completed, log)
        else:
            text = _report(reports, str(output)) if output else completed.stdout
            result = self._by_report(style, text, completed, shell)
        return result.model_copy(update={"seconds": completed.seconds, "log": log})

    def _by_report(self, style: str, text: str, completed: Completed, shell: Shell) -> AgentResult:
        root, log = shell.work.root, shell.tail(completed)
        if completed.truncated and not shell.work.settings.get("output"):
            return _error("the command printed more than can be kept; have it write to a file (`output`)", log)
        try:
            found = self._found(style, text, shell)
        except ToolFailed as error:
            return _error(f"{shell.kit.redact(str(error))} (it {how_it_ended(completed)}: {last_words(log)})", log)
        findings = tuple(tree.tidy(finding, root, shell.kit.redact) for finding in found)
        if completed.exit_code and not findings:
            # An empty report and a bad end: it broke before it could report.
            return _error(f"the command {how_it_ended(completed)} and reported nothing: {last_words(log)}", log)
        if not findings:
            return AgentResult(outcome=Outcome.CLEAN, summary="nothing found")
        summary = f"{len(findings)} finding{'' if len(findings) == 1 else 's'}"
        return AgentResult(outcome=Outcome.FINDINGS, summary=summary, findings=findings)

    def _found(self, style: str, text: str, shell: Shell) -> list[Finding]:
        if style == _BY_LINES:
            return self._by_lines(text, [str(one) for one in shell.work.settings["errorformat"]])
        return self._formats[style](text, tree.reader(shell.work.root))


def _by_exit_code(completed: Completed, log: str) -> AgentResult:
    if completed.exit_code == 0:
        return AgentResult(outcome=Outcome.CLEAN, summary="ended with exit code 0")
    finding = Finding(
        tool="command",
        rule=_EXIT_CODE,
        severity=Severity.HIGH,
        message=f"The command {how_it_ended(completed)}: {last_words(log)}",
        evidence=log,
    )
    return AgentResult(outcome=Outcome.FINDINGS, summary=how_it_ended(completed), findings=(finding,))


def _literal(path: str) -> str:
    """A path as a glob that matches nothing else."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in path)


def _report(reports: Reports, output: str) -> str:
    texts, missed = reports.read()
    if missed:
        raise ToolFailed(f"{missed[0].what} is {missed[0].why}")
    if not texts:
        raise ToolFailed(f"the command did not write {output}, or it is no regular file inside the repository")
    return texts[0]


def _error(reason: str, log: str) -> AgentResult:
    remedy = "Correct `run`, `format` or `output` of this agent in .github/assay.yml."
    return AgentResult(outcome=Outcome.ERROR, reason=reason[:1000], remedy=remedy, log=log)
