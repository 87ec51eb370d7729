"""The plugin for Orthanc with a clock in hand, a double of Orthanc and a node that obeys."""

from pathlib import Path
from typing import Any

from tests.orthanc_double import FakeOrthanc, Output, load_plugin

STUDY = "0000000a-00000000-00000000-00000000-00000000"
OTHER = "0000000b-00000000-00000000-00000000-00000000"
UID = "1.2.10"


class Bench:
    """The plugin with a clock in hand and a node that says what the test wants."""

    def __init__(self, folder: Path, **section: Any) -> None:
        self.folder, self.section = folder, section
        self.now = 1e6
        self.node: dict[str, Any] = {"state": "reading", "is_final": False}
        self.told: list[dict[str, Any]] = []
        self.answers: list[int] = []  # statuses of the next announcements; 202 when empty
        self.is_away = False
        self.orthanc = FakeOrthanc({"path": str(folder), "Cadnode": section, "StableAge": 60})
        self.load()
        self.round()  # the first one only finds out where the log of changes ends

    def load(self) -> None:
        self.orthanc.on_change, self.is_first = None, True
        self.plugin = load_plugin(self.orthanc)
        self.worker = self.plugin.PLUGIN.worker
        self.worker._clock = lambda: self.now
        self.worker.node.call = self.call

    def call(self, method: str, path: str, body: Any = None, timeout: float = 0) -> Any:
        if self.is_away:
            raise self.plugin.NodeProblem("away", "start it", True)
        if path == "/health":
            return 200, {"status": "ok", "problems": []}
        if method == "POST":
            status = self.answers.pop(0) if self.answers else 202
            if status == 202:
                self.told.append(body)
            return status, {"state": "fetching"} if status == 202 else {"error": "no"}
        return (404 if self.node["state"] == "unknown" else 200), self.node

    def round(self, later_s: float = 0.0) -> None:
        """Time passes, then the worker does what is due."""
        self.now += later_s
        self.worker.read_changes(catch_up=self.is_first)
        self.is_first = False
        self.worker.work()

    def rounds(self, n: int, later_s: float) -> None:
        for _ in range(n):
            self.round(later_s)

    def ask(self, method: str, pattern: str, *groups: str) -> Output:
        output = Output()
        self.orthanc.routes[pattern](output, "", method=method, groups=groups)
        return output

    def status(self, study: str = STUDY) -> dict[str, Any]:
        return dict(self.ask("GET", "/cadnode/studies/([^/]+)/status", study).body)
