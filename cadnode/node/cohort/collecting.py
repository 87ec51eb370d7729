"""A cohort collected: cases asked for, exams fetched, identities taken out, one after the other.

A run that was broken off goes on where it was: what is whole in the folder is not fetched again.
The same cases, archive and key give the same bytes.
"""

import errno
import json
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from cadnode.errors import CadnodeError, DataError
from cadnode.files import write_whole
from cadnode.node.cohort.cases import Case, NotCollected
from cadnode.node.cohort.exams import (
    CollectedExam,
    CollectedImage,
    collect_exam,
    record_of,
    remove_others,
    sides_of,
)
from cadnode.node.cohort.intake import AskedSource, Intake
from cadnode.node.cohort.plan import Asked, CohortPlan, PlannedExam
from cadnode.quality.outcomes import KnownOutcome
from cadnode.receive.fetch.fetch import FetchFailure
from cadnode.receive.fetch.requests import FetchCode
from cadnode.report.pseudonyms.key import PseudonymKey

R = TypeVar("R")

STATE: Final = "collected.json"
_TRIES: Final = 3
_PAUSE_S: Final = 2.0
# What concerns one study: it is left out, and the others are fetched.
_OF_ONE_STUDY: Final = frozenset(
    {
        FetchCode.UNKNOWN_STUDY, FetchCode.NO_MAMMOGRAMS, FetchCode.INSTANCE_MISSING,
        FetchCode.SOURCE_NOT_UNDERSTOOD,
    }
)  # fmt: skip
# An archive that refuses us says so of each study (Orthanc of an unknown C-MOVE destination: C000):
# after as many, and not one exam, it is the archive.
_HOPELESS: Final = 3
_RANK: Final = (KnownOutcome.MALIGNANT, KnownOutcome.BENIGN, KnownOutcome.NORMAL)


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """An image, its exam, and the worst outcome that a case states of the breast."""

    image: CollectedImage
    exam: CollectedExam
    outcome: KnownOutcome


@dataclass(slots=True)
class Cohort:
    """What is in the folder, and what was left out: lines with a reason, images by reason.

    `n_fetched` exams are new, `n_removed` were there and belong to no case any more.
    """

    images: list[LabelledImage] = field(default_factory=list)
    exams: list[CollectedExam] = field(default_factory=list)
    lines: list[tuple[int, str]] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    n_fetched: int = 0
    n_removed: int = 0
    burned_in_not_stated: int = 0


def asked(source: AskedSource) -> Asked:
    """Asks the source, again after a pause when it does not answer.

    What it returns raises `CadnodeError` when the source cannot be asked at all.
    """
    return lambda keyword, value: _insisted(lambda: source.studies(keyword, value))


def collect(
    found: CohortPlan, intake: Intake, key: PseudonymKey, out: Path,
    tick: Callable[[], None] = lambda: None,
) -> Cohort:  # fmt: skip
    """The planned exams in `out`; `tick` after each.

    Raises
    ------
    DataError
        The folder holds a cohort of another key, or the disk is full.
    CadnodeError
        The source cannot be reached, or refuses us.
    """
    cohort = Cohort(lines=[(line, reason.value) for line, reason in found.left_out])
    refused: list[FetchFailure] = []
    try:
        _claim(out, key)
        for planned in found.exams:
            try:
                _take(planned, intake, key, out, cohort)
            except _StudyFailure as one:
                cohort.lines += [(case.line, one.failure.code.value) for case in planned.cases]
                if one.failure.code is FetchCode.SOURCE_NOT_UNDERSTOOD:
                    refused.append(one.failure)
            if not cohort.exams and len(refused) == _HOPELESS:
                raise _ended(refused[-1])
            tick()
        cohort.n_removed = remove_others(cohort.exams, out, map(key.exam, found.beyond))
    except OSError as error:
        raise _disk(error, out) from None
    cohort.lines.sort()
    return cohort


def _take(
    planned: PlannedExam, intake: Intake, key: PseudonymKey, out: Path, cohort: Cohort
) -> None:
    sides = sides_of(planned.cases)
    exam = record_of(key.exam(planned.study_instance_uid), sides, out)
    if exam is None:
        outcome = _fetched(planned, intake, key, out)
        if isinstance(outcome, str):
            cohort.lines += [(case.line, outcome) for case in planned.cases]
            return
        exam = outcome
        cohort.n_fetched += 1
    cohort.exams.append(exam)
    cohort.left_out.update(exam.left_out)
    cohort.burned_in_not_stated += exam.burned_in_not_stated
    for image in exam.images:
        worst = _worst(image.laterality, planned.cases)
        cohort.images.append(LabelledImage(image, exam, worst))
    shown = {image.laterality for image in exam.images}
    for case in planned.cases:
        if not shown & {side.value for side in case.sides}:
            cohort.lines.append((case.line, NotCollected.NO_IMAGE.value))


def _fetched(
    planned: PlannedExam, intake: Intake, key: PseudonymKey, out: Path
) -> CollectedExam | str:
    """The exam, fetched and written; or the code of why none of it is. Raises `_StudyFailure`."""
    uid = planned.study_instance_uid
    try:
        files = _insisted(lambda: intake.fetched(uid, planned.source_id), _OF_ONE_STUDY)
        found = collect_exam(files, planned.cases, key, out)
    finally:
        intake.discard(uid)
    return found.value if isinstance(found, NotCollected) else found


class _StudyFailure(Exception):
    """A study cannot be had; others may."""

    def __init__(self, failure: FetchFailure) -> None:
        super().__init__(failure.code.value)
        self.failure = failure


def _insisted(ask: Callable[[], R], of_one_study: Collection[FetchCode] = ()) -> R:
    """What the source answers, asked again when it did not.

    Raises `_StudyFailure` for the codes `of_one_study`, `CadnodeError` for others.
    """
    for attempt in range(1, _TRIES + 1):
        try:
            return ask()
        except FetchFailure as failure:
            if failure.code is FetchCode.NO_ROOM:
                raise DataError("the disk is full: make room, then run it again") from None
            last = attempt == _TRIES or not failure.retryable
            if last and failure.code in of_one_study:
                raise _StudyFailure(failure) from None
            if last or failure.code is FetchCode.NODE_UNKNOWN:
                raise _ended(failure) from None
        time.sleep(_PAUSE_S * attempt)
    raise AssertionError("unreachable")


def _ended(failure: FetchFailure) -> CadnodeError:
    """The error that ends a run: the source cannot be asked, or gives nothing."""
    meaning = failure.code.meaning.partition(";")[0]
    return CadnodeError(f"{failure}: {meaning}. What was collected is kept: run it again")


def _worst(side: str, cases: Sequence[Case]) -> KnownOutcome:
    stated = {case.outcome for case in cases if side in {s.value for s in case.sides}}
    return next(one for one in _RANK if one in stated)


def _claim(out: Path, key: PseudonymKey) -> None:
    """Have the folder be one of this key; raises `DataError` when it is another's."""
    path = out / STATE
    if path.exists():
        try:
            known = json.loads(path.read_bytes())["key"]
        except (ValueError, KeyError, TypeError):
            raise DataError(f"{out.name} holds a {STATE} that this command did not write") from None
        if known != key.name:
            raise DataError(f"{out.name} holds a cohort of another key: name its key by --key")
        return
    if out.is_dir() and any(out.iterdir()):
        raise DataError(f"{out.name} is not empty and holds no cohort: name another folder")
    write_whole(path, json.dumps({"key": key.name}).encode() + b"\n")


def _disk(error: OSError, out: Path) -> DataError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DataError("the disk is full: make room, then run it again; it goes on where it was")
    return DataError(f"{out.name} cannot be written ({type(error).__name__})")
