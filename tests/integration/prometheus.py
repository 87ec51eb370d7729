"""A Prometheus with the configuration and the rules of deploy/, scraping a node on loopback."""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import requests

from cadnode.demo.archive import free_port, is_listening
from tests.integration.node import wait_until

DEPLOY: Final = Path(__file__).parents[2] / "deploy"
DASHBOARD: Final = DEPLOY / "grafana" / "cadnode.json"
_VARIABLES: Final = {"$instance": ".*", "$system": ".*", "$vendor": ".*", "$__rate_interval": "1m"}


@dataclass(frozen=True)
class Prometheus:
    """Asks a Prometheus over its HTTP API."""

    url: str

    def query(self, expression: str) -> list[dict[str, Any]]:
        """What an instant query answers; fails with Prometheus's text where it cannot."""
        answer = self._get("query", query=expression)
        assert answer["status"] == "success", (expression, answer.get("error"))
        return list(answer["data"]["result"])

    def value(self, expression: str) -> float | None:
        """The one number of a query; None where it answers nothing."""
        found = self.query(expression)
        return float(found[0]["value"][1]) if found else None

    def is_ready(self) -> bool:
        """Whether it answers queries: it listens before it does."""
        return requests.get(f"{self.url}/-/ready", timeout=10).status_code == 200

    def rules(self) -> list[dict[str, Any]]:
        """All rules, as they were last evaluated."""
        groups = self._get("rules")["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def _get(self, what: str, **parameters: str) -> Any:
        return requests.get(f"{self.url}/api/v1/{what}", params=parameters, timeout=10).json()


@contextmanager
def prometheus(folder: Path, port: int) -> Iterator[Prometheus]:
    """A Prometheus that scrapes and evaluates every two seconds, until the block ends."""
    config = (DEPLOY / "prometheus" / "prometheus.yml").read_text()
    assert config.count("15s") == 2
    config = config.replace("15s", "2s").replace("127.0.0.1:8114", f"127.0.0.1:{port}")
    rules = DEPLOY / "prometheus" / "alerts.yml"
    folder.mkdir()
    (folder / "prometheus.yml").write_text(config.replace("- alerts.yml", f"- {rules}"))
    own = free_port()
    with (folder / "log").open("wb") as output:
        process = subprocess.Popen(
            ["prometheus", f"--config.file={folder / 'prometheus.yml'}",
             f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{own}"],
            stdout=output, stderr=output,
        )  # fmt: skip
        try:
            found = Prometheus(f"http://127.0.0.1:{own}")
            wait_until(lambda: is_listening(own) and found.is_ready(), "Prometheus is ready")
            wait_until(lambda: found.value("up") == 1, "Prometheus scrapes the node")
            yield found
        finally:
            process.terminate()
            process.wait(timeout=20)


def dashboard_queries() -> list[str]:
    """Every query of the dashboard, with values for its variables."""
    found = dashboard_targets(json.loads(DASHBOARD.read_text()))
    return [_filled(expression) for expression, _ in found]


def dashboard_targets(document: dict[str, Any]) -> list[tuple[str, str]]:
    """Every query of a dashboard's panels as it stands there, and its legend."""
    return list(_targets(document["panels"]))


def metrics_of(expression: str) -> set[str]:
    """Names of the node's metrics in an expression, without a histogram's suffixes."""
    names = re.findall(r"\bcadnode_[a-z_]+", expression)
    return {re.sub(r"_(bucket|count|sum)$", "", name) for name in names}


def _targets(part: Any) -> Iterator[tuple[str, str]]:
    if isinstance(part, dict):
        if isinstance(part.get("expr"), str):
            yield part["expr"], part.get("legendFormat", "")
        for value in part.values():
            yield from _targets(value)
    elif isinstance(part, list):
        for value in part:
            yield from _targets(value)


def _filled(expression: str) -> str:
    for name, value in _VARIABLES.items():
        expression = expression.replace(name, value)
    assert "$" not in expression, expression
    return expression
