"""`assay demo`: the main job, shown: a real Assay against a stand-in GitHub."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import click
import httpx
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.markdown import CodeBlock, Markdown, MarkdownElement
from rich.markup import escape
from rich.padding import Padding
from rich.panel import Panel
from rich.spinner import Spinner
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from bot.cli.progress import agents_table
from bot.demo.github import StandInGitHub
from bot.demo.model import ScriptedModel
from bot.demo.parcel import BASE, BRANCH, DESCRIPTION, FIX, REPOSITORY, REVIEW_SUMMARY, TITLE, TROUBLE, UNSEEN_BUG
from bot.demo.reviewer import demo_reviewer
from bot.domain.run import Run, RunKey
from bot.domain.verdict import Conclusion, count, verdict
from bot.errors import Unavailable
from bot.publishing.unpublished import Unpublished
from bot.redis.connection import BRIEF
from bot.store import Store
from bot.wiring import make_store
from config.settings import load

_PATIENCE = 60.0
# Seconds that jobs in hand get at the end: nobody waits for what they find.
_DRAIN = 3
_LONGEST_FOLDER = 70
_MARKS = {
    "success": "[green]✓[/]",
    "failure": "[red]✗[/]",
    "neutral": "[yellow]–[/]",
    "skipped": "[dim]–[/]",
    "warning": "[yellow]![/]",
    "notice": "[dim]–[/]",
}


@click.command()
def demo() -> int:
    """Show the main job in a terminal, in a few seconds.

    Starts Assay with its own Redis, opens a pull request with planted trouble through a signed webhook, shows the
    checks, annotations and comments as posted, pushes the fix, and shows the verdict turn green. GitHub is a stand-in
    on this machine; so is the model unless OPENAI_API_KEY is set. All else is real.
    """
    console = Console(highlight=False)
    reviewer = demo_reviewer(UNSEEN_BUG, summary=REVIEW_SUMMARY)
    with (
        tempfile.TemporaryDirectory(prefix="assay-demo-", dir=_short_folder()) as folder,
        StandInGitHub() as github,
        ScriptedModel(reviewer) as model,
        _assay(Path(folder), github, model) as store,
    ):
        return _Show(console, github, store).run()


class _Show:
    """The story, told on a console."""

    def __init__(self, console: Console, github: StandInGitHub, store: Store) -> None:
        self._console = console
        self._github = github
        self._store = store
        self._unpublished = Unpublished(store)

    def run(self) -> int:
        self._introduce()
        github = self._github
        base = github.add_repository(REPOSITORY, BASE)
        bad = github.commit(REPOSITORY, BRANCH, TROUBLE, TITLE)
        self._rule("1. A pull request with planted trouble arrives by a signed webhook")
        number = github.open_pull(REPOSITORY, BRANCH, "main", title=TITLE, body=DESCRIPTION)
        first = self._follow(bad)
        self._show_checks(bad)
        self._show_annotations(bad)
        self._show_review(number)
        self._show_comment(number)
        # A secret that a commit brought has to leave the history, too.
        self._rule("2. The fix takes the commit's place")
        good = github.push(REPOSITORY, BRANCH, TROUBLE | FIX, TITLE, parent=base)
        second = self._follow(good)
        self._show_checks(good)
        self._show_comment(number)
        return self._conclude(number, first, second)

    def _introduce(self) -> None:
        keyed = bool(os.environ.get("OPENAI_API_KEY"))
        stand_ins = "GitHub" if keyed else "GitHub, and the model, for no OPENAI_API_KEY is set"
        model = ", the model" if keyed else ""
        self._console.print(
            Panel(
                "[bold]Assay[/] (web, workers, sweep and a Redis of its own) runs on this machine for as long as this "
                f"demo.\n[yellow]Stand-ins:[/] {stand_ins}.\n[green]Real:[/] Redis, git over HTTP, the "
                f"webhook's signature, pytest, ruff, bandit, detect-secrets{model}.",
                border_style="dim",
            )
        )

    def _rule(self, title: str) -> None:
        self._console.print()
        self._console.rule(f"[bold]{title}", align="left", style="dim")

    def _follow(self, sha: str) -> Run:
        """Show the run live until its verdict stands on GitHub, and then once more for good."""
        key = RunKey(repository=REPOSITORY, sha=sha)
        spinner = Spinner("dots")
        with Live(console=self._console, refresh_per_second=12, transient=True) as live:
            run = self._await(key, lambda run: live.update(Padding(agents_table(run, spinner), (1, 2, 0, 2))))
        self._console.print(Padding(agents_table(run, spinner), (1, 2, 0, 2)))
        return run

    def _await(self, key: RunKey, show: Callable[[Run], None]) -> Run:
        give_up = time.monotonic() + _PATIENCE
        while time.monotonic() < give_up:
            stored = self._store.load(key)
            if stored is not None:
                show(stored.run)
                if verdict(stored.run).conclusion is not None and self._unpublished.load(key) is None:
                    return stored.run
            time.sleep(0.05)
        raise Unavailable(f"the demo had no verdict within {_PATIENCE:g} s: see the log above")

    def _show_checks(self, sha: str) -> None:
        table = _table("Checks on the commit", "conclusion", "title")
        for check in self._github.checks(REPOSITORY, sha):
            word = check.conclusion or check.status
            table.add_row(check.name, f"{_MARKS.get(word, '')} {word}", Text(str(check.output.get("title"))))
        self._console.print(Padding(table, (1, 2)))

    def _show_annotations(self, sha: str) -> None:
        table = _table("Annotations on the lines", "message")
        for check in self._github.checks(REPOSITORY, sha):
            for note in check.annotations:
                where = Text.from_markup(_MARKS[note["annotation_level"]]) + f" {note['path']}:{note['start_line']}"
                table.add_row(where, Text(str(note["message"]).split("\n")[0]))
        self._console.print(Padding(table, (0, 2, 1, 2)))

    def _show_review(self, number: int) -> None:
        for comment in self._github.review_comments(REPOSITORY, number):
            title = f"review comment on {comment.path}:{comment.line}"
            self._console.print(_page(title, comment.body))

    def _show_comment(self, number: int) -> None:
        for comment in self._github.comments(REPOSITORY, number):
            edited = ", edited in place" if comment.updated_at > comment.created_at else ""
            title = f"the comment of {comment.author.login} on #{number} (id {comment.id}{edited})"
            self._console.print(_page(title, comment.body))

    def _conclude(self, number: int, first: Run, second: Run) -> int:
        was, now = verdict(first).conclusion, verdict(second).conclusion
        comments = len(self._github.comments(REPOSITORY, number))
        threads = self._github.threads(REPOSITORY, number)
        resolved = sum(1 for thread in threads if thread.resolved)
        self._console.print(
            f"\nThe verdict went from [bold red]{was}[/] to [bold green]{now}[/]. One push later there is still "
            f"{count(comments, 'comment')}, and {resolved} of {len(threads)} review threads are resolved.\n\n"
            "Next: [bold]assay check[/] in a repository of yours, or the README for installing the GitHub App."
        )
        return 0 if (was, now) == (Conclusion.FAILURE, Conclusion.SUCCESS) else 1


def _table(*columns: str) -> Table:
    table = Table(*columns, box=None, pad_edge=False, padding=(0, 2), header_style="dim")
    # A name that is broken in two cannot be searched for.
    table.columns[0].no_wrap = True
    return table


class _Fence(CodeBlock):
    """Code without the empty lines that rich puts around it."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Padding(Syntax(str(self.text).rstrip(), self.lexer_name, theme=self.theme, word_wrap=True), (0, 2))


class _Page(Markdown):
    elements: ClassVar[dict[str, type[MarkdownElement]]] = {
        **Markdown.elements,
        "fence": _Fence,
        "code_block": _Fence,
    }


def _page(title: str, body: str) -> Panel:
    """A comment about as GitHub shows it: markers hidden, details open, suggestions told apart from code."""
    shown = re.sub(r"<!--.*?-->", "", body, flags=re.DOTALL)
    shown = re.sub(r"```suggestion\n\s*```", "*Suggested change: delete the line*", shown)
    shown = re.sub(r"```suggestion\n", "*Suggested change:*\n\n```python\n", shown)
    shown = re.sub(r"<summary>(.*?)</summary>", r"**\1**\n", shown, flags=re.DOTALL)
    shown = re.sub(r"</?(?:details|sub|kbd|code|br|b|strong)\s*/?>", "", shown)
    return Panel(_Page(shown), title=escape(title), title_align="left", border_style="dim", padding=(0, 1))


@contextmanager
def _assay(folder: Path, github: StandInGitHub, model: ScriptedModel) -> Iterator[Store]:
    """A real `assay serve` with its own Redis, pointed at the stand-ins; its store."""
    port = _free_port()
    env = {name: value for name, value in os.environ.items() if not name.startswith("ASSAY_")} | {
        "ASSAY_GITHUB_APP_ID": str(github.app_id),
        "ASSAY_GITHUB_PRIVATE_KEY": github.private_key,
        "ASSAY_GITHUB_WEBHOOK_SECRET": github.webhook_secret,
        "ASSAY_GITHUB_API_URL": github.api_url,
        "ASSAY_GITHUB_URL": github.url,
        "ASSAY_DATA_DIR": str(folder),
        "ASSAY_PORT": str(port),
        # It ends well before we lose patience, and whoever does not end by then is ended by it.
        "ASSAY_DRAIN": str(_DRAIN),
        # The stand-ins are here, whatever proxy there is to the outside.
        "NO_PROXY": ",".join(filter(None, ("127.0.0.1", os.environ.get("NO_PROXY")))),
    }
    if not env.get("OPENAI_API_KEY"):
        env |= {"OPENAI_API_KEY": model.key, "OPENAI_BASE_URL": model.base_url, "ASSAY_LLM_MODEL": model.models[0]}
    log = folder / "assay.log"
    with log.open("wb") as output:
        # Its own session: Ctrl-C ends the demo, and the demo ends it.
        process = subprocess.Popen(
            [sys.executable, "-m", "bot.cli", "serve"],
            env=env,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        _await(f"http://127.0.0.1:{port}/readyz", process)
        github.webhook_url = f"http://127.0.0.1:{port}/webhook"
        yield make_store(load(env, None), BRIEF)
    except Unavailable:
        sys.stderr.write(log.read_text("utf-8", "replace"))
        raise
    finally:
        process.terminate()
        try:
            process.wait(_DRAIN + 12)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _short_folder() -> str:
    """Where temporary folders are made, unless its path leaves no room for that of a unix socket."""
    usual = tempfile.gettempdir()
    return usual if len(usual) < _LONGEST_FOLDER else "/tmp"  # noqa: S108 - mkdtemp is safe there


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _await(url: str, process: subprocess.Popen[bytes]) -> None:
    give_up = time.monotonic() + _PATIENCE
    with httpx.Client(timeout=2, trust_env=False) as client:
        while process.poll() is None and time.monotonic() < give_up:
            try:
                if client.get(url).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.05)
    raise Unavailable("Assay did not start: see its log above")
