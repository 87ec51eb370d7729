"""A mammogram and an exam, as every other package sees them."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pydicom import Dataset

from cadnode.domain import (
    Acquisition,
    Box,
    Evidence,
    Intent,
    Laterality,
    RoiReference,
    Skipped,
    ViewModifier,
    ViewPosition,
)
from cadnode.exam.content import data_set_digest, header_digest, input_digest


@dataclass(frozen=True, eq=False, slots=True)
class Mammogram:
    """One mammographic view: what its header states, and where its pixels are.

    `header` is the data set without pixel data (patient and study modules are copied from it
    into reports). `spacing_mm` is (row, column) spacing in the plane of the breast:
    Imager Pixel Spacing divided by the magnification factor; None when nowhere stated.
    """

    path: Path = field(repr=False)
    header: Dataset = field(repr=False)
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    laterality: Laterality
    view: ViewPosition
    modifiers: frozenset[ViewModifier]
    paddle: str
    intent: Intent
    acquisition: Acquisition
    rows: int
    columns: int
    spacing_mm: tuple[float, float] | None
    magnification: float
    implant: bool
    partial: bool
    vendor: str


@dataclass(frozen=True, slots=True)
class PersonRegion:
    """A region that a person marked on one mammogram of the exam (docs/regions.md).

    `box` lies within the image and has an area. `outline` is a closed polygon of (row, column)
    points in pixels of the source image as stored, the first point not repeated. `reference` is
    the object it was drawn in. No text of that object is kept: it may hold patient data.
    """

    sop_instance_uid: str
    box: Box
    outline: tuple[tuple[float, float], ...]
    reference: RoiReference


@dataclass(frozen=True, eq=False)
class Exam:
    """The views of one study that are to be read, and those that are not, with reasons.

    `reference` is the header whose patient and study modules reports copy: the first eligible
    mammogram's, or any DICOM header of the study when none is eligible; None when nothing in
    the study was DICOM. `headers` holds one header (no pixels) per DICOM instance of the study,
    by SOP Instance UID: reports refer to skipped instances by it. `regions` are those that
    people marked on `mammograms`, in objects of the same study. `evidence` holds, by SOP Instance
    UID, what the sources of each image state of patient, kind, side and view. `files` are all DICOM
    files that the exam was made from, whatever became of them.
    """

    study_instance_uid: str
    mammograms: tuple[Mammogram, ...]
    skipped: tuple[Skipped, ...]
    reference: Dataset | None = field(repr=False)
    headers: dict[str, Dataset] = field(repr=False)
    regions: tuple[PersonRegion, ...] = ()
    evidence: dict[str, tuple[Evidence, ...]] = field(default_factory=dict, repr=False)
    files: tuple[Path, ...] = field(default=(), repr=False)

    @cached_property
    def content(self) -> str:
        """Digest of all that went in (`exam.content.input_digest`); computed once, on demand.

        Of each file its data set counts. An exam that was not made from files has the files of
        its mammograms, where they exist, and for all else the headers.

        Raises
        ------
        OSError
            A file cannot be read any more.
        """
        if self.files:
            return input_digest(map(data_set_digest, self.files))
        files = {m.sop_instance_uid: m.path for m in self.mammograms if m.path.is_file()}
        headers = {m.sop_instance_uid: m.header for m in self.mammograms} | self.headers
        return input_digest(
            data_set_digest(files[uid]) if uid in files else header_digest(header)
            for uid, header in headers.items()
        )
