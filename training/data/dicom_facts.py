"""Which facts a DICOM header gives to a manifest row."""

from dataclasses import dataclass, field
from pathlib import Path

from cadnode.domain import Acquisition
from cadnode.exam.attributes import text
from cadnode.exam.cbis_ddsm import parse_name
from cadnode.exam.mammogram import inspect
from cadnode_training.data import birads


@dataclass(frozen=True, slots=True)
class DicomFacts:
    """A mammogram's header in the manifest's words; the last six identify the woman.

    `woman` and `exam` are Patient ID and Study Instance UID, but of CBIS-DDSM the woman: there,
    each view is a patient and a study of its own.
    """

    laterality: str
    view: str
    exam_date: str
    age: int | None
    vendor: str
    spacing_mm: float | None
    shape: tuple[int, int]
    acquisition: Acquisition
    patient: str = field(repr=False)
    study: str = field(repr=False)
    instance: str = field(repr=False)
    accession: str = field(repr=False)
    woman: str = field(repr=False)
    exam: str = field(repr=False)


def read_facts(path: Path) -> DicomFacts | str:
    """What the header states, or the coded reason why the file is no mammogram that can be read."""
    instance = inspect(path)
    view, header = instance.mammogram, instance.header
    if view is None or header is None:
        return instance.skipped.reason.value if instance.skipped else "not_dicom"
    patient, study = text(header, "PatientID"), instance.study_instance_uid
    cbis = parse_name(header)
    spacing = None if view.spacing_mm is None else sum(view.spacing_mm) / 2
    return DicomFacts(
        laterality=view.laterality.value,
        view=view.view.value,
        exam_date=iso_date(text(header, "StudyDate") or text(header, "AcquisitionDate")),
        age=birads.age(text(header, "PatientAge")),
        vendor=view.vendor,
        spacing_mm=spacing,
        shape=(view.rows, view.columns),
        acquisition=view.acquisition,
        patient=patient,
        study=study,
        instance=view.sop_instance_uid,
        accession=text(header, "AccessionNumber"),
        woman=patient if cbis is None else cbis.woman,
        exam=study if cbis is None else cbis.woman,
    )


def iso_date(dicom: str) -> str:
    """A DICOM date by ISO 8601: 20110307 as 2011-03-07, 201103 as 2011-03; else nothing."""
    digits = dicom.strip()
    if not digits.isdigit() or len(digits) not in (6, 8):
        return ""
    parts = [digits[:4], digits[4:6], digits[6:]]
    in_range = 1 <= int(parts[1]) <= 12 and (not parts[2] or 1 <= int(parts[2]) <= 31)
    return "-".join(part for part in parts if part) if in_range else ""
