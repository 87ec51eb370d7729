"""The report for viewers that draw regions: TID 1500 whose every measurement group has one.

OHIF up to 3.13.2 (its newest release) looks for coordinates in every measurement group; at the
first without any it gives up and draws nothing. The groups left out are kept in words.
"""

from collections.abc import Sequence
from typing import Final

from pydicom import Dataset

from cadnode.report import codes
from cadnode.report.edition import Edition
from cadnode.report.sr import items
from cadnode.report.sr.items import Item
from cadnode.report.sr.measurement_groups import measurement_groups
from cadnode.report.sr.measurement_report import document

SERIES_NUMBER: Final = 903
SERIES_DESCRIPTION: Final = "cadnode CAD regions"
KIND: Final = "region-sr"


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
    groups = measurement_groups(edition)
    comments = [_in_words(group) for group in groups if not _has_region(group)]
    models = [f"{m.name} {m.version} sha256:{m.sha256}" for m in edition.result.models]
    comments += [f"algorithms: {'; '.join(models)}"] if models else []
    return document(
        edition,
        [group for group in groups if _has_region(group)],
        replaced,
        kind=KIND,
        series_number=SERIES_NUMBER,
        series_description=SERIES_DESCRIPTION,
        comments=comments,
    )


def _has_region(group: Item) -> bool:
    return any(item.value_type == "SCOORD" for item in group.children)


def _in_words(group: Item) -> str:
    """A group's tracking identifier and all it measures or states."""
    (name,) = (i.words for i in group.children if i.name == codes.TRACKING_IDENTIFIER)
    return f"{name}: {'; '.join(text for item in group.children if (text := _statement(item)))}"


def _statement(item: Item) -> str:
    """The statement of a number or a coded evaluation, as "name = value"; "" of other items."""
    is_stated = item.value_type in ("NUM", "CODE") and item.relationship == items.CONTAINS
    return f"{item.name.meaning} = {item.words}" if is_stated and item.name else ""
