"""The Mammography CAD SR document: PS3.3 A.35.5, TID 4000."""

from collections.abc import Sequence
from typing import Final

from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, MammographyCADSRStorage

from cadnode.report.cad_sr import concepts
from cadnode.report.cad_sr.tid4001_impression import overall_impression
from cadnode.report.cad_sr.tid4015_performed import ANALYSES, DETECTIONS, detections, performed
from cadnode.report.cad_sr.tid4017_analyses import analyses
from cadnode.report.cad_sr.tid4020_image_library import Library, library
from cadnode.report.edition import Edition
from cadnode.report.identity import contributing_equipment, file_meta, patient_and_study, stamp
from cadnode.report.sr import items
from cadnode.report.sr.content_tree import add_content
from cadnode.report.sr.documents import add_document, document_uid, predecessors, remarks
from cadnode.report.sr.image_library import evidence
from cadnode.report.sr.items import Item

SERIES_NUMBER: Final = 910
SERIES_DESCRIPTION: Final = "cadnode mammography CAD"
KIND: Final = "cad-sr"


def cad_sr(edition: Edition, replaced: Sequence[Dataset] = ()) -> Dataset | None:
    """The CAD report as a data set with file meta information, ready to be written.

    None when no image of the exam can be referred to: TID 4000 wants one in the library.
    `replaced` are the CAD reports of earlier readings of the same images.

    Raises
    ------
    ReportError
        The exam has no DICOM header, or the result does not fit the exam.
    """
    images = library(edition)
    if not images.headers:
        return None
    old = predecessors(edition, replaced, KIND)
    ds = patient_and_study(edition.reference, [edition.disclaimer, *remarks(edition.result)])
    ds.SOPClassUID = MammographyCADSRStorage
    ds.SOPInstanceUID = document_uid(edition, KIND, old)
    ds.Modality = "SR"
    ds.SeriesInstanceUID = edition.uid(f"{KIND}-series")
    ds.InstanceNumber = 1
    stamp(
        ds,
        made_at=edition.made_at,
        series_number=SERIES_NUMBER,
        description=SERIES_DESCRIPTION,
    )
    add_document(ds, old)
    ds.CurrentRequestedProcedureEvidenceSequence = evidence(images.headers)
    add_content(ds, _root(images))
    ds.ContributingEquipmentSequence = contributing_equipment(
        edition.reference, edition.made_at, edition.exam.content
    )
    ds.file_meta = file_meta(ds.SOPClassUID, ds.SOPInstanceUID, ExplicitVRLittleEndian)
    return ds


def _root(images: Library) -> Item:
    """Root container by TID 4000; the library's place in it is `library.PLACE`."""
    return items.container(
        "",
        concepts.REPORT,
        [
            items.code(items.MODIFIER, concepts.LANGUAGE, concepts.ENGLISH),
            images.container(),
            overall_impression(images),
            performed(images, DETECTIONS, *detections(images)),
            performed(images, ANALYSES, *analyses(images)),
        ],
        template="4000",
    )
