"""What tests need that is not installed: modules, and pytest's plugins by the fixtures that they bring.

A test that could not even begin for want of them says nothing against the commit. It was not run, and that is never
green.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from bot.domain.findings import AgentResult, NotCovered, Outcome
from workers.agent import Case, Completed

_MODULE = re.compile(r"ModuleNotFoundError: No module named '([\w.]+)'")
# A package that is imported from its files, and was not installed.
_METADATA = re.compile(r"PackageNotFoundError: (?:No package metadata was found for )?([\w.-]+)")
_FIXTURE = re.compile(r"fixture '(\w+)' not found")
# A fixture that asks for its own name extends one of a plugin.
_EXTENDED = re.compile(r"recursive dependency involving fixture '(\w+)' detected")

# A fixture of any other name may be one that the commit took away.
_PLUGINS = {
    "pytest-asyncio": "event_loop unused_tcp_port unused_tcp_port_factory",
    "pytest-aiohttp": "aiohttp_client aiohttp_server",
    "pytest-benchmark": "benchmark",
    "pytest-datadir": "datadir shared_datadir",
    "pytest-django": "admin_client client db django_assert_num_queries django_user_model live_server rf settings",
    "pytest-flask": "client_class live_server",
    "pytest-freezer": "freezer",
    "pytest-httpbin": "httpbin httpbin_both httpbin_ca_bundle httpbin_secure",
    "pytest-httpserver": "httpserver",
    "pytest-httpx": "httpx_mock",
    "pytest-mock": "mocker class_mocker module_mocker package_mocker session_mocker",
    "pytest-qt": "qtbot",
    "pytest-regressions": "data_regression file_regression",
    "pytest-subtests": "subtests",
    "pytest-xprocess": "xprocess",
    "requests-mock": "requests_mock",
    "respx": "respx_mock",
    "syrupy": "snapshot",
}
_PLUGIN_OF = {fixture: plugin for plugin, fixtures in _PLUGINS.items() for fixture in fixtures.split()}


def needs(case: Case, root: Path) -> str:
    """What a test that could not begin lacks: a module not of the repository's own, or a plugin; else empty."""
    if case.status != "error":
        return ""
    if match := _METADATA.search(case.trace):
        return match[1]
    if module := module_in(case.trace):
        return "" if _is_own(root, module) else module
    if match := _EXTENDED.search(case.trace):
        return _PLUGIN_OF.get(match[1], f"the plugin with the fixture {match[1]}")
    match = _FIXTURE.search(case.trace)
    return _PLUGIN_OF.get(match[1], "") if match else ""


def module_in(text: str) -> str:
    """The top-level module that an import error names; empty where there is none."""
    match = _MODULE.search(text)
    return match[1].split(".")[0] if match else ""


def _is_own(root: Path, module: str) -> bool:
    return any((top / module).is_dir() or (top / f"{module}.py").is_file() for top in (root, root / "src"))


def remedy(name: str) -> str:
    return f"{name} is not installed: install what the tests need in agents.test.setup in .github/assay.yml."


# What package managers and builds say when a registry is out of reach, and what was to be fetched is not there.
_UNREACHABLE = re.compile(
    r"Could not resolve host|Temporary failure in name resolution|\bENOTFOUND\b|\bEAI_AGAIN\b"
    r"|dial tcp: lookup|proxyconnect tcp|failed to download from `|failed to get `[^`]+` as a dependency"
    r"|no matching package named `[^`]+` found|attempting to make an HTTP request, but --offline was specified"
    r"|Could not transfer artifact|Could not resolve (?:dependencies|all files|all artifacts|all dependencies)"
    r"|could not be resolved: |Cannot access \S+ \(\S+\) in offline mode|module lookup disabled by GOPROXY=off"
    r"|Could not find gem '|Could not fetch specs from|No matching distribution found for"
)


def unreachable(completed: Completed, what: str) -> AgentResult | None:
    """The result of a command that ended badly because what it depends on could not be fetched; None for others. That
    says nothing against the commit."""
    if not completed.exit_code:
        return None
    lines = f"{completed.stdout}\n{completed.stderr}".splitlines()
    said = next((line.strip() for line in lines if _UNREACHABLE.search(line)), "")
    if not said:
        return None
    reason = f"{what}: what the tests depend on could not be fetched: {said[:300]}"
    remedy = (
        "Make it available on the machine that runs Assay, or install it in agents.test.setup in .github/assay.yml."
    )
    return AgentResult(outcome=Outcome.ERROR, reason=reason, remedy=remedy)


# What Ruby says of a file that a test asks for, before the first test.
_GEM = re.compile(r"cannot load such file -- ([\w][\w./-]{0,100})")


def lacks_gem(completed: Completed, root: Path) -> str:
    """The file that Ruby did not find, where it is none of the repository's own; else empty."""
    match = _GEM.search(f"{completed.stdout}\n{completed.stderr}") if completed.exit_code else None
    if match is None or any((root / top / f"{match[1]}.rb").is_file() for top in ("", "lib", "test", "spec")):
        return ""
    own = match[1].split("/")[0]
    return "" if any((root / top / own).is_dir() for top in ("lib", "test", "spec")) else match[1]


def not_installed(lacking: Sequence[str], others: Iterable[Case]) -> AgentResult | None:
    """The result of a run in which some tests lacked something; None where none did. `others` are the other tests."""
    if not lacking:
        return None
    names = ", ".join(sorted(set(lacking)))[:400]
    tests = f"{len(lacking)} test{'' if len(lacking) == 1 else 's'}"
    if not any(case.status != "skipped" for case in others):
        reason = f"the tests need what is not installed: {names}"
        return AgentResult(outcome=Outcome.ERROR, reason=reason, remedy=remedy(min(lacking)))
    return AgentResult(
        outcome=Outcome.PARTIAL,
        reason=f"{tests} did not run, for want of what is not installed: {names}",
        remedy=remedy(min(lacking)),
        not_covered=(NotCovered(what=tests, why=f"not installed: {names}"),),
    )
