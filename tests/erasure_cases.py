"""A node's storage folder with studies of marked patients, read and delivered, for erasures."""

import re
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset

from cadnode.domain import Profile
from cadnode.node import delivery_record, outputs
from cadnode.node.delivery_record import DeliveryTry
from cadnode.node.erasure.erasure import Erased, Erasure
from cadnode.node.erasure.outlook import Outlook
from cadnode.node.erasure.patient import WantedPatient
from cadnode.node.jobs import DeliveryStatus
from cadnode.node.worker_steps import WorkerSteps
from cadnode.receive.spool import Spool, StoredInstance
from cadnode.settings import Settings
from tests.retention_cases import Jobs
from tests.spool_cases import add_file
from tests.synthetic import STANDARD_VIEWS, uid, view_dataset, write
from tests.unit.node.test_written_once import NOON, Readings

ANN = {
    "PatientID": "ANN-4711-Q",
    "PatientName": "Älfa^Ann^Maria=阿^安",
    "AccessionNumber": "ACC-ANN-77",
    "SpecificCharacterSet": "ISO_IR 192",
}
BEA = {"PatientID": "BEA-4712-Q", "PatientName": "Beta^Bea", "AccessionNumber": "ACC-BEA-78"}
OF_ANN = ("ANN-4711-Q", "Älfa", "ACC-ANN-77")


def images(
    patient: dict[str, str],
    study: str,
    views: Iterable[tuple[str, str]] = STANDARD_VIEWS,
    seed: int = 0,
) -> list[Dataset]:
    """One patient's views of a study."""
    return [
        view_dataset(*view, seed=seed, study_uid=uid("erasure", study), **patient) for view in views
    ]


class ErasureNode:
    """A node's storage folder, whose `read` needs no model; `made`: a copy of that one."""

    def __init__(self, folder: Path, made: Path | None = None) -> None:
        if made is not None:
            shutil.copytree(made, folder)
        self.folder = folder / "data"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._files = folder / "files"
        out = {"name": "out", "kind": "folder", "folder": folder / "out", "profile": Profile.ALL}
        small = {"heat_map_longer_side": 96, "small_heat_map_longer_side": 64}
        self.settings = Settings(
            storage={"folder": self.folder, "min_free_gb": 0.0}, destinations=[out], report=small
        )
        self.spool = Spool(self.folder / "spool")
        models: Any = Readings()
        self.worker = WorkerSteps(self.settings, self.spool, models)
        self.jobs = Jobs()

    def receive(self, datasets: Iterable[Dataset]) -> list[StoredInstance]:
        return [
            add_file(self.spool, write(ds, self._files / f"{ds.SOPInstanceUID}.dcm"))
            for ds in datasets
        ]

    def read(self, study: str) -> Path:
        """The folder of the study's content, read and reported now."""
        content = self.worker.fingerprint(study)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("cadnode.node.worker_steps.read_exam", Readings().read)
            assert self.worker.read(study, content)
        self.worker.report(study, content, self.worker.predecessor(study, content), NOON)
        return self.folder / "results" / study / content

    def deliver(self, result: Path) -> None:
        """As if the destination had taken it."""
        delivered = DeliveryTry("out", DeliveryStatus.DELIVERED, time.time())
        delivery_record.record(result, delivered)

    def study(self, datasets: Iterable[Dataset]) -> str:
        """Key of a study that is received, read and delivered."""
        study = self.receive(datasets)[0].study_key
        self.deliver(self.read(study))
        return study

    def erasure(self, patient_id: str = ANN["PatientID"], **wanted: Any) -> Erasure:
        jobs: Any = self.jobs
        who = WantedPatient(patient_id, **wanted)
        return Erasure(self.settings, self.spool, jobs, who, by="tester", wait_s=1.0)

    def look(self, **wanted: Any) -> Outlook:
        return self.erasure(**wanted).view.look()

    def erase(self, before: Callable[[str], None] = lambda step: None, **wanted: Any) -> Erased:
        erasure = self.erasure(**wanted)
        return erasure.run(erasure.view.look(), before=before)

    def snapshot(self, of: str = "**/*") -> dict[str, tuple[bytes, int]]:
        """Every file with its bytes and its time, by its path."""
        return {
            str(path.relative_to(self.folder)): (path.read_bytes(), path.stat().st_mtime_ns)
            for path in sorted(self.folder.glob(of))
            if path.is_file()
        }


def make_two(folder: Path) -> None:
    """A node with a study of Ann's and one of Bea's."""
    node = ErasureNode(folder)
    outputs.installation_uid(node.folder)
    node.study(images(ANN, "ann"))
    node.study(images(BEA, "bea", seed=3))


def hits_of(folder: Path, words: Iterable[str]) -> list[str]:
    """Files below a folder that hold one of these words, looked for in the simplest way.

    The audit trail names studies by their keys and keeps them: there only other words count.
    """
    wanted = list(words)
    others = [word for word in wanted if not re.fullmatch("[0-9a-f]{16}", word)]
    return [
        str(path.relative_to(folder))
        for path in sorted(folder.rglob("*"))
        if path.is_file() and _holds(path, others if path.parent.name == "audit" else wanted)
    ]


def _holds(path: Path, words: Iterable[str]) -> bool:
    content = path.read_bytes()
    return any(
        form in content for word in words for form in (word.encode(), word.encode("utf-16-be"))
    )
