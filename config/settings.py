"""The settings of an Assay process: the environment and a `.env` file -> one frozen value, or every mistake at once.

Names, defaults and meanings are data on the fields; `config/reference.py` makes the table of the documentation of them.
A variable that is empty is not set: that is how compose files pass on what nobody gave.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from dotenv import dotenv_values
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from config.env_secrets import Table, parse_env_secrets
from config.fallbacks import Fallback, parse_fallbacks
from config.fields import DAY, AppId, Interval, PrivateKey, RedisUrl, Retention, Size, Url
from config.wording import complaint, nearest, printable

PREFIX = "ASSAY_"
_MAX_KEY_FILE = 64 * 1024


class SettingsError(ValueError):
    """Settings are wrong or missing. Each of `problems` names a variable and what to do; the message is all of them,
    a line each. No value of a secret is in it."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


def _told(default: str) -> dict[str, Any]:
    """How the documentation tells a default that depends on something else."""
    return {"told": default}


_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?")


# Not within the braces of a glob.
_BETWEEN = re.compile(r"[,\s]+(?![^{}]*\})")


def _words(value: object) -> object:
    """A list in one variable. Spaces do as well as commas: a list that is taken for one word would restrict nothing."""
    return tuple(filter(None, _BETWEEN.split(value))) if isinstance(value, str) else value


_Words = BeforeValidator(_words, json_schema_input_type=str)


def _host(value: str) -> str:
    if not _HOST.fullmatch(value):
        raise ValueError("must be hosts, as HOST or HOST:PORT, with commas between; no scheme and no path")
    return value


# The webhooks that may ask for work; those about installations are always served.
Served = Literal[
    "push",
    "pull_request",
    "merge_group",
    "check_run",
    "check_suite",
    "issue_comment",
    "pull_request_review_comment",
    "pull_request_review_thread",
]


def _check_env_secrets(value: SecretStr) -> SecretStr:
    parse_env_secrets(value.get_secret_value())
    return value


def _check_fallbacks(value: SecretStr) -> SecretStr:
    parse_fallbacks(value.get_secret_value())
    return value


class Settings(BaseModel):
    """What the operator decides. Made by `load`; the fields' descriptions are the reference."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    github_app_id: AppId | None = Field(
        default=None, description="The App's ID (or client ID), from the App's page on GitHub."
    )
    github_private_key: PrivateKey | None = Field(
        default=None, description="The App's private key, PEM. May be one line with `\\n` for line ends."
    )
    github_private_key_file: Path | None = Field(
        default=None, description="A file that holds the App's private key, instead of the above."
    )
    github_webhook_secret: SecretStr | None = Field(
        default=None, description="The App's webhook secret. Without one Assay refuses to receive webhooks."
    )
    github_webhook_secret_previous: SecretStr | None = Field(
        default=None, description="The secret before, accepted too while you change it. Unset it afterwards."
    )
    github_api_url: Url = Field(
        default="https://api.github.com", description="The API. For an Enterprise Server `https://HOST/api/v3`."
    )
    github_url: Url = Field(
        default="https://github.com",
        description="Where clones and links go.",
        json_schema_extra=_told("by the API's URL: `https://github.com`, `https://HOST`"),
    )
    redis_url: RedisUrl | None = Field(
        default=None,
        description="`redis://`, `rediss://` (TLS), `unix://`, `redis+sentinel://` or `rediss+sentinel://`; "
        "docs/operations.md has the forms. Left out: Assay runs a Redis of its own in the data folder.",
        json_schema_extra=_told("embedded"),
    )
    data_dir: Path = Field(
        description="Where Assay keeps what must survive a restart.",
        json_schema_extra=_told("`$XDG_DATA_HOME/assay`, else `~/.local/share/assay`"),
    )
    work_dir: Path = Field(
        description="Checkouts. A fast disk helps; nothing in it needs a backup.",
        json_schema_extra=_told("`work` in the data folder"),
    )
    cache_size: Size = Field(
        default=20 * 10**9,
        description="What a machine keeps of repositories in its work folder: a number and `MB`, `GB` or `TB`. "
        "The least recently used goes first.",
        json_schema_extra=_told("`20GB`"),
    )
    cache_age: Retention = Field(
        default=14 * DAY,
        description="How long what is not used is kept there: a number and `s`, `m`, `h` or `d`.",
        json_schema_extra=_told("`14d`"),
    )
    host: Annotated[str, Field(max_length=255)] = Field(
        default="127.0.0.1", description="The address to listen on; `0.0.0.0` for all."
    )
    port: Annotated[int, Field(ge=1, le=65535)] = Field(default=8000, description="The port to listen on.")
    public_url: Url | None = Field(
        default=None, description="Where GitHub reaches Assay, such as `https://assay.example.com`."
    )
    sandbox: Literal["auto", "bubblewrap", "docker", "podman", "none"] = Field(
        default="auto",
        description="What commands run in. `auto` is the strongest that works, most often bubblewrap; where none does, "
        "nothing of a repository is executed. `none` isolates nothing, and is for an operator's own repositories only.",
    )
    sandbox_image: Annotated[str, Field(pattern=r"^[a-z0-9][A-Za-z0-9._/:@-]{0,254}$")] | None = Field(
        default=None,
        description="The image that commands run in with `docker` and `podman`: Assay's own, or one made from it. It "
        "has to be there: Assay pulls none.",
    )
    sandbox_images: Annotated[tuple[Annotated[str, Field(max_length=256)], ...], _Words] = Field(
        default=(),
        description="The images that repositories may name instead, by `image`: globs with commas between, such as "
        "`ghcr.io/acme/*`. Left out: none.",
    )
    sandbox_runtime: Annotated[str, Field(pattern=r"^[A-Za-z0-9/][A-Za-z0-9._/-]{0,99}$")] | None = Field(
        default=None,
        description="What Docker or Podman run containers by, such as `runsc` (gVisor). Left out: their usual one.",
    )
    registries: Annotated[tuple[Annotated[str, AfterValidator(_host)], ...], _Words] = Field(
        default=(),
        description="Package registries that `setup` may reach beside those that pip, npm and Go are configured with: "
        "hosts, as `HOST` or `HOST:PORT`, with commas between. These may have private addresses.",
    )
    serve_installations: Annotated[tuple[Annotated[int, Field(ge=1, lt=2**63)], ...], _Words] = Field(
        default=(),
        description="The installations that are served, by their numbers, with commas between. Left out: all.",
    )
    serve_repositories: Annotated[
        tuple[Annotated[str, Field(max_length=256, pattern="/"), AfterValidator(str.lower)], ...], _Words
    ] = Field(
        default=(),
        description="The repositories that are served: globs over `OWNER/NAME`, with commas between, such as "
        "`acme/*,octo/site`. Left out: all. What is not served is refused, with the reason in the log.",
    )
    serve_events: Annotated[tuple[Served, ...], _Words] = Field(
        default=(),
        description="The webhooks that are served, by GitHub's names, with commas between: `push`, `pull_request`, "
        "`merge_group`, `check_run`, `check_suite` (buttons), `issue_comment`, `pull_request_review_comment`, "
        "`pull_request_review_thread`. Left out: all.",
    )
    workers: Annotated[int, Field(ge=1, le=64)] = Field(default=1, description="Worker processes for each agent queue.")
    repository_limit: Annotated[int, Field(ge=0, le=1000)] = Field(
        default=0, description="Agents of one repository that may run at once, on all machines; 0 for any number."
    )
    drain: Annotated[int, Field(ge=0, le=86400)] = Field(
        default=60, description="Seconds that jobs in hand get to end when Assay is stopped; then they are handed back."
    )
    intake_limit: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=512, description="Deliveries that may wait; beyond it the answer is 503."
    )
    github_writes_per_minute: Annotated[int, Field(ge=0, le=100_000)] = Field(
        default=80,
        description="Writes to GitHub a minute, for each installation. GitHub allows so many; an Enterprise Server "
        "limits none unless it is told to. 0 for any number.",
    )
    github_writes_per_hour: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        default=500, description="The same an hour."
    )
    catch_up: Interval = Field(
        default=600,
        description="How often failed deliveries are looked for: a number and `s`, `m`, `h` or `d`. Pull requests and "
        "pushes are compared with the runs a sixth as often.",
        json_schema_extra=_told("`10m`"),
    )
    llm_model: Annotated[str, Field(max_length=200)] = Field(
        default="gpt-5.4-mini", description="The model that reviews."
    )
    llm_verify_model: Annotated[str, Field(max_length=200)] | None = Field(
        default=None,
        description="The model of the second look at what the reviewer claims: a stronger one, say, for there is less "
        "to read.",
        json_schema_extra=_told("the reviewer's"),
    )
    llm_models: Annotated[tuple[str, ...], _Words] = Field(
        default=(),
        description="Models that repositories may choose instead of these, with commas between; one that ends in `*` "
        "stands for all that begin so. Left out: any.",
    )
    llm_timeout: Annotated[int, Field(ge=1, le=3600)] = Field(
        default=120, description="Seconds to wait for one answer of the model."
    )
    llm_api: Literal["responses", "chat"] | None = Field(
        default=None,
        description="How the provider is asked: by OpenAI's Responses API, or by Chat Completions, which the most "
        "others know.",
        json_schema_extra=_told("`responses` at OpenAI, `chat` elsewhere"),
    )
    llm_fallbacks: Annotated[SecretStr, AfterValidator(_check_fallbacks)] | None = Field(
        default=None,
        description="Providers that are asked when the one before fails, as TOML: a table a provider, in their order, "
        '`[NAME]`, of `url`, `key`, `api`, `model` and `models = {"ASKED" = "ITS-OWN"}`.',
    )
    llm_fallbacks_file: Path | None = Field(default=None, description="A file that holds these, instead of the above.")
    llm_budget_month: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = Field(
        default=None,
        description="US dollars that the models of one installation may cost in a calendar month (UTC). Unset: no "
        "limit.",
    )
    llm_tokens_month: Annotated[int, Field(ge=0)] | None = Field(
        default=None,
        description="The same in tokens, in and out together, for models without a price too. Unset: no limit.",
    )
    llm_prices: Path | None = Field(
        default=None,
        description='A TOML file of prices that go before Assay\'s own: a line a model, `"NAME" = {input = 1.0, cached '
        "= 0.1, output = 4.0, context = 128000}`, in US dollars for a million tokens; `context` is how many tokens a "
        'question and its answer may have together, 128,000 where it is left out, and `"*"` stands for all other '
        "models. A limit in dollars allows no request to a model whose price is not known.",
    )
    llm_never_send: Annotated[tuple[str, ...], _Words] = Field(
        default=(),
        description="Globs of files that no model is ever shown, in any repository, with commas between, such as "
        "`**/*.pem,secrets/**`.",
    )
    llm_log: bool = Field(
        default=True,
        description="Keep what models were asked and what they answered with each run, redacted, for `assay show` and "
        "`assay replay --agent review`.",
    )
    retention: Retention = Field(
        default=30 * DAY,
        description="How long runs are kept: a number and `s`, `m`, `h` or `d`.",
        json_schema_extra=_told("`30d`"),
    )
    log_format: Literal["text", "json"] = Field(default="text", description="Logs for people or for machines.")
    metrics_token: Annotated[SecretStr, Field(min_length=16, max_length=1000)] | None = Field(
        default=None,
        description="What a reader of `/metrics` has to show, as a bearer token. Without one only the machine itself "
        "may read them.",
    )
    env_secrets: Annotated[SecretStr, AfterValidator(_check_env_secrets)] | None = Field(
        default=None,
        description='Secrets for repositories\' commands, as TOML: a table a repository, `["OWNER/NAME"]`, or for all '
        'of `["OWNER/*"]`, of `NAME = "value"`. A command gets those that its `env_secrets` names, at trusted commits '
        "only.",
    )
    env_secrets_file: Path | None = Field(default=None, description="A file that holds these, instead of the above.")
    openai_api_key: SecretStr | None = Field(
        default=None, description="The model provider's key. Without it the review agent is `not_run`."
    )
    openai_base_url: Url | None = Field(
        default=None, description="Another provider that speaks the same protocol. Left out: OpenAI."
    )
    osv_url: Url | None = Field(
        default=None,
        description="A server that speaks OSV's API, such as `https://api.osv.dev`: it is told the names and versions "
        "of packages that a change brings, and says what is known against them. Left out, with no `ASSAY_OSV_DATABASE` "
        "either: a change of packages is `partial`.",
    )
    osv_database: Path | None = Field(
        default=None,
        description="OSV's export instead, for installations that ask nobody: a folder with the `all.zip` of each "
        "ecosystem, or one such file.",
    )
    deps_dev_url: Url | None = Field(
        default=None,
        description="A server that speaks deps.dev's API, such as `https://api.deps.dev`: it is told the same, and "
        "says how old a version is, its licence, and whether it was deprecated or yanked. Left out: only what lock "
        "files tell.",
    )
    otel_exporter_otlp_endpoint: Url | None = Field(
        default=None,
        description="Where traces are sent, by OTLP over HTTP, such as `http://127.0.0.1:4318`. "
        "Needs `assay[tracing]`. Left out: no traces.",
    )

    def secrets(self) -> tuple[str, ...]:
        """The values of all secrets that are set: what must never be shown."""
        values = (getattr(self, name) for name in type(self).model_fields)
        single = (value.get_secret_value() for value in values if isinstance(value, SecretStr))
        keys = (one.key.get_secret_value() for one in self.fallbacks() if one.key)
        return (*single, *keys, *(secret for named in self.env_secrets_table().values() for secret in named.values()))

    def env_secrets_table(self) -> Table:
        """The secrets for repositories' commands."""
        return parse_env_secrets(self.env_secrets.get_secret_value()) if self.env_secrets else {}

    def fallbacks(self) -> tuple[Fallback, ...]:
        """The model providers beside the first, in their order."""
        return parse_fallbacks(self.llm_fallbacks.get_secret_value()) if self.llm_fallbacks else ()

    def require(self, *names: str) -> None:
        """Raises SettingsError that lists which of these fields are missing and where to get them."""
        missing = [name for name in names if getattr(self, name) is None]
        if missing:
            raise SettingsError([f"{variable(name)} is missing: {_HOW_TO_GET[name]}" for name in missing])

    def require_app(self) -> App:
        """What it takes to act as a GitHub App. Raises SettingsError as `require` does."""
        self.require(*ACTING)
        assert self.github_app_id is not None
        assert self.github_private_key is not None
        return App(self.github_app_id, self.github_private_key)

    def require_webhook_secrets(self) -> tuple[SecretStr, ...]:
        """Those that may sign a delivery, the current one first. Raises SettingsError as `require` does."""
        self.require(*LISTENING)
        both = (self.github_webhook_secret, self.github_webhook_secret_previous)
        return tuple(secret for secret in both if secret is not None)


@dataclass(frozen=True)
class App:
    """The credentials of a GitHub App."""

    app_id: str
    private_key: SecretStr


# What it takes to act as the App, and to be told by it.
ACTING = ("github_app_id", "github_private_key")
LISTENING = ("github_webhook_secret",)
# Who has one of these is the App, or may say what happened to it.
CREDENTIALS = ("github_private_key", "github_webhook_secret", "github_webhook_secret_previous")

_HOW_TO_GET = {
    "github_app_id": "it stands on the App's page on GitHub (Settings, Developer settings, GitHub Apps), under About",
    "github_private_key": "make one on the App's page under Private keys, and set this to its text, "
    "or ASSAY_GITHUB_PRIVATE_KEY_FILE to its file",
    "github_webhook_secret": "choose a long random text and enter the same on the App's page under Webhook",
}


def variable(field: str) -> str:
    """The environment variable that sets a field of Settings."""
    return field.upper() if field.startswith(("openai_", "otel_")) else PREFIX + field.upper()


def load(environ: Mapping[str, str], dotenv: Path | None = None) -> Settings:
    """Settings from the environment, and from a `.env` file (which need not exist) for what the environment lacks.

    Raises SettingsError with every problem: unknown names, bad values, an unreadable file.
    """
    problems: list[str] = []
    given = {**_read_dotenv(dotenv, problems), **environ}
    fields = {variable(name): name for name in Settings.model_fields}
    problems += [
        _unknown(name, list(fields)) for name in sorted(given) if name.startswith(PREFIX) and name not in fields
    ]
    # A secret mounted from a file often ends in a newline.
    stripped = {field: given[name].strip() for name, field in fields.items() if name in given}
    values: dict[str, Any] = {field: text for field, text in stripped.items() if text}
    _add_paths(values, environ, problems)
    for name, what in _FILES.items():
        _read_secret_file(name, what, values, problems)
    if "github_url" not in values and "github_api_url" in values:
        values["github_url"] = _site_of(values["github_api_url"])
    try:
        settings = Settings(**values)
    except ValidationError as error:
        raise SettingsError([*problems, *map(_to_problem, error.errors(include_url=False))]) from None
    if problems:
        raise SettingsError(problems)
    return settings


def _read_dotenv(path: Path | None, problems: list[str]) -> dict[str, str]:
    if path is None:
        return {}
    try:
        # No interpolation: it would read this process's environment, and a secret may well hold a `$`.
        values = dotenv_values(path, interpolate=False, encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{path} cannot be read ({_reason(error)}): mend it or remove it")
        return {}
    return {name: text for name, text in values.items() if text is not None}


def _unknown(name: str, known: list[str]) -> str:
    near = nearest(name.removeprefix(PREFIX), [other.removeprefix(PREFIX).lower() for other in known])
    rest = f"did you mean {variable(near)}?" if near else "remove it, or see docs/configuration.md for the names"
    return f"{printable(name, 80)} is not a setting: {rest}"


def _add_paths(values: dict[str, Any], environ: Mapping[str, str], problems: list[str]) -> None:
    home = environ.get("XDG_DATA_HOME") or f"{environ.get('HOME') or '~'}/.local/share"
    values.setdefault("data_dir", f"{home}/assay")
    for name in _PATHS:
        if name in values:
            try:
                values[name] = Path(values[name]).expanduser().absolute()
            except RuntimeError:
                problems.append(f"{variable(name)} starts with a ~ that is nobody's home: give an absolute path")
    values.setdefault("work_dir", Path(values["data_dir"], "work"))


# Secrets that may stand in a file of their own, and what that file is.
_FILES = {
    "github_private_key": "the .pem file",
    "env_secrets": "the .toml file",
    "llm_fallbacks": "the .toml file",
}
_PATHS = ("data_dir", "work_dir", "osv_database", "llm_prices", *(f"{name}_file" for name in _FILES))


def _read_secret_file(name: str, what: str, values: dict[str, Any], problems: list[str]) -> None:
    """Put the text of a secret's file in the place of the secret."""
    file_name = f"{name}_file"
    if file_name not in values:
        return
    if name in values:
        problems.append(f"{variable(name)} and {variable(file_name)} are both set: unset one of them")
        return
    path = Path(values[file_name])
    try:
        with path.open(encoding="utf-8") as file:
            values[name] = file.read(_MAX_KEY_FILE)
    except (OSError, ValueError) as error:
        problems.append(
            f"{variable(file_name)}: {printable(str(path), 200)} cannot be read ({_reason(error)}): "
            f"give the path of {what}, readable by this user"
        )


def _reason(error: OSError | ValueError) -> str:
    return error.strerror or "unreadable" if isinstance(error, OSError) else "it is not plain text"


def _site_of(api: str) -> str:
    """The web address that belongs to an API's: `https://HOST` for `https://HOST/api/v3`, and without `api.` for
    github.com and for GitHub Enterprise Cloud with data residency (`https://api.NAME.ghe.com`)."""
    match = re.match(r"(https?://)(?:api\.(?=github\.com|[^/]+\.ghe\.com))?([^/]+)", api)
    # A URL that does not match is refused as the API's; one problem is enough.
    return match[1] + match[2] if match else "https://github.com"


def _to_problem(error: ErrorDetails) -> str:
    name, kind = variable(str(error["loc"][0])), error["type"]
    # Those of config/fields.py, which alone check secrets, repeat nothing of the value.
    return f"{name} {error['ctx']['error']}" if kind == "value_error" else f"{name}: {complaint(error)}"
