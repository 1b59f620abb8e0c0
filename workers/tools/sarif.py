"""SARIF 2.1.0, the format of most security scanners.
https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from bot.domain.findings import Finding, Severity, parse_severity
from bot.errors import ToolFailed
from workers.agent import Reader
from workers.tools.edits import Edit, with_fix
from workers.tools.output import load_json, mapping, mappings, number, span, string

_CWE = re.compile(r"cwe[-/]?0*+(\d{1,9})$", re.IGNORECASE)


def parse(text: str, read: Reader) -> list[Finding]:
    """The results of every run that are failures and not suppressed. Raises ToolFailed for what is no SARIF log."""
    return findings(mapping(load_json("the command", text)), read)


def findings(log: Mapping[str, Any], read: Reader) -> list[Finding]:
    """The same of a log that was read already."""
    if not isinstance(log.get("runs"), list):
        raise ToolFailed("the command printed JSON, but no SARIF log: `runs` is missing")
    return [finding for run in mappings(log["runs"]) for finding in _of_run(run, read)]


def _of_run(run: Mapping[str, Any], read: Reader) -> list[Finding]:
    tool = mapping(run.get("tool"))
    driver = mapping(tool.get("driver"))
    name = string(driver.get("name")) or "sarif"
    rules = list(mappings(driver.get("rules")))
    bases = {key: string(mapping(base).get("uri")) for key, base in mapping(run.get("originalUriBaseIds")).items()}
    every = [
        rule for component in (*mappings(tool.get("extensions")), driver) for rule in mappings(component.get("rules"))
    ]
    by_id = {string(rule.get("id")): rule for rule in every}
    return [
        _finding(name, result, _rule(result, rules, by_id), bases, read)
        for result in mappings(run.get("results"))
        if result.get("kind", "fail") == "fail" and not _suppressed(result)
    ]


def _suppressed(result: Mapping[str, Any]) -> bool:
    """Section 3.27.23: suppressed if there are suppressions and none of them is under review or rejected."""
    suppressions = list(mappings(result.get("suppressions")))
    return bool(suppressions) and all(one.get("status", "accepted") == "accepted" for one in suppressions)


def _rule(
    result: Mapping[str, Any], rules: Sequence[dict[str, Any]], by_id: Mapping[str, dict[str, Any]]
) -> dict[str, Any]:
    """The rule that a result names, by id or by index; at least its id."""
    reference = mapping(result.get("rule"))
    name = string(result.get("ruleId")) or string(reference.get("id"))
    if name in by_id:
        return by_id[name]
    index = result.get("ruleIndex", reference.get("index"))
    if not name and isinstance(index, int) and 0 <= index < len(rules):
        return rules[index]
    # Section 3.27.5: an id may be more specific than the rule's, by a hierarchical suffix.
    return {**by_id.get(name.rpartition("/")[0], {}), "id": name}


def _finding(
    tool: str, result: Mapping[str, Any], rule: Mapping[str, Any], bases: Mapping[str, str], read: Reader
) -> Finding:
    location = mapping(mapping(next(mappings(result.get("locations")), {})).get("physicalLocation"))
    region = mapping(location.get("region"))
    path = _path(mapping(location.get("artifactLocation")), bases)
    finding = Finding(
        tool=tool,
        rule=string(rule.get("id")) or "sarif",
        severity=_severity(result, rule),
        message=_message(result, rule),
        path=path,
        url=string(rule.get("helpUri")) or None,
        cwe=_cwe(rule),
        **span(region.get("startLine"), region.get("endLine"), region.get("startColumn"), region.get("endColumn")),
    )
    return with_fix(finding, _edits(result, path, bases), read(path))


def _message(result: Mapping[str, Any], rule: Mapping[str, Any]) -> str:
    message = mapping(result.get("message"))
    text = string(message.get("text")) or string(message.get("markdown"))
    if not text:
        text = string(mapping(mapping(rule.get("messageStrings")).get(string(message.get("id")))).get("text"))
    arguments = message.get("arguments")
    for index, argument in enumerate(arguments if isinstance(arguments, list) else ()):
        text = text.replace(f"{{{index}}}", str(argument))
    return text or string(mapping(rule.get("shortDescription")).get("text")) or "no message"


def _severity(result: Mapping[str, Any], rule: Mapping[str, Any]) -> Severity:
    """GitHub's reading: a rule's `security-severity` is a CVSS score; else the level."""
    try:
        score = float(str(mapping(rule.get("properties")).get("security-severity")))
    except ValueError:
        default = mapping(rule.get("defaultConfiguration")).get("level")
        return parse_severity(string(result.get("level")) or string(default) or "warning")
    steps = ((9.0, Severity.CRITICAL), (7.0, Severity.HIGH), (4.0, Severity.MEDIUM))
    return next((severity for least, severity in steps if score >= least), Severity.LOW)


def _cwe(rule: Mapping[str, Any]) -> int | None:
    tags = mapping(rule.get("properties")).get("tags")
    matches = (_CWE.search(tag) for tag in tags if isinstance(tag, str)) if isinstance(tags, list) else ()
    return next((number(match[1]) for match in matches if match), None)


def _path(artifact: Mapping[str, Any], bases: Mapping[str, str]) -> str:
    """A URI, relative to a base that is usually the root of the repository."""
    uri, base = string(artifact.get("uri")), bases.get(string(artifact.get("uriBaseId")), "")
    return unquote((base + uri if base.startswith("file:") else uri).removeprefix("file://"))


def _edits(result: Mapping[str, Any], path: str, bases: Mapping[str, str]) -> list[Edit]:
    """The first fix, if it changes this one file only and by lines and columns."""
    changes = list(mappings(next(mappings(result.get("fixes")), {}).get("artifactChanges")))
    if len(changes) != 1 or _path(mapping(changes[0].get("artifactLocation")), bases) != path:
        return []
    edits = []
    for replacement in mappings(changes[0].get("replacements")):
        region = mapping(replacement.get("deletedRegion"))
        line = number(region.get("startLine"))
        if line is None or "endColumn" not in region:
            return []
        edits.append(
            Edit(
                line,
                number(region.get("startColumn")) or 1,
                number(region.get("endLine")) or line,
                number(region.get("endColumn")) or 0,
                string(mapping(replacement.get("insertedContent")).get("text")),
            )
        )
    return edits
