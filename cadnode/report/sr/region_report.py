"""The report for viewers that draw regions: TID 1500 whose every measurement group has one.

OHIF up to 3.13.2 (its newest release) looks for coordinates in every measurement group; at the
first without any it gives up and draws nothing. The groups left out are kept in words.
"""

from collections.abc import Sequence
from typing import Final

from highdicom.sr import RelationshipTypeValues, TextContentItem
from pydicom import Dataset

from cadnode.report import codes
from cadnode.report.edition import Edition
from cadnode.report.sr.documents import in_place
from cadnode.report.sr.measurement_report import measurement_sr

SERIES_NUMBER: Final = 903
SERIES_DESCRIPTION: Final = "cadnode CAD regions"
KIND: Final = "region-sr"
_MEASUREMENTS: Final = "126010"
_TRACKING_IDENTIFIER: Final = "112039"


def region_sr(edition: Edition, replaced: Sequence[Dataset] = ()) -> Dataset:
    """The report's regions as a data set with file meta information, ready to be written.

    The same document as `measurement_sr`, in a series of its own, but for the groups without a
    region (TID 1501: scores, further systems, images not read): each is one comment, such as
    "exam: CAD score, 0 to 1 = 0.803". Without any region there is no Imaging Measurements
    container; TID 1500 (PS3.16) is content with Qualitative Evaluations. `replaced` is the
    same report of an earlier reading.

    Raises
    ------
    ReportError
        The exam has no DICOM header, or the result does not fit the exam.
    """
    ds = measurement_sr(edition)
    in_place(ds, edition, replaced, KIND)
    ds.SeriesInstanceUID = edition.uid(f"{KIND}-series")
    ds.SeriesNumber, ds.SeriesDescription = SERIES_NUMBER, SERIES_DESCRIPTION
    containers = {_code(item): item for item in ds.ContentSequence}
    measurements = containers[_MEASUREMENTS]
    groups = list(measurements.ContentSequence)
    measurements.ContentSequence = [group for group in groups if _has_region(group)]
    if not measurements.ContentSequence:
        ds.ContentSequence = [item for item in ds.ContentSequence if item is not measurements]
    remarks = containers[codes.QUALITATIVE_EVALUATIONS.value]
    comments = [_in_words(group) for group in groups if not _has_region(group)]
    models = [f"{m.name} {m.version} sha256:{m.sha256}" for m in edition.result.models]
    comments += [f"algorithms: {'; '.join(models)}"] if models else []
    remarks.ContentSequence = [*remarks.ContentSequence, *map(_comment, comments)]
    return ds


def _code(item: Dataset) -> str:
    """Code value of a content item's name."""
    return str(item.ConceptNameCodeSequence[0].CodeValue)


def _has_region(group: Dataset) -> bool:
    return any(item.ValueType == "SCOORD" for item in group.ContentSequence)


def _in_words(group: Dataset) -> str:
    """A group's tracking identifier and all it measures or states."""
    items = group.ContentSequence
    (name,) = (i.TextValue for i in items if _code(i) == _TRACKING_IDENTIFIER)
    return f"{name}: {'; '.join(text for item in items if (text := _statement(item)))}"


def _statement(item: Dataset) -> str:
    """The statement of a number or a coded evaluation, as "name = value"; "" of other items."""
    name = item.ConceptNameCodeSequence[0].CodeMeaning
    if item.ValueType == "NUM":
        (value,) = item.MeasuredValueSequence
        unit = value.MeasurementUnitsCodeSequence[0].CodeValue
        number = f"{float(value.NumericValue):.3g}"
        return f"{name} = {number}{'' if unit == codes.NO_UNITS.value else ' ' + unit}"
    if item.ValueType == "CODE" and item.RelationshipType == "CONTAINS":
        return f"{name} = {item.ConceptCodeSequence[0].CodeMeaning}"
    return ""


def _comment(text: str) -> TextContentItem:
    return TextContentItem(codes.COMMENT, text, RelationshipTypeValues.CONTAINS)
