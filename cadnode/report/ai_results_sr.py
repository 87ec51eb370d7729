"""The measurement report as IHE AI Results wants it: a Comprehensive 3D SR."""

import copy
from typing import Final

from pydicom import Dataset
from pydicom.uid import Comprehensive3DSRStorage

from cadnode.report.documents import in_place
from cadnode.report.edition import Edition
from cadnode.report.measurement_sr import measurement_sr

SERIES_NUMBER: Final = 907
SERIES_DESCRIPTION: Final = "cadnode AI results"
KIND: Final = "ai-results-sr"


def ai_results_sr(edition: Edition, predecessor: Dataset | None = None) -> Dataset:
    """`measurement_sr` as an object of SOP class Comprehensive 3D SR, in a series of its own.

    IHE Radiology, AI Results (AIR) names that class for its measurement and qualitative findings,
    with TID 1500 as root; its content constraints (PS3.3 A.35.13) admit all that a Comprehensive
    SR may hold. `predecessor` is the same report of an earlier reading.

    Raises
    ------
    ReportError
        The exam has no DICOM header, or the result does not fit the exam.
    """
    ds = copy.deepcopy(measurement_sr(edition))
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = Comprehensive3DSRStorage
    in_place(ds, edition, predecessor, KIND)
    ds.SeriesInstanceUID = edition.uid(f"{KIND}-series")
    ds.SeriesNumber, ds.SeriesDescription = SERIES_NUMBER, SERIES_DESCRIPTION
    return ds
