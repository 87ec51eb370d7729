"""A finished reading, with the scores of some systems computed again."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cadnode.detect.regions import Detections, Region, Segmentation
from cadnode.domain import (
    Box,
    Correspondence,
    ExamResult,
    FindingKind,
    FloatImage,
    RoiReference,
    SkipReason,
    System,
    SystemStatus,
)
from cadnode.errors import NotProcessable
from cadnode.exam.exam import Exam, Mammogram, PersonRegion
from cadnode.exam.read import exam_of as exam_of
from cadnode.imaging import geometry, pixels
from cadnode.models.loading import load_view_model
from cadnode.reading import Readers, read_exam, regions, reread_exam
from cadnode.reading.views import LoadedView
from tests.synthetic import write_exam
from tests.unit import store_cases
from tests.unit.reading.test_exam import Reader
from tests.unit.reading.test_regions import SQUARE, Cnn

LEVELS = {"RCC": 0.2, "RMLO": 0.3, "LCC": 0.6, "LMLO": 0.7}
KANG, HELSINKI = Cnn("k", System.KANG2021, 0.2), Cnn("h", System.HELSINKI_DTL, 0.7)


@pytest.fixture
def exam(tmp_path: Path) -> Exam:
    return exam_of(write_exam(tmp_path, rows=64, columns=48))


@pytest.fixture(autouse=True)
def one_cluster_a_view(monkeypatch: pytest.MonkeyPatch) -> None:
    """What detection finds in every view; nothing is segmented in it."""
    region = Region(FindingKind.CALCIFICATION_CLUSTER, Box(10, 10, 20, 20), SQUARE, 0.8)

    def segment(image: FloatImage, side: str, spacing: float, box: Box, *_: Any) -> Segmentation:
        return Segmentation(
            np.zeros((4, 4), np.float32), 0.1, np.zeros((4, 4), np.int32), None, box
        )

    monkeypatch.setattr(regions, "detect_view", lambda *_, **__: Detections((region,), ()))
    monkeypatch.setattr(regions, "segment_roi", segment)


def load(mammogram: Mammogram) -> FloatImage:
    return np.full((64, 48), LEVELS[f"{mammogram.laterality}{mammogram.view}"], np.float32)


def brighter(mammogram: Mammogram) -> FloatImage:
    return np.asarray(load(mammogram) + np.float32(0.05), np.float32)


def readers(*cnns: Cnn) -> Readers:
    return Readers(
        views=(Reader(threshold=0.95),),  # type: ignore[arg-type]
        rois=cnns,  # type: ignore[arg-type]
        systems=tuple(SystemStatus(s, active=True) for s in System),
    )


def finished(exam: Exam) -> ExamResult:
    """A reading whose findings refer to each other by number."""
    result = read_exam(exam, readers(KANG, HELSINKI), load=load)
    pair = Correspondence(0, 2, (1.0, 2.0), 0.9, nipple_estimated=False)
    return replace(result, correspondences=(pair,))


def assessed(result: ExamResult, system: System) -> list[float]:
    return [a.probability for f in result.findings for a in f.assessments if a.system is system]


def nothing(mammogram: Mammogram) -> FloatImage:
    raise NotProcessable(SkipReason.NO_PIXELS)


def test_whole_views_are_scored_as_a_whole_reading_scores_them_and_regions_stay(
    exam: Exam, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = finished(exam)
    expected = read_exam(exam, readers(KANG), load=brighter)
    monkeypatch.setattr(regions, "detect_view", None)  # regions are not looked for

    found = reread_exam(exam, before, readers(KANG), only={System.KIM2018}, load=brighter)

    assert found.exam_score == expected.exam_score != before.exam_score
    assert found.breasts == expected.breasts
    assert found.views == expected.views
    assert found.findings == before.findings
    assert [m.name for m in found.models] == ["a"]  # what took part in this


def test_regions_are_assessed_again_by_the_systems_that_are_asked_alone(exam: Exam) -> None:
    before = finished(exam)
    new = replace(KANG, probability=0.9), replace(HELSINKI, probability=0.1)

    found = reread_exam(exam, before, readers(*new), only={System.KANG2021}, load=load)

    assert assessed(found, System.KANG2021) == pytest.approx([0.9] * 4)
    assert assessed(found, System.HELSINKI_DTL) == assessed(before, System.HELSINKI_DTL)
    assert assessed(found, System.KIM2018) == assessed(before, System.KIM2018)
    assert (found.exam_score, found.views) == (before.exam_score, before.views)


def test_findings_keep_their_order_because_correspondences_number_them(exam: Exam) -> None:
    before = finished(exam)
    places = [(f.sop_instance_uid, f.box) for f in before.findings]
    assert [uid for uid, _ in places] != [m.sop_instance_uid for m in exam.mammograms]

    found = reread_exam(exam, before, readers(KANG), only={System.KANG2021}, load=load)

    assert [(f.sop_instance_uid, f.box) for f in found.findings] == places
    assert found.correspondences == before.correspondences


def test_a_view_that_cannot_be_decoded_any_more_loses_those_assessments(exam: Exam) -> None:
    before = finished(exam)

    found = reread_exam(exam, before, readers(KANG), only={System.KANG2021}, load=nothing)
    scored = reread_exam(exam, before, readers(KANG), only={System.KIM2018}, load=nothing)

    assert assessed(found, System.KANG2021) == []
    assert assessed(found, System.HELSINKI_DTL) == assessed(before, System.HELSINKI_DTL)
    assert (scored.exam_score, scored.views, scored.breasts) == (None, (), ())


def test_a_model_that_fails_leaves_its_system_without_assessments_and_says_so(exam: Exam) -> None:
    broken = replace(KANG, fails=True)

    found = reread_exam(exam, finished(exam), readers(broken), only={System.KANG2021}, load=load)

    assert assessed(found, System.KANG2021) == []
    assert [s.system for s in found.systems if s.failed] == [System.KANG2021]


def test_a_view_is_decoded_once_and_its_breast_found_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside the preprocessing of the view's model, which finds that of what it prepares."""
    monkeypatch.undo()  # real detection
    calls: Counter[str] = Counter()

    def counted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            calls[name] += 1
            return function(*args)

        return call

    mask = counted("mask", geometry.breast_mask)
    for module in ("reading.views", "reading.correspondence", "detect.frame"):
        monkeypatch.setattr(f"cadnode.{module}.breast_mask", mask)
    views = (("L", "CC"), ("R", "CC"))
    exam = exam_of(
        write_exam(tmp_path / "exam", views, rows=320, columns=240, mass=(150.0, 60.0, 14.0))
    )
    left = exam.mammograms[0].sop_instance_uid
    box = Box(120, 30, 180, 90)
    corners = ((120.0, 30.0), (120.0, 90.0), (180.0, 90.0), (180.0, 30.0))
    marked = PersonRegion(left, box, corners, RoiReference("", ""))
    model = load_view_model(store_cases.made(tmp_path / "models"))

    result = read_exam(
        replace(exam, regions=(marked,)),
        Readers(views=(model,)),
        load=counted("load", pixels.load),
    )

    assert any(f.marked_by for f in result.findings)
    assert calls == {"load": 2, "mask": 2}


def test_the_breast_of_a_view_is_that_of_its_image(exam: Exam) -> None:
    image = np.zeros((300, 200), np.float32)
    image[60:240, :90] = 0.5
    view = LoadedView(exam.mammograms[0], image)

    expected = geometry.breast_mask(image)
    assert expected is not None
    assert np.array_equal(view.mask, expected)  # type: ignore[arg-type]
    assert view.mask is view.mask
