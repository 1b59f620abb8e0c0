"""The scanners of code and infrastructure: recorded output, and real runs where they are installed.

`semgrep.json` was recorded from semgrep 1.185 with Assay's own rules, `trivy.sarif` and `trivy.stderr` from trivy 0.76.
gosec is in no registry that tests may use: `gosec.json` and `gosec.stderr` were recorded from gosec 2.28.0, built from
its source with Go 1.27.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.domain.findings import AgentResult, Outcome, Severity
from bot.errors import ToolFailed
from workers.agent import Command, Completed, Tool
from workers.agents.security import SecurityAgent
from workers.sandbox.process import ProcessSandbox
from workers.tools import gosec, iac, semgrep, trivy

from ..stage import Stage
from .recordings import output, recorded

SOURCES = ("./a.js", "./b.go", "./C.java", "./d.rb", "./e.php", "./f.c", "./broken.js")


# -- semgrep


def test_semgrep_finds_what_the_rules_are_for() -> None:
    reading = semgrep.parse(output(recorded("semgrep.json"), exit_code=0, files=SOURCES))
    found = {(f.path, f.start_line, f.rule): f for f in reading.findings}
    assert len(found) == 25
    shell = found["C.java", 5, "java-shell"]
    assert (shell.severity, shell.cwe, shell.start_column) == (Severity.HIGH, 78, 5)
    assert shell.advice == "Use ProcessBuilder with a list of arguments."
    assert found["a.js", 8, "js-inner-html"].severity is Severity.LOW  # of low confidence
    assert reading.unread == []


@pytest.mark.parametrize("path", ["gin_test.go", "src/test/java/ATest.java", "web/a.spec.ts", "test/a.js"])
def test_semgrep_findings_in_tests_count_one_step_less(path: str) -> None:
    stdout = recorded("semgrep.json").replace('"b.go"', f'"{path}"')
    findings = semgrep.parse(output(stdout, exit_code=0, files=[])).findings
    assert {f.severity for f in findings if f.path == path} == {Severity.MEDIUM, Severity.INFO}


def test_semgrep_names_what_it_passed_over() -> None:
    reading = semgrep.parse(output(recorded("semgrep.json"), exit_code=0, files=[*SOURCES, "./large.js"]))
    assert [(gap.what, gap.why) for gap in reading.unread] == [("./large.js", "semgrep passed it over")]


def test_semgrep_errors_of_a_file_and_of_the_whole() -> None:
    report = {"results": [], "errors": [{"path": "a.js", "message": "Timeout"}], "paths": {"scanned": []}}
    reading = semgrep.parse(output(json.dumps(report), exit_code=2, files=["./a.js"]))
    assert [gap.why for gap in reading.unread] == ["semgrep: Timeout"]
    report["errors"] = [{"message": "invalid configuration file found"}]
    with pytest.raises(ToolFailed, match="semgrep: invalid configuration"):
        semgrep.parse(output(json.dumps(report), exit_code=2))
    with pytest.raises(ToolFailed, match="exit code 7"):
        semgrep.parse(output("", "no", exit_code=7))


def test_semgrep_speaks_to_nobody() -> None:
    words = semgrep.argv(["./a.js"], ".semgrep.yml")
    assert "--metrics=off" in words
    configs = [word for word in words if word.startswith("--config=")]
    assert configs == [f"--config={semgrep.RULES}", "--config=.semgrep.yml"]
    assert "--disable-version-check" in words
    assert "--disable-version-check" in semgrep.TOOL.version


SCANNERS = Path(__file__).parents[2] / "scanners/.venv/bin"


class Recorder(ProcessSandbox):
    """Which folder gosec is started in, with which configuration, and what it is given."""

    def __init__(self) -> None:
        super().__init__(os.environ["PATH"])
        self.seen: list[tuple[str, str, str]] = []

    def which(self, program: str) -> str | None:
        return f"/usr/bin/{program}"

    def run(self, command: Command) -> Completed:
        if "-fmt=json" in command.argv:
            self.seen.append((command.cwd.name, command.argv[3], command.argv[-1]))
        return Completed(0, '{"Issues": []}', "", 0.1)


def for_real(tmp_path: Path, tool: Tool, files: Mapping[str, str], **more: Any) -> AgentResult:
    """What a tool says that only these tests use: it would take its time in all others."""
    if not (SCANNERS / tool.name).is_file():
        pytest.skip(f"{tool.name} is not installed (make needs installs it)")
    sandbox = ProcessSandbox(f"{SCANNERS}{os.pathsep}{os.environ['PATH']}")
    return Stage(tmp_path, files, sandbox=sandbox, **more).run(SecurityAgent([tool]))


def test_semgrep_for_real(tmp_path: Path) -> None:
    """Its rules are Assay's own: those that it does not understand would be an error."""
    files = {"a.js": "eval(name);\n", "b.go": "package b\n", "notes.md": "x\n"}
    result = for_real(tmp_path, semgrep.TOOL, files)
    assert [(f.path, f.rule, f.start_line) for f in result.findings] == [("a.js", "js-eval", 1)], result
    assert set(result.covered) == {"a.js", "b.go"}


# -- gosec and trivy


GO = ("b.go", "broken/main.go", "nested/n.go", "sub/b.go", "sub/tagged.go", "sub/x_windows.go", "untyped/fine.go")
GOSEC = output(
    recorded("gosec.json"),
    recorded("gosec.stderr"),
    exit_code=0,
    files=[f"./{path}" for path in GO],
    sources={"sub/tagged.go": "//go:build plan9\n\npackage sub\n"},
)


def test_gosec_findings_of_files_that_were_asked_for() -> None:
    findings = gosec.parse(GOSEC).findings
    assert {(f.rule, f.path, f.start_line, f.severity, f.cwe) for f in findings} == {
        ("G402", "b.go", 10, Severity.HIGH, 295),
        ("G306", "b.go", 19, Severity.MEDIUM, 276),
        ("G501", "b.go", 4, Severity.MEDIUM, 327),
        ("G104", "b.go", 19, Severity.LOW, 703),
        ("G204", "sub/b.go", 6, Severity.MEDIUM, 78),
        ("G204", "untyped/fine.go", 5, Severity.MEDIUM, 78),
    }
    # A file of the same name elsewhere is another one.
    assert {f.rule for f in gosec.parse(replace(GOSEC, files=["./b.go"])).findings} == {"G402", "G306", "G501", "G104"}


def test_gosec_says_what_it_did_not_look_at() -> None:
    """A package that cannot be read; a module of its own; what a mistake beside a file kept from some of the rules."""
    reading = gosec.parse(GOSEC)
    assert {gap.what: gap.why for gap in reading.unread} == {
        "broken/main.go": ("gosec: importing dir \"./broken\": broken/main.go:1:1: expected 'package', found 'func'"),
        "nested/n.go": "gosec: did not look at it",
        "untyped/fine.go": 'gosec: could not import example.org/nowhere/x (invalid package name: "")',
    }
    assert [gap.what for gap in reading.excluded] == ["sub/tagged.go", "sub/x_windows.go"]


@pytest.mark.parametrize("text", ["", "{}", "[]"])
def test_gosec_without_a_report_has_failed(text: str) -> None:
    with pytest.raises(ToolFailed, match="gosec printed no"):
        gosec.parse(output(text, exit_code=0, files=["./b.go"]))


def test_gosec_without_go_has_looked_at_nothing() -> None:
    told = {"Golang errors": {".": [{"error": "go command required, not found"}]}, "Issues": []}
    reading = gosec.parse(output(json.dumps(told), exit_code=0, files=["./b.go"]))
    assert [(gap.what, gap.why) for gap in reading.unread] == [("b.go", "gosec: go command required, not found")]


def test_gosec_is_given_packages_and_is_not_quiet() -> None:
    words = gosec.argv(["./b.go", "./cmd/x/a.go", "./cmd/x/b.go"], None)
    assert words[-2:] == [".", "./cmd/x"]
    assert "-quiet" not in words


def test_gosec_looks_at_modules_each_in_its_folder(tmp_path: Path) -> None:
    """And at what is in no module, from the root. The configuration is the root's wherever it is started."""
    files = {
        "a.go": "package a\n",
        "svc/go.mod": "module b\n",
        "svc/x/b.go": "package x\n",
        ".gosec.json": "{}",
    }
    sandbox = Recorder()
    Stage(tmp_path, files, sandbox=sandbox, settings={"tools": ["gosec"]}).run(SecurityAgent([gosec.TOOL]))
    assert sandbox.seen == [("head", "-conf=.gosec.json", "."), ("svc", "-conf=../.gosec.json", "./x")]


def test_trivy_findings_of_changed_files() -> None:
    files = ["./Dockerfile", "./main.tf", "./bad.tf", "./Dockerfile.bad"]
    reading = trivy.parse(output(recorded("trivy.sarif"), recorded("trivy.stderr"), exit_code=0, files=files))
    assert [(f.tool, f.rule, f.path, f.start_line, f.last_line, f.severity) for f in reading.findings] == [
        ("trivy", "DS-0002", "Dockerfile", 2, 2, Severity.HIGH),
        ("trivy", "AWS-0086", "main.tf", 1, 3, Severity.HIGH),
    ]
    assert reading.findings[0].message == "Last USER command in Dockerfile should not be 'root'"
    assert [(gap.what, gap.why[:30]) for gap in reading.unread] == [
        ("bad.tf", "trivy: bad.tf:1,11-12: Argumen"),
        ("Dockerfile.bad", "trivy: parse dockerfile instru"),
    ]


@pytest.mark.parametrize("trusted", [True, False])
def test_trivy_for_real(tmp_path: Path, trusted: bool) -> None:
    """What a stranger would have it ignore it does not ignore."""
    files = {"Dockerfile": "FROM debian:12\nUSER root\n", ".trivyignore": "DS-0002\n", "bad.tf": "resource {{{\n"}
    result = for_real(tmp_path, trivy.TOOL, files, trusted=trusted)
    assert ("DS-0002" in {f.rule for f in result.findings}) is not trusted, result
    assert {f.path for f in result.findings} == {"Dockerfile"}
    assert (result.outcome, [one.what for one in result.not_covered]) == (Outcome.PARTIAL, ["bad.tf"])
    assert result.tools["trivy"].startswith("0.")


@pytest.mark.parametrize("tool", [semgrep.TOOL, gosec.TOOL, trivy.TOOL], ids=lambda tool: tool.name)
def test_what_is_optional_is_missed_only_where_it_is_named(tmp_path: Path, tool: object) -> None:
    if shutil.which(tool.name):  # type: ignore[attr-defined] # a Tool
        pytest.skip("it is installed")
    files = {"a.js": "x\n", "b.go": "package b\n", "Dockerfile": "FROM a:1\n"}
    silent = Stage(tmp_path / "1", files).run(SecurityAgent([iac.TOOL, tool]))  # type: ignore[list-item] # as above
    assert silent.outcome is Outcome.CLEAN
    name = tool.name  # type: ignore[attr-defined] # as above
    named = Stage(tmp_path / "2", files, settings={"tools": [name]}).run(SecurityAgent([tool]))  # type: ignore[list-item]
    assert named.outcome is Outcome.ERROR
    assert name in named.reason


# -- infrastructure

DOCKERFILE = """\
FROM debian:12
USER root
ADD https://a.example/x.tar.gz /
RUN curl -fsSL https://a.example/install.sh | bash
RUN wget --no-check-certificate https://a.example/x
RUN chmod -R 777 /srv
USER app
"""
COMPOSE = """\
services:
  a:
    privileged: true
    network_mode: host
    cap_add:
      - SYS_ADMIN
    cap_drop:
      - ALL
    volumes:
      - /var/run/docker.sock:/var/run/docker.sock
"""
KUBERNETES = """\
apiVersion: v1
kind: Pod
spec:
  hostNetwork: true
  containers:
    - name: a
      securityContext:
        privileged: true
        allowPrivilegeEscalation: true
        runAsUser: 0
        capabilities:
          drop:
            - ALL
          add:
            - SYS_ADMIN
  volumes:
    - hostPath: {path: /var/run/docker.sock}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
rules:
  - verbs: ["*"]
"""
TERRAFORM = """\
resource "aws_security_group" "a" {
  ingress {
    from_port   = 22
    cidr_blocks = ["0.0.0.0/0"]
  }
  ingress {
    from_port   = 443
    cidr_blocks = ["0.0.0.0/0"]
  }
  egress {
    from_port   = 0
    cidr_blocks = ["0.0.0.0/0"]
  }
}
resource "aws_db_instance" "b" {
  publicly_accessible = true
  storage_encrypted   = false
}
resource "aws_s3_bucket" "c" {
  acl = "public-read"
}
data "aws_iam_policy_document" "d" {
  statement {
    actions = ["*"]
  }
  statement {
    effect  = "Deny"
    actions = ["*"]
  }
}
# privileged = true, acl = "public-read"
"""
CLOUDFORMATION = """\
AWSTemplateFormatVersion: "2010-09-09"
Resources:
  A:
    Type: AWS::EC2::SecurityGroup
    Properties:
      SecurityGroupIngress:
        - IpProtocol: tcp
          FromPort: 22
          CidrIp: 0.0.0.0/0
      SecurityGroupEgress:
        - CidrIp: 0.0.0.0/0
"""


@pytest.mark.parametrize(
    ("path", "text", "found"),
    [
        (
            "Dockerfile",
            DOCKERFILE,
            {"add-from-network": [3], "pipe-to-shell": [4], "no-tls": [5], "world-writable": [6]},
        ),
        ("Dockerfile.dev", "FROM a:1\nUSER root\n", {"root-user": [2]}),
        (
            "docker-compose.yml",
            COMPOSE,
            {"privileged": [3], "host-namespace": [4], "capability": [6], "docker-socket": [10]},
        ),
        (
            "deploy/pod.yaml",
            KUBERNETES,
            {
                "host-namespace": [4],
                "privileged": [8],
                "privilege-escalation": [9],
                "root-user": [10],
                "capability": [15],
                "docker-socket": [17],
                "wildcard-role": [22],
            },
        ),
        (
            "main.tf",
            TERRAFORM,
            {
                "open-ingress": [4],
                "public-database": [16],
                "no-encryption": [17],
                "public-storage": [20],
                "wildcard-policy": [24],
            },
        ),
        ("stack.yaml", CLOUDFORMATION, {"open-ingress": [9]}),
        ("values.yaml", "privileged: true\nhost: 0.0.0.0/0\n", {}),
        (".github/workflows/ci.yml", "jobs: {a: {run: curl https://a | sh}}\n", {}),
    ],
)
def test_infrastructure(tmp_path: Path, path: str, text: str, found: dict[str, list[int]]) -> None:
    result = Stage(tmp_path, {path: text}).run(SecurityAgent([iac.TOOL]))
    told: dict[str, list[int]] = {}
    for finding in result.findings:
        told.setdefault(finding.rule.partition("/")[2], []).append(finding.start_line or 0)
        assert finding.advice
        assert finding.cwe
    assert told == found
    assert result.covered == (path,)


def test_lines_that_grep_finds() -> None:
    """Recorded from GNU grep 3.8."""
    sources = {
        "Dockerfile": "FROM debian:12\nADD https://a.example/x.tar.gz /\n"
        "RUN curl -fsSL https://a.example/install.sh | bash\nUSER root\n",
        "main.tf": 'resource "aws_db_instance" "b" {\n  publicly_accessible = true\n}\n',
    }
    reading = iac.parse(output(recorded("iac.txt"), exit_code=0, sources=sources))
    assert [(f.path, f.start_line, f.rule) for f in reading.findings] == [
        ("./Dockerfile", 2, "dockerfile/add-from-network"),
        ("./Dockerfile", 3, "dockerfile/pipe-to-shell"),
        ("./Dockerfile", 4, "dockerfile/root-user"),
        ("./main.tf", 2, "terraform/public-database"),
    ]


def test_nonsense_of_grep_is_a_failure() -> None:
    with pytest.raises(ToolFailed, match="printed what it should not"):
        iac.parse(output("Dockerfile:1:USER root\n", exit_code=0))
    with pytest.raises(ToolFailed, match="grep failed with exit code 2"):
        iac.parse(output("", "grep: a: Permission denied", exit_code=2))
