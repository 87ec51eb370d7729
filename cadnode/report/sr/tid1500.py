"""The root of our measurement reports: TID 1500 with its observer (TID 1002, 1004), PS3.16."""

from collections.abc import Iterable, Sequence
from typing import Final

from pydicom.sr.coding import Code

from cadnode.domain import ExamResult
from cadnode.report import codes
from cadnode.report.edition import Edition
from cadnode.report.identity import MANUFACTURER
from cadnode.report.scores import took_part
from cadnode.report.sr import items
from cadnode.report.sr.items import Item

_LANGUAGE: Final = Code("121049", "DCM", "Language of Content Item and Descendants")
_ENGLISH: Final = Code("en-US", "RFC5646", "English (United States)")
_DEVICE: Final = Code("121007", "DCM", "Device")
_DEVICE_UID: Final = Code("121012", "DCM", "Device Observer UID")
_DEVICE_NAME: Final = Code("121013", "DCM", "Device Observer Name")
_DEVICE_MANUFACTURER: Final = Code("121014", "DCM", "Device Observer Manufacturer")
_DEVICE_MODEL: Final = Code("121015", "DCM", "Device Observer Model Name")
_PROCEDURE: Final = Code("121058", "DCM", "Procedure reported")


def report_root(
    edition: Edition, library: Sequence[Item], groups: Sequence[Item], remarks: Item
) -> Item:
    """The root container: language, observer, procedure, then the report's three parts.

    Without measurement groups there is no Imaging Measurements container: TID 1500 is content
    with Qualitative Evaluations.
    """
    measurements = [_contained(codes.IMAGING_MEASUREMENTS, groups)] if groups else []
    return items.container(
        "",
        codes.IMAGING_MEASUREMENT_REPORT,
        [
            items.code(items.MODIFIER, _LANGUAGE, _ENGLISH),
            *_observer(edition),
            items.code(items.MODIFIER, _PROCEDURE, codes.IMAGING_PROCEDURE),
            *library,
            *measurements,
            remarks,
        ],
        template="1500",
    )


def qualitative_evaluations(
    evaluations: Iterable[tuple[Code, Code]], comments: Iterable[str], others: Iterable[Item] = ()
) -> Item:
    """Qualitative Evaluations container: coded ones, then comments, then references."""
    return _contained(
        codes.QUALITATIVE_EVALUATIONS,
        [
            *(items.code(items.CONTAINS, name, value) for name, value in evaluations),
            *(items.text(items.CONTAINS, codes.COMMENT, comment) for comment in comments),
            *others,
        ],
    )


def participation(result: ExamResult) -> list[tuple[Code, Code]]:
    """Each system, and whether it took part."""
    return [
        (codes.system(s.system), codes.TOOK_PART if took_part(result, s) else codes.ABSENT)
        for s in result.systems
    ]


def _observer(edition: Edition) -> list[Item]:
    """The software, as it is installed here."""
    return [
        items.code(items.OBSERVATION, codes.OBSERVER_TYPE, _DEVICE),
        items.uid(items.OBSERVATION, _DEVICE_UID, edition.observer_uid),
        items.text(items.OBSERVATION, _DEVICE_NAME, "cadnode"),
        items.text(items.OBSERVATION, _DEVICE_MANUFACTURER, MANUFACTURER),
        items.text(items.OBSERVATION, _DEVICE_MODEL, "cadnode"),
    ]


def _contained(name: Code, children: Iterable[Item]) -> Item:
    return items.container(items.CONTAINS, name, children)
