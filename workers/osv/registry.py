"""A server that speaks deps.dev's API (https://docs.deps.dev/api/v3/): when versions were published, under which
licence, and which were deprecated or yanked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from workers.agent import Facts
from workers.osv.server import Server, host_of

_SYSTEMS = {
    "npm": "NPM",
    "PyPI": "PYPI",
    "crates.io": "CARGO",
    "Go": "GO",
    "RubyGems": "RUBYGEMS",
    "Maven": "MAVEN",
    "NuGet": "NUGET",
}


class DepsDev:
    """The operator names the server; nothing of a repository can."""

    def __init__(self, url: str) -> None:
        self._url = url

    @property
    def name(self) -> str:
        return f"deps.dev at {host_of(self._url)}"

    def facts(self, packages: Sequence[tuple[str, str, str]]) -> Sequence[Facts | None]:
        with Server(self._url) as server:

            def ask(package: tuple[str, str, str]) -> Facts | None:
                ecosystem, name, version = package
                if ecosystem not in _SYSTEMS or not version:
                    return None
                version = f"v{version}" if ecosystem == "Go" else version
                name, version = quote(name, safe=""), quote(version, safe="")
                answer = server.ask("GET", f"/v3/systems/{_SYSTEMS[ecosystem]}/packages/{name}/versions/{version}")
                return None if answer is None else _facts(answer)

            return server.each(ask, packages)


def _facts(answer: Mapping[str, Any]) -> Facts:
    licences = answer.get("licenses")
    reason = str(answer.get("deprecatedReason") or "").strip() or "no reason is given"
    return Facts(
        published=str(answer.get("publishedAt") or "")[:10],
        licence=" AND ".join(str(one) for one in licences)[:100] if isinstance(licences, list) else "",
        deprecated=reason[:300] if answer.get("isDeprecated") is True else "",
    )
