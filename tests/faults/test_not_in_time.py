"""A node whose models are missing keeps its promise to answer, and reads once it has them again."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest

from cadnode.demo.archive import free_port
from cadnode.node import supervise
from tests.integration.node import wait_until
from tests.synthetic import write_exam

CONFIG = """\
[listener]
host = "127.0.0.1"
port = {port}

[storage]
folder = "{folder}/data"
min_free_gb = 0.0

[study]
settle_s = 0.2
quiet_s = 1.0
sweep_s = 1.0
answer_within_s = {answer_within_s}

[reading]
device = "cpu"
model_folders = [{models}]

[web]
enabled = false

[[destinations]]
name = "out"
kind = "folder"
folder = "{folder}/out"
"""


class Node:
    """One storage folder, with models or without."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, has_models: bool) -> None:
        config = self.folder / "node.toml"
        models = "" if has_models else f'"{self.folder}/no-such-model"'
        config.write_text(
            CONFIG.format(
                port=self.port, folder=self.folder, models=models,
                answer_within_s=0 if has_models else 2,
            )
        )  # fmt: skip
        with (self.folder / "node.log").open("ab") as log:
            self._process = subprocess.Popen(
                supervise.command("all", config), stdout=log, stderr=log, start_new_session=True
            )
        wait_until(self._answers, "the node listens")

    def _answers(self) -> bool:
        echo = ["echoscu", "-aec", "CADNODE", "127.0.0.1", str(self.port)]
        return subprocess.run(echo, capture_output=True, check=False).returncode == 0

    def send(self, paths: list[Path]) -> None:
        words = ["storescu", "-R", "-aec", "CADNODE", "127.0.0.1", str(self.port), *map(str, paths)]
        subprocess.run(words, check=True, capture_output=True)

    def reports(self) -> list[pydicom.Dataset]:
        return [pydicom.dcmread(path) for path in sorted(self.folder.glob("out/**/sr*.dcm"))]

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(40)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process = None


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    one = Node(tmp_path)
    yield one
    one.stop()


def test_without_models_it_says_so_by_the_promised_time_and_the_reading_replaces_that(
    node: Node,
) -> None:
    node.start(has_models=False)
    node.send(write_exam(node.folder / "exam"))
    wait_until(node.reports, "a report that nothing was read")
    (answer,) = node.reports()
    assert "models_missing" in str(answer)
    node.stop()

    node.start(has_models=True)
    uid = answer.SOPInstanceUID
    wait_until(lambda: [r for r in node.reports() if r.SOPInstanceUID != uid], "the reading", 300.0)

    (read,) = node.reports()  # a folder holds a study's last report
    assert answer.SOPInstanceUID in str(read.PredecessorDocumentsSequence)
    assert "models_missing" not in str(read)
