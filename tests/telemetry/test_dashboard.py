"""The dashboard and the documentation, held against the metrics that there are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bot.telemetry.exposition import GAUGES
from bot.telemetry.metrics import FAMILIES, Histogram

DOCS = Path(__file__).parents[2] / "docs"
OPERATIONS = (DOCS / "operations.md").read_text("utf-8")
METRICS = {*GAUGES, *(family.name for family in FAMILIES)}
SAMPLES = METRICS | {
    f"{family.name}_{part}"
    for family in FAMILIES
    if isinstance(family, Histogram)
    for part in ("bucket", "sum", "count")
}
_NAME = re.compile(r"\bassay_[a-z0-9_]+")
_BY = re.compile(r"by \(([a-z, ]+)\)")


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DOCS / "grafana.json").read_text("utf-8"))
    return found


def panels() -> list[dict[str, Any]]:
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def expressions() -> Iterator[str]:
    for panel in panels():
        for target in panel["targets"]:
            yield target["expr"]


def labels_of(metric: str) -> set[str]:
    for family in FAMILIES:
        if metric.removesuffix("_bucket") == family.name:
            return {*family.labels, *(["le"] if isinstance(family, Histogram) else [])}
    (row,) = re.findall(rf"^\| `{metric}` \| (.+?) \|", OPERATIONS, re.MULTILINE)
    return set(re.findall(r"`(\w+)`", row))


def test_dashboard_asks_only_for_metrics_and_labels_that_exist() -> None:
    for expression in expressions():
        names = set(_NAME.findall(expression))
        assert names, expression
        assert names <= SAMPLES, expression
        asked = {label for group in _BY.findall(expression) for label in group.split(", ")}
        assert asked <= set.union(*map(labels_of, names)), expression


def test_dashboard_shows_every_metric() -> None:
    shown = {name for expression in expressions() for name in _NAME.findall(expression)}
    assert {metric for metric in METRICS if not {metric, f"{metric}_bucket"} & shown} == set()


def test_legends_name_labels_that_the_expression_keeps() -> None:
    for panel in panels():
        for target in panel["targets"]:
            kept = {label for group in _BY.findall(target["expr"]) for label in group.split(", ")}
            assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= kept, target


def test_panels_do_not_overlap_and_have_their_own_ids() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
    ids = [panel["id"] for panel in dashboard()["panels"]]
    assert len(set(ids)) == len(ids)


def test_documentation_has_a_row_for_every_metric_with_its_labels() -> None:
    rows = re.findall(r"^\| `(assay_\w+)` \| (.+?) \| (.+) \|$", OPERATIONS, re.MULTILINE)
    assert {name for name, _, _ in rows} == METRICS
    told = {name: (set(re.findall(r"`(\w+)`", labels)), meaning) for name, labels, meaning in rows}
    for family in FAMILIES:
        assert told[family.name] == (set(family.labels), family.help)
    for name, meaning in GAUGES.items():
        assert told[name][1] == meaning


def test_alarms_ask_for_metrics_that_exist() -> None:
    assert set(_NAME.findall(OPERATIONS)) <= SAMPLES
