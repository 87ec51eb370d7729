"""What every system makes of a study, as one table: exam, breasts, views and findings.

A row is a thing that has a score, a column a system. Words for what a score, a certainty or an
operating point is are in the templates and in `report.wording`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from cadnode.domain import (
    NO_AGE_SCORE_MEANINGS,
    Box,
    ExamResult,
    Finding,
    Laterality,
    System,
    ViewPosition,
    ViewScore,
    in_order,
)
from cadnode.log import hashed
from cadnode.phrases import N_
from cadnode.report.scores import phantom_systems, system_of, why_not_assessed
from cadnode.report.wording import (
    KIND_NAMES,
    assessment_by,
    counting,
    descriptors,
    method_of,
    origin,
)
from cadnode.web.caller import Caller
from cadnode.web.node import Node, StudyReading
from cadnode.web.operating_points import RecentScore, curves_of
from cadnode.web.reader_verdicts import Judged, ReaderVerdict, VerdictBook, judged

_REGIONS_ONLY: Final = N_("assesses regions only")
_HANGING: Final = (ViewPosition.CC, ViewPosition.MLO)


@dataclass(frozen=True, slots=True)
class Cell:
    """A system's score of a row's thing; None: it has none, and `why` says why not.

    `is_suspicious` None: nothing was decided by this score. `threshold` is the operating point that
    it was compared with, where that is one number that is known. `counts`: it is the finding's.
    `image_and_age` is the score of both together, `why_no_age` why an exam that was to have one has
    none.
    """

    system: System
    score: float | None = None
    is_suspicious: bool | None = None
    threshold: float | None = None
    counts: bool = False
    why: str = ""
    members: tuple[tuple[str, float], ...] = ()
    image_and_age: float | None = None
    why_no_age: str = ""

    @property
    def is_other(self) -> bool:
        """Whether the system does not score such things at all, as its heading says."""
        return self.why == _REGIONS_ONLY


@dataclass(frozen=True, slots=True)
class Row:
    """A thing that has scores: `what` is "exam", "breast", "view" or "finding".

    Parameters
    ----------
    side
        Of a breast, and of the view or finding in it; None where it is not known.
    name
        Of a view, such as "RCC"; of a finding that of its view.
    n_views
        Of a breast: how many views its score is made of; 0: it was not read.
    view
        The key of the view's image, by which scripts name it.
    """

    what: str
    cells: tuple[Cell, ...]
    side: Laterality | None = None
    name: str = ""
    n_views: int = 0
    is_imaged: bool = True
    view: str = ""
    finding: "FindingWords | None" = None


@dataclass(frozen=True, slots=True)
class FindingWords:
    """A finding's number, what it is in words, where it lies, and the reader's word on it."""

    number: int
    kind: str
    descriptors: str
    origin: str
    certainty: float | None
    box: Box
    judged: Judged


def context(node: Node, name: str, caller: Caller | None) -> dict[str, Any]:
    """What `study_assessment.html.jinja` shows of a study."""
    readings = node.readings_of(name)
    book = node.verdicts
    recent = node.recent_scores() if readings else ()
    return {
        "assessments": [table(reading, book, name, recent) for reading in readings],
        "may_judge": caller is not None and book is not None,
    }


def table(
    reading: StudyReading, book: VerdictBook | None, name: str, recent: Sequence[RecentScore] = ()
) -> dict[str, Any]:
    """One patient's table: its columns, its rows, and the curves of its operating points."""
    result = reading.result
    words = book.of_study(name) if book is not None else ()
    systems = _systems(result)
    return {
        "content": reading.content,
        "patient": reading.patient,
        "is_current": reading.is_current,
        "outcome": result.outcome.value,
        "columns": [
            {
                "name": system.value,
                "method": method_of(system),
                "is_phantom": system.value in phantom_systems(result),
            }
            for system in systems
        ],
        "rows": list(_rows(reading, systems, words)),
        "n_findings": len(result.findings),
        "has_image_and_age": result.image_and_age is not None,
        "curves": curves_of(result, recent),
    }


def _systems(result: ExamResult) -> list[System]:
    """The systems that are known of or have a score here, in the papers' order."""
    known = {s.system for s in result.systems}
    known |= {a.system for f in result.findings for a in f.assessments}
    known |= {s for v in result.views if (s := system_of(result, v.algorithm)) is not None}
    return list(in_order(known))


def _rows(
    reading: StudyReading, systems: Sequence[System], words: Sequence[ReaderVerdict]
) -> Iterator[Row]:
    result = reading.result
    scorers = {system_of(result, view.algorithm) for view in result.views}
    if result.exam_score is not None:
        exam = _whole(result, systems, scorers, result.exam_score, result.score_with_age())
        if (both := result.image_and_age) is not None and both.reason is not None:
            why = NO_AGE_SCORE_MEANINGS[both.reason]
            exam = tuple(one if one.is_other else replace(one, why_no_age=why) for one in exam)
        yield Row("exam", exam)
    shown: set[int] = set()
    for side in (Laterality.RIGHT, Laterality.LEFT):
        breast = next((b for b in result.breasts if b.laterality is side), None)
        score, with_age = breast.score if breast else None, result.score_with_age(side)
        cells = _whole(result, systems, scorers, score, with_age)
        yield Row(
            "breast", cells, side, n_views=breast.n_views if breast else 0,
            is_imaged=result.shows(side),
        )  # fmt: skip
        for view in _hung([v for v in result.views if v.laterality is side]):
            view_name = f"{view.laterality}{view.view}"
            scores = [v for v in result.views if v.sop_instance_uid == view.sop_instance_uid]
            yield Row(
                "view", _of_view(result, systems, scores), side, view_name,
                view=hashed(view.sop_instance_uid),
            )  # fmt: skip
            for at, finding in enumerate(result.findings):
                if finding.sop_instance_uid == view.sop_instance_uid:
                    shown.add(at)
                    yield _finding_row(reading, systems, words, at, view_name, side)
    for at in range(len(result.findings)):
        if at not in shown:  # marked in an image that was not scored
            yield _finding_row(reading, systems, words, at, "", None)


def _hung(views: Sequence[ViewScore]) -> list[ViewScore]:
    """Each view once: CC, MLO, then others."""
    first = {view.sop_instance_uid: view for view in reversed(views)}
    place = {position: at for at, position in enumerate(_HANGING)}
    return sorted(first.values(), key=lambda v: (place.get(v.view, 9), v.view, v.sop_instance_uid))


def _whole(
    result: ExamResult,
    systems: Sequence[System],
    scorers: set[System | None],
    score: float | None,
    with_age: float | None,
) -> tuple[Cell, ...]:
    """Cells of the exam or of a breast: the systems that score views have its score.

    And that of image and age, `with_age`, which exams of several such systems do not have.
    """
    point = result.operating_point
    reaches = None if score is None or point is None else score >= point
    return tuple(
        Cell(
            system,
            score,
            reaches,
            point,
            why="" if score is not None else N_("not scored"),
            image_and_age=with_age,
        )
        if system in scorers
        else Cell(system, why=_REGIONS_ONLY)
        for system in systems
    )


def _of_view(
    result: ExamResult, systems: Sequence[System], scores: Sequence[ViewScore]
) -> tuple[Cell, ...]:
    by_system = {system_of(result, score.algorithm): score for score in reversed(scores)}
    return tuple(
        Cell(system, by_system[system].score, why=by_system[system].algorithm)
        if system in by_system
        else Cell(system, why=_REGIONS_ONLY)
        for system in systems
    )


def _finding_row(
    reading: StudyReading,
    systems: Sequence[System],
    words: Sequence[ReaderVerdict],
    at: int,
    view_name: str,
    side: Laterality | None,
) -> Row:
    result = reading.result
    finding = result.findings[at]
    said = FindingWords(
        at + 1,
        KIND_NAMES[finding.kind],
        descriptors(finding.cluster) if finding.cluster else "",
        origin(finding.marked_by) if finding.marked_by else "",
        finding.certainty,
        finding.box,
        judged(words, finding),
    )
    cells = tuple(_of_finding(result, finding, system) for system in systems)
    view = hashed(finding.sop_instance_uid)
    return Row("finding", cells, side, view_name, view=view, finding=said)


def _of_finding(result: ExamResult, finding: Finding, system: System) -> Cell:
    assessment = assessment_by(finding, system)
    if assessment is None:
        return Cell(system, why=why_not_assessed(result, system))
    return Cell(
        system,
        assessment.probability,
        assessment.suspicious,
        _region_threshold(result, assessment.algorithm),
        assessment is counting(finding),
        assessment.algorithm,
        assessment.members,
    )


def _region_threshold(result: ExamResult, algorithm: str) -> float | None:
    """From which score on a model calls a region suspicious; None where no one number decides.

    DIB-MG also looks at its breast, and an ensemble's point is not kept with a reading.
    """
    model = next((m for m in result.models if m.name == algorithm), None)
    if model is None or model.curve is None or model.curve.of_breasts:
        return None
    return model.curve.threshold
