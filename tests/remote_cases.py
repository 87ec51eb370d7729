"""A node that offers exams, served over HTTP, and remote workers whose readings are made up."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from cadnode.domain import ExamResult
from cadnode.exam.exam import Exam
from cadnode.http import HttpPeerValues
from cadnode.node import results
from cadnode.node.heartbeat import Pulse
from cadnode.node.remote.desk import RemoteDesk
from cadnode.node.remote.node_line import ClaimAnswer, NodeLine
from cadnode.node.remote.offers import SILENT_S, Offers
from cadnode.node.remote.reading_offer import OfferState
from cadnode.node.remote.remote_worker import RemoteWorker
from cadnode.node.worker_steps import WorkerSteps
from cadnode.reading import Choices, Readers
from cadnode.receive.spool import Spool
from cadnode.settings import Settings
from cadnode.web.node import Node
from tests.integration.node import wait_until
from tests.report_cases import result_of
from tests.spool_cases import add_file
from tests.synthetic import write_exam
from tests.web_cases import OPERATORS_TOKEN, REMOTE_TOKENS, Client, Told, known, served

DIGEST = Readers().digest(Choices())


class MadeReadings:
    """Models without models: `reads` says by whom what was read. `score` tells machines apart."""

    def __init__(self, name: str, reads: list[str], score: float) -> None:
        self._name, self._reads, self._score = name, reads, score
        self.loaded: Readers | None = Readers()
        self.is_changed = False

    def current(self) -> Readers:
        return Readers()

    def read(
        self,
        exam: Exam,
        readers: Readers,
        *,
        choices: Choices,
        on_progress: Callable[[str], None],
        **_: object,
    ) -> ExamResult:
        on_progress("view 1")
        self._reads.append(self._name)
        made = replace(result_of(exam, "findings"), read_with=readers.digest(choices))
        return replace(made, exam_score=self._score)


@dataclass
class _ToldRemote(Told):
    desk: RemoteDesk | None = None

    def node(self) -> Node:
        return replace(super().node(), remote=self.desk.readings() if self.desk else None)


class RemoteNode:
    """A node's worker and HTTP side on one folder, and the other machines' workers."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, client: Client | None) -> None:
        self.folder, self._patch, self._client = folder, patch, client
        self.settings = _settings(folder)
        self.spool = Spool(folder / "spool")
        self.offers = Offers(folder)
        self.reads: list[str] = []
        here: Any = MadeReadings("node", self.reads, 0.5)
        patch.setattr("cadnode.node.worker_steps.read_exam", here.read)
        self.worker = WorkerSteps(self.settings, self.spool, here)
        self.models = here
        self.stopping = False
        self._ahead_s = 0.0
        patch.setattr("cadnode.node.remote.offers.monotonic", self._now)
        self.errors: list[BaseException] = []

    def receive(self, seed: int = 0) -> str:
        """Key of a study that has come."""
        exam = write_exam(self.folder.parent / f"exam-{seed}", seed=seed)
        stored = [add_file(self.spool, path) for path in exam]
        return stored[0].study_key

    def begin(self, study: str) -> tuple[threading.Thread, list[bool]]:
        """The step that has the study read, under way, and what it returns."""
        content, ended = self.worker.fingerprint(study), list[bool]()

        def read() -> None:
            try:
                ended.append(self.worker.read(study, content))
            except BaseException as error:
                self.errors.append(error)

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        return thread, ended

    def key(self, study: str) -> str:
        return f"{study}-{self.worker.fingerprint(study)}"

    def claimed(self, study: str, machine: str = "box") -> ClaimAnswer:
        """The study as a machine has it, as soon as it may."""
        found = list[ClaimAnswer | None]()

        def is_had() -> bool:
            found.append(self.had_by(machine, study))
            return found[-1] is not None

        wait_until(is_had, "it may be had", within_s=10)
        assert found[-1] is not None
        return found[-1]

    def is_offered(self, study: str) -> None:
        """Return once it is."""
        key = self.key(study)
        file = self.folder / "remote" / f"{key}.offer"
        wait_until(file.exists, "the study is offered", within_s=10)

    def _now(self) -> float:
        return time.monotonic() + self._ahead_s

    def fall_silent(self, study: str) -> None:
        """Who has the study gives no sign of life for so long that the node takes it for dead."""
        self.offers.state(self.key(study))
        self._ahead_s += 2 * SILENT_S
        self.offers.state(self.key(study))

    def line(self, machine: str = "box", token: str = "box") -> NodeLine:
        assert self._client is not None
        file = self.folder.parent / f"token-of-{token}"
        file.write_text(REMOTE_TOKENS.get(token, OPERATORS_TOKEN))
        values = HttpPeerValues(name="the node", url=self._client.url, token_file=file)
        return NodeLine(values, machine)

    def had_by(self, machine: str, study: str) -> ClaimAnswer | None:
        """The study as that machine has it, where it may."""
        return self.line(machine).claim(self.key(study), DIGEST)

    def pauses_are_over(self) -> None:
        """Machines that failed may have exams."""
        for file in (self.folder / "remote" / "failing").glob("*.json"):
            file.unlink()

    def remote(self, machine: str = "box", line: NodeLine | None = None) -> RemoteWorker:
        """Another machine's worker: it shares nothing with the node but its address."""
        models: Any = MadeReadings(machine, self.reads, 0.75)
        self._patch.setattr("cadnode.node.remote.remote_worker.read_exam", models.read)
        scratch = self.folder.parent / machine / "scratch"
        return RemoteWorker(
            _settings(self.folder.parent / machine), line or self.line(machine), models, scratch,
            lambda: self.stopping, Pulse(),
        )  # fmt: skip

    def scores(self, study: str) -> list[float | None]:
        """The exam scores of what is kept of the study."""
        folder = self.folder / "results" / study / self.worker.fingerprint(study)
        return [results.load_reading(part).exam_score for part in results.exam_folders(folder)]

    def left(self) -> set[str]:
        """What is left of offers."""
        kinds = ("*.offer", "*.claim", "*.ended", "*.failed")
        return {p.name for kind in kinds for p in (self.folder / "remote").glob(kind)}

    def reached(self, study: str, state: OfferState) -> None:
        key = self.key(study)
        wait_until(lambda: self.offers.state(key) is state, f"it is {state}", within_s=10)


def _settings(folder: Path) -> Settings:
    return Settings.model_validate(
        {
            "storage": {"folder": str(folder), "min_free_gb": 0.0},
            "remote": {"workers": 2, "head_start_s": 600.0},
            "report": {"heat_map_longer_side": 96, "small_heat_map_longer_side": 64},
        }
    )


@contextmanager
def remote_node(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[RemoteNode]:
    """A node whose HTTP side listens."""
    data = folder / "data"
    desk = RemoteDesk(_settings(data), Spool(data / "spool"))
    with served(_ToldRemote(desk=desk), known()) as client:
        yield RemoteNode(data, patch, client)


def ended(threads: Sequence[threading.Thread]) -> None:
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
