"""The scanners' parsers, on recorded output."""

from __future__ import annotations

import hashlib
import json
import re
import time

import pytest

from bot.domain.findings import Severity
from bot.errors import ToolFailed
from workers.agent import Output
from workers.tools import bandit, detect_secrets, zizmor

from .recordings import output, recorded

WORKFLOWS = ("./.github/workflows/w.yml", "./.github/workflows/bad.yml")
SECRETS = 'key = "…"\ntoken = "…"\ncommit = "…"\npassword = "…"\n'


def test_bandit_finding_has_cwe_and_severity() -> None:
    reading = bandit.parse(output(recorded("bandit.json")))
    shell = next(f for f in reading.findings if f.rule == "B602")
    assert (shell.path, shell.start_line, shell.severity, shell.cwe) == ("././b.py", 6, Severity.HIGH, 78)
    assert shell.url
    assert shell.url.startswith("https://bandit.readthedocs.io/")


def test_bandit_names_files_it_could_not_read() -> None:
    reading = bandit.parse(output(recorded("bandit.json")))
    assert [(one.what, one.why) for one in reading.unread] == [
        ("././broken.py", "bandit: syntax error while parsing AST from file")
    ]


def test_bandit_low_confidence_counts_one_step_less() -> None:
    report = json.loads(recorded("bandit.json"))
    for result in report["results"]:
        result["issue_confidence"] = "LOW"
    findings = bandit.parse(output(json.dumps(report))).findings
    assert next(f for f in findings if f.rule == "B602").severity is Severity.MEDIUM


def test_bandit_leaves_out_what_every_program_does() -> None:
    findings = bandit.parse(output(recorded("bandit.json"))).findings
    assert {"B101", "B403"} <= set(re.findall(r"B\d{3}", recorded("bandit.json")))
    assert not {"B101", "B403"} & {f.rule for f in findings}


def test_bandit_says_all_where_the_repository_configures_it() -> None:
    findings = bandit.parse(output(recorded("bandit.json"), config="pyproject.toml")).findings
    assert {"B101", "B403", "B602"} <= {f.rule for f in findings}


@pytest.mark.parametrize("path", ["tests/cart.py", "test_cart.py", "shop/cart_test.py"])
def test_bandit_findings_in_tests_count_one_step_less(path: str) -> None:
    stdout = recorded("bandit.json").replace("././b.py", f"./{path}")
    findings = {f.rule: f.severity for f in bandit.parse(output(stdout)).findings}
    assert findings["B602"] is Severity.MEDIUM
    assert Severity.INFO not in findings.values()


def test_bandit_crash() -> None:
    with pytest.raises(ToolFailed, match="bandit failed with exit code 2: Traceback"):
        bandit.parse(output("", "Traceback: ...", exit_code=2))


def test_zizmor_finding_lies_at_its_primary_location() -> None:
    reading = zizmor.parse(output(recorded("zizmor.json"), recorded("zizmor.stderr"), exit_code=0, files=WORKFLOWS))
    trigger = next(f for f in reading.findings if f.rule == "dangerous-triggers")
    assert (trigger.path, trigger.start_line, trigger.severity) == (WORKFLOWS[0], 2, Severity.HIGH)
    assert "pull_request_target is almost always used insecurely" in trigger.message
    job = next(f for f in reading.findings if f.rule == "excessive-permissions")
    assert (job.start_line, job.end_line) == (4, 10)


@pytest.mark.parametrize(
    ("uses", "config", "severity"),
    [
        ("actions/checkout@v5", None, Severity.LOW),
        ('"github/codeql-action/init@v3"', None, Severity.LOW),
        ("octo/deploy@v1", None, Severity.MEDIUM),
        ("actions/checkout@v5", "zizmor.yml", Severity.HIGH),
    ],
)
def test_zizmor_action_named_by_a_tag_is_advice(uses: str, config: str | None, severity: Severity) -> None:
    reading = zizmor.parse(_zizmor("unpinned-uses", "High", f"      - uses: {uses}", config))
    assert [f.severity for f in reading.findings] == [severity]


def test_zizmor_guess_counts_one_step_less() -> None:
    assert zizmor.parse(_zizmor("cache-poisoning", "Low", "")).findings[0].severity is Severity.MEDIUM


def _zizmor(ident: str, confidence: str, line: str, config: str | None = None) -> Output:
    """What zizmor says of the first line of a workflow: something of high severity."""
    place = {"start_point": {"row": 0, "column": 0}, "end_point": {"row": 0, "column": 9}}
    location = {
        "symbolic": {"kind": "Primary", "key": {"Local": {"verbatim_path": WORKFLOWS[0]}}},
        "concrete": {"location": place},
    }
    determinations = {"severity": "High", "confidence": confidence}
    results = [{"ident": ident, "determinations": determinations, "locations": [location]}]
    sources = {WORKFLOWS[0].removeprefix("./"): line + "\n"}
    said = f" INFO audit: completed {WORKFLOWS[0]}\n"
    return output(json.dumps(results), said, exit_code=0, files=WORKFLOWS[:1], sources=sources, config=config)


def test_zizmor_workflow_that_it_passed_over_is_not_covered() -> None:
    reading = zizmor.parse(output(recorded("zizmor.json"), recorded("zizmor.stderr"), exit_code=0, files=WORKFLOWS))
    assert [one.what for one in reading.unread] == [WORKFLOWS[1]]
    assert "failed to parse input" in reading.unread[0].why


def test_zizmor_with_nothing_it_could_parse_covers_nothing() -> None:
    reading = zizmor.parse(output("", "fatal: no audit was performed", exit_code=3, files=WORKFLOWS))
    assert len(reading.unread) == 2
    assert not reading.findings


def test_zizmor_crash() -> None:
    with pytest.raises(ToolFailed, match="zizmor failed with exit code 1: fatal: no audit"):
        zizmor.parse(output("", "fatal: no audit was performed", exit_code=1, files=WORKFLOWS))


def test_secrets_are_named_by_kind_and_never_by_value_or_hash() -> None:
    findings = detect_secrets.parse(
        output(recorded("detect-secrets.json"), exit_code=0, sources={"s.py": SECRETS})
    ).findings
    seen = {(f.rule, f.start_line, f.severity) for f in findings}
    assert seen == {
        ("secret/aws-access-key", 1, Severity.HIGH),
        ("secret/hex-high-entropy-string", 2, Severity.MEDIUM),
        ("secret/secret-keyword", 4, Severity.HIGH),
    }
    hashes = re.findall(r"[0-9a-f]{40}", recorded("detect-secrets.json"))
    assert hashes
    assert not any(digest in finding.model_dump_json() for digest in hashes for finding in findings)


def test_randomness_alone_is_no_secret() -> None:
    """Line 3 holds a commit's id: as random as a key."""
    assert "Hex High Entropy String" in recorded("detect-secrets.json")
    findings = detect_secrets.parse(
        output(recorded("detect-secrets.json"), exit_code=0, sources={"s.py": SECRETS})
    ).findings
    assert 3 not in {f.start_line for f in findings}


def test_guesses_weigh_less_in_tests_but_keys_do_not() -> None:
    stdout = recorded("detect-secrets.json").replace('"s.py"', '"tests/s.py"')
    findings = detect_secrets.parse(output(stdout, exit_code=0, sources={"tests/s.py": SECRETS})).findings
    assert {f.rule: f.severity for f in findings} == {
        "secret/aws-access-key": Severity.HIGH,
        "secret/hex-high-entropy-string": Severity.LOW,
        "secret/secret-keyword": Severity.LOW,
    }


def test_secrets_of_an_honoured_baseline_are_known() -> None:
    stdout = recorded("detect-secrets.json")
    sources = {"s.py": SECRETS, ".secrets.baseline": stdout}
    known = detect_secrets.parse(output(stdout, exit_code=0, sources=sources, config=".secrets.baseline"))
    assert known.findings == []
    ignored = detect_secrets.parse(output(stdout, exit_code=0, sources=sources))
    assert ignored.findings


@pytest.mark.parametrize(
    ("path", "severity"), [("deploy/server.key", Severity.HIGH), ("tests/certs/server.key", Severity.MEDIUM)]
)
def test_private_keys_made_for_tests_weigh_less(path: str, severity: Severity) -> None:
    report = {"results": {path: [{"type": "Private Key", "filename": path, "hashed_secret": "x", "line_number": 1}]}}
    [finding] = detect_secrets.parse(output(json.dumps(report), exit_code=0)).findings
    assert (finding.rule, finding.severity) == ("secret/private-key", severity)


@pytest.mark.parametrize(
    ("value", "placeholder"),
    [
        ("changeme", True),
        ("your-api-key-here", True),
        ("<your_token>", True),
        ("password123", True),
        ("xxxxxxxx", True),
        ("a secret", True),
        ("a%20secret", True),
        ("hunter2hunter2", False),
        ("correct-horse-battery", False),
        ("Tr0ub4dor&3", False),
        ("s3cr3t-Passw0rd", False),
    ],
)
def test_placeholders_are_no_secrets(value: str, placeholder: bool) -> None:
    reading = detect_secrets.parse(_keyword(value))
    assert (len(reading.findings), reading.left_out.get("a placeholder", 0)) == ((0, 1) if placeholder else (1, 0))


def _keyword(value: str, form: str = 'password = "{}"') -> Output:
    """What detect-secrets says of a value that is given to a telling name."""
    hashed = hashlib.sha1(value.encode()).hexdigest()
    found = {"type": "Secret Keyword", "hashed_secret": hashed, "line_number": 1}
    stdout = json.dumps({"results": {"s.ini": [found]}})
    return output(stdout, exit_code=0, files=["./s.ini"], sources={"s.ini": form.format(value) + "\n"})


@pytest.mark.parametrize(
    "form", ["password = '{}'", "PASSWORD={}", "password: {}", '"password": "{}",', 'a(password="{}")']
)
def test_the_value_is_known_however_it_is_written(form: str) -> None:
    assert detect_secrets.parse(_keyword("changeme", form)).left_out == {"a placeholder": 1}


@pytest.mark.parametrize(
    ("line", "value", "path", "why"),
    [
        ("secretName: {}", "web-tls-cert", "pod.yaml", "a name"),
        ("adminSecretNamespace: '{}'", "kube-system", "pod.yaml", "a name"),
        ("for user, password := {} accounts", "range", "auth.go", "a name"),
        ('password := "{}"', "whalehello", "auth.go", ""),
        ("password: {}", "cGFzc3dvcmQ=", "pod.yaml", "a placeholder"),
        ("password: {}", "c3RvcmFnZW9z", "pod.yaml", ""),
        ("url = postgres://app:{}@db/x", "%s", "a.cfg", "a placeholder"),
        ("password={}", "${DB_PASSWORD}", "a.properties", "a placeholder"),
    ],
)
def test_what_is_no_secret_is_told_apart(line: str, value: str, path: str, why: str) -> None:
    """As they were met in kubernetes/examples, gin and awesome-compose."""
    found = {"type": "Secret Keyword", "hashed_secret": hashlib.sha1(value.encode()).hexdigest(), "line_number": 1}
    stdout = json.dumps({"results": {path: [found]}})
    reading = detect_secrets.parse(output(stdout, exit_code=0, files=[f"./{path}"], sources={path: line.format(value)}))
    assert dict(reading.left_out) == ({why: 1} if why else {})
    assert len(reading.findings) == (0 if why else 1)


def test_hostile_placeholder_does_not_hang_the_pattern() -> None:
    begun = time.process_time()
    assert len(detect_secrets.parse(_keyword("password" * 400 + "!")).findings) == 1
    assert time.process_time() - begun < 1


def test_a_secret_has_one_fingerprint_wherever_it_stands() -> None:
    one, other = (
        detect_secrets.parse(_keyword("Tr0ub4dor&3", form)).findings[0] for form in ("password={}", "pwd: {}")
    )
    assert one.identity == other.identity
    assert re.fullmatch(r"secret-[0-9a-f]{20}", one.identity)
    assert one.identity in one.advice
    assert detect_secrets.parse(_keyword("Tr0ub4dor&4")).findings[0].identity != one.identity


def test_what_detectors_miss_is_found_by_its_shape() -> None:
    key = "AIza" + "SyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY"
    empty = json.dumps({"results": {}})
    reading = detect_secrets.parse(
        output(empty, exit_code=0, files=["./m.js"], sources={"m.js": f"x\nload('{key}')\n"})
    )
    assert [(f.rule, f.path, f.start_line, f.severity) for f in reading.findings] == [
        ("secret/google-key", "./m.js", 2, Severity.HIGH)
    ]
    assert key not in str(reading)


def test_two_private_keys_have_two_fingerprints() -> None:
    """detect-secrets knows a key's first line only."""
    mark = "PRIVATE " + "KEY-----"
    hashed = hashlib.sha1(f"BEGIN RSA {mark.removesuffix('-----')}".encode()).hexdigest()
    stdout = json.dumps({"results": {"k": [{"type": "Private Key", "hashed_secret": hashed, "line_number": 1}]}})
    prints = set()
    for body in ("MIIE" + "a" * 60, "MIIE" + "b" * 60):
        text = f"-----BEGIN RSA {mark}\n{body}\n-----END RSA {mark}\n"
        [finding] = detect_secrets.parse(output(stdout, exit_code=0, files=["./k"], sources={"k": text})).findings
        assert (finding.rule, finding.start_line) == ("secret/private-key", 1)
        prints.add(finding.identity)
    assert len(prints) == 2


@pytest.mark.parametrize(
    ("value", "invented"),
    [
        ("ghp_" + "zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17", False),  # GitHub's own example of a checksum that is right
        ("ghp_" + "zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq18", True),
        ("AKIA" + "ABCDEFGHIJKLMNOP", True),
        ("AKIA" + "Z7VRSQ5TJN2XMPLW", False),
        ("sk_live_" + "0000000000000000000000", True),
        ("glpat-" + "notreal-KJ73hsbx82hqXy", True),
    ],
)
def test_what_shows_that_nobody_issued_it(value: str, invented: bool) -> None:
    assert detect_secrets.made_up(value) is invented
    [finding] = detect_secrets.parse(_keyword(value)).findings
    assert finding.severity is (Severity.LOW if invented else Severity.HIGH)


def test_a_file_full_of_secrets_is_no_source() -> None:
    begun = time.process_time()
    for kind, words in (("Hex High Entropy String", "more than 20,000"), ("Secret Keyword", "more than 1,000")):
        found = [{"type": kind, "hashed_secret": "0", "line_number": n} for n in range(1, 100_000)]
        with pytest.raises(ToolFailed, match=words):
            detect_secrets.parse(output(json.dumps({"results": {"s": found}}), exit_code=0))
    assert time.process_time() - begun < 5


def test_lock_files_are_left_to_others() -> None:
    assert not detect_secrets.TOOL.applies("web/package-lock.json")
    assert detect_secrets.TOOL.applies("package.json")
