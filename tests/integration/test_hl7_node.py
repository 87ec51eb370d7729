"""The whole way to an HL7 listener: a node reads a study, and delivers to one that was away."""

import socket
from pathlib import Path

import requests

from tests.golden.code import free_port
from tests.hl7_listener import Hl7Listener, listening
from tests.integration.node import Node, views_alone, wait_until
from tests.integration.test_commitment_asked import CONFIG, one_view

DESTINATION = """
[[destinations]]
name = "ris"
kind = "hl7"
port = {port}
receiving_application = "RIS"
link_url = "https://cad.hospital.org"
timeout_s = 5.0
"""


def test_a_result_waits_for_a_listener_that_is_away_and_is_acknowledged(tmp_path: Path) -> None:
    port, web_port = free_port(), free_port()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ris_port = int(taken.getsockname()[1])
    file, study = one_view(tmp_path / "views")
    config = tmp_path / "node.toml"
    settings = CONFIG.format(port=port, web_port=web_port, storage=tmp_path / "data")
    config.write_text(settings + DESTINATION.format(port=ris_port))
    node = Node(tmp_path, port, config, web_port)
    views_alone(tmp_path / "data")

    def row() -> dict[str, object]:
        with requests.Session() as session:
            session.trust_env = False
            url = f"http://127.0.0.1:{web_port}/api/deliveries"
            try:
                found = session.get(url, params={"state": "all"}, timeout=20).json()["deliveries"]
            except (requests.ConnectionError, requests.Timeout):  # it is still starting
                return {}
            return dict(found[0]) if found else {}

    try:
        node.start()
        node.send(file)
        wait_until(lambda: row().get("tries"), "it was tried")
        assert row()["state"] == "waiting"
        assert "ris refuses the connection" in str(row()["reason"])
        with listening(Hl7Listener(answers=[("silent", "")]), ris_port) as there:
            wait_until(lambda: len(there.messages) >= 2, "it was sent again")
            wait_until(lambda: row().get("state") == "delivered", "it was acknowledged")
    finally:
        node.stop()
    first, second = map(str, there.messages)
    assert first == second
    assert f"https://cad.hospital.org/studies/{study}^" in first
