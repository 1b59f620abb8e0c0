"""Webhooks into typed values: JSON bytes in, what Assay acts on out. Pure.

The payload models are private and declare only the fields in use, so that GitHub may add and drop others. Checked by
type before anything else sees them: shapes of SHAs and repository names, lengths of text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from bot.domain.commands import parse_command
from bot.domain.run import Gate
from bot.errors import Theirs
from bot.github.envelope import nothing_asked
from bot.github.names import is_repository
from bot.github.received import (
    BranchDeleted,
    CheckRerun,
    CommandGiven,
    GateAnswered,
    Ignored,
    InstallationChanged,
    MergeGroupLeft,
    MergeGroupReceived,
    Ping,
    PullReceived,
    PushReceived,
    Received,
    SuiteRequested,
    ThreadTouched,
)

__all__ = [
    "APPROVE",
    "RERUN",
    "RERUN_FAILED",
    "BranchDeleted",
    "CheckRerun",
    "Ignored",
    "InstallationChanged",
    "MergeGroupLeft",
    "MergeGroupReceived",
    "Ping",
    "PullReceived",
    "PushReceived",
    "Received",
    "SuiteRequested",
    "ThreadTouched",
    "parse",
]

APPROVE = "approve"
# Buttons that answer a question, and at which gate.
_ANSWERS: dict[str, Gate] = {APPROVE: "approval", "raise_budget": "budget", "accept_review": "judgement"}
RERUN = "rerun"
RERUN_FAILED = "rerun_failed"


def _repository_name(name: str) -> str:
    if not is_repository(name):
        raise ValueError("must look like owner/name")
    return name


_Sha = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")]
_Text = Annotated[str, StringConstraints(max_length=1000)]
_Word = Annotated[str, StringConstraints(pattern=r"^[a-z_]{1,60}$")]
_Id = Annotated[int, Field(ge=1, lt=1 << 63)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, hide_input_in_errors=True)


class _HasId(_Part):
    id: _Id


class _User(_Part):
    login: _Text = ""


class _Commenter(_User):
    type: _Text = ""


class _Repository(_HasId):
    full_name: Annotated[_Text, AfterValidator(_repository_name)]
    default_branch: _Text


class _Envelope(_Part):
    """What is the same in every event."""

    action: _Word | None = None
    installation: _HasId | None = None
    sender: _User | None = None


class _Push(_Part):
    repository: _Repository
    ref: _Text
    before: _Sha
    after: _Sha
    created: bool
    deleted: bool
    forced: bool


class _Head(_Part):
    sha: _Sha
    repo: _HasId | None = None


class _PullBase(_Part):
    ref: _Text = ""
    sha: _Sha | None = None


class _Pull(_Part):
    number: _Id
    head: _Head
    base: _PullBase = _PullBase()
    draft: bool = False
    merged: bool | None = None
    state: Literal["open", "closed"]
    updated_at: AwareDatetime


class _Changes(_Part):
    base: _Part | None = None


class _PullRequest(_Part):
    repository: _Repository
    pull_request: _Pull
    before: _Sha | None = None
    changes: _Changes = _Changes()


class _Base(_Part):
    repo: _HasId


class _PullOfCheck(_Part):
    number: _Id
    base: _Base | None = None


class _SuiteOfRun(_Part):
    head_branch: _Text | None = None


class _Run(_Part):
    name: _Text
    head_sha: _Sha
    external_id: _Text | None = None
    check_suite: _SuiteOfRun | None = None
    app: _HasId | None
    pull_requests: tuple[_PullOfCheck, ...] = ()


class _RequestedAction(_Part):
    identifier: _Text = ""


class _CheckRun(_Part):
    repository: _Repository
    check_run: _Run
    requested_action: _RequestedAction | None = None


class _Suite(_Part):
    head_branch: _Text | None
    head_sha: _Sha
    before: _Sha | None
    app: _HasId | None = None
    pull_requests: tuple[_PullOfCheck, ...] = ()


class _CheckSuite(_Part):
    repository: _Repository
    check_suite: _Suite


class _Group(_Part):
    head_sha: _Sha
    head_ref: _Text
    base_sha: _Sha
    base_ref: _Text


class _MergeGroup(_Part):
    repository: _Repository
    merge_group: _Group
    reason: _Word | None = None


class _InstalledOn(_Part):
    account: _User | None = None


class _Installation(_Part):
    installation: _InstalledOn
    account: _User | None = None


@dataclass(frozen=True)
class _Delivery:
    event: str
    action: str
    body: bytes
    app_id: int
    installation: int
    sender: str
    by_bot: bool

    @property
    def name(self) -> str:
        return f"{self.event}.{self.action}" if self.action else self.event

    def origin(self, repository: _Repository) -> dict[str, Any]:
        """The fields of `FromRepository`."""
        return {
            "installation": self.installation,
            "repository": repository.full_name,
            "default_branch": repository.default_branch,
            "sender": self.sender,
        }


def parse(event: str, body: bytes, app_id: int, bot_login: str | None) -> Received | Ignored:
    """What a delivery means to Assay. `event` is the `X-GitHub-Event` header, `body` JSON.

    `app_id` and `bot_login` say what is Assay's own: checks of other Apps and echoes of its own writes are ignored.
    Raises bot.errors.Theirs for a payload that is malformed; the message does not repeat what is in it.
    """
    translate = _TRANSLATIONS.get(event)
    if translate is None and event != "ping":
        return Ignored(reason=f"event {_shown(event)} is not one Assay acts on")
    try:
        envelope = _Envelope.model_validate_json(body)
        if translate is None:
            return Ping()
        if envelope.installation is None:
            return Ignored(reason=f"{event} was not sent for an App installation")
        sender = envelope.sender.login if envelope.sender else ""
        return translate(
            _Delivery(
                event=event,
                action=envelope.action or "",
                body=body,
                app_id=app_id,
                installation=envelope.installation.id,
                sender=sender,
                by_bot=bool(bot_login) and sender.lower() == (bot_login or "").lower(),
            )
        )
    except ValidationError as error:
        raise Theirs(f"the {event} payload is malformed: {_complaint(error)}") from None


def _shown(event: str) -> str:
    return event if re.fullmatch(r"[a-z_]{1,60}", event) else "of an odd name"


def _complaint(error: ValidationError) -> str:
    """Where and what, in pydantic's words. Neither repeats the input."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}" if where else first["msg"]


def _push(delivery: _Delivery) -> Received | Ignored:
    push = _Push.model_validate_json(delivery.body)
    if not push.ref.startswith("refs/heads/"):
        return Ignored(
            reason="push of a tag" if push.ref.startswith("refs/tags/") else "push of a ref that is no branch"
        )
    if push.deleted or _real(push.after) is None:
        return BranchDeleted(**delivery.origin(push.repository), branch=push.ref.removeprefix("refs/heads/"))
    return PushReceived(
        **delivery.origin(push.repository),
        repository_id=push.repository.id,
        branch=push.ref.removeprefix("refs/heads/"),
        before=_real(push.before),
        after=push.after,
        forced=push.forced,
        created=push.created,
    )


def _real(sha: str | None) -> str | None:
    """None for the SHA of zeros, which stands for no commit."""
    return sha if sha and sha.strip("0") else None


_PULL_ACTIONS = ("opened", "reopened", "synchronize", "ready_for_review", "converted_to_draft", "edited", "closed")


def _pull_request(delivery: _Delivery) -> Received | Ignored:
    if delivery.action not in _PULL_ACTIONS:
        return Ignored(reason=f"{delivery.name} changes nothing that Assay looks at")
    payload = _PullRequest.model_validate_json(delivery.body)
    base_changed = payload.changes.base is not None
    if delivery.action == "edited" and not base_changed:
        return Ignored(reason="pull_request.edited left the base branch as it was")
    pull = payload.pull_request
    return PullReceived(
        **delivery.origin(payload.repository),
        action=delivery.action,
        number=pull.number,
        head_sha=pull.head.sha,
        before=payload.before if delivery.action == "synchronize" else None,
        base_changed=base_changed,
        base_ref=pull.base.ref,
        base_sha=pull.base.sha or "",
        fork=pull.head.repo is None or pull.head.repo.id != payload.repository.id,
        draft=pull.draft,
        closed=pull.state == "closed",
        merged=bool(pull.merged),
        updated_at=pull.updated_at.timestamp(),
    )


def _check_run(delivery: _Delivery) -> Received | Ignored:
    if reason := nothing_asked(delivery.event, delivery.action):
        return Ignored(reason=reason)
    payload = _CheckRun.model_validate_json(delivery.body)
    run = payload.check_run
    if reason := _not_ours(delivery, run.app):
        return Ignored(reason=reason)
    button = payload.requested_action.identifier if payload.requested_action else ""
    if delivery.action == "requested_action" and button in _ANSWERS:
        about = delivery.origin(payload.repository)
        return GateAnswered(**about, sha=run.head_sha, gate=_ANSWERS[button], external_id=run.external_id or "")
    if delivery.action == "requested_action" and button not in (RERUN, RERUN_FAILED):
        return Ignored(reason="check_run.requested_action of a button that Assay does not have")
    return CheckRerun(
        **delivery.origin(payload.repository),
        sha=run.head_sha,
        branch=(run.check_suite and run.check_suite.head_branch) or "",
        check_name=run.name,
        external_id=run.external_id or "",
        pulls=_numbers(run.pull_requests, payload.repository),
        failed_only=delivery.action == "requested_action" and button == RERUN_FAILED,
    )


def _check_suite(delivery: _Delivery) -> Received | Ignored:
    if reason := nothing_asked(delivery.event, delivery.action):
        return Ignored(reason=reason)
    payload = _CheckSuite.model_validate_json(delivery.body)
    suite = payload.check_suite
    if reason := _not_ours(delivery, suite.app):
        return Ignored(reason=reason)
    origin = delivery.origin(payload.repository)
    pulls = _numbers(suite.pull_requests, payload.repository)
    about = {**origin, "branch": suite.head_branch or "", "pulls": pulls}
    if delivery.action == "rerequested":
        return CheckRerun(**about, sha=suite.head_sha, check_name=None, external_id="", failed_only=False)
    return SuiteRequested(**about, before=_real(suite.before), after=suite.head_sha)


def _not_ours(delivery: _Delivery, app: _HasId | None) -> str:
    if app is not None and app.id != delivery.app_id:
        return f"{delivery.name} is about another App's checks"
    if app is None and delivery.event == "check_run":
        return f"{delivery.name} is about a check of no App"
    return f"{delivery.name} is an echo of Assay's own doing" if delivery.by_bot else ""


def _numbers(pulls: tuple[_PullOfCheck, ...], repository: _Repository) -> tuple[int, ...]:
    """Only pull requests into this repository: GitHub also lists those from it into its parent, numbered there."""
    here = (pull.number for pull in pulls if pull.base is None or pull.base.repo.id == repository.id)
    return tuple(dict.fromkeys(here))


def _merge_group(delivery: _Delivery) -> Received | Ignored:
    if delivery.action not in ("checks_requested", "destroyed"):
        return Ignored(reason=f"{delivery.name} asks for no checks")
    payload = _MergeGroup.model_validate_json(delivery.body)
    group = payload.merge_group
    if delivery.action == "destroyed":
        if payload.reason == "merged":
            return Ignored(reason="merge_group.destroyed: it was merged, and its commit goes on as the branch's")
        return MergeGroupLeft(
            **delivery.origin(payload.repository),
            sha=group.head_sha,
            head_ref=group.head_ref,
            reason=payload.reason or "destroyed",
        )
    return MergeGroupReceived(
        **delivery.origin(payload.repository),
        sha=group.head_sha,
        head_ref=group.head_ref,
        base_sha=group.base_sha,
        base_ref=group.base_ref,
    )


def _installation(delivery: _Delivery) -> Received | Ignored:
    payload = _Installation.model_validate_json(delivery.body)
    account = payload.account or payload.installation.account
    return InstallationChanged(
        installation=delivery.installation,
        event=delivery.event,
        action=delivery.action,
        account=account.login if account else "",
        sender=delivery.sender,
    )


class _PullOfThread(_Part):
    number: _Id
    head: _Head


class _Said(_Part):
    body: str = ""
    in_reply_to_id: _Id | None = None


class _ThreadNews(_Part):
    repository: _Repository
    pull_request: _PullOfThread
    comment: _Said = _Said()


# Of what somebody says in a thread no more is read: an order to Assay is short.
_SAID = 1_000


def _thread(delivery: _Delivery) -> Received | Ignored:
    if delivery.action not in ("created", "resolved", "unresolved"):
        return Ignored(reason=f"{delivery.name} says nothing new")
    if delivery.by_bot:
        return Ignored(reason=f"{delivery.name} is an echo of Assay's own doing")
    news = _ThreadNews.model_validate_json(delivery.body)
    pull, comment = news.pull_request, news.comment
    return ThreadTouched(
        **delivery.origin(news.repository),
        number=pull.number,
        sha=pull.head.sha,
        said=comment.body[:_SAID],
        answers=comment.in_reply_to_id,
    )


class _Comment(_HasId):
    body: str | None = None
    user: _Commenter | None = None


class _Issue(_Part):
    number: _Id
    pull_request: _Part | None = None


class _IssueComment(_Part):
    repository: _Repository
    issue: _Issue
    comment: _Comment


def _issue_comment(delivery: _Delivery) -> Received | Ignored:
    if delivery.action != "created":
        return Ignored(reason=f"{delivery.name} gives no order")
    news = _IssueComment.model_validate_json(delivery.body)
    author = news.comment.user
    if delivery.by_bot or author is None or author.type == "Bot":
        return Ignored(reason="a comment by a bot")
    if news.issue.pull_request is None:
        return Ignored(reason="a comment on an issue, which has no commit")
    command = parse_command(news.comment.body or "")
    if command is None:
        return Ignored(reason="a comment that gives Assay no order")
    # Whoever wrote it gives the order, not whoever caused the webhook.
    origin = delivery.origin(news.repository) | {"sender": author.login}
    return CommandGiven(**origin, number=news.issue.number, comment=news.comment.id, command=command)


_TRANSLATIONS: dict[str, Callable[[_Delivery], Received | Ignored]] = {
    "push": _push,
    "pull_request": _pull_request,
    "check_run": _check_run,
    "check_suite": _check_suite,
    "merge_group": _merge_group,
    "issue_comment": _issue_comment,
    "pull_request_review_comment": _thread,
    "pull_request_review_thread": _thread,
    "installation": _installation,
    "installation_repositories": _installation,
    "installation_target": _installation,
}
