"""CBIS-DDSM's naming: Patient ID holds woman, side and view, and each view is a study."""

import re
from dataclasses import dataclass

from pydicom import Dataset

from cadnode.domain import Laterality, SkipReason, ViewPosition
from cadnode.errors import NotProcessable
from cadnode.exam.attributes import text

_PATIENT_ID = re.compile(
    r"(?P<woman>(?:MASS|CALC)-(?:TRAINING|TEST)_P_\d+)_(?P<side>LEFT|RIGHT)_(?P<view>CC|MLO)"
    r"(?P<abnormality>_\d+)?"
)


@dataclass(frozen=True, slots=True)
class CbisName:
    """The parts of a CBIS-DDSM Patient ID."""

    woman: str
    laterality: Laterality
    view: ViewPosition
    is_region: bool


def parse_name(header: Dataset) -> CbisName | None:
    """The parts of the Patient ID, None when this is no CBIS-DDSM object."""
    match = _PATIENT_ID.fullmatch(text(header, "PatientID"))
    if match is None:
        return None
    return CbisName(
        woman=match["woman"],
        laterality=Laterality(match["side"][0]),
        view=ViewPosition(match["view"]),
        is_region=match["abnormality"] is not None,
    )


def refuse_regions(header: Dataset) -> None:
    """Raise for the masks and cut-outs of single abnormalities that CBIS-DDSM ships.

    Raises
    ------
    NotProcessable
        NOT_MAMMOGRAPHY for a mask, PARTIAL_BREAST for a cut-out.
    """
    name = parse_name(header)
    if name is None:
        return
    series = text(header, "SeriesDescription")
    if "MASK" in series:
        raise NotProcessable(SkipReason.NOT_MAMMOGRAPHY, "a CBIS-DDSM region mask")
    if "CROPPED" in series or name.is_region:
        raise NotProcessable(SkipReason.PARTIAL_BREAST, "a CBIS-DDSM cropped region")
