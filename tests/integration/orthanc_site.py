"""An Orthanc with the plugin beside a node, each knowing the other."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pydicom

from cadnode.demo.archive import free_port, is_listening
from tests.integration.node import Node, wait_until
from tests.integration.orthanc_host import PLUGINS, OrthancHost
from tests.synthetic import MARK, write_exam

ONE_VIEW = (("L", "CC"),)
TOKEN = "a-token-of-the-test"
CONFIG = """\
[listener]
host = "127.0.0.1"
port = {port}

[storage]
folder = "{folder}/data"
min_free_gb = 0.05

[study]
wanted_views = []
quiet_s = 1.0
settle_s = 0.2
sweep_s = 2.0

[reading]
device = "cpu"

[web]
port = {web_port}
token_file = "{folder}/token"

[[sources]]
name = "orthanc"
kind = "orthanc"
url = "{orthanc}"

[[destinations]]
name = "orthanc"
kind = "orthanc"
url = "{orthanc}"
"""


@dataclass
class Site:
    """An Orthanc with the plugin, and a node."""

    orthanc: OrthancHost
    node: Node
    mode: str = "pull"
    studies: int = 0

    def use(self, mode: str) -> None:
        """Let the plugin work in that mode: Orthanc is started again if need be."""
        if mode != self.mode:
            self.orthanc.stop()
            self.orthanc.settings["Cadnode"]["Mode"] = self.mode = mode
            self.orthanc.start()

    def exam(self, folder: Path, views: tuple[tuple[str, str], ...] = ONE_VIEW) -> list[Path]:
        """Files of a study that was not there before."""
        self.studies += 1
        return write_exam(folder, views, seed=1000 + self.studies, rows=256, columns=200)

    def is_read(self, uid: str) -> bool:
        """Whether the plugin says that a study is done, and the results are there."""
        status = self.orthanc.status(uid)
        assert status["state"] not in ("failed", "given_up", "refused"), status
        return status["state"] == "done" and "SR" in self.orthanc.modalities(uid)

    def settle(self) -> None:
        """Return when neither the plugin nor the node has anything left to do."""

        def is_idle() -> bool:
            return self.orthanc.health()["queue"]["length"] == 0 and self.node.is_idle()

        wait_until(is_idle, "plugin and node are idle")


@contextmanager
def running_site(folder: Path, *plugins: Path) -> Iterator[Site]:
    """Orthanc and node, started, in mode "pull"; stopped at the end.

    `plugins` are loaded by Orthanc beside the one that runs ours.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "token").touch(mode=0o600)
    (folder / "token").write_text(TOKEN + "\n")
    port, web_port = free_port(), free_port()
    orthanc = OrthancHost(folder / "orthanc", {
        "DicomModalities": {"cadnode": ["CADNODE", "127.0.0.1", port]},
        "UserMetadata": {"cadnode": 5114},
        "Cadnode": {
            "Url": f"http://127.0.0.1:{web_port}", "QuietSeconds": 0.5, "PollSeconds": 0.3,
            "TokenFile": str(folder / "token"),
        },
        "Plugins": [str(one) for one in (PLUGINS / "libOrthancPython.so", *plugins)],
    })  # fmt: skip
    config = folder / "node.toml"
    values = {"port": port, "web_port": web_port, "folder": folder, "orthanc": orthanc.url}
    config.write_text(CONFIG.format(**values))
    node = Node(folder, port, config, web_port)
    try:
        orthanc.start()
        node.start()
        wait_until(lambda: is_listening(web_port), "the node's HTTP side listens")
        yield Site(orthanc, node)
    finally:
        node.stop()
        orthanc.stop()
    assert "Traceback" not in orthanc.log
    assert MARK not in orthanc.log  # no patient data


def uid_of(file: Path) -> str:
    return str(pydicom.dcmread(file, stop_before_pixels=True).StudyInstanceUID)
