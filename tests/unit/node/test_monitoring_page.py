"""Metrics, alerts and dashboard say the same: the page, deploy/ and the code."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from cadnode.node.metrics import reference
from cadnode.node.metrics.table import METRICS, MetricKind
from tests.integration.prometheus import (
    DASHBOARD,
    DEPLOY,
    dashboard_queries,
    dashboard_targets,
    metrics_of,
)

PAGE = Path(__file__).parents[3] / "docs" / "monitoring.md"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"
TESTS = ("alerts_test.yml", "alerts_days_test.yml")
KNOWN = {metric.name for metric in METRICS}
BY_NAME = {metric.name: metric for metric in METRICS}
SCRAPED = {"instance", "job"}
_SELECTOR = re.compile(r"\b(cadnode_[a-z_]+|up)(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')


def dashboard() -> ModuleType:
    spec = importlib.util.spec_from_file_location("dashboard", DEPLOY / "grafana" / "dashboard.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["dashboard"] = module
    spec.loader.exec_module(module)
    return module


def test_the_pages_tables_are_those_of_the_code() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference.filled(PAGE.read_text(encoding="utf-8"))


def test_the_page_names_every_alert_with_its_severity() -> None:
    rules = re.findall(r"alert: (\w+).*?severity: (\w+)", ALERTS.read_text(), re.DOTALL)
    rows = re.findall(r"^\| `(Cadnode\w+)` \| (\w+) \|", PAGE.read_text(encoding="utf-8"), re.M)
    assert rows == rules
    assert len(rules) >= 16


def test_promtool_passes_configuration_and_alerts() -> None:
    folder = DEPLOY / "prometheus"
    for arguments in (("check", "config", "prometheus.yml"), ("test", "rules", *TESTS)):
        done = subprocess.run(
            ["promtool", *arguments], cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tested_to_fire_and_not_to_fire() -> None:
    tests = "".join((DEPLOY / "prometheus" / name).read_text() for name in TESTS)
    quiet, *others = tests.split("  - name: ")[1:]
    for name in re.findall(r"alert: (\w+)", ALERTS.read_text()):
        assert re.search(rf"alertname: {name} \}}", quiet), name
        assert any(re.search(rf"alertname: {name}\n\s+exp_alerts", one) for one in others), name


def test_the_dashboard_is_what_its_script_writes() -> None:
    assert DASHBOARD.read_text() == dashboard().document()


def test_alerts_and_dashboard_ask_for_metrics_that_there_are() -> None:
    asked = {name for query in dashboard_queries() for name in metrics_of(query)}
    in_alerts = metrics_of(re.sub(r"alert: \w+", "", ALERTS.read_text()))
    assert asked | in_alerts <= KNOWN
    bare = {m.name for m in METRICS if m.kind is not MetricKind.HISTOGRAM} - asked
    assert bare == set()  # each is on the dashboard


def labels_of(name: str) -> set[str]:
    """The labels that a sample of that name has in Prometheus."""
    if name == "up":
        return SCRAPED
    metric = BY_NAME[re.sub(r"_(bucket|count|sum)$", "", name)]
    return SCRAPED | {*metric.labels} | ({"le"} if name.endswith("_bucket") else set())


def wrong_in(expression: str, shown: set[str] = frozenset()) -> list[str]:
    """What in an expression no sample of the node answers; `shown` are labels that are printed."""
    found, every = [], set[str]()
    for name, matchers in _SELECTOR.findall(expression):
        base = re.sub(r"_(bucket|count|sum)$", "", name)
        if name != "up" and base not in KNOWN:
            found.append(f"no metric {name}")
            continue
        if base in KNOWN and (base != name) != (BY_NAME[base].kind is MetricKind.HISTOGRAM):
            found.append(f"{name}: samples of a histogram have a suffix, others none")
            continue
        labels = labels_of(name)
        every |= labels
        found += [f"{name} has no label {one}" for one, _ in _MATCHER.findall(matchers)
                  if one not in labels]  # fmt: skip
    for name in re.findall(r"\b(?:rate|increase)\(\s*(cadnode_[a-z_]+)", expression):
        base = re.sub(r"_(bucket|count|sum)$", "", name)
        if base in KNOWN and BY_NAME[base].kind is MetricKind.GAUGE:
            found.append(f"{name} is a gauge: it has no rate")
    kept = [set(re.split(r"\s*,\s*", one.strip()))
            for one in re.findall(r"\bby \(([^)]*)\)", expression)]  # fmt: skip
    found += [f"no sample has the label {one}" for labels in kept for one in sorted(labels - every)]
    left = set.union(*kept) if kept else every
    return found + [f"{one} is not left of it" for one in sorted(shown - left)]


def alert_rules() -> list[dict[str, Any]]:
    """Each alert with its expression and what its texts print."""
    blocks = ALERTS.read_text().split("- alert: ")[1:]
    return [
        {
            "alert": block.split()[0],
            "expr": re.split(r"\n {8}(?:for|labels|annotations):", block)[0].split("expr:")[1],
            "shown": set(re.findall(r"\$labels\.(\w+)", block)),
        }
        for block in blocks
    ]


def test_every_query_of_the_dashboard_asks_for_labels_that_there_are() -> None:
    targets = dashboard_targets(json.loads(DASHBOARD.read_text()))
    assert len(targets) >= 50
    wrong = {
        query: found
        for query, legend in targets
        if (found := wrong_in(query, set(re.findall(r"\{\{\s*(\w+)\s*\}\}", legend))))
    }
    assert wrong == {}


def test_every_alert_asks_for_and_prints_labels_that_there_are() -> None:
    rules = alert_rules()
    assert len(rules) >= 16
    wrong = {r["alert"]: found for r in rules if (found := wrong_in(r["expr"], r["shown"]))}
    assert wrong == {}


@pytest.mark.parametrize(
    ("query", "what"),
    [
        ("cadnode_queue_depth", "no metric cadnode_queue_depth"),
        ('cadnode_role_up{stage="read"}', "cadnode_role_up has no label stage"),
        ("sum by (peer) (cadnode_role_up)", "no sample has the label peer"),
        ("rate(cadnode_queue_studies[5m])", "is a gauge"),
        ("sum(rate(cadnode_score[5m]))", "samples of a histogram have a suffix"),
    ],
)
def test_a_query_that_nothing_answers_is_found(query: str, what: str) -> None:
    assert what in " ".join(wrong_in(query))
