"""Orders that people give in a pull request's comments: `/assay rerun lint`. Pure.

    /assay rerun [AGENT...] [--failed]   run agents again: all, those named, or those that did not pass
    /assay review [--full]               have the reviewer read what it has not read yet, or all of the change
    /assay approve SHA                   let that commit of a stranger's be executed
    /assay budget AMOUNT                 raise the limit at which the review stopped: $1.00, or 200000 tokens
    /assay accept SHA                    let a review of that commit count, most of whose claims were refuted
    /assay help                          what there is

A comment gives one order at most: the first line that begins with `/assay`, outside of quotations and code. Words after
it choose among what is listed here and nothing else: no word reaches a setting, a path or a command line.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Annotated, Literal

from pydantic import Field

from bot.domain.findings import Unit
from bot.domain.model import Frozen


class Rerun(Frozen):
    """Run agents again: those named, or all. `failed_only` leaves out those that passed. One that is not `fresh` lets
    do what was said of the same before."""

    kind: Literal["rerun"] = "rerun"
    agents: tuple[str, ...] = ()
    failed_only: bool = False
    fresh: bool = True


class Approve(Frozen):
    """Execute this very commit, though a stranger wrote it. `sha` is the whole one, for a short one can be made to fit;
    without it the order would mean whatever was pushed between the reading and the word."""

    kind: Literal["approve"] = "approve"
    sha: str


class Budget(Frozen):
    """Raise the limit at which the review stopped to so much. The order names the amount, for it may come when the
    question is another one than the person has read."""

    kind: Literal["budget"] = "budget"
    limit: float
    unit: Unit


class Accept(Frozen):
    """Let the review of this very commit count, though most of its claims were refuted."""

    kind: Literal["accept"] = "accept"
    sha: str


class Help(Frozen):
    """Say what there is."""

    kind: Literal["help"] = "help"


class Misspelt(Frozen):
    """No order that is known. `words` says what is wrong with it, and repeats of it only what is plain."""

    kind: Literal["misspelt"] = "misspelt"
    words: str


Command = Annotated[Rerun | Approve | Budget | Accept | Help | Misspelt, Field(discriminator="kind")]


class Reply(Frozen):
    """What is said to an order: a reaction to its comment, in GitHub's word, and, where that is not enough, words of
    ours in Markdown. `at` is when the order was read, in seconds since the epoch; 0 where an older version did."""

    number: int
    comment: int
    reaction: str
    words: str = ""
    at: float = 0.0

    @property
    def marker(self) -> str:
        """By which the answer is found again, so that it is given once."""
        return f"<!-- assay:reply:{self.comment} -->"


VERBS = ("rerun", "review", "approve", "budget", "accept", "help")
HELP = (
    "| order | what it does |\n| --- | --- |\n"
    "| `/assay rerun` | runs every agent again; name some (`/assay rerun lint test`), or say `--failed` |\n"
    "| `/assay review [--full]` | has the reviewer read what it has not read yet; with `--full`, all of the change |\n"
    "| `/assay approve SHA` | lets that commit of a stranger's be executed; the check `assay` has the whole line |\n"
    "| `/assay budget AMOUNT` | raises the limit at which the review stopped, such as to `$1.00` or `200000 tokens` |\n"
    "| `/assay accept SHA` | lets a review of that commit count, most of whose claims were refuted |\n"
    "| `/assay ignore [--always] [why]` | in the thread of a finding: it is not raised again |\n"
    "| `/assay help` | this |"
)
_SIGN = "/assay"
_FENCE = re.compile(r"^\s{0,3}(```|~~~)")
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,38}")
_SHA = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_AMOUNT = re.compile(r"[0-9]{1,3}(,[0-9]{3}){1,3}|[0-9]{1,12}(\.[0-9]{1,4})?")
_MOST_WORDS = 20
_MOST_LINES = 500


def parse_command(text: str) -> Command | None:
    """The order that a comment gives; None for one that gives none. Never raises."""
    fenced = False
    for line in text[:65_536].split("\n")[:_MOST_LINES]:
        if _FENCE.match(line):
            fenced = not fenced
        words = line.split()
        # Four spaces are code, as in Markdown.
        if words[:1] == [_SIGN] and not fenced and not line.startswith(("    ", "\t")):
            return _command(words[1:])
    return None


def _command(words: list[str]) -> Command:
    if len(words) > _MOST_WORDS:
        return Misspelt(words=f"an order has at most {_MOST_WORDS} words")
    verb, rest = (words[0].lower(), words[1:]) if words else ("help", [])
    if verb not in VERBS:
        near = get_close_matches(verb[:40], VERBS, 1)
        return Misspelt(words=f"there is no such order{f'; did you mean `{_SIGN} {near[0]}`?' if near else ''}")
    if verb == "rerun":
        return _rerun(rest)
    if verb == "approve":
        return _approve(rest)
    if verb == "budget":
        return _budget(rest)
    if verb == "accept":
        return _accept(rest)
    if verb == "review":
        return _review(rest)
    if rest:
        return Misspelt(words=f"`{_SIGN} {verb}` stands alone")
    return Help()


def _review(words: list[str]) -> Command:
    if words not in ([], ["--full"]):
        return Misspelt(words=f"`{_SIGN} review` knows one option, `--full`")
    return Rerun(agents=("review",), fresh=bool(words))


def _approve(words: list[str]) -> Command:
    if len(words) == 1 and _SHA.fullmatch(words[0]):
        return Approve(sha=words[0])
    return Misspelt(words=f"`{_SIGN} approve` takes the whole SHA of the commit that was read, as the check shows it")


def _budget(words: list[str]) -> Command:
    number, unit = words[0].removeprefix("$") if words else "", words[1:]
    dollars = "." in number or bool(words and words[0].startswith("$"))
    if _AMOUNT.fullmatch(number) and unit in ([], ["tokens"]) and not (unit and dollars):
        return Budget(limit=float(number.replace(",", "")), unit="tokens" if unit else "usd")
    return Misspelt(words=f"`{_SIGN} budget` takes a new limit, like `{_SIGN} budget $1.00` or `200000 tokens`")


def _accept(words: list[str]) -> Command:
    if len(words) == 1 and _SHA.fullmatch(words[0]):
        return Accept(sha=words[0])
    return Misspelt(words=f"`{_SIGN} accept` takes the whole SHA of the commit that was read, as the check shows it")


def _rerun(words: list[str]) -> Command:
    options = [word for word in words if word.startswith("-")]
    names = [word for word in words if not word.startswith("-")]
    if any(option != "--failed" for option in options):
        return Misspelt(words=f"`{_SIGN} rerun` knows one option, `--failed`")
    if any(not _NAME.fullmatch(name) for name in names):
        return Misspelt(words="agents are named as in `.github/assay.yml`: lower-case letters, digits, `-` and `_`")
    return Rerun(agents=tuple(dict.fromkeys(names)), failed_only=bool(options))
