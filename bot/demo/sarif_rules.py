"""What code scanning says of a SARIF file.

https://docs.github.com/code-security/code-scanning/integrating-with-code-scanning/sarif-support-for-code-scanning
Stricter than GitHub where that only shows less: what it documents as required has to be there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

RUNS, RESULTS, RULES, EXTENSIONS, LOCATIONS, TAGS = 20, 25_000, 25_000, 100, 1_000, 20
SHOWN = 5_000
_DESCRIBED = ("shortDescription", "fullDescription", "help")
_TEXT_LIMITS = {"shortDescription": 1024, "fullDescription": 1024}
_LEVELS = ("none", "note", "warning", "error")


def complaints(log: Any) -> list[str]:
    """Why the file is refused, as a whole; nothing where it is taken."""
    try:
        return list(_complaints(log))
    except (AttributeError, KeyError, TypeError) as error:
        return [f"Invalid SARIF. JSON syntax error: {type(error).__name__} {error}"]


def _complaints(log: Any) -> Iterator[str]:
    if not log["$schema"] or log["version"] != "2.1.0":
        yield "only version 2.1.0 is supported, with its $schema"
    runs = log["runs"]
    if len(runs) > RUNS:
        yield f"rejecting SARIF, as there are more runs than allowed ({len(runs)} > {RUNS})"
    categories = Counter((run["tool"]["driver"]["name"], category_of(run)) for run in runs)
    if any(count > 1 for count in categories.values()):
        yield "A delivery cannot contain multiple runs with the same category."
    for run in runs:
        yield from _of_run(run)


def category_of(run: Any) -> str:
    """Everything before the last slash of a run's id."""
    return str(run.get("automationDetails", {}).get("id", "")).rpartition("/")[0]


def _of_run(run: Any) -> Iterator[str]:
    driver, results = run["tool"]["driver"], run["results"]
    rules = driver["rules"]
    if len(results) > RESULTS:
        yield f"rejecting SARIF, as there are more results per run than allowed ({len(results)} > {RESULTS})"
    if len(rules) > RULES:
        yield f"rejecting SARIF, as there are more rules per run than allowed ({len(rules)} > {RULES})"
    if len(run["tool"].get("extensions", [])) > EXTENSIONS:
        yield f"rejecting SARIF, as there are more tool extensions per run than allowed (> {EXTENSIONS})"
    if not driver["name"]:
        yield "the tool has no name"
    if len({rule["id"] for rule in rules}) < len(rules):
        yield "two rules have one id"
    for rule in rules:
        yield from _of_rule(rule)
    seen = Counter(result["partialFingerprints"]["primaryLocationLineHash"] for result in results)
    yield from (f"{count} results have the fingerprint {name}" for name, count in seen.items() if count > 1)
    for result in results:
        yield from _of_result(result, rules)


def _of_rule(rule: Any) -> Iterator[str]:
    if not rule["id"]:
        yield "a rule has no id"
    for name in _DESCRIBED:
        if not 0 < len(rule[name]["text"]) <= _TEXT_LIMITS.get(name, 100_000):
            yield f"{name} of rule {rule['id']} is missing or too long"
    properties = rule.get("properties", {})
    if len(properties.get("tags", [])) > TAGS:
        yield f"rejecting SARIF, as there are more tags per rule than allowed (> {TAGS})"
    if not 0 < float(properties.get("security-severity", "5")) <= 10:
        yield f"security-severity of rule {rule['id']} is out of range"


def _of_result(result: Any, rules: list[Any]) -> Iterator[str]:
    if rules[result["ruleIndex"]]["id"] != result["ruleId"]:
        yield "ruleId and ruleIndex name different rules"
    if not result["message"]["text"] or result["level"] not in _LEVELS:
        yield "a result has no message, or no level"
    locations = result.get("locations", [])
    if not locations:
        yield "locationFromSarifResult: expected at least one location"
    if len(locations) > LOCATIONS:
        yield f"rejecting SARIF, as there are more locations per result than allowed ({len(locations)} > {LOCATIONS})"
    for location in locations:
        yield from _of_place(location["physicalLocation"])


def _of_place(place: Any) -> Iterator[str]:
    uri, region = place.get("artifactLocation", {}).get("uri"), place.get("region", {"startLine": 1})
    if not uri:
        yield "locationFromSarifResult: expected artifact location"
    elif urlsplit(uri).scheme or uri.startswith("/") or " " in uri:
        yield f"{uri[:100]} is no relative URI"
    first, last = region["startLine"], region.get("endLine", region["startLine"])
    if not 1 <= first <= last:
        yield f"the region of lines {first} to {last} is no region"
    start, end = region.get("startColumn", 1), region.get("endColumn")
    if start < 1 or (end is not None and first == last and end < start):
        yield f"the region of columns {start} to {end} is no region"
