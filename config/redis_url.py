"""`ASSAY_REDIS_URL`, read once: where Redis is and how to get in.

    redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]
    rediss://...                                                             the same over TLS
    unix://[[USER]:PASSWORD@]/PATH[?db=DB]
    redis+sentinel://[[USER]:PASSWORD@]HOST[:PORT][,HOST[:PORT]]/SERVICE[/DB]
    rediss+sentinel://...                                                    the same over TLS, Sentinels included

What a message says is fixed: any part of a bad URL may be the password, most of all where it is not percent-encoded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import parse_qsl, unquote

_PORT, _SENTINEL_PORT = 6379, 26379
_FORM = re.compile(
    r"(?P<scheme>[a-z+]+)://(?:(?P<login>[^/?#]*)@)?(?P<hosts>[^/?#@]*)(?P<path>/[^?#]*)?(?:\?(?P<query>[^#]*))?"
)
_HOST = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::(?P<port>[0-9]{1,5}))?")
_ANYWHERE = ("db", "username", "password")
# As redis-py calls them (https://redis.readthedocs.io/en/stable/connections.html).
_TLS = (
    "ssl_ca_certs",
    "ssl_ca_path",
    "ssl_certfile",
    "ssl_keyfile",
    "ssl_password",
    "ssl_cert_reqs",
    "ssl_check_hostname",
)
_SENTINEL = ("sentinel_username", "sentinel_password")
_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}

_KINDS = (
    "redis://HOST:PORT/DB, rediss:// for TLS, unix:///PATH, "
    "or redis+sentinel://HOST:PORT,HOST:PORT/SERVICE (rediss+sentinel:// for TLS)"
)
_SHAPE = (
    f"must be a URL that starts with {_KINDS}; user and password go before an @, "
    "with everything but letters, digits, `-`, `.` and `_` percent-encoded"
)


@dataclass(frozen=True)
class Login:
    username: str | None = None
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Tls:
    """Files are named as the operator names them. `verify`: whether the server's certificate is checked at all;
    `check_hostname`: whether it must be made out to the host of the URL."""

    ca_file: str | None = None
    ca_folder: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    key_password: str | None = field(default=None, repr=False)
    verify: bool = True
    check_hostname: bool = True


@dataclass(frozen=True)
class RedisAddress:
    """`hosts` are the one server's, or with a `service` those of the Sentinels; for a unix socket there is a `path`
    instead. `tls` is None without TLS."""

    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    service: str = ""
    db: int = 0
    login: Login = Login()
    sentinel_login: Login = Login()
    tls: Tls | None = None

    @property
    def local(self) -> bool:
        """Whether nothing leaves this machine."""
        return all(map(_is_local, (host for host, _ in self.hosts)))


def parse_redis_url(text: str) -> RedisAddress:
    """Raises ValueError with what is allowed, and nothing of the text."""
    match = _FORM.fullmatch(text)
    if match is None or match["scheme"] not in ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel"):
        raise ValueError(_SHAPE)
    scheme, path = match["scheme"], match["path"] or ""
    sentinel, tls = scheme.endswith("+sentinel"), scheme.startswith("rediss")
    options = _options(match["query"] or "", (*_ANYWHERE, *(_TLS if tls else ()), *(_SENTINEL if sentinel else ())))
    login = _login(match["login"], options)
    if scheme == "unix":
        if match["hosts"] or len(path) < 2:
            raise ValueError(_SHAPE)
        return RedisAddress(path=unquote(path), db=_db(options.get("db")), login=login)
    service, db = _service_and_db(path) if sentinel else ("", path.strip("/"))
    return RedisAddress(
        hosts=_hosts(match["hosts"], sentinel=sentinel),
        service=service,
        db=_db(options.get("db", db)),
        login=login,
        sentinel_login=Login(options.get("sentinel_username"), options.get("sentinel_password")),
        tls=_tls(options) if tls else None,
    )


def _options(query: str, known: tuple[str, ...]) -> dict[str, str]:
    pairs = parse_qsl(query, keep_blank_values=True)
    names = [name for name, _ in pairs]
    if (query and not pairs) or len(set(names)) < len(names) or not set(names).issubset(known):
        raise ValueError(f"has a parameter after its `?` that is unknown or given twice; there are {', '.join(known)}")
    return dict(pairs)


def _login(text: str | None, options: dict[str, str]) -> Login:
    name, _, password = (text or "").partition(":")
    return Login(unquote(name) or options.get("username") or None, unquote(password) or options.get("password") or None)


def _hosts(text: str, *, sentinel: bool) -> tuple[tuple[str, int], ...]:
    matches = [_HOST.fullmatch(host) for host in text.split(",")]
    if len(matches) > 1 and not sentinel:
        raise ValueError("names several hosts, which only redis+sentinel:// and rediss+sentinel:// may")
    default = _SENTINEL_PORT if sentinel else _PORT
    hosts = [(match["v6"] or match["name"], int(match["port"] or default)) for match in matches if match]
    if len(hosts) < len(matches) or not all(0 < port < 65536 for _, port in hosts):
        raise ValueError(_SHAPE)
    return tuple(hosts)


def _service_and_db(path: str) -> tuple[str, str]:
    service, _, db = path.strip("/").partition("/")
    if not service:
        raise ValueError("must name the service that the Sentinels watch: redis+sentinel://HOST:PORT,HOST:PORT/SERVICE")
    return unquote(service), db


def _db(text: str | None) -> int:
    if not text:
        return 0
    if not re.fullmatch(r"[0-9]{1,4}", text):
        raise ValueError("must have a number, or nothing, in the place of the database, such as redis://HOST:PORT/0")
    return int(text)


def _tls(options: dict[str, str]) -> Tls:
    verify = options.get("ssl_cert_reqs", "required").lower()
    if verify not in ("required", "none"):
        raise ValueError("must have ssl_cert_reqs=required or ssl_cert_reqs=none")
    check_hostname = _BOOLEANS.get(options.get("ssl_check_hostname", "true").lower())
    if check_hostname is None:
        raise ValueError("must have ssl_check_hostname=true or ssl_check_hostname=false")
    return Tls(
        ca_file=options.get("ssl_ca_certs"),
        ca_folder=options.get("ssl_ca_path"),
        cert_file=options.get("ssl_certfile"),
        key_file=options.get("ssl_keyfile"),
        key_password=options.get("ssl_password"),
        verify=verify == "required",
        check_hostname=check_hostname,
    )


def _is_local(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
