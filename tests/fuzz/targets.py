"""Everything that reads a text of a stranger's, with real texts to begin with and what it may answer with.

A target takes any text. It may raise what its docstring promises (the exceptions in `Target.raises`), nothing else, and
it has to come to an end fast. What it must hold beyond that it asserts itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bot.bodies import payload_of
from bot.domain.commands import parse_command
from bot.domain.diff import parse_diff
from bot.domain.findings import Finding, Severity
from bot.domain.glob import matches
from bot.domain.markdown import code, fence, plain, table
from bot.domain.redact import redact, secrets_in
from bot.domain.render_inline import fingerprint_of
from bot.errors import AssayError, Theirs, ToolFailed
from bot.github.envelope import Tenant, read_tenant
from bot.github.payloads import parse as parse_payload
from bot.intake.threads import parse_order
from config.reading import Layer, read
from tests.domain.hostile import live_parts
from tests.domain.test_render import OURS
from tests.fuzz import trees
from tests.workers.dependencies import locks
from tests.workers.osv.server import EVIL, JINJA, LODASH
from tests.workers.tools.recordings import RECORDED, reader
from workers.agent import Case, Completed, Output, Tool
from workers.agents import missing
from workers.agents.claims import Review
from workers.agents.dependencies import versions
from workers.agents.dependencies.advisory import parse as parse_advisory
from workers.agents.dependencies.files import read as read_lock
from workers.agents.dependencies.package import Package, Unreadable
from workers.agents.hunks import read_patch
from workers.agents.outline.outline import parse as parse_outline
from workers.agents.verify import Rulings
from workers.history import read_log
from workers.llm.chat import ChatStream
from workers.llm.events import Streamed
from workers.llm.reply import parse_reply, read_answer
from workers.llm.responses import ResponseStream
from workers.llm.responses import parse_reply as parse_response
from workers.registry import FORMATS, TOOLS
from workers.sandbox import proxy
from workers.sandbox.container import parse_image
from workers.sandbox.registries import Registries
from workers.tools import coverage, errorformat, junit, traces
from workers.tools.testresults import FILES, PRINTED

_PATCH = "diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n@@ -1,2 +1,3 @@ def f():\n x = 1\n-y = 2\n+y = 3\n+z = 4\n"
_RENAME = (
    "diff --git a/a b/b\nsimilarity index 90%\nrename from a\nrename to b\n--- a/a\n+++ b/b\n@@ -1 +1 @@\n-x\n+y\n"
)
_LCOV = "TN:\nSF:a.py\nDA:1,3\nDA:2,0\nend_of_record\n"
_COBERTURA = '<coverage><source>/a</source><class filename="a.py"><line number="1" hits="0"/></class></coverage>'
_YAML = """version: 1
triggers: {push: [main, "release/**"], pull_request: {drafts: false}}
agents:
  test: {setup: pip install ., run: pytest, timeout: 10m, paths: ["src/**"]}
  review: {rules: [{paths: ["api/**"], instructions: words}], budget: {run: 0.5}}
  docs: {run: mkdocs build, format: exit-code, required: false}
"""
_PAYLOAD = (
    '{"action":"opened","installation":{"id":1},"sender":{"login":"a","id":2,"type":"User"},"number":1,"ref":"refs/heads/'
    'main","before":"'
    + "0" * 40
    + '","after":"'
    + "1" * 40
    + '","repository":{"id":1,"full_name":"o/r","default_branch":'
    '"main","owner":{"login":"o"}},"pull_request":{"number":1,"title":"t","body":null,"draft":false,"state":"open",'
    '"updated_at":"2026-01-01T00:00:00Z","user":{"login":"a","id":2},"head":{"sha":"' + "1" * 40 + '","ref":"b","repo":'
    '{"id":1,"full_name":"o/r"}},"base":{"sha":"' + "0" * 40 + '","ref":"main","repo":{"id":1,"full_name":"o/r"}}}}'
)
_ENVELOPE = (
    '{"action":"edited","deployment":{"repository":{"full_name":"o/other"}},"repository":{"id":1,"full_name":"o/r"},'
    '"sender":{"login":",\\"repository\\":{"},"installation":{"id":1}}'
)
_EVENTS = (
    *("push", "pull_request", "check_run", "check_suite", "merge_group", "installation", "issue_comment"),
    *("pull_request_review_comment", "pull_request_review_thread", "installation_repositories", "installation_target"),
)
_RESPONSE = (
    '{"status":"completed","output":[{"type":"message","content":[{"type":"output_text","text":"{}"}]}],'
    '"usage":{"input_tokens":1,"output_tokens":2}}'
)
_EVENT_STREAM = (
    'data: {"type":"response.output_text.delta","delta":"{}"}\n\n'
    'data: {"type":"response.completed","response":' + _RESPONSE + "}\n\n"
)
_CHUNKS = (
    'data: {"choices":[{"delta":{"content":"{}"}}]}\n\ndata: {"choices":[{"delta":{},"finish_reason":"stop"}],"usage":'
    '{"prompt_tokens":1,"completion_tokens":2}}\n\ndata: [DONE]\n\n'
)
_RULED = json.dumps(
    {
        "choices": [
            {
                "message": {"content": '{"rulings": [{"claim": 1, "verdict": "holds", "quote": "x", "reason": "r"}]}'},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2},
    }
)
_REQUEST = "GET http://example.com/simple/?a=b HTTP/1.1\r\nHost: example.com\r\nProxy-Authorization: x\r\n\r\n"
_TUNNEL = "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n"
_OUTLINE = '["a.py", [["f", 1, 3, 1]], [["g", 2, true]], 0]\n["b.py", [], [], null]\n'
_TRACE = (
    "Traceback:\n  File \"a.py\", line 1\nModuleNotFoundError: No module named 'b.c'\n    at f (file:///a/b.js:1:2)\n"
    "\tat a.b.C.d(C.java:3)\n  a.go:12: x\n# ./a.rb:3:in `x'\na.c:4: y\nfixture 'z' not found\n"
    "thread 'a' panicked at a.rs:1:2\n"
)
_COMMENT = "<!-- assay:finding:0123456789abcdef -->\nwords"
_REPLY = (
    '{"choices":[{"message":{"content":"{\\"summary\\": \\"s\\", \\"findings\\": []}"},"finish_reason":"stop"}],'
    '"usage":{"prompt_tokens":1,"completion_tokens":2}}'
)


_LOCKS = {
    "package-lock.json": [locks.NPM, locks.NPM_1],
    "yarn.lock": [locks.YARN_1, locks.YARN_4],
    "pnpm-lock.yaml": [locks.PNPM_6, locks.PNPM_9],
    "bun.lock": [locks.BUN],
    "poetry.lock": [locks.POETRY, locks.UV],
    "Pipfile.lock": [locks.PIPFILE],
    "Cargo.lock": [locks.CARGO],
    "go.mod": [locks.GO_MOD],
    "go.sum": [locks.GO_SUM],
    "Gemfile.lock": [locks.GEMFILE],
    "composer.lock": [locks.COMPOSER],
    "packages.lock.json": [locks.NUGET],
    "pom.xml": [locks.POM],
    "gradle.lockfile": [locks.GRADLE],
    "requirements.txt": [locks.REQUIREMENTS],
}


_FINDING = Finding(tool="t", rule="r", severity=Severity.LOW, message="m", path="a.py", start_line=1)


@dataclass(frozen=True)
class Target:
    """A parser by name. `seeds` are real texts of its kind."""

    name: str
    run: Callable[[str], object]
    seeds: Sequence[str]
    raises: tuple[type[Exception], ...] = ()


def _recordings(name: str) -> list[str]:
    files = sorted(Path(RECORDED).rglob(f"{name.replace('_', '-')}*"))
    return [file.read_text("utf-8", "replace")[:20_000] for file in files if file.is_file()]


def _lines_of(rdjson: str) -> list[str]:
    return [json.dumps(one) for one in json.loads(rdjson).get("diagnostics", ())]


def _tool(tool: Tool, text: str) -> None:
    # Most print to standard output; some say on standard error what they could not read.
    for stdout, stderr in ((text, ""), ("", text)):
        said = Output(Completed(1, stdout, stderr, 0.1), ["./a.py"], None, reader({"a.py": "x = 1\n"}))
        if tool.mending is not None:
            tool.mending.parse([_FINDING, _FINDING.model_copy(update={"rule": "format"})], said)
            tool.mending.parse([_FINDING], said)
        for parse in (tool.parse, *((tool.listing.parse,) if tool.listing else ())):
            with suppress(ToolFailed):
                parse(said)


def _advisory(text: str) -> None:
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return
    if isinstance(record, dict):
        for package in (Package("npm", "lodash", "4.17.20"), Package("PyPI", "jinja2", text[:20])):
            parse_advisory(record, package)


def _payload(event: str, text: str) -> None:
    parse_payload(event, text.encode("utf-8", "surrogatepass"), 1, "assay[bot]")


def _tenant(text: str) -> None:
    """Whoever reads only a payload's end reads what it says as a whole."""
    body = text.encode("utf-8", "surrogatepass")
    quick, whole = read_tenant(body, "push"), read_tenant(body, "check_run")
    assert whole in {Tenant(), quick, quick._replace(action=whole.action)}, text


def _inert(text: str) -> None:
    """Whatever a stranger writes, GitHub shows it and does nothing."""
    shown = "\n\n".join((plain(text), code(text), fence(text, 2_000), table(("a", "b"), [(plain(text), code(text))])))
    assert live_parts(shown, *OURS) == []


def _masked_twice(text: str) -> None:
    once = redact(text)
    assert redact(once) == once


def _rulings(text: str) -> None:
    read_answer(parse_reply(text.encode("utf-8", "surrogatepass")), Rulings)


def _answer(text: str) -> None:
    read_answer(parse_reply(text.encode("utf-8", "surrogatepass")), Review)


def _streamed(stream: Callable[[], Streamed], text: str) -> None:
    coming = stream()
    raw = text.encode("utf-8", "surrogatepass")
    for at in range(0, len(raw), 97):
        coming.feed(raw[at : at + 97])
    coming.reply()


def _way_out(text: str) -> None:
    """What a set-up asks the proxy for: a host that is on no list is refused, whatever else there is."""
    host, port, first = proxy._target(text.encode("utf-8", "surrogatepass"))
    assert not first.lower().partition(b"\r\n\r\n")[0].count(b"\r\nproxy-")
    Registries().allow(host, port)


def _said_of_tests(text: str) -> None:
    traces.frames(text)
    case = Case("a", "error", trace=text)
    missing.needs(case, Path("/nowhere"))
    missing.unreachable(Completed(1, text, text, 0.1), "a")


def _versions(text: str) -> None:
    for ecosystem in ("npm", "PyPI", "crates.io", "Go", "RubyGems", "Packagist", "Maven", "NuGet"):
        versions.before(ecosystem, text[:300], "1.2.3")


def _targets() -> list[Target]:
    patches = [_PATCH, _RENAME, _PATCH + _RENAME]
    targets = [
        Target("diff", lambda text: parse_diff(text.split("\n")), patches, (Theirs, ToolFailed)),
        Target("hunks", read_patch, patches),
        Target("secrets of a patch", secrets_in, patches),
        Target("redact", _masked_twice, ["password = 'aB3dE6gH9jK2mN5p'", *patches]),
        Target("markdown", _inert, ["a `b` @c #1 <d> [e](f)"]),
        Target("configuration", lambda text: read([Layer("repository", "a.yml", text)]), [_YAML]),
        Target(
            "glob", lambda text: matches(text[:300], "src/a/b.py"), ["src/**/*.{py,js}", "!a", "[a-z]?"], (ValueError,)
        ),
        Target("order", parse_command, ["/assay rerun lint --failed", "thanks\n/assay approve"]),
        Target("tenant", _tenant, [_PAYLOAD, _ENVELOPE], (ValueError,)),
        Target("model's reply", _answer, [_REPLY], (AssayError,)),
        Target("junit", junit.parse, _recordings("pytest.junit") + _recordings("node.junit"), (ToolFailed,)),
    ]
    targets += (
        Target(f"tests {form}", parse, _recordings(name), (ToolFailed,))
        for form, name, parse in (
            ("jest", "jest", FILES["jest"]),
            ("mocha", "mocha", FILES["mocha"]),
            ("rspec", "rspec", FILES["rspec"]),
            ("go", "go.jsonl", partial(_printed, "go")),
            ("cargo", "cargo", partial(_printed, "cargo")),
            ("automake", "automake", partial(_printed, "automake")),
            ("tap", "*tap", partial(_printed, "tap")),
            ("unittest", "unittest", partial(_printed, "unittest")),
            ("any", "*tap", partial(_printed, "any")),
        )
    )
    targets.append(Target("coverage", coverage.parse, [_LCOV, _COBERTURA], (ToolFailed,)))
    targets += (Target(f"payload {event}", partial(_payload, event), [_PAYLOAD], (Theirs,)) for event in _EVENTS)
    targets += (Target(f"tool {tool.name}", partial(_tool, tool), _recordings(tool.name)) for tool in TOOLS)
    targets += (
        Target(f"lock file {name}", partial(read_lock, name), seeds, (Unreadable,)) for name, seeds in _LOCKS.items()
    )
    targets += [
        Target("log of commits", lambda text: list(read_log(text.split("\n"))), [f"\0abc\n{_PATCH}", _PATCH]),
        Target("advisory", _advisory, [json.dumps(one) for one in (LODASH, JINJA, EVIL)]),
    ]
    targets += [
        Target("order in a thread", parse_order, ["/assay ignore --always because", " /assay ignore\nmore"]),
        Target("comment of ours", fingerprint_of, [_COMMENT]),
        Target(
            "form",
            lambda text: payload_of(text.encode("utf-8", "surrogatepass")),
            ["payload=%7B%7D&a=b"],
            (ValueError,),
        ),
        Target(
            "model's response",
            lambda text: parse_response(text.encode("utf-8", "surrogatepass")),
            [_RESPONSE],
            (AssayError,),
        ),
        Target("model's stream", partial(_streamed, ResponseStream), [_EVENT_STREAM], (AssayError,)),
        Target("model's chunks", partial(_streamed, ChatStream), [_CHUNKS], (AssayError,)),
        Target("verifier's reply", _rulings, [_RULED], (AssayError,)),
        Target("outline", lambda text: parse_outline(text, ["a.py", "b.py"]), [_OUTLINE]),
        Target("way out", _way_out, [_REQUEST, _TUNNEL], (proxy.Refused,)),
        Target("image", lambda text: parse_image("a", text), ["/usr/bin:/bin\n/usr/bin/\nassay\npython3\n/bin/\nsh\n"]),
        Target("words of tests", _said_of_tests, [_TRACE]),
        Target("version", _versions, ["1.2.3-rc.1+build", "v0.0.0-20200101000000-abcdef", "1!2.0.post1"]),
    ]
    targets += (Target(f"repository's {name}", partial(trees.read, name), [text]) for name, text in trees.FILES.items())
    targets.append(Target("lines", _lines, [*_recordings("yamllint"), *_recordings("rustfmt.stderr")]))
    formats: Mapping[str, Callable[..., object]] = FORMATS
    # One diagnostic a line is what `rdjson` holds in a list.
    lines = [line for text in _recordings("*rdjson") for line in _lines_of(text)]
    targets += (
        Target(
            f"format {name}",
            partial(_format, parse),
            lines if name == "rdjsonl" else _recordings(f"*{name}"),
            (ToolFailed,),
        )
        for name, parse in formats.items()
    )
    return targets


def _printed(form: str, text: str) -> None:
    PRINTED[form](Completed(1, text, text, 0.1))


def _lines(text: str) -> None:
    errorformat.parse(text, ("%Eerror: %m", "%Z%.%#--> %f:%l:%c", "%f:%l:%c: %m", "%f:%l: %m"))


def _format(parse: Callable[..., object], text: str) -> None:
    parse(text, reader({"a.py": "x = 1\n"}))


TARGETS: Mapping[str, Target] = {target.name: target for target in _targets()}
