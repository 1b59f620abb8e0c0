"""Reading `.github/assay.yml`: layers, messages, and hostile text."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from config import repository
from config.document import MAX_BYTES, MAX_DEPTH, MAX_NODES
from config.problems import Problem
from config.reading import MAX_PROBLEMS, Layer, Reading, default_text, read
from config.repository import CommandConfig, RepositoryConfig
from tests.config.examples import DESIGN

FILE = ".github/assay.yml"


def read_one(text: str) -> Reading:
    return read([Layer("repository", FILE, text)])


def told(text: str) -> list[tuple[int, int, str, str]]:
    return [(p.line, p.column, p.key, p.message) for p in read_one(text).problems]


def only(text: str) -> Problem:
    reading = read_one(text)
    assert len(reading.problems) == 1, reading.problems
    assert reading.config == RepositoryConfig()
    return reading.problems[0]


def test_no_file_is_the_built_in_configuration() -> None:
    reading = read([Layer("organisation", "acme/.github", None), Layer("repository", FILE, None)])
    assert reading == Reading(RepositoryConfig(), "built-in defaults")


@pytest.mark.parametrize(
    "text", ["", "\n", "# nothing yet\n", "---\n", "~", "agents:\ntriggers:\n", "agents:\n  test:\n"]
)
def test_a_file_that_says_nothing_is_the_built_in_configuration(text: str) -> None:
    reading = read_one(text)
    assert (reading.config, reading.problems) == (RepositoryConfig(), ())


def test_the_built_in_file_and_the_schemas_defaults_agree() -> None:
    loaded = YAML(typ="safe", pure=True).load(default_text())
    assert RepositoryConfig.model_validate(loaded) == RepositoryConfig()
    assert loaded["agents"].keys() == repository.BUILT_IN.keys()
    for name, model in repository.BUILT_IN.items():
        silent = {key for key, field in model.model_fields.items() if field.default is None}
        assert set(loaded["agents"][name]) == set(model.model_fields) - silent


def test_the_example_of_the_design_reads_without_problems() -> None:
    reading = read_one(DESIGN)
    assert reading.problems == ()
    agents = reading.config.agents
    assert agents.test.timeout == 600
    assert agents.lint.fail_on == "warning"
    assert agents.review.rules[0].paths == ("api/**",)
    assert agents.review.budget.month == 50
    docs = agents.by_name()["docs"]
    assert isinstance(docs, CommandConfig)
    assert docs.run == "mkdocs build --strict"
    assert reading.config.triggers.push == ("main", "release/**")
    assert reading.config.not_acted_on() == (
        "notify", "workflows", "approvals.apply_fix", "triggers.schedule",
    )  # fmt: skip


def test_brackets_inside_of_brackets_need_quotes() -> None:
    """The design's own example lacks these quotes; no YAML parser takes it."""
    problem = only("version: 1\nagents:\n  test: {setup: pip install -e '.[test]', run: pytest}")
    assert (problem.line, problem.column) == (3, 34)
    assert "put quotes around a text that holds [ ] { } or ," in problem.message


def test_sections_merge_and_lists_and_values_are_replaced() -> None:
    organisation = "agents: {test: {timeout: 5m, paths: [a, b], run: make}, docs: {run: mkdocs}}"
    own = "agents: {test: {paths: [c]}, docs: {required: true}}"
    reading = read([Layer("acme", "acme/.github", organisation), Layer("own", FILE, own)])
    assert reading.problems == ()
    assert reading.source == "own over acme"
    test, docs = reading.config.agents.test, reading.config.agents.by_name()["docs"]
    assert (test.timeout, test.paths, test.run) == (300, ("c",), "make")
    assert isinstance(docs, CommandConfig)
    assert (docs.run, docs.required) == ("mkdocs", True)


def test_nothing_after_a_key_takes_a_value_back_and_leaves_a_section() -> None:
    organisation = "agents: {test: {run: make, timeout: 5m}, docs: {run: mkdocs}}"
    own = "agents: {test: {run: , timeout: null}, docs: }"
    config = read([Layer("acme", "acme/.github", organisation), Layer("own", FILE, own)]).config
    assert (config.agents.test.run, config.agents.test.timeout) == (None, 600)
    assert "docs" in config.agents.by_name()


def test_a_problem_names_the_layer_it_stands_in() -> None:
    organisation, own = "\nagents: {lint: {fail_on: hihg}}", "agents: {lint: {timeout: 5m}}\ntrigers: 1"
    reading = read([Layer("acme", "acme/.github", organisation), Layer("own", FILE, own)])
    assert [(p.file, p.line, p.key) for p in reading.problems] == [
        ("acme/.github", 2, "agents.lint.fail_on"),
        (FILE, 2, "trigers"),
    ]


def test_an_unreadable_layer_is_the_only_thing_blamed() -> None:
    reading = read([Layer("acme", "acme/.github", "a: [b"), Layer("own", FILE, "agents: {docs: {timeout: 5m}}")])
    assert [p.file for p in reading.problems] == ["acme/.github"]


@pytest.mark.parametrize(
    ("text", "place", "key", "message"),
    [
        ("trigers: {}", (1, 1), "trigers", "unknown key 'trigers'; did you mean 'triggers'?"),
        (
            "x: {}",
            (1, 1),
            "x",
            (
                "unknown key 'x'; use one of version, triggers, agents, image, ignore, code_scanning, trusted, "
                "commands, approvals, notify, workflows"
            ),
        ),
        ("agents:\n  lint:\n    fail-on: high", (3, 5), "agents.lint.fail-on", "did you mean 'fail_on'?"),
        ("lint: {}", (1, 1), "lint", "the agent 'lint' belongs under `agents:`"),
        (
            "agents: {lint: {fail_on: hihg}}",
            (1, 26),
            "agents.lint.fail_on",
            "use one of info, low, medium, warning, high, error, critical, never. Did you mean 'high'?",
        ),
        ("agents: {lint: {fail_on: {risk: 40}}}", (1, 26), "agents.lint.fail_on", "`risk` is for agents.review only"),
        ("agents: {review: {fail_on: {risk: 101}}}", (1, 35), "agents.review.fail_on.risk", "100"),
        ("agents: {review: {fail_on: hihg}}", (1, 28), "agents.review.fail_on", "Did you mean 'high'?"),
        ("version: 2", (1, 10), "version", "reads version 1 of the format, not 2; write `version: 1`"),
        ("version: '1'", (1, 10), "version", "not '1'; write `version: 1`"),
        (
            "agents: {docs: {timeout: 5m}}",
            (1, 10),
            "agents.docs",
            "needs `run` (a shell command) or `uses` (an installed agent's name)",
        ),
        ("agents: {docs: }", (1, 10), "agents.docs", "needs `run`"),
        ("agents: {docs: {uses: }}", (1, 10), "agents.docs", "needs `uses`"),
        ("agents: {docs: {run: x, formt: sarif}}", (1, 25), "agents.docs.formt", "did you mean 'format'?"),
        ("agents: {docs: {run: 5}}", (1, 22), "agents.docs.run", "must be text, not 5; put quotes around it"),
        ("agents: {docs: 3}", (1, 16), "agents.docs", "must be a section of `key: value` lines, not 3"),
        ("agents: {Docs: {run: x}}", (1, 10), "agents.Docs", "cannot name an agent: use lower-case letters"),
        ("agents: {config: {run: x}}", (1, 10), "agents.config", "and not config"),
        ("agents: {test: {enabled: yes}}", (1, 26), "agents.test.enabled", "not 'yes'. Did you mean true?"),
        ("agents: {test: {timeout: 10x}}", (1, 26), "agents.test.timeout", "a number of seconds, or like 90s"),
        ("agents: {test: {timeout: 0}}", (1, 26), "agents.test.timeout", "0 is too small; the least is 1"),
        ("agents: {test: {timeout: 9h}}", (1, 26), "agents.test.timeout", "the most is 21600"),
        ("agents: {test: {timeout: true}}", (1, 26), "agents.test.timeout", "must be a whole number, not true"),
        ("agents: {test: {on: [pull]}}", (1, 22), "agents.test.on[0]", "use one of push, pull_request"),
        ("agents: {test: {paths: {a: b}}}", (1, 24), "agents.test.paths", "must be a list, not a section"),
        ("agents: {test: {paths: [1]}}", (1, 25), "agents.test.paths[0]", "must be text, not 1"),
        ("agents: {test: {paths: ['']}}", (1, 25), "agents.test.paths[0]", "must not be empty"),
        ("agents: {lint: {tools: ruff}}", (1, 24), "agents.lint.tools", "use auto, or a list such as [ruff]"),
        ("agents: {review: {budget: {run: .inf}}}", (1, 33), "agents.review.budget.run", "must be a number"),
        ("agents: {review: {rules: [{paths: a}]}}", (1, 27), "agents.review.rules[0]", "needs `instructions`"),
        (
            "agents: {test: {after: lin}}",
            (1, 24),
            "agents.test.after",
            "no agent is called 'lin'; did you mean 'lint'?",
        ),
        ("agents: {test: {after: test}}", (1, 24), "agents.test.after", "would wait for itself"),
        ("triggers: {pull_request: no}", (1, 26), "triggers.pull_request", "Did you mean false?"),
        (
            "triggers: {pull_request: {draft: true}}",
            (1, 27),
            "triggers.pull_request.draft",
            "unknown key 'draft'; did you mean 'drafts'?",
        ),
    ],
)
def test_a_mistake_is_told_with_its_place_and_remedy(text: str, place: tuple[int, int], key: str, message: str) -> None:
    problem = only(text)
    assert (problem.line, problem.column, problem.key) == (*place, key)
    assert message in problem.message


def test_a_misspelt_built_in_agent_is_one_problem() -> None:
    problem = only("agents:\n  tset:\n    junit: [a]\n    timeout: nonsense")
    assert str(problem) == (
        f"{FILE}:2:3: agents.tset: needs `run` (a shell command) or `uses` (an installed agent's name); "
        "did you mean the built-in agent 'test'?"
    )


def test_all_mistakes_are_told_at_once_in_the_order_of_the_lines() -> None:
    text = "version: 2\nagents:\n  lint: {fail_on: x}\n  Bad: {run: y}\n  docs: {}\nnotify: 3\nversion: 1"
    assert [line for line, *_ in told(text)] == [1, 3, 4, 5, 6, 7]


def test_agents_that_wait_for_each_other_are_told() -> None:
    text = "agents: {a: {run: x, after: b}, b: {run: y, after: [a]}, c: {run: z, after: [a, test]}}"
    assert [key for _, _, key, _ in told(text)] == ["agents.a.after", "agents.b.after"]


def test_too_many_agents_are_refused() -> None:
    text = "agents:\n" + "".join(f"  a{n}: {{run: x}}\n" for n in range(29))
    assert "at most 28 agents of your own" in only(text).message


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("- 1", (1, 1), "must be a section of `key: value` lines"),
        ("just text", (1, 1), "must be a section of `key: value` lines"),
        ("version: 1\nversion: 1", (2, 1), "the key 'version' is already set in line 1; keep one of the two"),
        ("agents: {test: {run: a, run: b}}", (1, 25), "the key 'run' is already set"),
        ("version: 1\n---\nversion: 1", (2, 1), "a second document starts here"),
        ("version: &v 1", (1, 10), "anchors (`&name`) are not allowed"),
        ("version: !!int 1", (1, 10), "tags (`!name`) are not allowed"),
        ("agents: {test: {setup: *x}}", (1, 24), "aliases (`*name`) are not allowed; put quotes"),
        ("agents:\n  test:\n    paths: **/*.py", (3, 12), "put quotes around a text that starts with *"),
        ("agents:\n\ttest: {}", (2, 1), "indent with spaces, not tabs"),
        ("agents: {test: {run: a: b}}", (1, 23), "not valid YAML"),
        ("agents: {test: {run: 'a}}", (1, 26), "close the quotes"),
        ("version: @", (1, 10), "put quotes around the text"),
        ("version: 1\n\x00", (2, 1), "a control character stands here"),
        ('agents: {test: {run: "a\\0b"}}', (1, 22), "the text holds control characters"),
        ('agents: {test: {run: "\\uD800"}}', (1, 22), "the text holds control characters"),
        ('version: "\\UFFFFFFFF"', (1, 1), "not readable as YAML"),
        ("? [a]\n: 1", (1, 3), "a key must be a word"),
        ("[" * 200, (1, MAX_DEPTH + 2), "nested more than 20 levels deep"),
        ("workflows: {a: {b: [" + "0," * MAX_NODES + "]}}", None, "more than 20000 values"),
        ("# " + "x" * MAX_BYTES, (1, 1), "the file is larger than 256 KB"),
    ],
)
def test_yaml_beyond_the_plain_part_is_refused(text: str, place: tuple[int, int] | None, message: str) -> None:
    problem = only(text)
    assert message in problem.message
    assert place is None or (problem.line, problem.column) == place


def test_words_are_those_of_yaml_1_2() -> None:
    """YAML 1.1 would read `on` as true, `010` as 8 and a date as a date."""
    text = "agents: {test: {on: push, timeout: 0o14}, lint: {timeout: 010}, docs: {run: 2026-01-01, setup: no}}"
    agents = read_one(text).config.agents
    assert (agents.test.on, agents.test.timeout, agents.lint.timeout) == (("push",), 12, 10)
    docs = agents.by_name()["docs"]
    assert isinstance(docs, CommandConfig)
    assert (docs.run, docs.setup) == ("2026-01-01", "no")


def test_an_extension_keeps_its_own_settings() -> None:
    agent = read_one("agents: {x: {uses: spelling, words: [a, b]}}").config.agents.by_name()["x"]
    assert agent.model_dump()["words"] == ["a", "b"]


def test_messages_repeat_little_of_the_input_and_nothing_unprintable() -> None:
    long = "\\u202e\\u2028" + "z" * 500
    text = f'"{long}": 1\nversion: "{long}"\nagents: {{lint: {{"{long}": 1, fail_on: "{long}"}}, "{long}": {{run: x}}}}'
    problems = read_one(text).problems
    assert len(problems) > 4
    for problem in problems:
        assert str(problem).isprintable()
        assert str(problem).count("z") <= 2 * 80


def test_a_flood_of_problems_is_bounded() -> None:
    problems = read_one("\n".join(f"k{n}: 1" for n in range(200))).problems
    assert len(problems) == MAX_PROBLEMS
    assert problems[-1].message == "and 151 more problems; mend these first"


KEYS = ["version", "triggers", "agents", "test", "lint", "run", "uses", "fail_on", "paths", "timeout", "after", "on"]
VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(KEYS)
TREES = st.recursive(
    VALUES,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=8), inner, max_size=5)
    ),
    max_leaves=20,
)


@given(st.text(max_size=300) | st.text(alphabet="agents:tl {}[]'\"\\&*!|>-?%#\n\t\r\ufeff\x85", max_size=120))
@example("\ud800")
@example("%YAML 9.9\n--- a")
@example("a: |9\n")
@settings(max_examples=300)
def test_no_text_makes_reading_raise(text: str) -> None:
    assert all(str(problem).isprintable() for problem in read_one(text).problems)


@given(TREES, TREES)
@settings(max_examples=150)
def test_no_yaml_makes_reading_raise(weak: Any, strong: Any) -> None:
    reading = read([Layer("acme", "acme/.github", dump(weak)), Layer("own", FILE, dump(strong))])
    assert len(reading.problems) <= MAX_PROBLEMS
    if not reading.problems:
        assert RepositoryConfig.model_validate(reading.config.model_dump()) == reading.config


def dump(value: Any) -> str:
    out = io.StringIO()
    YAML(typ="safe", pure=True).dump({"agents": value}, out)
    return out.getvalue()
