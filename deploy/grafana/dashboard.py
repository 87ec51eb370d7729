"""Writes the node's Grafana dashboard, deploy/grafana/cadnode.json.

    python deploy/grafana/dashboard.py > deploy/grafana/cadnode.json

Import the file in Grafana (10 or later) and choose its Prometheus. The metrics are those of
docs/monitoring.md; a test asks Prometheus each query of the file.
"""

import sys
from typing import Final

from grafana_foundation_sdk.builders import common, heatmap, prometheus, stat, timeseries
from grafana_foundation_sdk.builders.dashboard import (
    Dashboard,
    DatasourceVariable,
    QueryVariable,
    Row,
    ThresholdsConfig,
)
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    LegendDisplayMode,
    LegendPlacement,
    StackingMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    Threshold,
    ThresholdsMode,
    VariableRefresh,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

UID: Final = "cadnode-node"
SOURCE: Final = DataSourceRef(type_val="prometheus", uid="${datasource}")
HERE: Final = 'instance=~"$instance"'

Query = tuple[str, str]
"""An expression, and the legend of what it gives."""


def quantiles(metric: str, by: str = "", *levels: float) -> list[Query]:
    """Quantiles of a histogram, apart for each value of the label `by`."""
    labels, legend = (f"le, {by}", f" {{{{{by}}}}}") if by else ("le", "")
    rate = f"sum by ({labels}) (rate({metric}_bucket{{{HERE}}}[$__rate_interval]))"
    return [(f"histogram_quantile({q}, {rate})", f"p{q * 100:g}{legend}") for q in levels]


def per_hour(metric: str, by: str, where: str = "") -> list[Query]:
    """How many an hour, by labels."""
    chosen = ", ".join(part for part in (HERE, where) if part)
    legend = " ".join(f"{{{{{label.strip()}}}}}" for label in by.split(","))
    return [(f"sum by ({by}) (rate({metric}{{{chosen}}}[$__rate_interval])) * 3600", legend)]


def figure(title: str, expr: str, unit: str, *steps: tuple[float, str]) -> stat.Panel:
    """One number, green below the first of the steps (value, colour)."""
    marks = [Threshold(value=None, color="green")] + [Threshold(v, c) for v, c in steps]
    return (
        stat.Panel()
        .title(title).unit(unit).datasource(SOURCE).height(4).span(4)
        .color_mode(BigValueColorMode.BACKGROUND)
        .thresholds(ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(marks))
        .with_target(prometheus.Dataquery().expr(expr).instant().ref_id("A"))
    )  # fmt: skip


def lines(
    title: str, meaning: str, unit: str, queries: list[Query], *, width: int = 8,
    stacked: bool = False,
) -> timeseries.Panel:  # fmt: skip
    """Curves over time; not negative."""
    panel = (
        timeseries.Panel()
        .title(title).description(meaning).unit(unit).datasource(SOURCE).height(8).span(width)
        .min(0).line_width(1).fill_opacity(20 if stacked else 5)
        .legend(
            common.VizLegendOptions().show_legend(True).placement(LegendPlacement.BOTTOM)
            .display_mode(LegendDisplayMode.LIST)
        )
    )  # fmt: skip
    if stacked:
        panel = panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL))
    for number, (expr, legend) in enumerate(queries):
        target = prometheus.Dataquery().expr(expr).legend_format(legend).range()
        panel = panel.with_target(target.ref_id(chr(ord("A") + number)))
    return panel


def scores() -> heatmap.Panel:
    """How scores are distributed over time."""
    chosen = f'{HERE}, system=~"$system", vendor=~"$vendor"'
    expr = f"sum by (le) (increase(cadnode_score_bucket{{{chosen}}}[$__rate_interval]))"
    target = prometheus.Dataquery().expr(expr).legend_format("{{le}}").range().ref_id("A")
    return (
        heatmap.Panel()
        .title("Scores").description("Views by score, of the chosen systems and vendors")
        .datasource(SOURCE).height(8).span(8)
        .with_target(target.format(PromQueryFormat.HEATMAP))
    )  # fmt: skip


def choice(name: str, query: str) -> QueryVariable:
    """A variable of the dashboard: one, several or all values of a label."""
    return (
        QueryVariable(name).query(query).datasource(SOURCE).multi(True).include_all(True)
        .all_value(".*").refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
    )  # fmt: skip


def dashboard() -> Dashboard:
    """All of it, row by row."""
    day = f"sum by (system, vendor) (increase(cadnode_score_{{}}{{{{{HERE}{{}}}}}}[1d]))"
    low, views = day.format("bucket", ', le="0.5"'), day.format("count", "")
    above = f"1 - {low} / {views}"
    found = (
        Dashboard("cadnode").uid(UID).tags(["cadnode", "mammography"]).refresh("30s")
        .time("now-24h", "now").timezone("browser").readonly()
        .with_variable(DatasourceVariable("datasource").type("prometheus"))
        .with_variable(choice("instance", 'label_values(up{job="cadnode"}, instance)'))
        .with_variable(choice("system", "label_values(cadnode_score_count, system)"))
        .with_variable(choice("vendor", "label_values(cadnode_score_count, vendor)"))
    )  # fmt: skip
    rows: list[tuple[str, list[stat.Panel | timeseries.Panel | heatmap.Panel]]] = [
        ("Now", [
            figure("Checks not passed", f"sum(1 - cadnode_ready{{{HERE}}})", "none", (1, "red")),
            figure("Problems", f'sum(cadnode_problems{{{HERE}, severity="failing"}}) or vector(0)',
                   "none", (1, "red")),
            figure("Studies that wait", f"sum(cadnode_queue_studies{{{HERE}}})", "none",
                   (20, "orange"), (100, "red")),
            figure("Oldest waits", f"max(cadnode_queue_oldest_seconds{{{HERE}}})", "s",
                   (600, "orange"), (1800, "red")),
            figure("Undelivered", f"sum(cadnode_undelivered_results{{{HERE}}})", "none",
                   (1, "orange")),
            figure("Disk in use", f"max(cadnode_disk_used_ratio{{{HERE}}})", "percentunit",
                   (0.8, "orange"), (0.95, "red")),
        ]),
        ("Stages", [
            lines("Studies an hour", "By the state that they came to", "none",
                  per_hour("cadnode_studies_total", "state")),
            lines("Images an hour", "By sender", "none",
                  per_hour("cadnode_received_images_total", "peer"), stacked=True),
            lines("Received", "Bytes a second by C-STORE", "Bps",
                  [(f"sum(rate(cadnode_received_bytes_total{{{HERE}}}[$__rate_interval]))", "")]),
            lines("Exams an hour", "By outcome", "none",
                  per_hour("cadnode_exams_total", "outcome"), stacked=True),
            lines("Findings an hour", "By kind", "none",
                  per_hour("cadnode_findings_total", "kind"), stacked=True),
            lines("Studies held", "By their present state; those that wait for somebody", "none", [
                (f"sum by (state) (cadnode_studies{{{HERE}}})", "{{state}}"),
                (f"sum(cadnode_studies_needing_attention{{{HERE}}})", "wait for somebody"),
            ]),
        ]),
        ("Queue and latency", [
            lines("Studies that wait", "To be fetched, to be read", "none",
                  [(f"sum by (stage) (cadnode_queue_studies{{{HERE}}})", "{{stage}}")]),
            lines("Results that wait", "By destination", "none", [
                (f"sum by (destination) (cadnode_delivery_queue_results{{{HERE}}})",
                 "{{destination}}"),
                (f"sum by (destination) (cadnode_undelivered_results{{{HERE}}})",
                 "{{destination}}, undelivered"),
                (f"sum by (destination) (cadnode_uncommitted_results{{{HERE}}})",
                 "{{destination}}, not committed"),
            ]),
            lines("Oldest waits", "At each stage and destination", "s", [
                (f"max by (stage) (cadnode_queue_oldest_seconds{{{HERE}}})", "{{stage}}"),
                (f"max by (destination) (cadnode_delivery_queue_oldest_seconds{{{HERE}}})",
                 "{{destination}}"),
            ]),
            lines("Received to read", "From a study's last image to the end of its reading", "s",
                  quantiles("cadnode_received_to_read_seconds", "", 0.5, 0.9)),
            lines("Read to delivered", "From the report to its arrival", "s",
                  quantiles("cadnode_read_to_delivered_seconds", "destination", 0.5, 0.9)),
            lines("Reading", "Of a study; of a view", "s", [
                *quantiles("cadnode_reading_seconds", "", 0.5, 0.9),
                *((expr, f"{legend} of a view") for expr, legend in
                  quantiles("cadnode_view_reading_seconds", "", 0.5, 0.9)),
            ]),
        ]),
        ("Failures", [
            lines("Failures an hour", "By stage and reason", "none",
                  per_hour("cadnode_failures_total", "stage, reason")),
            lines("Images not scored, an hour", "By reason", "none",
                  per_hour("cadnode_images_skipped_total", "reason")),
            lines("Problems", "As GET /health shows them", "none",
                  [(f"sum by (code, severity) (cadnode_problems{{{HERE}}})",
                    "{{code}} ({{severity}})")]),
            lines("Tries to deliver, an hour", "By destination and end", "none",
                  per_hour("cadnode_deliveries_total", "destination, status")),
            lines("Duration of tries", "By destination", "s",
                  quantiles("cadnode_delivery_try_seconds", "destination", 0.9)),
            lines("Fetches an hour", "By source and end", "none",
                  per_hour("cadnode_fetches_total", "source, status")),
        ]),
        ("Scores", [
            scores(),
            lines("Median score", "By system, vendor and view", "none", [
                ("histogram_quantile(0.5, sum by (le, system, vendor, view) "
                 f"(rate(cadnode_score_bucket{{{HERE}}}[1d])))", "{{system}} {{vendor}} {{view}}"),
            ]),
            lines("Views above 0.5", "Share in a day, by system and vendor", "percentunit",
                  [(above, "{{system}} {{vendor}}")]),
            lines("Drift by scanner", "0 too few exams, 1 steady, 2 watch, 3 drifts", "none", [
                (f"cadnode_drift_state{{{HERE}}}", "{{scanner}} {{system}}"),
            ]),
            lines("PSI by scanner", "Against its baseline; 0.25 is a large change", "none", [
                (f"cadnode_drift_psi{{{HERE}}}", "{{scanner}} {{system}} {{view}}"),
            ]),
            lines("Called exams by scanner", "In the baseline, and now", "percentunit", [
                (f"cadnode_drift_called_ratio{{{HERE}}}", "{{scanner}} {{system}} {{exams}}"),
            ]),
        ]),
        ("Disk", [
            lines("In use", "Of what the node may fill; at 1 it refuses images", "percentunit", [
                (f"cadnode_disk_used_ratio{{{HERE}}}", "in use {{instance}}"),
                (f"cadnode_disk_high_mark_ratio{{{HERE}}}", "mark {{instance}}"),
            ]),
            lines("Free", "And what is kept free", "bytes", [
                (f"cadnode_disk_free_bytes{{{HERE}}}", "free {{instance}}"),
                (f"cadnode_disk_min_free_bytes{{{HERE}}}", "least {{instance}}"),
                (f"cadnode_disk_size_bytes{{{HERE}}}", "size {{instance}}"),
            ]),
            lines("The node's files", "By kind", "bytes",
                  [(f"sum by (kind) (cadnode_storage_bytes{{{HERE}}})", "{{kind}}")], stacked=True),
        ]),
        ("Processes", [
            lines("Roles at work", "1: it does its work", "none",
                  [(f"cadnode_role_up{{{HERE}}}", "{{role}} {{instance}}")], width=6),
            lines("Processor", "Processors in use by role", "none", [
                (f"rate(cadnode_role_cpu_seconds_total{{{HERE}}}[$__rate_interval])",
                 "{{role}} {{instance}}")], width=6),
            lines("Memory", "Resident, by role", "bytes", [
                (f"cadnode_role_resident_memory_bytes{{{HERE}}}", "{{role}} {{instance}}")],
                width=6),
            lines("Deaths of roles", "In an hour, by cause", "none", [
                (f"sum by (role, cause) (increase(cadnode_role_deaths_total{{{HERE}}}[1h]))",
                 "{{role}} {{cause}}")], width=6),
            lines("GPU memory", "In use, and all of it; only where a GPU reads", "bytes", [
                (f"cadnode_gpu_memory_used_bytes{{{HERE}}}", "used {{gpu}} {{instance}}"),
                (f"cadnode_gpu_memory_size_bytes{{{HERE}}}", "size {{gpu}} {{instance}}"),
            ], width=12),
            lines("Versions and models", "Of nodes, and what their workers read with", "none", [
                (f"cadnode_build_info{{{HERE}}}", "cadnode {{version}} {{instance}}"),
                (f"cadnode_model_info{{{HERE}}}", "{{name}} {{version}}"),
            ], width=12),
        ]),
    ]  # fmt: skip
    for title, panels in rows:
        found = found.with_row(Row(title))
        for panel in panels:
            found = found.with_panel(panel)
    return found


def document() -> str:
    """The dashboard as JSON."""
    return JSONEncoder(sort_keys=True, indent=1).encode(dashboard().build()) + "\n"


if __name__ == "__main__":
    sys.stdout.write(document())
