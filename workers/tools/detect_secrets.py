"""detect-secrets: committed secrets, in any text. https://github.com/Yelp/detect-secrets

It prints hashes of what it found, never the secret, and neither do we.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from bot.domain.findings import Finding, Severity
from workers.agent import Output, Reading, Tool
from workers.tools.output import check_exit, load_json, mapping, mappings, span, string

_LOCK_FILES = {
    "package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml", "bun.lock", "composer.lock", "Gemfile.lock",
    "Pipfile.lock", "poetry.lock", "pdm.lock", "uv.lock", "Cargo.lock", "go.sum", "packages.lock.json", "Podfile.lock",
    "Package.resolved", "Cartfile.resolved", "mix.lock", "pubspec.lock", "flake.lock", "gradle.lockfile", "deno.lock",
}  # fmt: skip

# Values that stand for a secret: nobody's password is `changeme` in earnest.
_PLACEHOLDER = (
    r"(?i)^[<\[{(]?(?:(?:your|my|some|the|a|an|insert|enter|put|replace|dummy|fake|sample|example|test|testing|mock|default|"
    r"invalid|wrong|bad|super|very|not|real|secret|password|passwd|pass|pwd|token|key|api|apikey|client|user|username|"
    r"credential|credentials|value|string|here|with|me|change|changeme|changeit|placeholder|redacted|hidden|none|null|nil|"
    r"true|false|empty|todo|tbd|foo|bar|baz|qux|abc|xyz|hunter2|hello|world)[-_ .:/]*\d{0,3})+[>\]})]?$"
    r"|^(?:x{3,}|X{3,}|\*{3,}|\.{3,}|-{3,}|_{3,}|0+|1234?5?6?7?8?9?0?)$"
)

# A long random string is a secret only where its line says so; elsewhere it is a hash, an id, a fixture.
_GUESSES = ("Hex High Entropy String", "Base64 High Entropy String")
_NAMED = re.compile(r"token|secret|passw|pwd|api_?-?key|auth|cred|private|signing|bearer", re.IGNORECASE)
_REHEARSAL = re.compile(
    r"(^|/)(tests?|spec|specs|fixtures?|examples?|docs?|testdata|__tests__)/|(^|/)test_[^/]*$", re.IGNORECASE
)


def applies(path: str) -> bool:
    return path.rpartition("/")[2] not in _LOCK_FILES


def argv(files: Sequence[str], config: str | None) -> list[str]:  # noqa: ARG001 - the baseline is read by `parse`
    # Verification would send what it found to the services that issued it.
    return [
        "detect-secrets", "scan", "--no-verify", "--disable-plugin=IPPublicDetector",
        f"--exclude-secrets={_PLACEHOLDER}", "--", *files,
    ]  # fmt: skip


def parse(output: Output) -> Reading:
    """Secrets in the repository's honoured baseline are known to its owners and left out."""
    check_exit("detect-secrets", output.completed, (0,))
    known = {
        (path, string(found.get("hashed_secret")))
        for path, found in _results("\n".join(output.read(output.config)) if output.config else "{}")
    }
    findings = []
    for path, found in _results(output.completed.stdout):
        if (path, string(found.get("hashed_secret"))) not in known:
            findings += _finding(path, found, output)
    return Reading(findings=findings)


def _results(text: str) -> list[tuple[str, Mapping[str, Any]]]:
    results = mapping(mapping(load_json("detect-secrets", text)).get("results"))
    return [(path, found) for path, every in results.items() for found in mappings(every)]


def _finding(path: str, found: Mapping[str, Any], output: Output) -> list[Finding]:
    kind, place = string(found.get("type")), span(found.get("line_number"))
    number = place.get("start_line") or 0
    line = "".join(output.read(path)[number - 1 : number]) if number else ""
    if kind in _GUESSES and not _NAMED.search(line):
        return []
    finding = Finding(
        tool="detect-secrets",
        rule=f"secret/{kind.lower().replace(' ', '-')}",
        severity=_severity(kind, path, line),
        message=f"{kind}: what looks like a secret is committed here. Revoke it, and keep the new one out of the repository.",
        path=path,
        cwe=798,
        **place,
    )
    return [finding]


def _severity(kind: str, path: str, line: str) -> Severity:
    """A key in its issuer's format is one wherever it stands, unless it calls itself an example; a guess from a name or
    from randomness weighs less in tests and documentation."""
    if "EXAMPLE" in line:
        return Severity.LOW
    if kind not in (*_GUESSES, "Secret Keyword", "Basic Auth Credentials"):
        return Severity.HIGH
    if _REHEARSAL.search(path):
        return Severity.LOW
    return Severity.MEDIUM if kind in _GUESSES else Severity.HIGH


TOOL = Tool(
    name="detect-secrets",
    applies=applies,
    argv=argv,
    parse=parse,
    version=("detect-secrets", "--version"),
    languages="any text",
    licence="Apache-2.0",
    configs={".secrets.baseline": ""},
)
