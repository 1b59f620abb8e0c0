"""What runs where, and how open: Dockerfiles, Compose, Kubernetes, Terraform, CloudFormation.

A table of our own, over lines that `grep` finds. The scanners for these come as large binaries, or with a hundred
packages (docs/decisions.md); they are used where they are installed. A table of lines sees what is written out, not
what variables make of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bot.domain.findings import Finding, Severity
from bot.errors import ToolFailed
from workers.agent import Output, Reading, Tool
from workers.tools import hadolint
from workers.tools.output import check_exit, number

_LOW, _MEDIUM, _HIGH = Severity.LOW, Severity.MEDIUM, Severity.HIGH
Lines = Sequence[str]


@dataclass(frozen=True)
class Check:
    """One row. `pattern` is looked for in lines of files of the kind; `also(lines, index)` has to agree where it is
    given."""

    rule: str
    severity: Severity
    cwe: int
    pattern: re.Pattern[str]
    message: str
    advice: str
    also: Callable[[Lines, int], bool] | None = None


def _row(
    rule: str,
    severity: Severity,
    cwe: int,
    pattern: str,
    message: str,
    advice: str,
    also: Callable[[Lines, int], bool] | None = None,
) -> Check:
    return Check(rule, severity, cwe, re.compile(pattern, re.IGNORECASE), message, advice, also)


# -- what stands around a line

_NEAR = 25


def _last_user(lines: Lines, index: int) -> bool:
    return not any(re.match(r"\s*USER\s", line, re.IGNORECASE) for line in lines[index + 1 :])


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _parents(lines: Lines, index: int) -> str:
    """The keys that an item of a list of YAML stands below, the nearest first, a line each."""
    # The list's own key may stand as far out as its items.
    kept, limit = list[str](), _indent(lines[index]) + 1
    for line in reversed(lines[max(0, index - _NEAR * 4) : index]):
        text = line.strip().lower()
        if text and text[0] not in "#-" and _indent(line) < limit:
            limit = _indent(line)
            kept.append(text)
    return "\n".join(kept)


def _added_capability(lines: Lines, index: int) -> bool:
    return re.search(r"^(add|cap_add):", _parents(lines, index), re.MULTILINE) is not None


def _block(lines: Lines, index: int) -> str:
    """The innermost block of HCL that a line stands in, with its heading."""
    depth, start = 0, index
    for start in range(index, max(-1, index - _NEAR * 2), -1):
        depth += lines[start].count("{") - (lines[start].count("}") if start != index else 0)
        if depth > 0:
            break
    end = next((at for at in range(index, min(len(lines), index + _NEAR)) if lines[at].strip() == "}"), index)
    return "\n".join(lines[start : end + 1])


_WEB = re.compile(r"(?:from_port|FromPort)\"?\s*[=:]\s*\"?(?:80|443)\b")


def _open_ingress(lines: Lines, index: int) -> bool:
    """Into something that is no web server: those are meant to be open."""
    block = _block(lines, index)
    inward = re.search(
        r"\bingress\b|type\s*=\s*\"ingress\"|direction\s*=\s*\"(ingress|inbound)\"|source_ranges", block, re.IGNORECASE
    )
    return inward is not None and not _WEB.search(block)


def _open_ingress_yaml(lines: Lines, index: int) -> bool:
    near = "\n".join(lines[max(0, index - 6) : index + 6])
    above = "\n".join(lines[max(0, index - _NEAR) : index + 1]).lower()
    return above.rfind("ingress") > above.rfind("egress:") and not _WEB.search(near)


def _allowing_block(lines: Lines, index: int) -> bool:
    return re.search(r"effect\s*=\s*\"deny", _block(lines, index), re.IGNORECASE) is None


def _allowing(lines: Lines, index: int) -> bool:
    near = "\n".join(lines[max(0, index - 6) : index + 6])
    return re.search(r"effect\"?\s*[=:]\s*\"?deny", near, re.IGNORECASE) is None


# -- the table

_PIPE = _row(
    "pipe-to-shell",
    _MEDIUM,
    494,
    r"\b(?:curl|wget)\b[^|]{0,300}\|\s*(?:sudo\s+)?(?:ba|z|da|k)?sh\b",
    "A program from the network is run as it comes.",
    "Download it, compare its checksum, then run it.",
)
_SOCKET = _row(
    "docker-socket",
    _HIGH,
    250,
    r"/var/run/docker\.sock",
    "Docker's socket is handed to a container, which makes it the host's root.",
    "Do without it, or put a proxy with an allow-list before it.",
)
_PRIVILEGED = _row(
    "privileged",
    _HIGH,
    250,
    r"^\s*privileged:\s*[\"']?true\b",
    "A privileged container can do on the host what root can.",
    "Take it out, and add the single capability that is needed.",
)
_CAPABILITY = _row(
    "capability",
    _HIGH,
    250,
    r"^\s*-\s*[\"']?(?:CAP_)?(?:SYS_ADMIN|SYS_PTRACE|SYS_MODULE|ALL)\b",
    "This capability is as good as root.",
    "Add only the capabilities that are needed.",
    _added_capability,
)
_ACTION = r"\"?\bActions?\"?\s*[=:]\s*\[?\s*[\"']\*[\"']"

CHECKS: dict[str, tuple[Check, ...]] = {
    "Dockerfile": (
        _row(
            "root-user",
            _MEDIUM,
            250,
            r"^\s*USER\s+(?:root|0)(?::\S+)?\s*$",
            "The image's program runs as root.",
            "End with a USER of its own.",
            _last_user,
        ),
        _row(
            "add-from-network",
            _MEDIUM,
            494,
            r"^\s*ADD\s+(?!.*--checksum).*https?://",
            "ADD takes a file from the network without comparing its checksum.",
            "Give --checksum, or use curl and compare it.",
        ),
        _row(
            "no-tls",
            _MEDIUM,
            295,
            r"--no-check-certificate|\bcurl\s(?:.{0,200}\s)?(?:-k|--insecure)\s|strict-ssl\s+false|--trusted-host\b",
            "Certificates are not checked.",
            "Install the certificate authority instead.",
        ),
        _row(
            "world-writable",
            _LOW,
            732,
            r"\bchmod\s+(?:-R\s+)?0?777\b",
            "Everybody may write to it.",
            "Give it to the user that needs it.",
        ),
        _PIPE,
    ),
    "Compose": (
        _PRIVILEGED,
        _CAPABILITY,
        _SOCKET,
        _row(
            "host-namespace",
            _MEDIUM,
            250,
            r"^\s*(?:network_mode|pid|ipc):\s*[\"']?host\b",
            "The container shares the host's network or processes.",
            "Publish the ports that are needed.",
        ),
    ),
    "Kubernetes": (
        _PRIVILEGED,
        _CAPABILITY,
        _SOCKET,
        _row(
            "host-namespace",
            _MEDIUM,
            250,
            r"^\s*(?:hostNetwork|hostPID|hostIPC):\s*true\b",
            "The pod shares the host's network or processes.",
            "Take it out.",
        ),
        _row(
            "privilege-escalation",
            _MEDIUM,
            250,
            r"^\s*allowPrivilegeEscalation:\s*true\b",
            "A process in the container may get more rights than it began with.",
            "Set allowPrivilegeEscalation: false.",
        ),
        _row(
            "root-user",
            _MEDIUM,
            250,
            r"^\s*-?\s*(?:runAsUser:\s*0|runAsNonRoot:\s*false)\s*$",
            "The container runs as root.",
            "Set runAsNonRoot: true and a user.",
        ),
        _row(
            "wildcard-role",
            _MEDIUM,
            732,
            r"^\s*-?\s*verbs:\s*\[\s*[\"']\*[\"']",
            "The role may do everything with its resources.",
            "Name the verbs that are needed.",
        ),
        _row(
            "no-tls",
            _MEDIUM,
            295,
            r"^\s*insecureSkipTLSVerify:\s*true\b",
            "Certificates are not checked.",
            "Give the certificate authority instead.",
        ),
    ),
    "Terraform": (
        _row(
            "open-ingress",
            _HIGH,
            284,
            r"[\"'](?:0\.0\.0\.0/0|::/0)[\"']",
            "Anybody on the internet can reach this.",
            "Name the networks that may.",
            _open_ingress,
        ),
        _row(
            "public-storage",
            _HIGH,
            732,
            r"\bacl\s*=\s*[\"']public-read|\b(?:block_public_acls|block_public_policy|ignore_public_acls|"
            r"restrict_public_buckets)\s*=\s*false|[\"']allUsers[\"']",
            "What is stored here can be read by anybody.",
            "Keep it private, and give access to those who need it.",
        ),
        _row(
            "public-database",
            _HIGH,
            284,
            r"\b(?:publicly_accessible|public_network_access_enabled)\s*=\s*true",
            "This can be reached from the internet.",
            "Keep it in a private network.",
        ),
        _row(
            "no-encryption",
            _MEDIUM,
            311,
            r"\b(?:storage_encrypted|encrypted|encryption_at_rest_enabled|at_rest_encryption_enabled|"
            r"transit_encryption_enabled)\s*=\s*false",
            "It is stored or sent without encryption.",
            "Turn the encryption on.",
        ),
        _row(
            "wildcard-policy",
            _HIGH,
            732,
            _ACTION,
            "The policy allows every action.",
            "Name the actions that are needed.",
            _allowing_block,
        ),
        _row(
            "old-tls",
            _MEDIUM,
            326,
            r"\bmin(?:imum)?_(?:tls|protocol)_version\s*=\s*[\"'](?:TLSv?)?1[._]?[01]\b|ELBSecurityPolicy-2015",
            "Versions of TLS that are broken are allowed.",
            "Ask for TLS 1.2 at least.",
        ),
        _row(
            "metadata-v1",
            _MEDIUM,
            918,
            r"\bhttp_tokens\s*=\s*[\"']optional",
            "A forged request from the machine can read its credentials.",
            'Set http_tokens = "required".',
        ),
    ),
    "CloudFormation": (
        _row(
            "open-ingress",
            _HIGH,
            284,
            r"\bCidrIp(?:v6)?\"?:\s*[\"']?(?:0\.0\.0\.0/0|::/0)",
            "Anybody on the internet can reach this.",
            "Name the networks that may.",
            _open_ingress_yaml,
        ),
        _row(
            "public-storage",
            _HIGH,
            732,
            r"\bAccessControl\"?:\s*[\"']?PublicRead",
            "What is stored here can be read by anybody.",
            "Keep it private, and give access to those who need it.",
        ),
        _row(
            "public-database",
            _HIGH,
            284,
            r"\bPubliclyAccessible\"?:\s*[\"']?true",
            "This can be reached from the internet.",
            "Keep it in a private network.",
        ),
        _row(
            "wildcard-policy",
            _HIGH,
            732,
            _ACTION,
            "The policy allows every action.",
            "Name the actions that are needed.",
            _allowing,
        ),
    ),
}

# What grep looks for: words of which every row has one.
_NEEDLES = (
    *("USER", "ADD", "certificate", "insecure", "strict-ssl", "trusted-host", "777", "curl", "wget", "privileged"),
    *("docker.sock", "SYS_", "ALL", "host", "PrivilegeEscalation", "runAs", "verbs", "0.0.0.0/0", "::/0", "public"),
    *("allUsers", "encr", "action", "tls_version", "protocol_version", "ELBSecurityPolicy", "http_tokens"),
)
_COMPOSE = re.compile(r"(^|/)(docker-)?compose[^/]*\.ya?ml$")


def applies(path: str) -> bool:
    return hadolint.applies(path) or path.endswith((".tf", ".yaml", ".yml", ".template", ".tf.json"))


def argv(files: Sequence[str], config: str | None) -> list[str]:  # noqa: ARG001 - there is none
    needles = [f"--regexp={needle}" for needle in _NEEDLES]
    return [
        "grep",
        "--line-number",
        "--with-filename",
        "--null",
        "--ignore-case",
        "--fixed-strings",
        *needles,
        "--",
        *files,
    ]


def parse(output: Output) -> Reading:
    check_exit("grep", output.completed, (0, 1))
    findings: list[Finding] = []
    kinds: dict[str, str] = {}
    for row in output.completed.stdout.split("\n"):
        path, found, rest = row.partition("\0")
        line = number(rest.partition(":")[0])
        if row and (not found or line is None):
            raise ToolFailed(f"grep printed what it should not: {row[:200]!r}")
        if line is not None:
            lines = output.read(path)
            if path not in kinds:
                kinds[path] = kind_of(path, lines)
            findings += _of_line(path, kinds[path], lines, line)
    return Reading(findings=findings)


def kind_of(path: str, lines: Lines) -> str:
    """What a file is, by its name and, for YAML, by the keys that its kind has."""
    if hadolint.applies(path):
        return "Dockerfile"
    if path.endswith((".tf", ".tf.json")):
        return "Terraform"
    if _COMPOSE.search(path):
        return "Compose"
    keys = {line.partition(":")[0].strip(' "') for line in lines if line[:1].isalpha() or line[:1] == '"'}
    if {"apiVersion", "kind"} <= keys:
        return "Kubernetes"
    return "CloudFormation" if "AWSTemplateFormatVersion" in keys or "Resources" in keys else ""


def _of_line(path: str, kind: str, lines: Lines, line: int) -> list[Finding]:
    text = lines[line - 1][:2_000] if line <= len(lines) else ""
    if text.lstrip().startswith(("#", "//")):
        return []
    return [
        Finding(
            tool="iac",
            rule=f"{kind.lower()}/{check.rule}",
            severity=check.severity,
            message=check.message,
            advice=check.advice,
            cwe=check.cwe,
            path=path,
            start_line=line,
            end_line=line,
        )
        for check in CHECKS.get(kind, ())
        if check.pattern.search(text) and (check.also is None or check.also(lines, line - 1))
    ]


TOOL = Tool(
    name="iac",
    applies=applies,
    argv=argv,
    parse=parse,
    version=("grep", "--version"),
    languages="Dockerfile, Compose, Kubernetes, Terraform, CloudFormation",
    licence="MIT (Assay's own rules; GNU grep finds the lines)",
)
