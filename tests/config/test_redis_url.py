"""`ASSAY_REDIS_URL`: every kind of URL, and messages that repeat nothing of a bad one."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.redis_url import Login, RedisAddress, Tls, parse_redis_url
from config.settings import SettingsError, load


def complaint(environment: dict[str, str]) -> str:
    try:
        load(environment)
    except SettingsError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("redis://h", RedisAddress(hosts=(("h", 6379),))),
        ("redis://h:1/2", RedisAddress(hosts=(("h", 1),), db=2)),
        ("redis://h/?db=2", RedisAddress(hosts=(("h", 6379),), db=2)),
        ("redis://[::1]:1/0", RedisAddress(hosts=(("::1", 1),))),
        ("redis://:p%40%2Fw@h", RedisAddress(hosts=(("h", 6379),), login=Login(None, "p@/w"))),
        ("redis://u:p:w@h", RedisAddress(hosts=(("h", 6379),), login=Login("u", "p:w"))),
        ("redis://h?username=u&password=p%26", RedisAddress(hosts=(("h", 6379),), login=Login("u", "p&"))),
        ("rediss://h", RedisAddress(hosts=(("h", 6379),), tls=Tls())),
        (
            "rediss://h?ssl_ca_certs=/ca&ssl_certfile=/c&ssl_keyfile=/k&ssl_password=p&ssl_check_hostname=False",
            RedisAddress(hosts=(("h", 6379),), tls=Tls("/ca", None, "/c", "/k", "p", check_hostname=False)),
        ),
        ("rediss://h?ssl_cert_reqs=none", RedisAddress(hosts=(("h", 6379),), tls=Tls(verify=False))),
        ("unix:///a/b%20c.sock?db=1", RedisAddress(path="/a/b c.sock", db=1)),
        ("unix://u:p@/a.sock", RedisAddress(path="/a.sock", login=Login("u", "p"))),
        ("redis+sentinel://a,b:1/main", RedisAddress(hosts=(("a", 26379), ("b", 1)), service="main")),
        (
            "rediss+sentinel://u:p@[::1],[::2]:1/my%20main/3?sentinel_password=s",
            RedisAddress(
                hosts=(("::1", 26379), ("::2", 1)),
                service="my main",
                db=3,
                login=Login("u", "p"),
                sentinel_login=Login(None, "s"),
                tls=Tls(),
            ),
        ),
    ],
)
def test_kinds(text: str, address: RedisAddress) -> None:
    assert parse_redis_url(text) == address


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "must be a URL that starts with redis://HOST:PORT/DB"),
        ("h:6379", "must be a URL that starts with"),
        ("http://h", "must be a URL that starts with"),
        ("redis://", "must be a URL that starts with"),
        ("redis://h:0", "must be a URL that starts with"),
        ("redis://h:65536", "must be a URL that starts with"),
        ("redis://h h", "must be a URL that starts with"),
        ("redis://h#x", "must be a URL that starts with"),
        ("unix://relative.sock", "must be a URL that starts with"),
        ("redis://a,b", "names several hosts, which only redis+sentinel://"),
        ("redis+sentinel://a,b", "must name the service that the Sentinels watch"),
        ("redis+sentinel://a,/main", "must be a URL that starts with"),
        ("redis://h/one", "must have a number, or nothing, in the place of the database"),
        ("redis+sentinel://h/main/one", "must have a number, or nothing, in the place of the database"),
        ("redis://h?ssl_cert_reqs=none", "has a parameter after its `?` that is unknown or given twice; there are db,"),
        ("redis://h?db=1&db=2", "has a parameter after its `?` that is unknown or given twice"),
        ("rediss://h?ssl_cert_reqs=maybe", "must have ssl_cert_reqs=required or ssl_cert_reqs=none"),
        ("rediss://h?ssl_check_hostname=maybe", "must have ssl_check_hostname=true or"),
    ],
)
def test_bad_ones_are_told_with_what_is_allowed(text: str, told: str) -> None:
    with pytest.raises(ValueError, match="^(must|has|names) ") as caught:
        parse_redis_url(text)
    assert str(caught.value).startswith(told)


@given(
    secret=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=12, max_size=20),
    shape=st.sampled_from(
        ["redis://:{}@h:x", "redis://{}", "redis://u:{}@h/db", "rediss://u:{}?a=b", "unix://{}", "{}", "redis://h?{}=1"]
    ),
)
def test_nothing_of_a_bad_one_is_repeated(secret: str, shape: str) -> None:
    said = complaint({"ASSAY_REDIS_URL": shape.format(secret)})
    # Fragments of it as well: a password with a slash in it falls apart. What is said of any other is not from it.
    usual = complaint({"ASSAY_REDIS_URL": shape.format("~" * 12)})
    fragments = (secret[at : at + 8] for at in range(len(secret) - 7))
    assert not any(fragment in said and fragment not in usual for fragment in fragments)


@given(st.text(min_size=1, max_size=30), st.text(min_size=1, max_size=30))
def test_any_user_and_password_can_be_given(user: str, password: str) -> None:
    address = parse_redis_url(f"redis+sentinel://{quote(user, safe='')}:{quote(password, safe='')}@h:1,h:2/main")
    assert address.login == Login(user, password)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    said = complaint({"ASSAY_REDIS_URL": f"redis{text}"})
    assert not said or said.startswith(tuple(f"ASSAY_REDIS_URL {word} " for word in ("must", "has", "names")))


def test_secrets_are_not_shown() -> None:
    address = parse_redis_url("rediss+sentinel://u:hidden1@h/m?sentinel_password=hidden2&ssl_password=hidden3")
    assert "hidden" not in repr(address)


@pytest.mark.parametrize(
    ("text", "local"),
    [
        ("unix:///a.sock", True),
        ("redis://localhost", True),
        ("redis://127.3.2.1", True),
        ("redis://[::1]", True),
        ("redis://10.0.0.1", False),
        ("redis://redis", False),
        ("redis+sentinel://localhost,10.0.0.1/main", False),
    ],
)
def test_what_is_on_this_machine(text: str, *, local: bool) -> None:
    assert parse_redis_url(text).local is local
