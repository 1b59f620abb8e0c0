"""detect-secrets: committed secrets, in any text. https://github.com/Yelp/detect-secrets

It prints hashes of what it found, never the secret, and neither do we. What it has no detector for is found by the
shapes of `bot/domain/credentials.py`, which the redactor masks too.

Most of what looks like a secret is none. What stands for one (`changeme`), and long random strings where nothing says
that they are one (hashes, ids), are left out and counted; what tests and documentation hold weighs less.
"""

from __future__ import annotations

import base64
import hashlib
import re
import zlib
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any

from bot.domain.credentials import found_in
from bot.domain.findings import Finding, Severity
from bot.errors import ToolFailed
from workers.agent import Output, Reading, Tool
from workers.tools.output import check_exit, load_json, mapping, mappings, number, span, string

_LOCK_FILES = {
    "Cargo.lock", "Cartfile.resolved", "Gemfile.lock", "Package.resolved", "Pipfile.lock", "Podfile.lock",
    "bun.lock", "composer.lock", "deno.lock", "flake.lock", "go.sum", "gradle.lockfile", "mix.lock",
    "npm-shrinkwrap.json", "package-lock.json", "packages.lock.json", "pdm.lock", "pnpm-lock.yaml", "poetry.lock",
    "pubspec.lock", "uv.lock", "yarn.lock",
}  # fmt: skip

# Values that stand for a secret: nobody's password is `changeme` in earnest.
_PLACEHOLDER = re.compile(
    r"(?i)^[<\[{(]?(?:(?:your|my|some|the|an?|insert|enter|put|replace|dummy|fake|sample|example|test|testing|mock|default|"
    r"invalid|wrong|bad|super|very|not|real|secret|password|passwd|pass|pwd|token|key|api|client|user|username|"
    r"credentials?|value|string|here|with|me|change|changeit|placeholder|redacted|hidden|none|null|nil|true|false|empty|"
    r"todo|tbd|foo|bar|baz|abc|xyz)(?:[-_ .:/]|%20)?\d{0,3}){1,6}[>\]})]?$"
    r"|^(?:x{3,}|\*{3,}|\.{3,}|-{3,}|_{3,}|0+|1234?5?6?7?8?9?0?|%[sdvq]|%\(\w+\)s|\$?\{+[^{}:]*\}+|<[^<>]*>)$"
)
# Nobody's random characters come like this: six that follow on one another, or are the same.
_RUNS = re.compile(r"(.)\1{5}")
_LADDERS = ("abcdefghijklmnopqrstuvwxyz", "0123456789" * 2, "qwertyuiop", "zyxwvutsrqponmlkjihgfedcba", "9876543210")
_STEPS = frozenset(ladder[at : at + 6] for ladder in _LADDERS for at in range(len(ladder) - 5))
_SAID = re.compile(r"example|dummy|fake|sample|redacted|notreal|placeholder", re.IGNORECASE)
# GitHub's and npm's tokens end in a checksum of the rest.
_CHECKED = re.compile(r"(?:gh[pousr]|npm)_([A-Za-z0-9]{30})([A-Za-z0-9]{6})")
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
# Of one call; a file with more is no source. A fingerprint takes a hundredth of a second, a look at a line much less.
_MOST, _MOST_LOOKED_AT = 1_000, 20_000

# A long random string is a secret only where its line says so; elsewhere it is a hash, an id, a fixture.
_GUESSES = ("Hex High Entropy String", "Base64 High Entropy String")
_PRIVATE_KEY = "Private Key"
_WORDS = ("Secret Keyword", "Basic Auth Credentials")
_NAMED = re.compile(r"token|secret|passw|pwd|api_?-?key|auth|cred|private|signing|bearer", re.IGNORECASE)
_REHEARSAL = re.compile(
    r"(^|/)(tests?|spec|specs|fixtures?|examples?|docs?|testdata|__tests__|__mocks__|mocks?|e2e|cypress|samples?)/"
    r"|(^|/)test_[^/]*$|[._-](test|spec)s?\.[^/]*$|\.(example|sample|template|dist|md|rst)$",
    re.IGNORECASE,
)
# A file and a line of it; a file and what was found in it.
Spot = tuple[str, int | None]
Result = tuple[str, Mapping[str, Any]]
ADVICE = "Revoke it, and keep the new one out of the repository."


def applies(path: str) -> bool:
    return path.rpartition("/")[2] not in _LOCK_FILES


def argv(files: Sequence[str], config: str | None) -> list[str]:  # noqa: ARG001 - the baseline is read by `parse`
    # Verification would send what it found to the services that issued it.
    return ["detect-secrets", "scan", "--no-verify", "--disable-plugin=IPPublicDetector", "--", *files]


def parse(output: Output) -> Reading:
    """Secrets in the repository's honoured baseline are known to its owners and left out."""
    check_exit("detect-secrets", output.completed, (0,))
    known = {
        string(found.get("hashed_secret"))
        for _, found in _results("\n".join(output.read(output.config)) if output.config else "{}")
    }
    left_out: Counter[str] = Counter()
    findings: dict[Spot, list[Finding]] = {}
    for path, found in _bounded(_results(output.completed.stdout)):
        if why := _why_not(path, found, known, output):
            left_out[why] += 1
            continue
        _check(len(findings), _MOST)
        finding = _finding(path, found, output)
        at = findings.setdefault((path.removeprefix("./"), finding.start_line), [])
        if all(finding.identity != other.identity for other in at):
            at.append(finding)
    for path, found in _bounded(_shaped(output)):
        if string(found.get("hashed_secret")) not in known:
            _check(len(findings), _MOST)
            spot = (path.removeprefix("./"), number(found.get("line_number")))
            findings[spot] = _joined(findings.get(spot, []), _finding(path, found, output))
    return Reading(findings=[finding for at in findings.values() for finding in at], left_out=left_out)


def _bounded(results: Iterable[Result]) -> Iterator[Result]:
    for count, result in enumerate(results):
        _check(count, _MOST_LOOKED_AT)
        yield result


def _check(count: int, most: int) -> None:
    """Raises ToolFailed for more than a source has: each of them takes its time."""
    if count >= most:
        raise ToolFailed(f"detect-secrets found more than {most:,} secrets: this is no source, or not one file")


def _joined(at: list[Finding], shaped: Finding) -> list[Finding]:
    """What is found on one line, together with what has a shape. A guess is the same value, and so is what a detector
    knows by name; but of a private key detectors see the first line only, which all keys share."""
    known = [one for one in at if _kind(one) not in (*_GUESSES, *_WORDS)]
    if not known:
        return [shaped]
    if _kind(shaped) == _PRIVATE_KEY:
        return [shaped if _kind(one) == _PRIVATE_KEY else one for one in known]
    return at


def _results(text: str) -> list[Result]:
    results = mapping(mapping(load_json("detect-secrets", text)).get("results"))
    return [(path, found) for path, every in results.items() for found in mappings(every)]


def _shaped(output: Output) -> Iterator[Result]:
    """What has the shape of a well-known service's credentials."""
    for file in output.files:
        lines = output.read(file)
        text = "\n".join(lines)
        starts = list(accumulate((len(line) + 1 for line in lines), initial=0))
        for start, end, kind in found_in(text):
            if kind not in ("password", "secret"):
                hashed = hashlib.sha1(text[start:end].encode(errors="replace"), usedforsecurity=False).hexdigest()
                where = bisect_right(starts, start)
                value = text[start:end]
                yield file, {"type": kind.title(), "hashed_secret": hashed, "line_number": where, "value": value}


def _why_not(path: str, found: Mapping[str, Any], known: set[str], output: Output) -> str:
    """Why it is no secret; empty when it is one."""
    kind, line = string(found.get("type")), _line(path, found, output)
    if string(found.get("hashed_secret")) in known:
        return "known to the baseline"
    if kind in _GUESSES and (not _NAMED.search(line) or len(line) > _LONGEST_WRITTEN):
        return "a hash or an id"
    value = _value(line, string(found.get("hashed_secret")))
    if _is_placeholder(value):
        return "a placeholder"
    return "a name" if kind == "Secret Keyword" and _is_name(path, line, value) else ""


def _is_placeholder(value: str) -> bool:
    """As it is, or in base64, as Kubernetes has its secrets."""
    if not value or _PLACEHOLDER.search(value):
        return bool(value)
    if len(value) % 4 or not re.fullmatch(r"[A-Za-z0-9+/]{4,}={0,2}", value):
        return False
    return _PLACEHOLDER.search(base64.b64decode(value).decode("latin-1").strip()) is not None


def _is_name(path: str, line: str, value: str) -> bool:
    """Whether what a telling name is given is no value: a key that says what the secret is called, or, in code, an
    expression."""
    if _REFERENCE.search(line[:_LONGEST]):
        return True
    return bool(value) and _CODE.search(path) is not None and not re.search(rf"[\"'`]{re.escape(value)}", line)


def _line(path: str, found: Mapping[str, Any], output: Output) -> str:
    where = number(found.get("line_number"))
    return "".join(output.read(path)[where - 1 : where]) if where else ""


# `secretName: web-tls` says where a secret is, not what.
_REFERENCE = re.compile(
    r"(?:secret|token|passw(?:or)?d|key|credential)s?[_-]?(?:name(?:space)?|ref|id|path|file|url|uri|type|class|field|"
    r"prefix|header|param|env|algorithm|store|provider|manager|version|length|size|expiry|ttl|alias)s?[\"']?\s*(?::=|[:=])",
    re.IGNORECASE,
)
_CODE = re.compile(r"\.(?:go|py|pyi|js|jsx|mjs|cjs|ts|tsx|java|kt|rb|rs|c|h|cc|cpp|cs|php|swift|scala)$")
# Of what people write, no line is as long.
_LONGEST_WRITTEN = 1_000
_PIECES = (
    re.compile(r"[^\s\"'`:/@]+"),
    re.compile(r"[\"'`]([^\"'`]*)[\"'`]"),
    re.compile(r"[^\s\"'`=:,;()<>{}\[\]]+"),
    re.compile(r"[^\s\"'`,;=]+"),
)
_LONGEST = 2_000


def _value(line: str, hashed: str) -> str:
    """The value that was found in a line: the piece of it that has this hash."""
    line = line[:_LONGEST]
    ends = (line.partition("=")[2], line.rpartition("=")[2], line.partition(":")[2])
    pieces: list[str] = [piece for pattern in _PIECES for piece in pattern.findall(line)]
    for piece in (*ends, *pieces):
        for form in (piece.strip(), piece.strip("\"'`,; ")):
            if hashlib.sha1(form.encode(errors="replace"), usedforsecurity=False).hexdigest() == hashed:
                return form
    return ""


def _finding(path: str, found: Mapping[str, Any], output: Output) -> Finding:
    kind = string(found.get("type"))
    print_ = fingerprint(string(found.get("hashed_secret")))
    line = _line(path, found, output)
    # One that says itself that it is made up is told all the same, for who knows.
    invented = made_up(_value(line, string(found.get("hashed_secret"))) or string(found.get("value")))
    return Finding(
        tool="detect-secrets",
        rule=f"secret/{kind.lower().replace(' ', '-')}",
        severity=Severity.LOW if invented else _severity(kind, path, line),
        message=f"{kind}: this looks like a committed secret.",
        advice=f"{ADVICE} If it is none, add its fingerprint {print_} to agents.security.allow.",
        identity=print_,
        path=path,
        cwe=798,
        **span(found.get("line_number")),
    )


@lru_cache(maxsize=4096)
def fingerprint(hashed: str) -> str:
    """What a secret is called, wherever it stands. It is public, so nobody shall try words for it in bulk: it costs
    memory and time to make."""
    made = hashlib.scrypt(hashed.encode(), salt=b"assay secret", n=2**12, r=8, p=1, dklen=10)
    return f"secret-{made.hex()}"


def made_up(value: str) -> bool:
    """Whether a value shows that nobody issued it."""
    if _SAID.search(value) or _RUNS.search(value):
        return True
    small = value.lower()
    if any(small[at : at + 6] in _STEPS for at in range(len(small) - 5)):
        return True
    token = _CHECKED.fullmatch(value)
    return token is not None and _checksum(token[1]) != token[2]


def _checksum(text: str) -> str:
    """CRC-32 in base 62, six digits."""
    rest, digits = zlib.crc32(text.encode()), ""
    while rest:
        rest, digit = divmod(rest, 62)
        digits = _DIGITS[digit] + digits
    return digits.rjust(6, "0")


def _kind(finding: Finding) -> str:
    return finding.message.partition(":")[0]


def _severity(kind: str, path: str, line: str) -> Severity:
    """A key in its issuer's format is one wherever it stands, unless it calls itself an example. In tests and
    documentation a private key is most often made for them, and a guess from a name or randomness weighs little."""
    guess, rehearsal = kind in _GUESSES, _REHEARSAL.search(path) is not None
    if "EXAMPLE" in line:
        return Severity.LOW
    if guess or kind in _WORDS:
        return Severity.LOW if rehearsal else Severity.MEDIUM if guess else Severity.HIGH
    soft = kind.lower() in ("private key", "jwt", "json web token", "api key")
    return Severity.MEDIUM if rehearsal and soft else Severity.HIGH


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
