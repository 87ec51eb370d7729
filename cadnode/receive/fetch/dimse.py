"""Studies from a DICOM archive: listed by C-FIND, sent to our own listener by C-MOVE.

Study Root Query/Retrieve (DICOM PS3.4 annex C): hierarchical queries, which every archive knows.
What is moved arrives at the listener as any C-STORE does, with this node as its move originator.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Final

from pydicom import Dataset
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
)

from cadnode.exam.dicom_file import tolerant
from cadnode.limits import INSTANCES
from cadnode.receive.fetch.fetch import FetchFailure
from cadnode.receive.fetch.listing import Listed, is_mammogram, may_concern
from cadnode.receive.fetch.requests import FetchCode, Request
from cadnode.receive.fetch.studies import COUNTED, KEYWORDS, STUDIES, ListedStudy, header_of
from cadnode.receive.identity import is_valid_uid

FIND: Final = str(StudyRootQueryRetrieveInformationModelFind)
MOVE: Final = str(StudyRootQueryRetrieveInformationModelMove)
_SYNTAXES: Final = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")
_PENDING: Final = (0xFF00, 0xFF01)
_DESTINATION_UNKNOWN: Final = 0xA801
_SUB_OPERATIONS_FAILED: Final = (0xB000, 0xA702)
_MOST_MATCHES: Final = 5000
_FOUND_WITHIN_S: Final = 120.0  # each query in full, however often a part of the answer comes
MOVED_WITHIN_S: Final = 3600.0

Associated = Callable[[Sequence[tuple[str, str]]], AbstractContextManager[Any]]
"""An established association with these presentation contexts, for the length of a block."""


class DimseSource:
    """An archive that is asked by C-FIND, and sends by C-STORE what C-MOVE asks for.

    `name` stands in texts of failures, `moves_to` is this node's AE title. `moving` associates for
    C-MOVE, which may be silent for longer. What both of them raise passes through.
    """

    def __init__(
        self, name: str, associated: Associated, moves_to: str, moving: Associated | None = None
    ) -> None:
        self._name = name
        self._associated = associated
        self._moves_to = moves_to
        self._moving = moving or associated

    def check(self) -> str:
        """Whether it takes both services; raises `FetchFailure` when not."""
        contexts = [(model, syntax) for model in (FIND, MOVE) for syntax in _SYNTAXES]
        with self._associated(contexts) as assoc:
            accepted = {str(one.abstract_syntax) for one in assoc.accepted_contexts}
        if not {FIND, MOVE} <= accepted:
            raise self._not_understood("does not offer C-FIND and C-MOVE at the study root")
        return "offers C-FIND and C-MOVE"

    def studies_of(self, value: str, keyword: str = "PatientID") -> list[ListedStudy]:
        """The studies under that Patient ID, or other key of a study (PS3.4 C.6.2.1).

        Raises
        ------
        FetchFailure
            The archive does not answer the query with success.
        """
        keys = dict.fromkeys((*KEYWORDS, "ModalitiesInStudy", "NumberOfStudyRelatedInstances"), "")
        wanted = {**keys, keyword: value}
        with self._asking() as assoc:
            found = [_listed_study(one) for one in self._matches(assoc, "STUDY", wanted)]
            found.sort(key=lambda one: str(one.header.get("StudyDate") or ""), reverse=True)
            newest = [self._with_modalities(assoc, one) for one in found[:COUNTED]]
        return [*newest, *found[COUNTED:STUDIES]]

    def _with_modalities(self, assoc: Any, study: ListedStudy) -> ListedStudy:
        """A study with the modalities of its series, where the archive does not state them."""
        if study.modalities or not is_valid_uid(study.study_instance_uid):
            return study
        keys = {
            "StudyInstanceUID": study.study_instance_uid,
            "SeriesInstanceUID": "",
            "Modality": "",
        }
        series = list(self._matches(assoc, "SERIES", keys))
        modalities = sorted({_text(one, "Modality") for one in series} - {""})
        return replace(study, modalities=tuple(modalities))

    def instances(self, request: Request) -> list[Listed]:
        """Every instance of the study; of series that cannot concern us one stands for all.

        Raises
        ------
        FetchFailure
            As `studies_of`.
        """
        study = {"StudyInstanceUID": request.study_instance_uid}
        of_series = ("SeriesInstanceUID", "Modality", "Manufacturer", "BodyPartExamined")
        found: list[Listed] = []
        with self._asking() as assoc:
            for series in self._matches(assoc, "SERIES", {**dict.fromkeys(of_series, ""), **study}):
                any_of_them = _of_series(series)
                if not is_mammogram(any_of_them) and not may_concern(any_of_them):
                    found.append(any_of_them)
                    continue
                wanted = {
                    **study, "SeriesInstanceUID": any_of_them.where,
                    "SOPInstanceUID": "", "SOPClassUID": "",
                }  # fmt: skip
                images = self._matches(assoc, "IMAGE", wanted)
                found += [_of_image(any_of_them, image) for image in images]
                if len(found) > INSTANCES:
                    raise self._not_understood("lists a study without end")
        return found

    def move(
        self, request: Request, instances: Sequence[Listed], within_s: float = MOVED_WITHIN_S
    ) -> None:
        """Have these instances sent to our listener; what has arrived is for the caller to see.

        An archive that goes on saying that it is at work is left after `within_s`.

        Raises
        ------
        FetchFailure
            The archive refuses, does not know this node as a destination, or goes away.
        """
        by_series: dict[str, list[str]] = defaultdict(list)
        for one in instances:
            by_series[one.where].append(one.sop_instance_uid)
        ends_at = time.monotonic() + within_s
        with self._moving([(MOVE, syntax) for syntax in _SYNTAXES]) as assoc:
            for series, uids in by_series.items():
                wanted = Dataset()
                wanted.QueryRetrieveLevel = "IMAGE"
                wanted.StudyInstanceUID = request.study_instance_uid
                wanted.SeriesInstanceUID = series
                wanted.SOPInstanceUID = uids
                self._move(assoc, wanted, ends_at)

    def _move(self, assoc: Any, wanted: Dataset, ends_at: float) -> None:
        code: int | None = None
        try:
            for status, _ in assoc.send_c_move(wanted, self._moves_to, MOVE):
                code = status.get("Status")
                if code in _PENDING and time.monotonic() > ends_at:
                    raise self._unreachable("did not end C-MOVE in time")
        except (RuntimeError, ValueError, OSError):  # no such context, or the association is gone
            code = None
        if code is None:
            raise self._unreachable("ended or broke off C-MOVE")
        if code == _DESTINATION_UNKNOWN:
            text = f"{self._name} does not know {self._moves_to} as a destination of C-MOVE"
            raise FetchFailure(FetchCode.NODE_UNKNOWN, text, retryable=True)
        if code != 0 and code not in _SUB_OPERATIONS_FAILED:
            raise self._not_understood(f"answered C-MOVE with {code:04X}")

    def _asking(self) -> AbstractContextManager[Any]:
        return self._associated([(FIND, syntax) for syntax in _SYNTAXES])

    def _matches(self, assoc: Any, level: str, wanted: dict[str, str]) -> Iterator[Dataset]:
        """Matches of a query in full: it has ended when they are given."""
        query = Dataset()
        query.QueryRetrieveLevel = level
        query.SpecificCharacterSet = "ISO_IR 192"
        with tolerant():
            for keyword, value in wanted.items():
                setattr(query, keyword, value)
        matches: list[Dataset] = []
        ends_at, code = time.monotonic() + _FOUND_WITHIN_S, None
        try:
            for status, match in assoc.send_c_find(query, FIND):
                code = status.get("Status")
                if code in _PENDING and time.monotonic() > ends_at:
                    raise self._unreachable("did not end C-FIND in time")
                if code in _PENDING and match is not None:
                    matches.append(match)
                    if len(matches) > _MOST_MATCHES:
                        raise self._not_understood("answers C-FIND without end")
        except (RuntimeError, ValueError, OSError):  # no such context, or the association is gone
            code = None
        if code is None:
            raise self._unreachable("ended or broke off C-FIND")
        if code != 0:
            raise self._not_understood(f"answered C-FIND with {code:04X}")
        yield from matches

    def _unreachable(self, what: str) -> FetchFailure:
        return FetchFailure(FetchCode.SOURCE_UNREACHABLE, f"{self._name} {what}", retryable=True)

    def _not_understood(self, what: str) -> FetchFailure:
        text = f"{self._name} {what}"
        return FetchFailure(FetchCode.SOURCE_NOT_UNDERSTOOD, text, retryable=False)


def _listed_study(match: Dataset) -> ListedStudy:
    values = {keyword: _text(match, keyword) for keyword in KEYWORDS}
    with tolerant():
        stated = match.get("ModalitiesInStudy") or ()
    modalities = [stated] if isinstance(stated, str) else stated
    count = _text(match, "NumberOfStudyRelatedInstances")
    return ListedStudy(
        header_of(values), "", tuple(str(one).strip() for one in modalities),
        int(count) if count.isascii() and count.isdigit() else None,
    )  # fmt: skip


def _of_series(match: Dataset) -> Listed:
    """An instance of a series, as far as the series states it; `where` is the series."""
    return Listed(
        "", _text(match, "SeriesInstanceUID"),
        modality=_text(match, "Modality"),
        manufacturer=_text(match, "Manufacturer"),
        body_part=_text(match, "BodyPartExamined"),
    )  # fmt: skip


def _of_image(series: Listed, match: Dataset) -> Listed:
    uid = _text(match, "SOPInstanceUID")
    return Listed(
        uid if is_valid_uid(uid) else "", series.where, _text(match, "SOPClassUID"),
        series.modality, series.manufacturer, series.body_part,
    )  # fmt: skip


def _text(match: Dataset, keyword: str) -> str:
    with tolerant():
        value = match.get(keyword)
    return "" if value is None else str(value).strip("\0 ")
