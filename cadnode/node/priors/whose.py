"""Whose a study in the spool is, and when it was made: what its headers state together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Final

from pydicom import Dataset

from cadnode.errors import NotProcessable
from cadnode.exam.dicom_file import open_file
from cadnode.exam.partition import Stated, only_patient
from cadnode.exam.patient import patient_of
from cadnode.receive.spool import Spool

_REMEMBERED: Final = 512


@dataclass(frozen=True, slots=True)
class PriorFacts:
    """What files state of one study. `stated` is None where they name several women, or nobody.

    `n_images` counts its mammograms (Modality MG).
    """

    study_instance_uid: str = field(repr=False)
    stated: Stated | None = field(repr=False)
    study_date: date | None
    description: str = field(repr=False)
    n_images: int


def facts_of(paths: Sequence[Path]) -> PriorFacts | None:
    """What these files of one study state; None when none of them can be read."""
    headers = list(_headers(paths))
    if not headers:
        return None
    patient = patient_of(headers[0])
    return PriorFacts(
        str(headers[0].get("StudyInstanceUID") or "").strip("\0 "),
        only_patient(headers),
        next((d for h in headers if (d := patient_of(h).study_date)), None),
        patient.study_description,
        sum(str(h.get("Modality") or "").strip() == "MG" and "Rows" in h for h in headers),
    )


def _headers(paths: Sequence[Path]) -> Iterator[Dataset]:
    for path in paths:
        try:
            yield open_file(path).header
        except (NotProcessable, OSError):
            continue


class SpooledStudies:
    """The facts of the spool's studies, read again when one has changed. Threads may share it."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._known: dict[str, tuple[float, PriorFacts | None]] = {}

    def facts(self, study: str) -> PriorFacts | None:
        """What a study's files state; None where there are none that can be read."""
        paths = self._spool.instances(study)
        if not paths:
            return None
        changed_at = self._spool.changed_at(study)
        known = self._known.get(study)
        if known is None or known[0] != changed_at:
            known = (changed_at, facts_of(paths))
            while len(self._known) >= _REMEMBERED:
                self._known.pop(next(iter(self._known)), None)
            self._known[study] = known
        return known[1]
