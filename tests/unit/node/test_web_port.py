"""The web role's port: had at once where it is free, waited for where it is taken."""

import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cadnode.node.heartbeat import beating
from cadnode.node.web_port import listened_at_once, listened_in_time
from cadnode.settings import WebSection
from tests.peers import free_port


def test_a_port_is_had_at_once_before_any_library_of_the_web_role_is_imported() -> None:
    script = (
        "import sys, cadnode.cli.app, cadnode.node.web_port\n"
        "print(*({'dbos', 'fastapi', 'pydicom', 'torch'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
    assert found.stdout.split() == []

    web = WebSection(port=free_port())
    listening = listened_at_once(web)
    assert listening is not None
    with listening, socket.create_connection(("127.0.0.1", web.port), timeout=5):
        assert listened_at_once(web) is None


@pytest.mark.parametrize(
    ("role", "others"),
    [
        ("web_server", {"torch", "timm", "highdicom", "scipy.interpolate"}),
        ("listener", {"torch", "timm", "highdicom", "scipy", "cv2"}),
    ],
)
def test_roles_start_without_what_only_a_reading_needs(role: str, others: set[str]) -> None:
    script = f"import sys, cadnode.node.{role}\nprint(*({others} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
    assert found.stdout.split() == []


def test_a_port_that_is_taken_is_waited_for_until_it_is_free_or_the_role_stops(
    tmp_path: Path,
) -> None:
    web, found = WebSection(port=free_port()), list[socket.socket | None]()
    with beating(tmp_path, "web") as pulse:
        taken = socket.create_server(("127.0.0.1", web.port))
        assert listened_in_time(web, lambda: True, pulse) is None
        waiting = threading.Thread(
            target=lambda: found.append(listened_in_time(web, lambda: False, pulse))
        )
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive()
        taken.close()
        waiting.join(30)
    (listening,) = found
    assert listening is not None
    listening.close()
