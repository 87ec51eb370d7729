"""Who may read metrics, and what the probes answer."""

import pytest
from starlette.datastructures import Headers

from cadnode.identity.identities import Identities
from cadnode.identity.tokens import hash_of
from cadnode.settings.sections import WebSection
from cadnode.web.access import Access
from cadnode.web.node import ReadyChecks
from tests.web_cases import TOKEN, VIEWERS_TOKEN, Told, known, nobody_known, served

MONITORS_TOKEN = "a-token-for-metrics-alone"
METRICS = b"cadnode_build_info 1.0\n"
WELL = ReadyChecks(models=True, listener=True, jobs=True, disk=True)


def told(ready: ReadyChecks = WELL) -> Told:
    return Told(metrics=METRICS, ready=ready)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def strict(tmp_path: object) -> Access:
    """A node that reads metrics to no address, and knows a monitor."""
    path = tmp_path / "tokens"  # type: ignore[operator]
    path.write_text(f"prometheus:monitor:{hash_of(MONITORS_TOKEN)}\n")
    path.chmod(0o600)
    section = WebSection(tokens_file=path, metrics_from=())
    return Access(Identities.of(section, lambda: 0.0), metrics_from=section.metrics_from)


def test_this_machine_reads_metrics_without_a_credential() -> None:
    for access in (known(), nobody_known()):
        with served(told(), access) as client:
            answer = client.get("/metrics")
            assert (answer.status_code, answer.content) == (200, METRICS)
            assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
            assert client.session.head(f"{client.url}/metrics", timeout=10).status_code == 200


@pytest.mark.parametrize(
    "header",
    [{"X-Forwarded-For": "10.0.0.9"}, {"Forwarded": "for=10.0.0.9"}, {"Host": "cad.example.org"},
     {"Via": "1.1 proxy"}, {"Authorization": "Bearer wrong"}],
)  # fmt: skip
def test_what_a_proxy_passes_on_or_names_another_host_needs_a_token(header: dict[str, str]) -> None:
    with served(told(), known()) as client:
        assert client.get("/metrics", **header).status_code == 401
        if "Authorization" not in header:
            assert client.get("/metrics", **header, **bearer(VIEWERS_TOKEN)).status_code == 200


def test_a_monitor_reads_metrics_and_nothing_else(strict: Access) -> None:
    with served(told(), strict) as client:
        assert client.get("/metrics").status_code == 401
        assert client.get("/metrics", **bearer(MONITORS_TOKEN)).content == METRICS
        for path in ("/", "/api/studies", "/api/deliveries", "/models", "/api/openapi.json"):
            assert client.get(path, **bearer(MONITORS_TOKEN)).status_code == 403
        assert "problems" in client.get("/health", **bearer(MONITORS_TOKEN)).json()


@pytest.mark.parametrize(
    ("address", "may"),
    [("10.1.2.3", True), ("10.1.3.3", False), ("::ffff:10.1.2.3", True), ("127.0.0.1", False),
     ("fd00::1", True), ("", False), ("unix:", False)],
)  # fmt: skip
def test_addresses_that_are_named_read_metrics(address: str, may: bool) -> None:
    section = WebSection(metrics_from=("10.1.2.0/24", "fd00::/64"))
    access = Access(Identities.of(section, lambda: 0.0), metrics_from=section.metrics_from)
    assert access.may_scrape(Headers({"host": "node:8114"}), address) is may


def test_a_wrong_address_is_no_setting() -> None:
    with pytest.raises(ValueError, match="metrics_from"):
        WebSection(metrics_from=("everybody",))


def test_an_address_that_reads_metrics_reads_nothing_else() -> None:
    with served(told(), known()) as client:
        assert client.get("/api/studies").status_code == 401
        assert client.get("/metrics/").status_code == 401


def test_a_process_that_answers_is_alive_whatever_the_node_does() -> None:
    with served(Told(), known()) as client:
        answer = client.get("/healthz")
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_a_node_is_ready_only_when_every_check_passes() -> None:
    with served(told(), known()) as client:
        assert client.get("/readyz").json() == {
            "ready": True,
            "checks": {"models": True, "listener": True, "jobs": True, "disk": True},
        }
    for name in ("models", "listener", "jobs", "disk"):
        values = {**WELL.checks, name: False}
        with served(told(ReadyChecks(**values)), known()) as client:
            answer = client.get("/readyz")
            assert answer.status_code == 503
            assert answer.json() == {"ready": False, "checks": values}


def test_a_node_that_counts_nothing_says_so() -> None:
    with served(Told(), known()) as client:
        assert client.get("/metrics", **bearer(TOKEN)).status_code == 503
        assert client.get("/readyz").status_code == 503
