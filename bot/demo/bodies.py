"""The bodies that GitHub's API takes, with its limits, and how it refuses others.

Stricter than GitHub where GitHub is silent: an unknown key, a null or a number sent as text is refused everywhere.
Limits: https://docs.github.com/rest/checks/runs, /rest/pulls/reviews, /rest/issues/comments, /rest/commits/statuses
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from bot.demo.answers import Problem

KILOBYTES_64 = 64 * 1024
Level = Literal["read", "write", "admin"]


def _relative(path: str) -> str:
    if not path or path.startswith("/") or "\0" in path or {"..", "."} & set(path.split("/")):
        raise ValueError("is not a relative path within the repository")
    return path


def _within_64_kilobytes(text: str) -> str:
    if len(text.encode("utf-8", "surrogatepass")) > KILOBYTES_64:
        raise ValueError("is too large (maximum is 64 KB)")
    return text


def _web(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise ValueError("must use http(s) scheme")
    return url


Name = Annotated[str, StringConstraints(min_length=1)]
RelativePath = Annotated[str, AfterValidator(_relative)]
Text64 = Annotated[str, StringConstraints(min_length=1), AfterValidator(_within_64_kilobytes)]
LongText = Annotated[str, StringConstraints(max_length=65535)]
CommentText = Annotated[str, StringConstraints(min_length=1, max_length=65536)]
Url = Annotated[str, AfterValidator(_web)]
LineNumber = Annotated[int, Field(ge=1)]
Time = Annotated[AwareDatetime, Field(strict=False)]
Conclusion = Literal["action_required", "cancelled", "failure", "neutral", "success", "skipped", "timed_out"]


class Body(BaseModel):
    """A request's body. Fields of `nullable` may be null, others may only be left out."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
    nullable: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="before")
    @classmethod
    def _no_nulls(cls, data: Any) -> Any:
        if isinstance(data, dict):
            for key, value in data.items():
                if value is None and key not in cls.nullable:
                    raise ValueError(f"'{key}' is null, which is not allowed")
        return data


BodyT = TypeVar("BodyT", bound=Body)


def parse(model: type[BodyT], data: Any) -> BodyT:
    """The body as a value. Raises `Problem` 422, naming the field."""
    try:
        return model.model_validate(data if data is not None else {})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = "/".join(str(part) for part in first["loc"])
        raise Problem(422, f"Invalid request.\n\nFor 'properties/{where}', {first['msg']}.") from None


class AnnotationBody(Body):
    path: RelativePath
    start_line: LineNumber
    end_line: LineNumber
    start_column: LineNumber | None = None
    end_column: LineNumber | None = None
    annotation_level: Literal["notice", "warning", "failure"]
    message: Text64
    title: Annotated[str, StringConstraints(max_length=255)] | None = None
    raw_details: Annotated[str, AfterValidator(_within_64_kilobytes)] | None = None

    @model_validator(mode="after")
    def _ordered(self) -> AnnotationBody:
        if self.end_line < self.start_line:
            raise ValueError("end_line is before start_line")
        columns = (self.start_column, self.end_column)
        if columns != (None, None) and self.start_line != self.end_line:
            raise ValueError("columns are only supported where start_line and end_line are the same")
        if self.start_column and self.end_column and self.end_column < self.start_column:
            raise ValueError("end_column is before start_column")
        return self


class ImageBody(Body):
    alt: str
    image_url: Url
    caption: str | None = None


class OutputBody(Body):
    title: Annotated[str, StringConstraints(min_length=1, max_length=255)]
    summary: Annotated[LongText, StringConstraints(min_length=1)]
    text: LongText | None = None
    annotations: Annotated[list[AnnotationBody], Field(max_length=50)] = []
    images: list[ImageBody] = []


class ActionBody(Body):
    label: Annotated[str, StringConstraints(min_length=1, max_length=20)]
    description: Annotated[str, StringConstraints(min_length=1, max_length=40)]
    identifier: Annotated[str, StringConstraints(min_length=1, max_length=20)]


class CheckBody(Body):
    """What creating and updating a check run share."""

    details_url: Url | None = None
    external_id: str | None = None
    status: Literal["queued", "in_progress", "completed"] | None = None
    started_at: Time | None = None
    conclusion: Conclusion | None = None
    completed_at: Time | None = None
    output: OutputBody | None = None
    actions: Annotated[list[ActionBody], Field(max_length=3)] | None = None

    @model_validator(mode="after")
    def _concluded(self) -> CheckBody:
        if self.conclusion is None and (self.status == "completed" or self.completed_at is not None):
            raise ValueError("'conclusion' is required for a completed check run")
        if self.conclusion is not None and self.status not in (None, "completed"):
            raise ValueError("'conclusion' is only allowed for a completed check run")
        return self


class NewCheck(CheckBody):
    name: Name
    head_sha: Annotated[str, StringConstraints(pattern="^[0-9a-f]{40}$")]


class CheckChange(CheckBody):
    name: Name | None = None


class NewSuite(Body):
    head_sha: Annotated[str, StringConstraints(pattern="^[0-9a-f]{40}$")]


class NewStatus(Body):
    nullable = frozenset({"target_url", "description"})
    state: Literal["error", "failure", "pending", "success"]
    target_url: Url | None = None
    description: Annotated[str, StringConstraints(max_length=140)] | None = None
    context: Annotated[str, StringConstraints(min_length=1, max_length=255)] = "default"


class NewSarif(Body):
    commit_sha: Annotated[str, StringConstraints(pattern="^[0-9a-f]{40}$")]
    ref: Annotated[str, StringConstraints(pattern="^refs/(heads|tags|pull)/.*$")]
    sarif: str
    checkout_uri: str | None = None
    started_at: Time | None = None
    tool_name: Name | None = None
    # `validate` in the API, which is a method here.
    checked: Annotated[bool | None, Field(alias="validate")] = None


class ReactionBody(Body):
    content: Literal["+1", "-1", "laugh", "confused", "heart", "hooray", "rocket", "eyes"]


class CommentBody(Body):
    body: CommentText


class Place(Body):
    """Where a review comment goes, and what it says."""

    path: RelativePath
    body: CommentText
    line: LineNumber | None = None
    side: Literal["LEFT", "RIGHT"] = "RIGHT"
    start_line: LineNumber | None = None
    start_side: Literal["LEFT", "RIGHT"] | None = None


class NewReview(Body):
    commit_id: str | None = None
    body: Annotated[str, StringConstraints(max_length=65536)] = ""
    event: Literal["APPROVE", "REQUEST_CHANGES", "COMMENT"] | None = None
    comments: list[Place] = []


class NewReviewComment(Place):
    commit_id: str
    subject_type: Literal["line", "file"] = "line"


class NewToken(Body):
    repositories: list[str] | None = None
    repository_ids: list[int] | None = None
    permissions: dict[str, Level] | None = None


class GraphQL(Body):
    nullable = frozenset({"variables", "operationName"})
    query: str
    variables: dict[str, Any] | None = None
    operationName: str | None = None  # noqa: N815  GraphQL's own name
