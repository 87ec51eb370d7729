"""What another machine leaves out is no result, unless this node cannot read it either."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cadnode.domain import ExamResult, Outcome, Skipped, SkipReason, System, SystemStatus
from cadnode.exam.exam import Exam
from cadnode.exam.read import exam_of
from cadnode.node.remote.acceptance import problem_of
from cadnode.reading import Readers
from tests.report_cases import result_of
from tests.synthetic import write_exam

UNREAD = "a view that can be read is not read"


@pytest.fixture(scope="module")
def exam(tmp_path_factory: pytest.TempPathFactory) -> Exam:
    return exam_of(write_exam(tmp_path_factory.mktemp("exam")))


def without_first(exam: Exam, reason: SkipReason) -> ExamResult:
    """A reading of the other three views."""
    whole, uid = result_of(exam, "none"), exam.mammograms[0].sop_instance_uid
    return replace(
        whole, views=whole.views[1:], heat_maps=whole.heat_maps[1:],
        skipped=(Skipped(uid, reason),),
    )  # fmt: skip


def problem(exam: Exam, result: ExamResult) -> str:
    return problem_of([exam], [(result, 1.0)], Readers())


def test_a_whole_reading_is_taken(exam: Exam) -> None:
    assert problem(exam, result_of(exam, "findings")) == ""


@pytest.mark.parametrize("reason", [SkipReason.MODEL_FAILED, SkipReason.NO_BREAST_FOUND])
def test_a_view_that_a_machine_alone_could_not_read_is_a_failure(
    exam: Exam, reason: SkipReason
) -> None:
    result = without_first(exam, reason)
    assert result.outcome is Outcome.NO_FINDINGS  # of three views: what a page would say
    assert problem(exam, result) == UNREAD
    assert problem(exam, replace(result, skipped=())) == UNREAD


def test_a_view_that_decodes_here_is_not_skipped_for_its_pixels(exam: Exam) -> None:
    assert problem(exam, without_first(exam, SkipReason.PIXELS_CORRUPT)) == UNREAD
    nothing = result_of(exam, "failed")
    assert nothing.outcome is Outcome.NOT_READ
    assert problem(exam, nothing) == UNREAD


def test_a_view_that_does_not_decode_here_either_may_be_skipped(tmp_path: Path) -> None:
    paths = write_exam(tmp_path)
    exam = exam_of(paths)
    first = exam.mammograms[0]
    first.path.write_bytes(first.path.read_bytes()[: first.path.stat().st_size // 2])
    assert problem(exam, without_first(exam, SkipReason.TRUNCATED)) == ""
    assert problem(exam, without_first(exam, SkipReason.PIXELS_UNSUPPORTED)) == UNREAD


def test_a_view_to_which_no_model_applies_may_be_skipped(exam: Exam) -> None:
    assert problem(exam, without_first(exam, SkipReason.NO_MODEL_APPLIES)) == ""


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"systems": (SystemStatus(System.KIM2018, active=True, failed=True),)}, "system"),
        ({"study_instance_uid": "1.2.3"}, "other images"),
    ],
)
def test_what_is_not_whole_or_of_another_study_is_a_failure(
    exam: Exam, wrong: dict[str, Any], why: str
) -> None:
    assert why in problem(exam, replace(result_of(exam, "findings"), **wrong))


def test_scores_and_findings_are_of_the_views_that_this_node_reads(exam: Exam) -> None:
    whole = result_of(exam, "findings")
    for name in ("views", "findings", "heat_maps"):
        first, *others = getattr(whole, name)
        foreign = replace(whole, **{name: (replace(first, sop_instance_uid="1.9"), *others)})
        assert problem(exam, foreign) == "it is of other images"


def test_images_that_are_not_read_have_their_reasons(exam: Exam) -> None:
    out = Skipped("1.2.3", SkipReason.IMPLANT)
    left_out = replace(exam, skipped=(out,))
    whole = result_of(exam, "findings")
    assert "why" in problem(left_out, whole)
    assert problem(left_out, replace(whole, skipped=(out,))) == ""


def test_as_many_exams_are_brought_as_there_are(exam: Exam) -> None:
    assert "number" in problem_of([exam, exam], [(result_of(exam, "findings"), 1.0)], Readers())
