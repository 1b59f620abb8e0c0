"""How a command in a sandbox without network reaches package registries: by a proxy behind a socket that it is shown.

Package managers speak to a proxy by TCP only, so a small program inside (`forward.py`), which starts the command, leads
a port of the sandbox's own loopback to the socket.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from workers.agent import Completed
from workers.sandbox.proxy import way_out
from workers.sandbox.registries import Registries

_FORWARD = Path(__file__).with_name("forward.py")
_PORT = 3128  # inside, where nobody else is


@dataclass(frozen=True)
class Outlet:
    """A way out at work. What has to reach registries is started by `starts`, gets `env`, and is shown `reads`."""

    starts: Sequence[str]
    env: Mapping[str, str]
    reads: Sequence[Path]
    _refused: Collection[str]

    def told(self, done: Completed) -> Completed:
        """What the command said, with what was refused: package managers tell of a proxy's no, not of its reason."""
        return replace(done, stderr=done.stderr + _refusals(self._refused)) if self._refused else done


@contextmanager
def outlet(registries: Registries, python: str) -> Iterator[Outlet]:
    """A way out, until the end. `python` is one that runs inside."""
    with way_out(registries) as out:
        yield Outlet(
            starts=(python, "-I", "-S", str(_FORWARD), str(_PORT), str(out.socket)),
            env={**registries.env, **_proxied()},
            reads=(*registries.certificates, out.socket.parent, _FORWARD),
            _refused=out.refused,
        )


def _refusals(hosts: Collection[str]) -> str:
    named = ", ".join(sorted(hosts)[:10])
    return f"\nAssay's proxy refused: {named}. What is a package registry, the operator names in ASSAY_REGISTRIES.\n"


def _proxied() -> Mapping[str, str]:
    """How programs are told of a proxy. Not for the loopback, which is the sandbox's own."""
    url = f"http://127.0.0.1:{_PORT}"
    names = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "npm_config_proxy", "npm_config_https_proxy")
    return {**dict.fromkeys(names, url), "no_proxy": "127.0.0.1,localhost", "NO_PROXY": "127.0.0.1,localhost"}
