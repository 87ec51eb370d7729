"""The node's use of OpenVINO sends nothing to its makers."""

import os
import subprocess
import sys
from pathlib import Path

_SCRIPT = """\
import socket, sys
def refused(*_):
    raise AssertionError("something was to be sent")
socket.getaddrinfo = refused
from cadnode.models.engine import core
core()
from openvino.tools.ovc import telemetry_utils
print(telemetry_utils.tm.__name__, sys.modules["openvino_telemetry"])
"""


def test_openvino_is_loaded_with_the_stub_in_place_of_its_telemetry(tmp_path: Path) -> None:
    said = subprocess.run(
        [sys.executable, "-c", _SCRIPT], env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert said.stdout.split() == ["openvino.tools.ovc.telemetry_stub", "None"]
    assert list(tmp_path.rglob("*ga_cid*")) == []
