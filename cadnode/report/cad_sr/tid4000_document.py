"""The Mammography CAD SR document: PS3.3 A.35.5, TID 4000."""

from collections.abc import Sequence
from typing import Final

from pydicom import Dataset
from pydicom.uid import MammographyCADSRStorage

from cadnode.report.cad_sr import concepts
from cadnode.report.cad_sr.tid4001_impression import overall_impression
from cadnode.report.cad_sr.tid4015_performed import ANALYSES, DETECTIONS, detections, performed
from cadnode.report.cad_sr.tid4017_analyses import analyses
from cadnode.report.cad_sr.tid4020_image_library import Library, library
from cadnode.report.edition import Edition
from cadnode.report.sr import items
from cadnode.report.sr.documents import document_uid, predecessors, remarks, sr_document
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
    return sr_document(
        edition,
        _root(images),
        sop_class_uid=MammographyCADSRStorage,
        instance_uid=document_uid(edition, KIND, old),
        series_uid=edition.uid(f"{KIND}-series"),
        series_number=SERIES_NUMBER,
        series_description=SERIES_DESCRIPTION,
        texts=remarks(edition.result),
        referenced=images.headers,
        old=old,
        has_own_codes=False,
    )


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
