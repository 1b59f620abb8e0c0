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
    "Cargo.lock", "Cartfile.resolved", "Gemfile.lock", "Package.resolved", "Pipfile.lock", "Podfile.lock",
    "bun.lock", "composer.lock", "deno.lock", "flake.lock", "go.sum", "gradle.lockfile", "mix.lock",
    "npm-shrinkwrap.json", "package-lock.json", "packages.lock.json", "pdm.lock", "pnpm-lock.yaml", "poetry.lock",
    "pubspec.lock", "uv.lock", "yarn.lock",
}  # fmt: skip

# Values that stand for a secret: nobody's password is `changeme` in earnest.
_PLACEHOLDER = (
    r"(?i)^[<\[{(]?(?:(?:your|my|some|the|an?|insert|enter|put|replace|dummy|fake|sample|example|test|testing|mock|default|"
    r"invalid|wrong|bad|super|very|not|real|secret|password|passwd|pass|pwd|token|key|api|client|user|username|"
    r"credentials?|value|string|here|with|me|change|changeit|placeholder|redacted|hidden|none|null|nil|true|false|empty|"
    r"todo|tbd|foo|bar|baz|abc|xyz)(?:[-_ .:/]|%20)?\d{0,3}){1,6}[>\]})]?$"
    r"|^(?:x{3,}|\*{3,}|\.{3,}|-{3,}|_{3,}|0+|1234?5?6?7?8?9?0?)$"
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
        message=f"{kind}: this looks like a committed secret. Revoke it, and keep the new one out of the repository.",
        path=path,
        cwe=798,
        **place,
    )
    return [finding]


def _severity(kind: str, path: str, line: str) -> Severity:
    """A key in its issuer's format is one wherever it stands, unless it calls itself an example. In tests and
    documentation a private key is most often made for them, and a guess from a name or randomness weighs little."""
    guess, rehearsal = kind in _GUESSES, _REHEARSAL.search(path) is not None
    if "EXAMPLE" in line:
        return Severity.LOW
    if guess or kind in ("Secret Keyword", "Basic Auth Credentials"):
        return Severity.LOW if rehearsal else Severity.MEDIUM if guess else Severity.HIGH
    return Severity.MEDIUM if rehearsal and kind == "Private Key" else Severity.HIGH


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
