"""eslint-plugin-security: insecure JavaScript, where the repository's own ESLint has this plugin.
https://github.com/eslint-community/eslint-plugin-security

Its rules are guesses, some of them wild; one that the repository calls an error counts more.
"""

from __future__ import annotations

from dataclasses import replace

from bot.domain.findings import Finding, NotCovered, Severity
from workers.agent import Output, Reading
from workers.tools import eslint

_PLUGIN = "eslint-plugin-security"
_PREFIX = "security/"
# What has a harmless reason more often than not.
_WILD = {
    "security/detect-non-literal-fs-filename",
    "security/detect-non-literal-regexp",
    "security/detect-object-injection",
    "security/detect-possible-timing-attacks",
    "security/detect-unsafe-regex",
}
_HIGHER = {Severity.LOW: Severity.MEDIUM, Severity.MEDIUM: Severity.HIGH}


def parse(output: Output) -> Reading:
    """What ESLint says by these rules; what is no JavaScript was not looked at."""
    reading = eslint.parse(output)
    broken = [
        NotCovered(what=one.path, why=f"eslint: {one.message[:200]}")
        for one in reading.findings
        if one.rule == "syntax"
    ]
    found = [_weighed(one) for one in reading.findings if one.rule.startswith(_PREFIX)]
    return replace(reading, findings=found, unread=broken)


def _weighed(finding: Finding) -> Finding:
    usual = Severity.LOW if finding.rule in _WILD else Severity.MEDIUM
    severity = usual if finding.severity is Severity.LOW else _HIGHER[usual]
    return finding.model_copy(update={"tool": "eslint-security", "severity": severity})


TOOL = replace(
    eslint.TOOL,
    name="eslint-security",
    parse=parse,
    languages=f"JavaScript, TypeScript (by {_PLUGIN})",
    projects={"package.json": f'"{_PLUGIN}"'},
)
