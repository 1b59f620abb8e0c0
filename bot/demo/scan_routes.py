"""The API's part about code scanning: files come in, are processed after a while, and become analyses.

https://docs.github.com/rest/code-scanning/code-scanning
"""

from __future__ import annotations

import base64
import binascii
import gzip
import json
import re
import uuid
import zlib
from typing import Any

from bot.demo import shapes
from bot.demo.answers import Problem, Reply, not_found
from bot.demo.bodies import NewSarif, parse
from bot.demo.github_state import Analysis, Repository, SarifUpload, World
from bot.demo.routing import Call, Route, read, write
from bot.demo.sarif_rules import SHOWN, category_of, complaints

LARGEST = 10_000_000  # bytes, compressed
OFF = "Code Security must be enabled for this repository to use code scanning."
_RANKS = {"error": 0, "warning": 1, "note": 2, "none": 3}
_PULL = re.compile(r"refs/pull/(\d+)/(head|merge)")


def upload(call: Call) -> Reply:
    body, world, repo = parse(NewSarif, call.body), call.world, _enabled(call)
    if repo.archived:
        raise Problem(403, "Repository was archived so is read-only.")
    if repo.git.resolve(body.commit_sha) != body.commit_sha:
        raise Problem(404, "commit not found")
    if not _knows(world, repo, body.ref, body.commit_sha):
        raise Problem(404, f"ref '{body.ref}' not found in this repository")
    made = SarifUpload(
        id=str(uuid.uuid4()),
        repo=repo.full_name,
        commit_sha=body.commit_sha,
        ref=body.ref,
        log=_unpacked(body.sarif),
        due=world.clock() + world.scan_seconds,
    )
    world.uploads[made.id] = made
    return Reply({"id": made.id, "url": f"{_url(world, repo)}/sarifs/{made.id}"}, 202)


def _enabled(call: Call) -> Repository:
    if call.repo.private and not call.repo.code_security:
        raise Problem(403, OFF)
    return call.repo


def _knows(world: World, repo: Repository, ref: str, sha: str) -> bool:
    """Whether there is such a ref, and the commit is on it."""
    if match := _PULL.fullmatch(ref):
        pull = world.pulls.get((repo.full_name, int(match[1])))
        tip = pull.head_sha if pull and match[2] == "head" else None
    else:
        tip = repo.git.resolve(ref)
    return tip is not None and repo.git.merge_base(tip, sha) == sha


def _unpacked(encoded: str) -> Any:
    try:
        data = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise Problem(400, "Invalid SARIF. The sarif field is not base64.") from None
    if len(data) > LARGEST:
        raise Problem(413, "SARIF upload is too large")
    try:
        return json.loads(gzip.decompress(data))
    except (OSError, EOFError, zlib.error, ValueError):
        raise Problem(400, "Invalid SARIF. The file is not gzipped JSON.") from None


def _process(world: World, repo: str) -> None:
    """What is due becomes analyses, whole or not at all."""
    for made in world.uploads.values():
        if made.repo != repo or made.state != "pending" or made.due > world.clock():
            continue
        made.errors = complaints(made.log)
        made.state = "failed" if made.errors else "complete"
        for run in () if made.errors else made.log["runs"]:
            analysis = _analysis(world, made, run)
            world.analyses[analysis.id] = analysis


def _analysis(world: World, made: SarifUpload, run: Any) -> Analysis:
    results = sorted(run["results"], key=lambda result: _RANKS[result["level"]])
    beyond = len(results) - SHOWN
    return Analysis(
        id=next(world.ids),
        repo=made.repo,
        upload=made.id,
        ref=made.ref,
        commit_sha=made.commit_sha,
        tool=run["tool"]["driver"]["name"],
        category=category_of(run),
        results=results[:SHOWN],
        rules=len(run["tool"]["driver"]["rules"]),
        warning=f"{beyond} results were ignored" if beyond > 0 else "",
        created_at=world.clock(),
    )


def analyses_of(world: World, repo: str) -> list[Analysis]:
    """Those that are processed by now, the newest first."""
    _process(world, repo)
    return [made for made in reversed(world.analyses.values()) if made.repo == repo]


def status(call: Call) -> Reply:
    world, repo = call.world, _enabled(call)
    _process(world, repo.full_name)
    made = world.uploads.get(call.arguments["id"])
    if made is None or made.repo != repo.full_name:
        raise not_found()
    body: shapes.Json = {"processing_status": made.state}
    if made.state == "complete":
        body["analyses_url"] = f"{_url(world, repo)}/analyses?sarif_id={made.id}"
    if made.state == "failed":
        body["errors"] = made.errors
    return Reply(body)


def list_analyses(call: Call) -> Reply:
    repo, query = _enabled(call), call.query
    found = analyses_of(call.world, repo.full_name)
    if name := query.get("tool_name"):
        found = [made for made in found if made.tool == name]
    if upload_id := query.get("sarif_id"):
        found = [made for made in found if made.upload == upload_id]
    if ref := query.get("ref"):
        found = [made for made in found if made.ref in (ref, f"refs/heads/{ref}")]
    if number := query.get("pr"):
        found = [made for made in found if (match := _PULL.fullmatch(made.ref)) and match[1] == number]
    if not found:
        raise Problem(404, "no analysis found")
    return call.page(found, lambda made: _shape(call.world, repo, made))


def _shape(world: World, repo: Repository, made: Analysis) -> shapes.Json:
    return {
        "ref": made.ref,
        "commit_sha": made.commit_sha,
        "analysis_key": made.category,
        "environment": "{}",
        "category": made.category,
        "error": "",
        "created_at": shapes.stamp(made.created_at),
        "results_count": len(made.results),
        "rules_count": made.rules,
        "id": made.id,
        "url": f"{_url(world, repo)}/analyses/{made.id}",
        "sarif_id": made.upload,
        "tool": {"name": made.tool, "guid": None, "version": None},
        "deletable": True,
        "warning": made.warning,
    }


def _url(world: World, repo: Repository) -> str:
    return f"{world.api}/repos/{repo.full_name}/code-scanning"


_SCANNING = "/repos/{owner}/{repo}/code-scanning"
SCAN_ROUTES: list[Route] = [
    write("POST", f"{_SCANNING}/sarifs", upload, "security_events"),
    read(f"{_SCANNING}/sarifs/{{id}}", status, "security_events"),
    read(f"{_SCANNING}/analyses", list_analyses, "security_events"),
]
