"""One edition of an exam's report: what it states, about whom, when, and under which UIDs."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from pydicom import Dataset

from cadnode import __version__
from cadnode.domain import ExamResult, HeatMap, ModelUse, ViewPosition, ViewScore
from cadnode.errors import ReportError
from cadnode.exam.exam import Exam, Mammogram
from cadnode.report.identity import copied_digest
from cadnode.report.uids import NAMESPACE, fingerprint, identifying_models, object_uid

DISCLAIMER = "Research use only, not for primary diagnosis"
LONGEST_SIDE = 2048
SMALL_SIDE = 1024
ENSEMBLE = "ensemble"


def observer_uid(installation: str) -> str:
    """Device Observer UID of the installation that has this identifier (PS3.5 section B.2)."""
    return f"2.25.{uuid.uuid5(NAMESPACE, f'device observer {installation}').int}"


OFFLINE_OBSERVER_UID = observer_uid("")
"""Of a reading outside of any installation (`cadnode read`): the same everywhere."""


@dataclass(frozen=True, eq=False)
class Edition:
    """An exam, its result and the words around it; every object of one report shares it.

    `longest_side` is that of a heat map in pixels; None keeps the source's size. `observer_uid` is
    the Device Observer UID (121012, DCM) of this installation. `times_removed` is how often what
    it had made for the study was removed: bytes that are not here any more cannot be kept.
    """

    exam: Exam
    result: ExamResult
    made_at: datetime
    disclaimer: str = DISCLAIMER
    longest_side: int | None = LONGEST_SIDE
    observer_uid: str = OFFLINE_OBSERVER_UID
    times_removed: int = 0

    @property
    def reference(self) -> Dataset:
        """Header whose patient and study the objects take; its study is where they go."""
        if self.exam.reference is None:
            raise ReportError("nothing in the exam was DICOM: there is no study to report into")
        if not self.exam.reference.get("StudyInstanceUID"):
            raise ReportError("the reference header has no Study Instance UID")
        return self.exam.reference

    @cached_property
    def fingerprint(self) -> str:
        """Sha256 of all that the objects are made from, times excepted; see `uids.fingerprint`.

        The content of the source objects, the patient and study attributes that are copied, the
        regions that people marked, this software's version, the installation and the report's
        options.
        """
        regions = [
            (r.sop_instance_uid, *r.box, r.reference.sop_instance_uid) for r in self.exam.regions
        ]
        options = [__version__, self.disclaimer, self.longest_side, self.observer_uid]
        options += [self.times_removed] if self.times_removed else []
        sources = (self.exam.content, copied_digest(self.reference), sorted(regions))
        return fingerprint(self.result, *sources, *options)

    def uid(self, kind: str, index: int = 0, *, after: str = "") -> str:
        """UID of one of this edition's objects; `after` is the document it replaces."""
        known = {m.sop_instance_uid for m in self.exam.mammograms} | set(self.exam.headers)
        return object_uid(
            study_instance_uid=str(self.reference.StudyInstanceUID),
            source_uids=list(known),
            models=[f"{m.name} {m.version} {m.sha256}" for m in identifying_models(self.result)],
            fingerprint=f"{self.fingerprint} {after}",
            kind=kind,
            index=index,
        )

    def header(self, sop_instance_uid: str) -> Dataset | None:
        """Header of an instance of the exam; None when it had none that could be read."""
        mammogram = self.mammogram(sop_instance_uid)
        return mammogram.header if mammogram else self.exam.headers.get(sop_instance_uid)

    def mammogram(self, sop_instance_uid: str) -> Mammogram | None:
        """The eligible view of that instance."""
        views = (m for m in self.exam.mammograms if m.sop_instance_uid == sop_instance_uid)
        return next(views, None)

    def model(self, name: str) -> ModelUse | None:
        """The model that an algorithm's name stands for."""
        return next((m for m in self.result.models if m.name == name), None)

    def hanging_order(self) -> list[tuple[ViewScore, HeatMap]]:
        """Scored views that have a heat map, as they hang: RCC, LCC, RMLO, LMLO, then others."""
        first = {v.sop_instance_uid: v for v in reversed(self.result.views)}
        views = sorted(first.values(), key=_hanging_key)
        shown = [(view, shown_map(self.result, view.sop_instance_uid)) for view in views]
        return [(view, heat_map) for view, heat_map in shown if heat_map is not None]


def shown_map(result: ExamResult, sop_instance_uid: str) -> HeatMap | None:
    """The one map that stands for a view: the ensemble's if there is one, else its scorer's."""
    scorers = [v.algorithm for v in result.views if v.sop_instance_uid == sop_instance_uid]
    maps = {h.algorithm: h for h in result.heat_maps if h.sop_instance_uid == sop_instance_uid}
    return next((maps[name] for name in (ENSEMBLE, *scorers[:1]) if name in maps), None)


def _hanging_key(view: ViewScore) -> tuple[int, str, bool, str]:
    """Sort key: CC before MLO before others, right before left."""
    rank = {ViewPosition.CC: 0, ViewPosition.MLO: 1}.get(view.view, 2)
    return rank, view.view, view.laterality == "L", view.sop_instance_uid
