from __future__ import annotations

import base64
import time
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.redact import Redactor, redact, secrets_in

# Put together at run time, so that no scanner takes this file for a leak.
_LETTERS = "aB3dE6gH9jK2mN5pQ8rS1tU4vW7xY0zA3bC6dE9f"
_KEY = (
    f"-----BEGIN RSA {'PRIVATE'} KEY-----\n"
    + f"MII{_LETTERS}{_LETTERS}\n" * 3
    + f"Ab1=\n-----END RSA {'PRIVATE'} KEY-----"
)
_PLANTED = {
    "gh" + "p_" + _LETTERS[:36]: "github token",
    "gh" + "s_" + _LETTERS[:36]: "github token",
    "github" + "_pat_" + _LETTERS + "_" + _LETTERS: "github token",
    "gl" + "pat-" + _LETTERS[:20]: "gitlab token",
    "ey" + "J" + _LETTERS + ".ey" + "J" + _LETTERS + "." + _LETTERS: "jwt",
    "AK" + "IA" + "ABCDEFGH12345678": "aws key",
    "xo" + "xb-123456789012-" + _LETTERS: "slack token",
    "sk" + "_live_" + _LETTERS: "stripe key",
    "AI" + "za" + _LETTERS[:35]: "google key",
    "sk" + "-proj-" + _LETTERS: "api key",
    "np" + "m_" + _LETTERS[:36]: "npm token",
    "py" + "pi-" + _LETTERS: "pypi token",
    _KEY: "private key",
}


@pytest.mark.parametrize(("planted", "name"), _PLANTED.items(), ids=[str(i) for i in range(len(_PLANTED))])
def test_known_shapes_are_masked(planted: str, name: str) -> None:
    assert redact(f"before '{planted}' after") == f"before '[redacted: {name}]' after"


_TOKEN = next(iter(_PLANTED))


@pytest.mark.parametrize("seam", ["\n", "\r\n", "\\n", '"\n    "', "\n+", "\\\n  ", "\n> "])
def test_known_shapes_are_masked_across_lines(seam: str) -> None:
    text = f"x = {_TOKEN[:12]}{seam}{_TOKEN[12:]} end"
    assert redact(text) == "x = [redacted: github token] end"


def test_a_whole_credential_does_not_take_the_next_line_along() -> None:
    assert redact(f"{_TOKEN}\nFailed to connect 12 times") == "[redacted: github token]\nFailed to connect 12 times"


def test_words_that_begin_like_a_credential_go_on_in_the_next_line() -> None:
    prose = "published on pypi-\nmirrors-that-are-used-by-everybody-who-works-here, and npm_\nrefers to nobody at all"
    assert redact(prose) == prose


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("before", ["", "a", "ab", "user:"])
def test_known_shapes_are_masked_in_base64(encode: Callable[[bytes], bytes], before: str) -> None:
    blob = encode(f"{before}{_TOKEN} and more".encode()).decode()
    assert redact(f"data: {blob}!") == "data: [redacted: github token]!"


def test_ordinary_base64_is_left_alone() -> None:
    blob = base64.b64encode(b"just an ordinary text, of some length").decode()
    assert redact(blob) == blob


def test_the_secrets_of_a_change_are_those_of_its_added_lines() -> None:
    patch = (
        f"--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n-password = '{_LETTERS[::-1]}'\n+password = '{_LETTERS}'\n+t = {_TOKEN}\n"
    )
    assert secrets_in(patch) == {_LETTERS, _TOKEN}
    assert _LETTERS not in redact(f"the suite printed {_LETTERS}", secrets_in(patch))


def test_a_private_key_that_breaks_off_is_masked() -> None:
    assert redact(_KEY[:150] + "\nordinary words") == "[redacted: private key]\nordinary words"


def test_a_private_key_on_one_escaped_line_is_masked() -> None:
    assert redact(f'{{"key": "{_KEY}"}}'.replace("\n", "\\n")) == '{"key": "[redacted: private key]"}'


def test_a_password_in_a_url_is_masked() -> None:
    assert redact("git clone https://me:s3cr@t@host.example/x") == (
        "git clone https://me:[redacted: password]@host.example/x"
    )


@pytest.mark.parametrize(
    "line",
    [
        "password = '{}'",
        "API_KEY={}",
        '"client_secret": "{}"',
        "token: {}",
        "Authorization: Bearer {}",
        "aws_secret_access_key={}",
    ],
)
def test_a_random_value_with_a_telling_name_is_masked(line: str) -> None:
    masked = redact(line.format(_LETTERS))
    assert _LETTERS not in masked
    assert masked.startswith(line.partition("{")[0])


@pytest.mark.parametrize("line", ['password = "{}"', "{{'Secret': '{}'}}", 'api_key=\\"{}\\"'])
def test_a_random_value_in_quotes_may_hold_anything(line: str) -> None:
    assert "Zq8!" not in redact(line.format("Zq8!vR2#tY7$mN4%"))


@pytest.mark.parametrize(
    "line",
    [
        'password = "settings.DATABASE.password"',
        'token: "see the documentation, page 12"',
        "password = os.environ['DATABASE_PASSWORD']",
        "token = get_installation_token_v2(client)",
        "token: str | None = None",
        "secret = load_secret_from_vault",
        "commit 3f2a9c1d3f2a9c1d3f2a9c1d3f2a9c1d3f2a9c1d",
        "see https://host.example:8080/path@v2",
        "git@github.com:owner/name.git",
        "basic functionality-is-tested",
        "sk-learn and task-force-one",
        "F401 `os` imported but unused",
    ],
)
def test_ordinary_text_is_left_alone(line: str) -> None:
    assert redact(line) == line


_SECRET = "correct horse/battery+staple"  # a made-up one


@pytest.mark.parametrize(
    "written",
    [
        _SECRET,
        quote(_SECRET, safe=""),
        base64.b64encode(_SECRET.encode()).decode(),
        "correct horse/bat\ntery+staple",
        "correct horse/bat\\\n  tery+staple",
    ],
)
def test_an_own_secret_is_masked_however_it_is_written(written: str) -> None:
    masked = redact(f"x {written} y", [_SECRET])
    assert "[redacted: secret]" in masked
    assert "battery" not in masked.replace("\n", "")
    assert written[4:-4] not in masked


@given(st.binary(max_size=4), st.binary(max_size=4))
def test_an_own_secret_is_masked_inside_base64(before: bytes, after: bytes) -> None:
    encoded = base64.b64encode(before + _SECRET.encode() + after).decode()
    assert base64.b64encode(_SECRET.encode()).decode()[8:16] not in redact(encoded, [_SECRET])
    assert "[redacted: secret]" in redact(encoded, [_SECRET])


def test_overlapping_own_secrets_leave_nothing() -> None:
    assert redact("abcdefghijkl", ["abcdefgh", "efghijkl"]) == "[redacted: secret]"


def test_each_line_of_an_own_key_is_masked() -> None:
    assert _KEY.splitlines()[1] not in redact(_KEY.splitlines()[1], [_KEY])


def test_short_and_empty_secrets_are_ignored() -> None:
    assert redact("a cat sat", ["", "cat"]) == "a cat sat"


def test_a_redactor_does_not_show_its_secrets() -> None:
    assert _SECRET not in repr(Redactor([_SECRET]))


_TEXT = st.lists(
    st.one_of(
        st.sampled_from([*_PLANTED, _SECRET, "redacted", "[redacted: secret]", "token=", "://a:b@", "\n", " "]),
        st.text(),
    ),
    max_size=8,
).map("".join)


def test_assays_own_settings_are_masked_by_who_does_not_know_them() -> None:
    """An agent's process knows neither the App's key nor its webhook secret: where a file of them is printed, they are
    known by their names."""
    secret, token = "8f14e45fceea167a5a36dedd4bea2543", "Zq7xT2mVb9KcL4wR"
    text = (
        f"ASSAY_GITHUB_WEBHOOK_SECRET={secret}\nASSAY_GITHUB_WEBHOOK_SECRET_PREVIOUS={secret}1\n"
        f"ASSAY_METRICS_TOKEN={token}\nASSAY_REDIS_URL=rediss://assay:{token}2@redis:6379\n"
        f'ASSAY_GITHUB_PRIVATE_KEY="-----BEGIN RSA PRIVATE KEY-----\\n{token * 4}\\n-----END RSA PRIVATE KEY-----"\n'
    )
    masked = redact(text)
    assert secret not in masked
    assert token not in masked
    assert masked.count("[redacted: ") == 5


@given(_TEXT, st.lists(st.sampled_from([_SECRET, "redacted", "secret", "redacted: secret"]), max_size=3))
def test_redacting_twice_changes_nothing_more(text: str, secrets: list[str]) -> None:
    redactor = Redactor(secrets)
    once = redactor(text)
    assert redactor(once) == once
    assert len(once) <= 4 * len(text) + 32


@given(st.text(max_size=30), st.sampled_from(list(_PLANTED)), st.text(max_size=30))
def test_a_secret_never_survives(before: str, planted: str, after: str) -> None:
    assert planted not in redact(f"{before} {planted} {after}")


@pytest.mark.parametrize(
    "piece",
    [
        "ey" + "J",
        "eyJaaaaaaaa.",
        "gh" + "p_",
        "token=",
        "token: '",
        "://",
        "://a:",
        f"-----BEGIN {'PRIVATE'} KEY-----",
        f"-----BEGIN {'PRIVATE'} KEY-----\n" + "A" * 64 + "\n",
        "+",
        "\\",
        " ",
        "a",
        "sk-",
        "Bearer ",
    ],
)
def test_time_is_linear_in_hostile_text(piece: str) -> None:
    text = piece * (300_000 // len(piece))
    begun = time.process_time()
    redact(text, [_SECRET, "aaaaaaab"])
    assert time.process_time() - begun < 3.0
