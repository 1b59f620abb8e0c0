"""The grammar of orders in comments."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.commands import Accept, Approve, Budget, Command, Help, Misspelt, Rerun, parse_command

SHA = "a1" * 20


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("/assay rerun", Rerun()),
        ("/assay rerun lint test lint", Rerun(agents=("lint", "test"))),
        ("/assay rerun --failed", Rerun(failed_only=True)),
        ("thank you\r\n\r\n /assay   RERUN lint --failed \r\nplease", Rerun(agents=("lint",), failed_only=True)),
        ("/assay review", Rerun(agents=("review",), fresh=False)),
        ("/assay review --full", Rerun(agents=("review",))),
        (f"/assay approve {SHA}", Approve(sha=SHA)),
        ("/assay budget $1.50", Budget(limit=1.5, unit="usd")),
        ("/assay budget 2", Budget(limit=2.0, unit="usd")),
        ("/assay budget 200000 tokens", Budget(limit=200_000, unit="tokens")),
        ("/assay budget 1,200,000 tokens", Budget(limit=1_200_000, unit="tokens")),
        (f"/assay accept {SHA}", Accept(sha=SHA)),
        ("/assay", Help()),
        ("/assay help", Help()),
        (f"/assay approve {SHA}\n/assay rerun", Approve(sha=SHA)),
    ],
)
def test_orders(text: str, command: Command) -> None:
    assert parse_command(text) == command


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I like /assay rerun",
        "> /assay approve",
        "`/assay approve`",
        "```\n/assay approve\n```",
        "~~~sh\n/assay approve\n~~~",
        "    /assay approve",
        "\t/assay approve",
        "/assays approve",
        "/assayapprove",
        "/ assay approve",
        "\n" * 1_000 + "/assay approve",
    ],
)
def test_what_only_speaks_of_orders_is_none(text: str) -> None:
    assert parse_command(text) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("/assay aprove", "did you mean `/assay approve`?"),
        ("/assay merge", "there is no such order"),
        ("/assay approve", "takes the whole SHA"),
        (f"/assay approve {SHA[:12]}", "takes the whole SHA"),
        (f"/assay approve {SHA} {SHA}", "takes the whole SHA"),
        ("/assay rerun --force", "knows one option"),
        ("/assay rerun ../../etc", "agents are named"),
        ("/assay rerun lint=--config", "agents are named"),
        ("/assay review --model=http://evil.example", "knows one option, `--full`"),
        ("/assay review --full --full", "knows one option"),
        ("/assay review lint", "knows one option"),
        ("/assay budget", "takes a new limit"),
        ("/assay budget all", "takes a new limit"),
        ("/assay budget -1", "takes a new limit"),
        ("/assay budget 1e9", "takes a new limit"),
        ("/assay budget nan", "takes a new limit"),
        ("/assay budget inf", "takes a new limit"),
        ("/assay budget $1.00 tokens", "takes a new limit"),
        ("/assay budget 1.5 tokens", "takes a new limit"),
        ("/assay budget $$1.00", "takes a new limit"),
        ("/assay budget 1.00 month", "takes a new limit"),
        ("/assay budget 1\u06600", "takes a new limit"),
        ("/assay accept", "takes the whole SHA"),
        (f"/assay accept {SHA[:7]}", "takes the whole SHA"),
        ("/assay rerun " + "a " * 30, "at most 20 words"),
    ],
)
def test_what_is_not_understood_is_told_and_does_nothing(text: str, words: str) -> None:
    command = parse_command(text)
    assert isinstance(command, Misspelt)
    assert words in command.words


_WORDS = st.lists(
    st.sampled_from(
        [
            "/assay",
            "rerun",
            "approve",
            SHA,
            f"/assay approve {SHA}",
            "review",
            "--failed",
            "lint",
            "```",
            ">",
            "\n",
            "@octocat",
            "<img>",
        ]
    )
    | st.text(max_size=5),
    max_size=12,
).map(" ".join)


@given(_WORDS)
def test_no_text_makes_it_raise_or_repeat_what_acts(text: str) -> None:
    command = parse_command(text)
    if isinstance(command, Misspelt):
        assert not set("@<>\n") & set(command.words)
    if isinstance(command, Rerun):
        assert all(name.replace("-", "").replace("_", "").isalnum() for name in command.agents)


@given(_WORDS)
def test_an_approval_is_never_read_out_of_anything_but_its_own_line(text: str) -> None:
    command = parse_command(text)
    if isinstance(command, Approve):
        lines = [line.split() for line in text.split("\n")]
        assert any(
            line[:1] == ["/assay"] and line[1].lower() == "approve" and line[2:] == [command.sha] for line in lines
        )
