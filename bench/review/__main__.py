"""`python -m bench.review`: the reviewer over changes with known faults."""

from __future__ import annotations

import json
import os
import re
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from bench.review.cases import CASES, Case, golden_comments, planted
from bench.review.judge import judge_with
from bench.review.reading import review
from bench.review.score import TOOL, evaluate, summary, total
from bench.review.scripted import scripted
from bot.demo.model import KEY, MODEL, ScriptedModel
from bot.errors import AssayError
from config.settings import load
from workers.agent import Model
from workers.kit import make_model

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--cases", type=_FOLDER, default=CASES, help="A folder of planted cases.")
@click.option(
    "--golden", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Code Review Bench's file."
)
@click.option("--clones", type=_FOLDER, help="With --golden: a folder of clones, OWNER/NAME each.")
@click.option("--model", help="The model that reviews. Left out: ASSAY_LLM_MODEL.")
@click.option("--judge", help="A model that judges golden comments without a line.")
@click.option("--comments", default=5, show_default=True, type=click.IntRange(1, 50), help="Shown a pull request.")
@click.option("--no-verify", is_flag=True, help="Without the second look.")
@click.option("--only", help="Cases whose address matches this regular expression.")
@click.option("--results", type=click.Path(file_okay=False, path_type=Path), help="Where to write the evaluations.")
@click.option("--scripted", "by_script", is_flag=True, help="A scripted model: proves the harness, needs no key.")
def main(
    cases: Path,
    golden: Path | None,
    clones: Path | None,
    model: str | None,
    judge: str | None,
    comments: int,
    no_verify: bool,
    only: str | None,
    results: Path | None,
    by_script: bool,
) -> None:
    """Score the reviewer over changes with known faults: precision, recall, comments, cost and time."""
    chosen = golden_comments(golden) if golden else planted(cases)
    chosen = [case for case in chosen if only is None or re.search(only, case.url)]
    with ExitStack() as stack:
        if by_script:
            server = stack.enter_context(ScriptedModel(scripted(chosen)))
            os.environ |= {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": server.base_url, "ASSAY_LLM_MODEL": MODEL}
        elif model:
            os.environ["ASSAY_LLM_MODEL"] = model
        judged_by = _model(judge)
        try:
            evaluations, candidates = _run(chosen, clones, judged_by, verify=not no_verify, comments=comments)
        except (AssayError, ValueError) as error:
            raise click.ClickException(str(error)) from None
    if results:
        _write(results / (re.sub(r"\W+", "_", judge) if judge else "by_place"), evaluations, candidates)
    click.echo(summary(total([each[TOOL] for each in evaluations.values()])))
    sys.exit(0)


def _model(name: str | None) -> Model | None:
    if name is None:
        return None
    made = make_model(load(os.environ, None))
    if made is None:
        raise click.UsageError("--judge needs OPENAI_API_KEY")
    return made.named(name)


Evaluations = dict[str, dict[str, dict[str, Any]]]
Candidates = dict[str, dict[str, list[dict[str, Any]]]]


def _run(
    cases: list[Case], clones: Path | None, judged_by: Model | None, *, verify: bool, comments: int
) -> tuple[Evaluations, Candidates]:
    evaluations: Evaluations = {}
    candidates: Candidates = {}
    for case in cases:
        said = review(case, clones, verify=verify, comments=comments)
        one = evaluate(case.url, said, case.golden, judge_with(judged_by))
        evaluations[case.url] = {TOOL: one}
        candidates[case.url] = {
            TOOL: [
                {"text": found.message, "path": found.path, "line": found.start_line, "source": "line_comment"}
                for found in said.candidates
            ]
        }
        click.echo(
            f"{case.url:<28} found {one['tp']} of {one['total_golden']}, {one['fp']} false  {case.title}", err=True
        )
    return evaluations, candidates


def _write(folder: Path, evaluations: Evaluations, candidates: Candidates) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "evaluations.json").write_text(json.dumps(evaluations, indent=2) + "\n", "utf-8")
    (folder / "candidates.json").write_text(json.dumps(candidates, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
