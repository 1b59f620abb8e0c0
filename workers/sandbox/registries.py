"""Which package registries a repository may be set up from: those that the operator's package managers use.

Nobody has to name them twice, and none is written down here: pip, npm and Go are asked for theirs, mirrors included;
what else there is to be reached, `ASSAY_REGISTRIES` names.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

_PATIENCE = 20.0
_CERTIFICATES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "CURL_CA_BUNDLE", "CARGO_HTTP_CAINFO")
_PIP = (sys.executable, "-m", "pip", "--no-color", "--disable-pip-version-check")
# pip knows where it looks when nobody chose: its index, and where that one's files are.
_ASK_PIP = "from pip._internal.models.index import PyPI as i; print(i.url, 'https://' + i.file_storage_domain)"


@dataclass(frozen=True)
class Registries:
    """`hosts` may be reached, by the usual ports and at public addresses. Those of `named`, as `host` or `host:port`,
    the operator chose: they may be anywhere. `env` tells package managers inside where to look, and by which
    `certificates` of the operator's."""

    hosts: frozenset[str] = frozenset()
    named: frozenset[str] = frozenset()
    certificates: tuple[Path, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)

    def allow(self, host: str, port: int) -> bool:
        return host.lower() in self.hosts or self.names(host, port)

    def names(self, host: str, port: int) -> bool:
        return bool({host.lower(), f"{host.lower()}:{port}"} & self.named)


def find_registries(named: Sequence[str], path: str) -> Registries:
    """Ask the package managers on `path`. One that does not answer has none."""
    index, extra = _pip("index-url"), _pip("extra-index-url")
    default = [] if index else _ask([sys.executable, "-c", _ASK_PIP]).split()
    npm, go = _npm(path), _go(path)
    env = {"PIP_INDEX_URL": index, "NPM_CONFIG_REGISTRY": npm, "GOPROXY": go}
    hosts = (urlsplit(url).hostname for url in (*index, *extra, *default, *npm, *go))
    # What pip was configured with may be a mirror in the operator's own network.
    mirrors = (urlsplit(url).netloc.rpartition("@")[2] for url in (*index, *extra))
    certificates = {name: path for name, path in _certificates().items() if path.is_file()}
    return Registries(
        certificates=tuple(dict.fromkeys(certificates.values())),
        hosts=frozenset(host.lower() for host in hosts if host),
        named=frozenset(name.lower() for name in (*named, *mirrors) if name),
        env={name: ",".join(map(_bare, urls)) for name, urls in env.items() if urls}
        | {name: str(path) for name, path in certificates.items()},
    )


def _pip(option: str) -> list[str]:
    return [url for url in _chosen(option).split() if urlsplit(url).hostname]


def _chosen(option: str) -> str:
    """What pip was configured with; the environment's word, which comes last, counts."""
    said = re.findall(rf"^[^=\s]*[.]{option}='?([^'\n]*)", _pip_says(), re.MULTILINE)
    return str(said[-1]) if said else ""


def _certificates() -> Mapping[str, Path]:
    """The operator's own certificates, where there are some: by the variables that programs know."""
    known = {name: os.environ[name] for name in _CERTIFICATES if os.environ.get(name)}
    if cert := _chosen("cert"):
        known.setdefault("PIP_CERT", cert)
    return {name: Path(path) for name, path in known.items()}


@cache
def _pip_says() -> str:
    return _ask([*_PIP, "config", "list"])


def _npm(path: str) -> list[str]:
    return _urls(path, ["npm", "config", "get", "registry"])


def _go(path: str) -> list[str]:
    return _urls(path, ["go", "env", "GOPROXY"])


def _urls(path: str, argv: Sequence[str]) -> list[str]:
    if (program := shutil.which(argv[0], path=path)) is None:
        return []
    return [url for url in _ask([program, *argv[1:]]).strip().split(",") if urlsplit(url).hostname]


def _bare(url: str) -> str:
    """Without the operator's credentials, which are no business of what runs inside."""
    parts = urlsplit(url)
    host = f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)
    return urlunsplit((parts.scheme, host, parts.path, parts.query, ""))


def _ask(argv: Sequence[str]) -> str:
    # Not where we are: a repository may have a `pip` of its own there, or say where npm is to look.
    try:
        done = subprocess.run(
            argv, cwd="/", capture_output=True, text=True, timeout=_PATIENCE, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
