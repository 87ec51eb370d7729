"""Readers' verdicts as they are sent, on the disk beside the results of their study.

RESULTS/<study_key>/<name>/reader-verdicts.dcm   what counts now of all that was said, as an SR
                           deliveries.jsonl      what became of each try to deliver it

A document is named like a content (16 hexadecimal digits), by what it says: it is delivered,
counted and erased as one, and never made twice. It is no reading: it has no `result.json`. Each one
names the one before it; that one is sent no more.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pydicom
from pydicom import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.sr.coding import Code

from cadnode.errors import ReportError
from cadnode.exam.dicom_file import tolerant
from cadnode.log import hashed
from cadnode.node import results
from cadnode.node.destination_profiles import profile_of
from cadnode.node.results import Results
from cadnode.report import codes
from cadnode.report.profiles import CITED, VERDICTS, kinds_of
from cadnode.report.sr.verdict_report import SaidOfFinding, evidence_of, named_before
from cadnode.report.verdicts import write_verdicts
from cadnode.settings import Settings
from cadnode.web.reader_verdicts import ReaderVerdict, VerdictWord, last_words

_CODES: Final[dict[VerdictWord, Code]] = {
    VerdictWord.ACCEPTED: codes.ACCEPTED,
    VerdictWord.REJECTED: codes.REJECTED,
    VerdictWord.WITHDRAWN: codes.WITHDRAWN,
}
_NEEDED: Final = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "InstanceNumber",
    "ContentDate", "ContentTime", "PredecessorDocumentsSequence",
    "CurrentRequestedProcedureEvidenceSequence",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Exam:
    """One patient's part of the content that was judged, and the last words on its findings."""

    folder: Path
    words: tuple[tuple[int, ReaderVerdict], ...]

    def name(self, study_folder: Path) -> str:
        """The same for the same words on the same reading."""
        said = [[number, one.word.value, one.at, one.by] for number, one in self.words]
        return hashed(f"verdicts {self.folder.relative_to(study_folder)} {json.dumps(said)}")


class VerdictDocuments:
    """Makes the documents of one node. Who calls passes the study's gate."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._results = Results.in_storage(settings.storage.folder)

    def make(self, study: str, words: Sequence[ReaderVerdict]) -> list[str]:
        """Names of the documents that state what counts of these words, made where not there.

        One a patient. None of a result that is not here any more.

        Raises
        ------
        ReportError
            A document cannot be made, or no report was made whose findings it could name.
        OSError, ValueError, LookupError, TypeError
            The result cannot be read.
        """
        names = []
        for exam in self._judged(study, words):
            name = exam.name(self._results.of_study(study))
            folder = self._results.of_content(study, name)
            if not is_one(folder):
                write_verdicts(
                    self._report_of(exam.folder),
                    [_said(number, one) for number, one in exam.words],
                    folder,
                    made_at=datetime.now(UTC),
                    disclaimer=self._settings.report.disclaimer,
                    before=self._before(study, exam),
                )
            names.append(name)
        return names

    def _judged(self, study: str, words: Sequence[ReaderVerdict]) -> Iterator[_Exam]:
        """The exams of the content that was judged last, as far as anything was said of it."""
        if not words:
            return
        content = self._results.of_content(study, words[-1].content)
        if not results.has_result(content):
            return
        for part in results.exam_folders(content):
            last = last_words(words, results.load_scores(part).findings)
            if any(one.content == content.name for _, one in last):
                yield _Exam(part, tuple(last))

    def _report_of(self, part: Path) -> Path:
        """The SR whose findings are named: one that somebody gets who gets the verdicts."""
        takers = [d for d in self._settings.destinations if d.verdicts]
        theirs = kinds_of(profile_of(self._settings, d) for d in takers)
        for kind in sorted(CITED, key=lambda one: one not in theirs):
            if (path := results.object_file(part, kind)).is_file():
                return path
        raise ReportError("no structured report was made of this reading that verdicts could name")

    def _before(self, study: str, exam: _Exam) -> Dataset | None:
        """The newest document of the same images."""
        images = results.instances_of(exam.folder)
        found = [one for _, one in _documents(self._results, study) if images & evidence_of(one)]
        replaced = {uid for one in found for uid in named_before(one)}
        newest = [one for one in found if str(one.SOPInstanceUID) not in replaced]
        return max(newest, key=lambda one: (one.ContentDate, one.ContentTime), default=None)


def is_one(folder: Path) -> bool:
    """Whether a folder of a study's results holds readers' verdicts, not a content."""
    return (folder / VERDICTS).is_file()


def is_replaced(kept: Results, study: str, name: str) -> bool:
    """Whether a later document names this one as the one before."""
    found = dict(_documents(kept, study))
    own = found.get(name)
    return own is not None and any(
        str(own.SOPInstanceUID) in named_before(other) for other in found.values()
    )


def _said(number: int, one: ReaderVerdict) -> SaidOfFinding:
    return SaidOfFinding(number, _CODES[one.word], one.at, one.by if one.is_person else "")


def _documents(kept: Results, study: str) -> Iterator[tuple[str, Dataset]]:
    """Name and header of each document of a study; a damaged one is none."""
    for path in sorted(kept.of_study(study).glob(f"*/{VERDICTS}")):
        with suppress(OSError, ValueError, InvalidDicomError), tolerant():
            yield path.parent.name, pydicom.dcmread(path, specific_tags=list(_NEEDED))
