"""Process settings: the environment, `.env`, and everything that can be wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.shared import ChatModel
from pydantic import SecretStr

from config.settings import ACTING, LISTENING, Settings, SettingsError, load, variable

PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIBOgIBAAJBAKj34GkxFhD90vcNLYLInFEX6Ppy\n-----END RSA PRIVATE KEY-----\n"
SECRETS = [name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)]


def problems(environ: dict[str, str], dotenv: Path | None = None) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load(environ, dotenv)
    assert str(caught.value) == "\n".join(caught.value.problems)
    return caught.value.problems


def secret(value: SecretStr | None) -> str:
    assert value is not None
    return value.get_secret_value()


def test_nothing_set_is_the_defaults() -> None:
    chosen = load({"HOME": "/home/ada"})
    assert chosen.data_dir == Path("/home/ada/.local/share/assay")
    assert chosen.work_dir == Path("/home/ada/.local/share/assay/work")
    assert (chosen.host, chosen.port, chosen.workers, chosen.intake_limit) == ("127.0.0.1", 8000, 1, 512)
    assert (chosen.github_api_url, chosen.github_url) == ("https://api.github.com", "https://github.com")
    assert chosen.redis_url is None
    assert chosen.retention == 30 * 86_400
    assert chosen.llm_model in get_args(ChatModel)


def test_an_empty_variable_is_not_set() -> None:
    assert load({"ASSAY_PORT": "", "ASSAY_REDIS_URL": "  ", "OPENAI_API_KEY": ""}) == load({})


def test_the_data_folder_follows_the_xdg_variable_and_the_work_folder_follows_it() -> None:
    assert load({"XDG_DATA_HOME": "/data"}).work_dir == Path("/data/assay/work")
    chosen = load({"ASSAY_DATA_DIR": "/srv/assay", "ASSAY_WORK_DIR": "/tmpfs"})
    assert (chosen.data_dir, chosen.work_dir) == (Path("/srv/assay"), Path("/tmpfs"))


def test_the_environment_wins_over_the_dotenv_file(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("ASSAY_PORT=1\nASSAY_HOST=0.0.0.0\nOPENAI_API_KEY='sk-$HOME'\nOTHER=1\n")
    chosen = load({"ASSAY_PORT": "2"}, file)
    assert (chosen.port, chosen.host, secret(chosen.openai_api_key)) == (2, "0.0.0.0", "sk-$HOME")


def test_a_dotenv_file_that_is_missing_is_no_problem_and_an_unreadable_one_is(tmp_path: Path) -> None:
    assert load({}, tmp_path / "none") == load({})
    (tmp_path / ".env").write_bytes(b"\xff\xfe\xfa")
    assert "cannot be read (it is not plain text)" in problems({}, tmp_path / ".env")[0]


def test_an_unknown_name_suggests_the_nearest(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("ASSAY_REDIS=redis://h\n")
    assert problems({"ASSAY_GITHUB_APPID": "1", "ASSAY_QQQ": ""}, tmp_path / ".env") == (
        "ASSAY_GITHUB_APPID is not a setting: did you mean ASSAY_GITHUB_APP_ID?",
        "ASSAY_QQQ is not a setting: remove it, or see docs/configuration.md for the names",
        "ASSAY_REDIS is not a setting: did you mean ASSAY_REDIS_URL?",
    )


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("ASSAY_PORT", "80a", "must be a whole number, not '80a'"),
        ("ASSAY_PORT", "0", "'0' is too small; the least is 1"),
        ("ASSAY_WORKERS", "65", "the most is 64"),
        ("ASSAY_SANDBOX", "jail", "'jail' is not allowed; use one of auto, bubblewrap, docker, podman, none"),
        ("ASSAY_LOG_FORMAT", "jsno", "Did you mean 'json'?"),
        ("ASSAY_RETENTION", "4w", "must be a number and a unit (s, m, h, d), such as 30d"),
        ("ASSAY_CACHE_SIZE", "20", "must be a number and a unit (MB, GB, TB), such as 20GB"),
        ("ASSAY_RETENTION", "1s", "the least is 60"),
        ("ASSAY_GITHUB_APP_ID", "my app", "must be the App's number"),
        ("ASSAY_GITHUB_API_URL", "github.com", "must be a URL that starts with https:// or http://"),
        ("ASSAY_PUBLIC_URL", "https://x:99999", "must be a URL that starts with"),
        ("ASSAY_PUBLIC_URL", "https://x/?a=b", "without `?` and `#`"),
        ("OPENAI_BASE_URL", "https://me:pass@x", "without a name or password"),
        ("ASSAY_REDIS_URL", "localhost:6379", "must be a URL that starts with redis://HOST"),
        ("ASSAY_DATA_DIR", "~nobody-of-that-name/x", "give an absolute path"),
        ("ASSAY_GITHUB_PRIVATE_KEY", "MIIB", "must be a private key in PEM form"),
        ("ASSAY_GITHUB_PRIVATE_KEY_FILE", "/nowhere/app.pem", "cannot be read (No such file or directory)"),
    ],
)
def test_a_bad_value_is_told_with_what_is_allowed(name: str, value: str, message: str) -> None:
    (problem,) = problems({name: value})
    assert problem.startswith(name)
    assert message in problem


@pytest.mark.parametrize("between", [",", ", ", " ", "\n", " , "])
def test_a_list_is_read_with_commas_and_with_spaces(between: str) -> None:
    """A list that is taken for one glob keeps no file back, and a restriction that names nobody is none."""
    globs = ("**/*.pem", "secrets/{live, test}/**", "{a,b}.env")
    assert load({"HOME": "/home/ada", "ASSAY_LLM_NEVER_SEND": between.join(globs)}).llm_never_send == globs
    chosen = load({"HOME": "/home/ada", "ASSAY_SERVE_REPOSITORIES": between.join(("Acme/*", "octo/{site,api}"))})
    assert chosen.serve_repositories == ("acme/*", "octo/{site,api}")
    chosen = load({"HOME": "/home/ada", "ASSAY_SERVE_INSTALLATIONS": between.join("12")})
    assert chosen.serve_installations == (1, 2)


def test_all_problems_are_told_at_once() -> None:
    assert len(problems({"ASSAY_PORT": "x", "ASSAY_PROT": "1", "ASSAY_WORKERS": "none"})) == 3


@pytest.mark.parametrize(
    ("api", "site"),
    [
        ("https://api.github.com", "https://github.com"),
        ("https://ghe.example.com/api/v3/", "https://ghe.example.com"),
        ("https://api.acme.ghe.com", "https://acme.ghe.com"),
        ("https://api.example.com/api/v3", "https://api.example.com"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
    ],
)
def test_links_follow_from_the_api(api: str, site: str) -> None:
    chosen = load({"ASSAY_GITHUB_API_URL": api})
    assert (chosen.github_api_url, chosen.github_url) == (api.rstrip("/"), site)
    assert load({"ASSAY_GITHUB_API_URL": api, "ASSAY_GITHUB_URL": "https://x.y"}).github_url == "https://x.y"


@pytest.mark.parametrize("text", [PEM, PEM.replace("\n", "\\n"), PEM.replace("\n", "\r\n"), f"\n{PEM}\n"])
def test_a_private_key_comes_in_lines_or_in_one(text: str) -> None:
    assert secret(load({"ASSAY_GITHUB_PRIVATE_KEY": text}).github_private_key) == PEM


def test_a_private_key_comes_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "app.pem"
    file.write_text(PEM)
    assert secret(load({"ASSAY_GITHUB_PRIVATE_KEY_FILE": str(file)}).github_private_key) == PEM
    both = {"ASSAY_GITHUB_PRIVATE_KEY_FILE": str(file), "ASSAY_GITHUB_PRIVATE_KEY": PEM}
    assert problems(both) == (
        "ASSAY_GITHUB_PRIVATE_KEY and ASSAY_GITHUB_PRIVATE_KEY_FILE are both set: unset one of them",
    )


def test_an_empty_key_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "app.pem").touch()
    assert "PEM form" in problems({"ASSAY_GITHUB_PRIVATE_KEY_FILE": str(tmp_path / "app.pem")})[0]


def test_what_the_app_lacks_is_told_with_where_to_get_it() -> None:
    with pytest.raises(SettingsError) as caught:
        load({"ASSAY_GITHUB_APP_ID": "1"}).require(*ACTING, *LISTENING)
    key, hook = caught.value.problems
    assert key.startswith("ASSAY_GITHUB_PRIVATE_KEY is missing: make one")
    assert hook.startswith("ASSAY_GITHUB_WEBHOOK_SECRET is missing: choose")


def test_acting_takes_the_key_and_listening_the_secrets() -> None:
    environ = {"ASSAY_GITHUB_APP_ID": "1", "ASSAY_GITHUB_PRIVATE_KEY": PEM}
    app = load(environ).require_app()
    assert (app.app_id, secret(app.private_key)) == ("1", PEM)
    with pytest.raises(SettingsError, match="WEBHOOK_SECRET is missing"):
        load(environ).require_webhook_secrets()
    hook = {"ASSAY_GITHUB_WEBHOOK_SECRET": "new\n", "ASSAY_GITHUB_WEBHOOK_SECRET_PREVIOUS": "old"}
    assert [secret(each) for each in load(hook).require_webhook_secrets()] == ["new", "old"]
    with pytest.raises(SettingsError, match="PRIVATE_KEY is missing"):
        load(hook).require_app()


@given(st.dictionaries(st.sampled_from(SECRETS), st.text("qxz:/@#?[]", min_size=1).map(lambda tail: f"hush{tail}hush")))
@settings(max_examples=100)
def test_a_secret_is_in_no_message_and_no_repr(chosen: dict[str, str]) -> None:
    try:
        told = repr(load({variable(name): text for name, text in chosen.items()}))
    except SettingsError as error:
        told = f"{error} {error!r} {error.__cause__} {error.__suppress_context__ or error.__context__}"
    assert "hush" not in told
