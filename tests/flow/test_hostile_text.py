"""Text of strangers: file names, titles, branches, messages of tests. It is shown, and does nothing; secrets are not
even shown."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any, cast

import pytest

from bot.demo.github import StandInGitHub
from bot.domain.findings import Finding, Severity, with_fingerprints
from bot.domain.verdict import Conclusion
from tests.domain.hostile import live_parts, tokens
from tests.domain.test_render import OURS
from tests.flow.assay import CLEAN, CONFIG, DIRTY, QUICK, REPOSITORY, Assay

HOSTILE = (
    "@octocat closes #1 </details><img src=x onerror=y> | a | `b` <!-- assay:pull:12 --> https://evil.example \u202e"
)
NAME = "x @octocat|<img src=x onerror=1>`b`#1 [a](b)\u202e.py"
JUNIT = (
    '<testsuite><testcase classname="a" name="{name}"><failure message="{text}">{text}</failure></testcase></testsuite>'
)
NOISY = """
agents:
  test: {run: "cat report.xml words.txt; cp report.xml junit.xml; false", junit: junit.xml}
  lint: {tools: [ruff]}
  review: {enabled: false}
  words: {run: "cat words.txt; false"}
"""
TOKEN = "ghp_" + "k3Jd82hsK2mQp0Zx7Yb4Wc9Ve1Tu5Rn6La8S"
PASSWORD = "Zq8!vR2#tY7$mN4%"
AWS = "AKIA" + "Q7RZ5T2WXN4LB6DM"
LINKS_AND_HEADINGS = [f"{kind}_{end}" for kind in ("link", "heading") for end in ("open", "close")]
SECRETS = (TOKEN, PASSWORD, AWS)


@pytest.fixture
def twelve(assay: Assay, github: StandInGitHub) -> Assay:
    """The next pull request is number 12, whose marker is ours in `tests/domain/hostile.py`."""
    github.world.repositories[REPOSITORY].numbers = count(12)
    return assay


def escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;").replace("\u202e", "&#x202e;")


def markdown(github: StandInGitHub) -> Iterator[str]:
    """Every text that Assay wrote and GitHub renders."""
    for request in github.requests:
        if request.method != "GET" and isinstance(request.body, dict):
            body: dict[str, Any] = request.body
            output = body.get("output", {})
            texts = (body.get("body"), output.get("summary"), output.get("text"))
            notes = (note.get("body") for note in body.get("comments", ()))
            yield from (text for text in (*texts, *notes) if text)


def links(text: str) -> list[str]:
    return [str(token.attrs["href"]) for token in tokens(text) if token.type == "link_open"]


def test_words_of_strangers_do_nothing_anywhere(twelve: Assay, github: StandInGitHub) -> None:
    files = {
        CONFIG: NOISY,
        NAME: DIRTY,
        "demo.py": DIRTY,
        "words.txt": f"{HOSTILE}\n" * 3,
        "report.xml": JUNIT.format(name=escaped(HOSTILE), text=escaped(HOSTILE)),
    }
    branch = "a-@octocat-#1-<b>-`x`-|"
    sha = github.commit(REPOSITORY, branch, files, HOSTILE)
    number = github.open_pull(REPOSITORY, branch, title=HOSTILE, body=HOSTILE)
    twelve.settle()
    assert twelve.verdict(sha) is Conclusion.FAILURE
    assert "octocat" in twelve.comment(number)
    texts = list(markdown(github))
    assert len(texts) > 10
    for text in texts:
        assert live_parts(text, *OURS, *LINKS_AND_HEADINGS) == [], text
        assert all(url.startswith("https://docs.astral.sh/") for url in links(text)), text
    titles = [check.title or "" for check in github.checks(REPOSITORY, sha)]
    assert not any("\u202e" in title for title in titles)


def test_comment_of_a_person_with_our_marker_is_not_taken_for_ours(assay: Assay, github: StandInGitHub) -> None:
    sha = github.commit(REPOSITORY, "feature", {"demo.py": DIRTY})
    number = github.open_pull(REPOSITORY, "feature")
    theirs = github.comment(REPOSITORY, number, f"<!-- assay:pull:{number} -->\n\nAll is well.")
    assay.settle()
    person, ours = github.comments(REPOSITORY, number)
    assert (person.id, person.body) == (theirs, f"<!-- assay:pull:{number} -->\n\nAll is well.")
    assert sha[:7] in ours.body


def test_answer_of_a_person_with_our_marker_does_not_silence_a_finding(assay: Assay, github: StandInGitHub) -> None:
    github.commit(REPOSITORY, "feature", {"demo.py": DIRTY})
    number = github.open_pull(REPOSITORY, "feature")
    assay.settle()
    (thread,) = github.review_comments(REPOSITORY, number)
    github.reply(thread.id, f"<!-- assay:finding:{_fingerprint('import sys')} -->")
    github.push(REPOSITORY, "feature", {"demo.py": "import sys\n" + DIRTY})
    assay.settle()
    assert [comment.line for comment in github.review_comments(REPOSITORY, number) if not comment.in_reply_to] == [1, 1]


def _fingerprint(line: str) -> str:
    finding = Finding(tool="ruff", rule="F401", severity=Severity.MEDIUM, message="x", path="demo.py", start_line=1)
    return with_fingerprints([finding], lambda _path, _number: line)[0].fingerprint


def test_secret_in_the_change_is_told_of_and_not_repeated(assay: Assay, github: StandInGitHub) -> None:
    config = NOISY.replace("cat report.xml words.txt; cp report.xml junit.xml; false", "cat keys.py >&2; false")
    config = config.replace("cat words.txt", "cat keys.py keys.env").replace(", junit: junit.xml", "")
    files = {
        CONFIG: config,
        "keys.py": f'import os\n\ntoken = f"{TOKEN}"\npassword = "{PASSWORD}"\naws_key = "{AWS}"\n',
        "keys.env": f"GITHUB_TOKEN={TOKEN}\nAWS_ACCESS_KEY_ID={AWS}\n",
    }
    sha = github.commit(REPOSITORY, "feature", files)
    number = github.open_pull(REPOSITORY, "feature")
    assay.settle()
    assert assay.verdict(sha) is Conclusion.FAILURE
    assert assay.check(sha, "assay / security").conclusion == "failure"
    assert "keys.py:3" in assay.comment(number)
    for secret in SECRETS:
        assert not any(secret in str(request.body) for request in github.requests), secret
        assert not any(secret in text for text in _kept(assay)), secret


def _kept(assay: Assay) -> Iterator[str]:
    """Every value in Redis."""
    redis = assay.redis
    for key in cast("list[bytes]", redis.keys("*")):
        match redis.type(key):
            case b"string":
                values: Any = [redis.get(key)]
            case b"hash":
                values = list(cast("dict[bytes, bytes]", redis.hgetall(key)).items())
            case b"list":
                values = redis.lrange(key, 0, -1)
            case b"set":
                values = redis.smembers(key)
            case b"zset":
                values = redis.zrange(key, 0, -1)
            case _:
                values = redis.xrange(key)
        yield from (str(value) for value in (key, *values))


def test_invisible_text_in_the_configuration_is_shown(assay: Assay, github: StandInGitHub) -> None:
    sha = github.push(REPOSITORY, "main", {CONFIG: QUICK + '  "l\u200bint": {run: "@octocat <b>"}\n', "demo.py": CLEAN})
    assay.settle()
    assert assay.verdict(sha) is Conclusion.FAILURE
    for text in markdown(github):
        assert live_parts(text, *OURS) == [], text
        assert "\u200b" not in text
