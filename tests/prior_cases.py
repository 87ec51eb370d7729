"""A woman's exams of several years, as files, and a node's folder that has some of them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cadnode.audit.event import Event
from cadnode.log import hashed
from cadnode.node.priors.desk import Priors
from cadnode.node.study_table import Look, StudyTable
from cadnode.receive.prior_store import PriorStore
from cadnode.receive.spool import Spool
from cadnode.settings import Settings
from cadnode.web.queue import StudyRow
from cadnode.web.study import State, StudyState
from tests.spool_cases import add_file
from tests.synthetic import MARK, STANDARD_VIEWS, uid, view_dataset, write

PRESENT = uid("the present study")
YEAR_AGO, LONG_AGO = uid("a prior of a year ago"), uid("a prior of long ago")
DATES = {PRESENT: "20240615", YEAR_AGO: "20230510", LONG_AGO: "20210615"}


def exam_files(folder: Path, study: str, *, views: int = 2, **overrides: Any) -> list[Path]:
    """Files of a small exam of the woman of `tests.synthetic`, of its day in `DATES`."""
    values = {"StudyDate": DATES.get(study, "20200102"), **overrides}
    size = {"rows": 256, "columns": 200}
    return [
        write(
            view_dataset(side, view, study_uid=study, seed=n, **size, **values),
            folder / f"{hashed(study)}-{n}.dcm",
        )
        for n, (side, view) in enumerate(STANDARD_VIEWS[:views])
    ]


@dataclass
class Recorder:
    """What the audit trail was told."""

    events: list[Event]

    def record(self, event: Event) -> None:
        self.events.append(event)


class PriorNode:
    """A node's folder; `priors` is what its web process asks."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.settings = Settings(storage={"folder": folder, "min_free_gb": 0.0}, **settings)
        self.spool = Spool(folder / "spool")
        self.store = PriorStore(folder)
        self.recorder = Recorder([])
        self.priors = Priors(self.settings, self.spool, self.recorder, "web")

    def receive(self, files: list[Path]) -> str:
        """Key of the study that these files are, now in the spool and in the list of studies."""
        (key,) = {add_file(self.spool, path).study_key for path in files}
        state = StudyState(key, "", State.DONE, n_instances=len(files))
        patient = self._patient(key)
        StudyTable(self.folder).put([Look(StudyRow(state, patient), 1.0, 1.0)], lambda _: 1.0)
        return key

    def _patient(self, key: str) -> Any:
        from cadnode.exam.dicom_file import open_file
        from cadnode.exam.patient import patient_of

        return patient_of(open_file(self.spool.instances(key)[0]).header)


__all__ = ["DATES", "LONG_AGO", "MARK", "PRESENT", "YEAR_AGO", "PriorNode", "exam_files"]
