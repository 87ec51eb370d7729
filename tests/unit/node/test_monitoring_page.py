"""Metrics, alerts and dashboard say the same: the page, deploy/ and the code."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

from cadnode.node.metrics import reference
from cadnode.node.metrics.table import METRICS, MetricKind
from tests.integration.prometheus import DASHBOARD, DEPLOY, dashboard_queries, metrics_of

PAGE = Path(__file__).parents[3] / "docs" / "monitoring.md"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"
TESTS = ("alerts_test.yml", "alerts_days_test.yml")
KNOWN = {metric.name for metric in METRICS}


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
