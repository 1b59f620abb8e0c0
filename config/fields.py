"""The types of the process settings. Their messages name what is allowed and repeat nothing of a value, which may be a
secret; they read on from the variable's name: `ASSAY_PUBLIC_URL must be ...`."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from config.redis_url import parse_redis_url

DAY = 86_400
_SIZES = {"MB": 10**6, "GB": 10**9, "TB": 10**12}
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": DAY}


def _parse_duration(value: object) -> object:
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"([0-9]{1,9})([smhd])", value)
    if not match:
        raise ValueError("must be a number and a unit (s, m, h, d), such as 30d")
    return int(match[1]) * _UNITS[match[2]]


def _parse_size(value: object) -> object:
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"([0-9]{1,9}) ?([MGT]B)", value)
    if not match:
        raise ValueError("must be a number and a unit (MB, GB, TB), such as 20GB")
    return int(match[1]) * _SIZES[match[2]]


def _check_app_id(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", value):
        raise ValueError("must be the App's number, such as 123456, or its client ID, such as Iv23liabcdef")
    return value


def _check_url(value: str) -> str:
    url = _split_url(value, ("https", "http"))
    if "@" in url.netloc:
        raise ValueError("must be a URL without a name or password in it")
    if url.query or url.fragment:
        raise ValueError("must be a URL without `?` and `#`")
    return value.rstrip("/")


def _check_redis_url(value: SecretStr) -> SecretStr:
    parse_redis_url(value.get_secret_value())
    return value


def _split_url(value: str, schemes: tuple[str, str]) -> SplitResult:
    try:
        url = urlsplit(value)
        if url.scheme in schemes and url.hostname and url.port != 0:  # reading the port checks it
            return url
    except ValueError:
        pass  # the same message tells what is allowed
    raise ValueError(f"must be a URL that starts with {schemes[0]}:// or {schemes[1]}:// and names a host")


def _check_private_key(value: SecretStr) -> SecretStr:
    pem = value.get_secret_value().replace("\\n", "\n").replace("\r\n", "\n").strip() + "\n"
    if not re.fullmatch(r"-----BEGIN ([A-Z ]*)PRIVATE KEY-----\n.+\n-----END \1PRIVATE KEY-----\n", pem, re.DOTALL):
        raise ValueError("must be a private key in PEM form; make one on the App's page on GitHub")
    return SecretStr(pem)


AppId = Annotated[str, AfterValidator(_check_app_id)]
PrivateKey = Annotated[SecretStr, AfterValidator(_check_private_key)]
Url = Annotated[str, AfterValidator(_check_url)]
RedisUrl = Annotated[SecretStr, AfterValidator(_check_redis_url)]
Size = Annotated[int, BeforeValidator(_parse_size), Field(ge=1_000_000)]
Retention = Annotated[int, BeforeValidator(_parse_duration), Field(ge=60, le=3650 * DAY)]
Interval = Annotated[int, BeforeValidator(_parse_duration), Field(ge=60, le=DAY)]
