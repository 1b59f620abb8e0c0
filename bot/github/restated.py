"""Webhooks that never came, made of what the API says: with all that `payloads` reads of GitHub's own, and no more.

So what was missed goes the same way as what arrives. Pure.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

from bot.domain.model import Frozen
from bot.github.contents import PullSeen, PushSeen
from bot.github.installations import InstalledRepository


class Restated(Frozen):
    """A webhook as it would have come. One of the same content has the same `guid`, so that the ledger knows it again;
    GitHub's own never look like that."""

    guid: str
    event: str
    body: bytes


def restate(installation: int, repository: InstalledRepository, change: PullSeen | PushSeen) -> Restated:
    """The webhook that would have told of a change."""
    if isinstance(change, PullSeen):
        return _pull(installation, repository, change)
    return _push(installation, repository, change)


def _pull(installation: int, repository: InstalledRepository, pull: PullSeen) -> Restated:
    told = {
        "number": pull.number,
        "state": pull.state,
        "draft": pull.draft,
        "merged": pull.merged,
        "head": {"sha": pull.head_sha},
        "base": {"ref": pull.base_ref},
        "updated_at": datetime.fromtimestamp(pull.updated_at, UTC).isoformat(),
    }
    action = "synchronize" if pull.state == "open" else "closed"
    return _restated("pull_request", installation, repository, action=action, pull_request=told)


def _push(installation: int, repository: InstalledRepository, push: PushSeen) -> Restated:
    told = {
        "ref": f"refs/heads/{push.branch}",
        "before": push.before,
        "after": push.head_sha,
        "created": not push.before.strip("0"),
        "deleted": False,
        "forced": push.forced,
        "sender": {"login": push.actor},
    }
    return _restated("push", installation, repository, **told)


def _restated(event: str, installation: int, repository: InstalledRepository, **told: Any) -> Restated:
    about = {
        "id": repository.id,
        "full_name": repository.full_name,
        "default_branch": repository.default_branch,
    }
    body = json.dumps({"installation": {"id": installation}, "repository": about, **told}).encode()
    return Restated(guid=f"missed-{hashlib.sha256(body).hexdigest()[:32]}", event=event, body=body)
